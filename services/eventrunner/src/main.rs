//! The binary: `eventrunner up` runs the whole fleet, `eventrunner <service>` one service, and the other commands
//! use a fleet. Parse → run → one exit code; what each code means stands in `exit`.

mod cli;
mod client;
mod commands;
mod config;
mod context;
mod durability;
mod exit;
mod output;
mod presence;
mod readiness;
mod services;
mod store_reader;
mod stores;
mod up;
mod watch;
mod when;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    cli::Cli,
    exit::{Code, Failure},
    output::note,
};

// Fewer cycles an event than the system's (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are data; there is nobody to tell when they cannot be written.
            let _ = error.print();
            return if error.use_stderr() { Code::Usage } else { Code::Done }.into();
        }
    };
    // Clients ask for the process's provider; an error means that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::failed(format!("the program cannot start: {error}"))),
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(code) => code.into(),
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    note(&format!("error: {failure}"));
    failure.code.into()
}
