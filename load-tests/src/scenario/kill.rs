//! SIGKILL in the middle of publishing. Every event that was promised must be in the event store, the usage store and the
//! tenant's stream afterwards, and in the two stores once.

use std::sync::atomic::Ordering::Relaxed;

use clap::Args;
use serde::Serialize;

use super::LoadArgs;
use crate::{
    faults,
    fleet::{Durability, FleetArgs, Own},
    run::Run,
};

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// What "accepted" promises
    #[arg(long, value_enum, default_value_t = Durability::Disk)]
    durability: Durability,
    /// Events to send
    #[arg(long, default_value_t = 50_000)]
    events: u64,
    /// How often it is killed, at equal parts of the way
    #[arg(long, default_value_t = 1)]
    kills: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    events: u64,
    kills: u64,
    /// Requests whose outcome a kill left unknown, and that were sent again.
    sent_again: u64,
    /// Promised and not in the event store, usage store or tenant stream.
    lost: u64,
    /// More than once in the event store or usage store.
    doubled: u64,
    altered: u64,
    /// More than once in the tenant stream, which is exact only within the broker's dedup window.
    stream_doubled: u64,
    seconds: f64,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    anyhow::ensure!(options.fleet.context.is_none(), "only a fleet of this scenario's own is killed");
    let (mut own, access) = Own::start(&options.fleet, options.durability).await?;
    let (load, requests) = options.load.load(options.events);
    let mut run = Run::begin(&access, load, requests, options.load.connections).await?;
    let (ledger, answers, events) = (run.ledger.clone(), run.answers.clone(), run.events());
    let completing = tokio::spawn(async move {
        let times = run.complete().await?;
        anyhow::Ok((times, run.read_back().await?))
    });
    for kill in 1..=options.kills {
        faults::promised(&ledger, requests * kill / (options.kills + 1)).await;
        eprintln!("killing process {} after {} of {requests} requests", own.pid(), ledger.promised());
        own.kill()?;
        own.restart().await?;
    }
    let (times, verdicts) = completing.await??;
    own.stop().await?;
    let report = Report {
        scenario: "kill",
        durability: options.durability.as_str(),
        events,
        kills: options.kills,
        sent_again: answers.broken.load(Relaxed),
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.events.doubled + verdicts.usage.doubled,
        altered: verdicts.sum(|v| v.altered),
        stream_doubled: verdicts.stream.doubled,
        seconds: (times.complete.as_secs_f64() * 10.0).round() / 10.0,
    };
    for (place, verdict) in [
        ("event store", verdicts.events),
        ("usage store", verdicts.usage),
        ("tenant stream", verdicts.stream),
    ] {
        println!(
            "{place:<14} {:>9} found, {} lost, {} doubled, {} altered",
            verdict.found, verdict.lost, verdict.doubled, verdict.altered
        );
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(report.lost + report.doubled + report.altered == 0)
}
