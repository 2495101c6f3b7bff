//! Batches through `StreamEvents`, all the way, beside the same through the HTTP door.

use clap::Args;
use oracle::{Access, Door, Pace, Run};
use serde::Serialize;

use super::{LoadArgs, Setup};

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events to send through each door, in two parts
    #[arg(long, default_value_t = 500_000)]
    events: u64,
    /// The stream must reach at least this part of the HTTP door's rate
    #[arg(long, default_value_t = 1.0)]
    ratio_min: f64,
}

/// The last line. Events a second.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    events_per_s: u64,
    http_per_s: u64,
    ratio: f64,
    events: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    let (own, access) = Box::pin(options.setup.own()).await?;
    let (mut rates, mut all) = ([0_u64; 2], [0_u64; 4]);
    // By turns: a machine is seldom as idle at one end as at the other.
    for (part, door) in [Door::Http, Door::Stream, Door::Stream, Door::Http].into_iter().enumerate() {
        let tenant = own.tenant(&access, &format!("stream-{part}"), 0)?;
        let mut load = options.setup.load.clone();
        load.doors = vec![door];
        let (per_s, sums) = Box::pin(through(&tenant, &load, options.events / 2)).await?;
        println!("{per_s:>8} events/s through {door:?}");
        rates[usize::from(door == Door::Stream)] += per_s / 2;
        all = std::array::from_fn(|index| all[index] + sums[index]);
    }
    own.stop().await?;
    let ([http_per_s, events_per_s], [events, lost, doubled, altered]) = (rates, all);
    let ratio = super::ratio(events_per_s, http_per_s);
    println!("ratio {ratio}");
    let report = Report {
        scenario: "stream",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        events_per_s,
        http_per_s,
        ratio,
        events,
        lost,
        doubled,
        altered,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(lost + doubled + altered == 0 && ratio >= options.ratio_min)
}

async fn through(access: &Access, args: &LoadArgs, events: u64) -> anyhow::Result<(u64, [u64; 4])> {
    let (load, requests) = args.load(events);
    let mut run = Run::begin(access, load, requests, Pace::closed(requests), args.manner(0)).await?;
    let times = run.complete().await?;
    let verdicts = run.read_back(&[]).await?;
    let sums =
        [run.events(), verdicts.sum(|v| v.lost), verdicts.sum(|v| v.doubled), verdicts.sum(|v| v.altered)];
    Ok((super::rate(run.events(), times.complete), sums))
}
