//! SIGKILL in the middle of publishing. Every event that was promised must be in the event store, the usage store and the
//! tenant's stream afterwards, and in the two stores once.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::LoadArgs;
use crate::{
    faults,
    fleet::{Durability, FleetArgs, Own},
    memory::Peaks,
    oracle::Ledger,
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
    /// How often something is killed, at equal parts of the way
    #[arg(long, default_value_t = 1)]
    kills: u64,
    /// What is killed, in turn [default: the fleet; of a fleet of processes engine, normalizer, cql and clickhouse]
    #[arg(long, value_enum, value_delimiter = ',')]
    victims: Vec<Victim>,
    /// How long cql and clickhouse stay away, in seconds
    #[arg(long, default_value_t = 0)]
    away_seconds: u64,
}

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Victim {
    /// The process that is the whole fleet
    Fleet,
    /// An engine
    Engine,
    /// A normalizer
    Normalizer,
    /// A node of the broker
    Nats,
    /// A node of the CQL cluster
    Cql,
    /// ClickHouse
    Clickhouse,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
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
    /// The most memory that any process of the fleet itself held.
    peak_mb: u64,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    ensure!(options.fleet.context.is_none(), "only a fleet of this scenario's own is killed");
    let processes = options.fleet.processes;
    let victims = match (&*options.victims, processes) {
        ([], false) => vec![Victim::Fleet],
        ([], true) => vec![Victim::Engine, Victim::Normalizer, Victim::Cql, Victim::Clickhouse],
        (given, _) => given.to_vec(),
    };
    let alone = |victim: &Victim| matches!(victim, Victim::Fleet | Victim::Nats);
    ensure!(processes || victims.iter().all(alone), "only a fleet of --processes has such victims");
    let (mut own, access) = Own::start(&options.fleet, options.durability).await?;
    let peaks = Peaks::watch(own.processes());
    let (load, requests) = options.load.load(options.events);
    let mut run = Run::begin(&access, load, requests, options.load.connections).await?;
    run.stall += Duration::from_secs(options.away_seconds);
    let (ledger, answers, events) = (run.ledger.clone(), run.answers.clone(), run.events());
    let completing = tokio::spawn(async move {
        let times = run.complete().await?;
        anyhow::Ok((times, run.read_back().await?))
    });
    kill_in_turn(&options, &victims, &mut own, &ledger, requests, &peaks).await?;
    let (times, verdicts) = completing.await??;
    let peak_mb = peaks.print();
    own.stop().await?;
    let report = Report {
        scenario: "kill",
        durability: options.durability.as_str(),
        form: if processes { "processes" } else { "embedded" },
        events,
        kills: options.kills,
        sent_again: answers.broken.load(Relaxed),
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.events.doubled + verdicts.usage.doubled,
        altered: verdicts.sum(|v| v.altered),
        stream_doubled: verdicts.stream.doubled,
        seconds: (times.complete.as_secs_f64() * 10.0).round() / 10.0,
        peak_mb,
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

async fn kill_in_turn(
    options: &Options,
    victims: &[Victim],
    own: &mut Own,
    ledger: &Arc<Ledger>,
    requests: u64,
    peaks: &Peaks,
) -> anyhow::Result<()> {
    let away = Duration::from_secs(options.away_seconds);
    for (kill, victim) in (1..=options.kills).zip(victims.iter().cycle()) {
        faults::promised(ledger, requests * kill / (options.kills + 1)).await;
        eprintln!("killing {victim:?} after {} of {requests} requests", ledger.promised());
        match victim {
            Victim::Fleet => {
                own.kill()?;
                own.restart().await?;
            }
            // Whoever watches them starts them again.
            Victim::Engine => kill_one(own, "engine")?,
            Victim::Normalizer => kill_one(own, "normalizer")?,
            Victim::Nats if options.fleet.processes => kill_one(own, "nats-server")?,
            Victim::Nats => faults::kill(own.broker_pid().context("there is no broker")?)?,
            Victim::Cql => {
                let servers = own.servers().context("there is no CQL server")?;
                servers.cql(|cql| cql.kill(0)).await?;
                tokio::time::sleep(away).await;
                servers.cql(|cql| cql.restart(0)).await?;
            }
            Victim::Clickhouse => {
                let servers = own.servers().context("there is no ClickHouse")?;
                servers.clickhouse(testkit::ClickHouse::kill).await?;
                tokio::time::sleep(away).await;
                servers.clickhouse(testkit::ClickHouse::restart).await?;
            }
        }
        peaks.also(own.processes());
    }
    Ok(())
}

fn kill_one(own: &Own, service: &str) -> anyhow::Result<()> {
    let processes = own.processes();
    let (name, pid) = processes
        .iter()
        .find(|(name, _)| name.starts_with(service))
        .with_context(|| format!("no {service} runs"))?;
    eprintln!("{name} is process {pid}");
    faults::kill(*pid)
}
