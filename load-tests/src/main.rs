//! `eventrunner-load`: sends events whose bytes it knows, and judges what became of them, through the interfaces that
//! every user has.
//!
//! Invariant: a scenario's figures count only what was read back whole. The last line on stdout is one JSON object;
//! everything for people goes before it or to stderr; the exit code is 0 only if nothing was lost, doubled or altered.

mod baseline;
mod cpu;
mod faults;
mod fleet;
mod generator;
mod load;
mod memory;
mod oracle;
mod places;
mod run;
mod scenario;
mod servers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load, and the judge of what became of it
#[derive(Debug, Parser)]
#[command(name = "eventrunner-load", version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// The rate of the whole path, door to stores and tenant stream, beside the bare broker's
    Path(scenario::path::Options),
    /// SIGKILL of the fleet while events are published: nothing promised may be missing afterwards
    Kill(scenario::kill::Options),
    /// Each store alone, beside a bare loader on the same engine: rates, point reads and pages
    Stores(scenario::stores::Options),
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Clients ask for the process's provider; an error means that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let outcome = match Cli::parse().scenario {
        Scenario::Path(options) => scenario::path::run(options).await,
        Scenario::Kill(options) => scenario::kill::run(options).await,
        Scenario::Stores(options) => scenario::stores::run(options).await,
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
