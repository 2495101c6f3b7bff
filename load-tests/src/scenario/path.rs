//! How fast events get all the way: accepted, stored, counted and in the tenant's stream.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use oracle::{Access, Pace, Run, Times, Verdicts};
use serde::Serialize;

use super::{LoadArgs, hundredths};
use crate::{
    baseline, cpu,
    fleet::{Durability, FleetArgs, Own},
};

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// What "accepted" promises; a fleet that runs already must have been started with the same
    #[arg(long, value_enum, default_value_t = Durability::Disk)]
    durability: Durability,
    /// Events to send
    #[arg(long, default_value_t = 500_000)]
    events: u64,
    /// How long the bare broker is measured, half of it before and half after
    #[arg(long, default_value_t = 5)]
    baseline_seconds: u64,
}

/// A process by name.
type Process = (String, u32);

/// What processes use while events are on their way.
struct Meter(Vec<(Process, Duration)>);

impl Meter {
    fn start(processes: &[Process]) -> Self {
        let own = ("this tool".to_owned(), std::process::id());
        let all = processes.iter().cloned().chain([own]);
        Self(
            all.filter_map(|process| Some((cpu::used(process.1)?, process)))
                .map(|(used, p)| (p, used))
                .collect(),
        )
    }

    fn stop(&mut self) {
        for ((_, pid), used) in &mut self.0 {
            *used = cpu::used(*pid).unwrap_or_default().saturating_sub(*used);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "times for people")]
    fn print(&self, events: u64) {
        for ((name, _), used) in &self.0 {
            let us = used.as_micros() as f64 / events as f64;
            println!("{:<24}{us:>10.1} µs of processor time an event", format!("used by {name}"));
        }
    }
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    tenant_stream: &'static str,
    events_per_s: u64,
    baseline_per_s: u64,
    ratio: f64,
    accepted_per_s: u64,
    events: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    options.load.prefer_http();
    if let Some(access) = options.fleet.running()? {
        return measure(&options, &access, &[]).await;
    }
    let (own, access) = Own::start(&options.fleet, options.durability).await?;
    let processes = own.processes();
    let good = measure(&options, &access, &processes).await?;
    own.stop().await?;
    Ok(good)
}

async fn measure(options: &Options, access: &Access, processes: &[Process]) -> anyhow::Result<bool> {
    let span = Duration::from_secs(options.baseline_seconds.max(1));
    let Measured { events, refused, baseline, times, meter, verdicts } =
        Measured::of(access, &options.load, options.events, span, processes).await?;
    let report = report(options, events, baseline, &times, &verdicts);
    print(options, &report, &times);
    println!("refused and sent again  {refused:>10} requests");
    meter.print(events);
    println!("{}", serde_json::to_string(&report)?);
    Ok(verdicts.is_good())
}

/// One load all the way, and the bare broker beside it.
struct Measured {
    events: u64,
    refused: u64,
    /// Messages a second.
    baseline: f64,
    times: Times,
    meter: Meter,
    verdicts: Verdicts,
}

impl Measured {
    async fn of(
        access: &Access,
        load: &LoadArgs,
        events: u64,
        span: Duration,
        processes: &[Process],
    ) -> anyhow::Result<Self> {
        // The fleet's own broker, while the fleet is idle: set the same way, because it is the same. Before and after, because
        // a machine is seldom as idle at the one as at the other.
        let bare = async || {
            eprintln!("measuring the bare broker for {:.1} s", span.as_secs_f64() / 2.0);
            baseline::publish_rate(access, load.data_bytes, span / 2).await
        };
        let before = bare().await?;
        let (events, requests) = load.load(events);
        let pace = match load.requests_per_second() {
            Some(rate) => Pace::open(requests, Some(rate), None),
            None => Pace::closed(requests),
        };
        let mut run = Run::begin(access, events, requests, pace, load.manner(0)).await?;
        let (events, answers) = (run.events(), run.answers.clone());
        let mut meter = Meter::start(processes);
        let times = run.complete().await?;
        meter.stop();
        let verdicts = run.read_back(&[]).await?;
        let baseline = before.midpoint(bare().await?);
        Ok(Self { events, refused: answers.refused(), baseline, times, meter, verdicts })
    }
}

/// The whole path's rate to the bare broker's, for a fleet that does something else besides.
pub(crate) async fn ratio(access: &Access, load: &LoadArgs, events: u64) -> anyhow::Result<f64> {
    let measured = Measured::of(access, load, events, Duration::from_secs(5), &[]).await?;
    ensure!(measured.verdicts.is_good(), "events were lost, doubled or altered on the way");
    Ok(per_second(measured.events, measured.times.complete) / measured.baseline)
}

#[expect(clippy::cast_precision_loss, reason = "rates")]
fn per_second(events: u64, span: Duration) -> f64 {
    events as f64 / span.as_secs_f64()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates")]
fn report(options: &Options, events: u64, baseline: f64, times: &Times, verdicts: &Verdicts) -> Report {
    let path = per_second(events, times.complete);
    Report {
        scenario: "path",
        durability: options.durability.as_str(),
        tenant_stream: options.fleet.tenant_stream.as_str(),
        events_per_s: path as u64,
        baseline_per_s: baseline as u64,
        ratio: hundredths(path / baseline),
        accepted_per_s: per_second(events, times.accepted) as u64,
        events,
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.sum(|v| v.doubled),
        altered: verdicts.sum(|v| v.altered),
    }
}

#[expect(clippy::cast_precision_loss, reason = "times for people")]
fn print(options: &Options, report: &Report, times: &Times) {
    let LoadArgs { data_bytes, .. } = options.load;
    let (batch, connections) = (options.load.batch(), options.load.connections());
    println!("durability              {:>10}", report.durability);
    println!("tenant stream           {:>10}", report.tenant_stream);
    println!(
        "load                    {:>10} events, {batch} of {data_bytes} B a request, {connections} connections",
        report.events
    );
    println!("accepted                {:>10} events/s", report.accepted_per_s);
    println!("whole path              {:>10} events/s", report.events_per_s);
    println!(
        "bare broker             {:>10} messages/s of {data_bytes} B, one event each",
        report.baseline_per_s
    );
    println!("ratio                   {:>10.2}", report.ratio);
    let ms = |quantile| times.requests.value_at_quantile(quantile) as f64 / 1e3;
    println!("request to promise      {:>10.1} ms median, {:.1} ms p99", ms(0.5), ms(0.99));
    println!("lost, doubled, altered  {:>10}, {}, {}", report.lost, report.doubled, report.altered);
}
