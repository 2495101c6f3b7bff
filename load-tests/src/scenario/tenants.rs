//! One tenant sends ten times what its quota allows; how much later another tenant's events are promised and in its stream.

use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use oracle::Access;
use serde::Serialize;

use super::{LoadArgs, Setup, latency, ratio};
use crate::{
    beside::Beside,
    flood::{self, Flood},
};

/// Events a second of the tenant that is measured.
const RATE: f64 = 500.0;

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// How long events are sent in a round, without the flood and then beside it
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Rounds: the machine changes, and both are to see the same of it
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Events a second that each flooding tenant may send; it sends ten times as many
    #[arg(long, default_value_t = 500)]
    quota: u64,
    /// The p99 of a promise may be at most so many times what it is without the flood
    #[arg(long, default_value_t = 1.1)]
    accept_ratio_max: f64,
    /// The same of the way to the tenant stream
    #[arg(long, default_value_t = 2.0)]
    path_ratio_max: f64,
}

/// The last line. Times in microseconds, of the tenant that does not flood.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    accept_p99_us: u64,
    accept_p99_us_beside: u64,
    accept_ratio: f64,
    path_p99_us: u64,
    path_p99_us_beside: u64,
    path_ratio: f64,
    /// Events a second that the flooding tenant may send.
    quota: u64,
    /// Requests of the flooding tenant that were refused with 429.
    limited: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
}

/// What was measured in all rounds.
struct Times {
    promise: Histogram<u64>,
    stream: Histogram<u64>,
    /// Lost, doubled, altered.
    faults: [u64; 3],
}

impl Times {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { promise: Histogram::new(3)?, stream: Histogram::new(3)?, faults: [0; 3] })
    }

    async fn measure(&mut self, access: &Access, load: &LoadArgs, span: Duration) -> anyhow::Result<()> {
        let measured = Box::pin(latency::timed(access, load, span)).await?;
        self.promise.add(&measured.promise)?;
        self.stream.add(&measured.stream)?;
        let verdicts = Box::pin(measured.run.read_back(&[])).await?;
        let sums = [verdicts.sum(|v| v.lost), verdicts.sum(|v| v.doubled), verdicts.sum(|v| v.altered)];
        self.faults = std::array::from_fn(|index| self.faults[index] + sums[index]);
        Ok(())
    }
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    options.setup.load.prefer_single();
    options.setup.load.rate.get_or_insert(RATE);
    let span = Duration::from_secs(options.seconds);
    let (own, access) = Box::pin(options.setup.own()).await?;
    let (mut without, mut with) = (Times::new()?, Times::new()?);
    let mut limited = 0;
    for round in 0..options.rounds {
        let tenant = |name: &str, quota| own.tenant(&access, &format!("{name}-{round}"), quota);
        let (alone, beside, flooding) =
            (tenant("alone", 0)?, tenant("beside", 0)?, tenant("flooding", options.quota)?);
        Box::pin(without.measure(&alone, &options.setup.load, span)).await?;
        let flood =
            Flood { access: flooding, rate: options.quota * 10, data_bytes: options.setup.load.data_bytes };
        let flood = Beside::start(flood::NAME, true, &flood).await?;
        Box::pin(with.measure(&beside, &options.setup.load, span)).await?;
        limited += flood.end().await?.parse::<u64>()?;
    }
    own.stop().await?;
    let p99 = |times: &Histogram<u64>| times.value_at_quantile(0.99);
    let [accept, accept_beside] = [&without, &with].map(|times| p99(&times.promise));
    let [path, path_beside] = [&without, &with].map(|times| p99(&times.stream));
    let [lost, doubled, altered] = std::array::from_fn(|index| without.faults[index] + with.faults[index]);
    let report = Report {
        scenario: "tenants",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        accept_p99_us: accept,
        accept_p99_us_beside: accept_beside,
        accept_ratio: ratio(accept_beside, accept),
        path_p99_us: path,
        path_p99_us_beside: path_beside,
        path_ratio: ratio(path_beside, path),
        quota: options.quota,
        limited,
        lost,
        doubled,
        altered,
    };
    println!("promise, p99              {accept:>8} µs alone, {accept_beside:>8} µs beside a flood");
    println!("in the tenant stream, p99 {path:>8} µs alone, {path_beside:>8} µs beside a flood");
    println!("refused to the flood      {:>8} requests", report.limited);
    println!("{}", serde_json::to_string(&report)?);
    let fair = report.accept_ratio <= options.accept_ratio_max && report.path_ratio <= options.path_ratio_max;
    Ok(fair && report.limited > 0 && lost + doubled + altered == 0)
}
