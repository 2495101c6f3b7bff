//! A steady load for long: whether anything grows that should not.

use std::time::Duration;

use clap::Args;
use oracle::{Access, Pace, Run};
use serde::Serialize;

use super::Setup;
use crate::{faults, fleet::Own, memory};

/// The part of the way after which caches and pools have their size.
const WARM_UP: u64 = 5;

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// How long
    #[arg(long, default_value_t = 3_600)]
    seconds: u64,
    /// The most that a process may grow after the first fifth, in megabytes
    #[arg(long, default_value_t = 256)]
    growth_mb_max: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    seconds: u64,
    rate: f64,
    p99_us: u64,
    /// The most that a process has grown after the first fifth.
    growth_mb: u64,
    events: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    options.setup.load.prefer_http();
    options.setup.load.rate.get_or_insert(super::STEADY);
    if let Some(access) = options.setup.fleet.running()? {
        return measure(&options, &access, &[]).await;
    }
    let (own, access) = Box::pin(Own::start(&options.setup.fleet, options.setup.durability)).await?;
    let processes = own.processes();
    let good = Box::pin(measure(&options, &access, &processes)).await?;
    own.stop().await?;
    Ok(good)
}

async fn measure(options: &Options, access: &Access, processes: &[(String, u32)]) -> anyhow::Result<bool> {
    let rate = options.setup.load.rate.unwrap_or(super::STEADY);
    let span = Duration::from_secs(options.seconds);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let (load, requests) = options.setup.load.load((rate * span.as_secs_f64()) as u64);
    let pace = Pace::open(requests, options.setup.load.requests_per_second(), None);
    let mut run = Box::pin(Run::begin(access, load, requests, pace, options.setup.load.manner(0))).await?;
    let ledger = run.ledger.clone();
    let warm = async {
        faults::settled(&ledger, requests / WARM_UP).await;
        memory::held(processes)
    };
    let (times, before) = tokio::join!(run.complete(), warm);
    let (times, after) = (times?, memory::held(processes));
    let mut growth_mb = 0;
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        println!("{name:<20} {before:>6} MB after a fifth, {after:>6} MB at the end");
        growth_mb = growth_mb.max(after.saturating_sub(*before));
    }
    let verdicts = Box::pin(run.read_back(&[])).await?;
    let report = Report {
        scenario: "soak",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        seconds: options.seconds,
        rate,
        p99_us: times.requests.value_at_quantile(0.99),
        growth_mb,
        events: run.events(),
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.sum(|v| v.doubled),
        altered: verdicts.sum(|v| v.altered),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(verdicts.is_good() && growth_mb <= options.growth_mb_max)
}
