//! `eventrunner-load`: sends events whose bytes it knows, and judges what became of them, through the interfaces that
//! every user has.
//!
//! Invariant: a scenario's figures count only what was read back whole. The last line on stdout is one JSON object;
//! everything for people goes before it or to stderr; the exit code is 0 only if nothing was lost, doubled or altered.

mod baseline;
mod beside;
mod build;
mod clock;
mod cpu;
mod faults;
mod fleet;
mod flood;
mod held;
mod memory;
mod network;
mod proxy;
mod readiness;
mod reference;
mod scenario;
mod servers;
mod standstill;
mod tail;
mod trial;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

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
    /// SIGKILL of each process in turn and at random while events are published: nothing promised may be missing afterwards
    Chaos(scenario::chaos::Options),
    /// The broker stopped, full and frozen, or its line cut and slow: each request gets a 503 that says when to come again, or is kept
    Outage(scenario::outage::Options),
    /// SIGTERM of each process in turn: no request fails, and each ends in time
    Restart(scenario::restart::Options),
    /// Backed up under load, destroyed and restored: every event accepted before the backup began is there once
    Restore(scenario::restore::Options),
    /// Two regions, of which one is lost under load and the other takes over: recovery point and recovery time
    Mirror(scenario::mirror::Options),
    /// Partition keys over several normalizers and engines that are killed and hang: events keep their order
    Order(scenario::order::Options),
    /// How long single events take at a steady rate, beside bare publishes
    Latency(scenario::latency::Options),
    /// Single events over many connections, beside a handler that only publishes
    Accept(scenario::accept::Options),
    /// Batches through `StreamEvents`, beside the same through the HTTP door
    Stream(scenario::stream::Options),
    /// One tenant at ten times its quota, and what another one notices
    Tenants(scenario::tenants::Options),
    /// The engine stopped while the door runs at full rate, and how fast it catches up
    Backlog(scenario::backlog::Options),
    /// A steady load for long: memory at its begin and end
    Soak(scenario::soak::Options),
    /// Processor time and memory of a fleet that has nothing to do
    Idle(scenario::idle::Options),
    /// What a million events cost each service and server: processor time, memory, network, disk
    Sizing(scenario::sizing::Options),
    /// A catalog of many tenants: written, read, listed, changed
    Catalog(scenario::catalog::Options),
    /// How soon a change of the catalog takes effect in every process
    Changes(scenario::changes::Options),
    /// A month of usage records: its invoice beside what was counted, and the proof beside records that were tampered with
    Invoices(scenario::invoices::Options),
    /// The path with traces, metrics and logs sent to a collector, in turn with one that sends none
    Traced(scenario::traced::Options),
    /// Each store alone, beside a bare loader on the same engine: rates, point reads and pages
    Stores(scenario::stores::Options),
    /// The handler that `accept` measures beside the fleet; started by it
    #[command(hide = true)]
    Reference,
    /// The tenant that sends more than it may in `tenants`; started by it
    #[command(hide = true)]
    Flood,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Clients ask for the process's provider; an error means that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let scenario = Cli::parse().scenario;
    let outcome = tokio::select! {
        outcome = Box::pin(run(scenario)) => outcome,
        // What was started is stopped as what holds it is dropped.
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        () = terminated() => Err(anyhow::anyhow!("terminated")),
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

/// SIGTERM. Never, where it cannot be listened to.
async fn terminated() {
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

async fn run(scenario: Scenario) -> anyhow::Result<bool> {
    match scenario {
        Scenario::Path(options) => scenario::path::run(options).await,
        Scenario::Chaos(options) => scenario::chaos::run(options).await,
        Scenario::Outage(options) => scenario::outage::run(options).await,
        Scenario::Restart(options) => scenario::restart::run(options).await,
        Scenario::Restore(options) => Box::pin(scenario::restore::run(options)).await,
        Scenario::Mirror(options) => Box::pin(scenario::mirror::run(options)).await,
        Scenario::Order(options) => scenario::order::run(options).await,
        Scenario::Latency(options) => scenario::latency::run(options).await,
        Scenario::Accept(options) => Box::pin(scenario::accept::run(options)).await,
        Scenario::Stream(options) => Box::pin(scenario::stream::run(options)).await,
        Scenario::Tenants(options) => Box::pin(scenario::tenants::run(options)).await,
        Scenario::Backlog(options) => Box::pin(scenario::backlog::run(options)).await,
        Scenario::Soak(options) => Box::pin(scenario::soak::run(options)).await,
        Scenario::Idle(options) => scenario::idle::run(options).await,
        Scenario::Sizing(options) => Box::pin(scenario::sizing::run(options)).await,
        Scenario::Catalog(options) => Box::pin(scenario::catalog::run(options)).await,
        Scenario::Changes(options) => Box::pin(scenario::changes::run(options)).await,
        Scenario::Invoices(options) => Box::pin(scenario::invoices::run(options)).await,
        Scenario::Traced(options) => Box::pin(scenario::traced::run(options)).await,
        Scenario::Stores(options) => scenario::stores::run(options).await,
        Scenario::Reference => reference::serve().await,
        Scenario::Flood => flood::send().await,
    }
}
