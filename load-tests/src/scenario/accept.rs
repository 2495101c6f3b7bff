//! Single events over many connections, all the way, beside a handler that does nothing but publish each body and wait for
//! the acknowledgement.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use oracle::{Access, Answers, Generator, Ledger, Pace, Run, Target};
use serde::Serialize;

use super::{LoadArgs, Setup};
use crate::{beside::Beside, reference};

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send, for each number of connections
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// How many connections, one after the other
    #[arg(long = "over", value_delimiter = ',', default_values_t = [64, 256])]
    over: Vec<usize>,
    /// The fleet must reach at least this part of the reference's rate
    #[arg(long, default_value_t = 0.8)]
    ratio_min: f64,
}

/// One number of connections. Events a second.
#[derive(Debug, Serialize)]
struct Row {
    connections: usize,
    events_per_s: u64,
    accepted_per_s: u64,
    reference_per_s: u64,
    ratio: f64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    tenant_stream: &'static str,
    rows: Vec<Row>,
    /// The least of them.
    ratio: f64,
    events: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    options.setup.load.prefer_single();
    let (own, access) = Box::pin(options.setup.own()).await?;
    let (mut rows, mut all) = (Vec::new(), [0_u64; 4]);
    for &connections in &options.over {
        let mut load = options.setup.load.clone();
        load.connections = Some(connections);
        let half = reference(&access, &load, options.events / 2).await?;
        let tenant = own.tenant(&access, &format!("accept-{connections}"), 0)?;
        let (row, sums) = Box::pin(fleet(&tenant, &load, options.events)).await?;
        let reference_per_s = u64::midpoint(half, reference(&access, &load, options.events / 2).await?);
        let row = Row { reference_per_s, ratio: super::ratio(row.events_per_s, reference_per_s), ..row };
        println!(
            "{connections:>4} connections: {} events/s all the way ({} accepted), {reference_per_s} by the reference, ratio {}",
            row.events_per_s, row.accepted_per_s, row.ratio
        );
        rows.push(row);
        all = std::array::from_fn(|index| all[index] + sums[index]);
    }
    own.stop().await?;
    let [events, lost, doubled, altered] = all;
    let ratio = rows.iter().map(|row| row.ratio).fold(f64::INFINITY, f64::min);
    let (durability, form) = (options.setup.durability.as_str(), options.setup.fleet.form());
    let report = Report {
        scenario: "accept",
        durability,
        form,
        tenant_stream: options.setup.fleet.tenant_stream.as_str(),
        rows,
        ratio,
        events,
        lost,
        doubled,
        altered,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(lost + doubled + altered == 0 && ratio >= options.ratio_min)
}

async fn fleet(access: &Access, args: &LoadArgs, events: u64) -> anyhow::Result<(Row, [u64; 4])> {
    let connections = args.connections();
    eprintln!("{events} events over {connections} connections");
    let (load, requests) = args.load(events);
    let mut run = Run::begin(access, load, requests, Pace::closed(requests), args.manner(0)).await?;
    let times = run.complete().await?;
    let verdicts = run.read_back(&[]).await?;
    let events = run.events();
    let row = Row {
        connections,
        events_per_s: super::rate(events, times.complete),
        accepted_per_s: super::rate(events, times.accepted),
        reference_per_s: 0,
        ratio: 0.0,
    };
    Ok((row, [events, verdicts.sum(|v| v.lost), verdicts.sum(|v| v.doubled), verdicts.sum(|v| v.altered)]))
}

/// Requests a second that the bare handler answers.
async fn reference(access: &Access, args: &LoadArgs, events: u64) -> anyhow::Result<u64> {
    let (load, requests) = args.load(events);
    eprintln!("{requests} requests to the reference over {} connections", args.connections());
    let mut reference = Beside::start(reference::NAME, false, access).await?;
    let url = reference.line().await?;
    let generator = Generator {
        target: Target { url, grpc_url: None, key: access.key.clone() },
        manner: args.manner(0),
        pace: Arc::new(Pace::closed(requests)),
        load: Arc::new(load),
        ledger: Arc::new(Ledger::new(requests)),
        answers: Arc::new(Answers::default()),
    };
    let began = Instant::now();
    generator.run().await?;
    let took: Duration = began.elapsed();
    reference.end().await?;
    Ok(super::rate(requests, took))
}
