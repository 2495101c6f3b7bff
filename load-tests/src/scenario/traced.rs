//! What traces, metrics and logs cost the path: the same load, in turn on a fleet that sends none and on one that sends all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use axum::{Router, body::Bytes, extract::Path, routing::post};
use clap::Args;
use oracle::{Access, Pace, Run};
use serde::Serialize;
use tokio_util::task::AbortOnDropHandle;

use super::{Setup, hundredths};
use crate::{cpu, fleet::Own};

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// Events of each run
    #[arg(long, default_value_t = 300_000)]
    events: u64,
    /// Pairs of runs, one on each fleet; their medians count
    #[arg(long, default_value_t = 9)]
    pairs: usize,
    /// Which part of the requests is traced
    #[arg(long, default_value_t = 0.01)]
    sample_ratio: f64,
    /// The most that it may cost, in percent of the rate
    #[arg(long, default_value_t = 3.0)]
    percent_max: f64,
}

/// The last line. Processor time is that of the fleet and its broker, for an event.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    sample_ratio: f64,
    events: u64,
    pairs: usize,
    without_per_s: u64,
    with_per_s: u64,
    /// The median of the pairs.
    percent: f64,
    without_us: f64,
    with_us: f64,
    /// The median of the pairs.
    processor_percent: f64,
    traces_bytes: u64,
}

/// One run: events a second, and microseconds of processor time an event.
#[derive(Debug, Clone, Copy)]
struct Figures {
    per_s: f64,
    us: f64,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    options.setup.load.prefer_http();
    let (endpoint, traces, _serving) = receiver().await?;
    let without = Box::pin(options.setup.own()).await?;
    let settings = &mut options.setup.fleet.settings;
    settings.push(format!("telemetry.otlp_endpoint={endpoint}"));
    settings.push(format!("telemetry.sample_ratio={}", options.sample_ratio));
    let with = Box::pin(options.setup.own()).await?;
    let mut pairs = Vec::new();
    for number in 0..options.pairs.max(1) {
        // Who comes first takes turns.
        let mut pair =
            if number % 2 == 0 { [&without, &with] } else { [&with, &without] }.map(|fleet| (fleet, None));
        for (fleet, figures) in &mut pair {
            *figures = Some(Box::pin(once(fleet, number, &options)).await?);
        }
        let [first, second] = pair.map(|(_, figures)| figures);
        let (Some(first), Some(second)) = (first, second) else { continue };
        let (off, on) = if number % 2 == 0 { (first, second) } else { (second, first) };
        println!(
            "{:>9.0} events/s and {:>5.1} µs without, {:>9.0} and {:>5.1} with",
            off.per_s, off.us, on.per_s, on.us
        );
        pairs.push((off, on));
    }
    without.0.stop().await?;
    with.0.stop().await?;
    let report = report(&options, &pairs, traces.load(Ordering::Relaxed));
    println!("{}", serde_json::to_string(&report)?);
    ensure!(report.traces_bytes > 0, "no trace arrived: nothing was measured");
    Ok(report.percent < options.percent_max)
}

/// Takes OTLP and forgets it, so that no collector's work is measured; counts the bytes of traces.
async fn receiver() -> anyhow::Result<(String, Arc<AtomicU64>, AbortOnDropHandle<std::io::Result<()>>)> {
    let traces = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&traces);
    let take = move |Path(signal): Path<String>, body: Bytes| async move {
        if signal == "traces" {
            counted.fetch_add(body.len() as u64, Ordering::Relaxed);
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/v1/{signal}", post(take));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((url, traces, AbortOnDropHandle::new(serving)))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn once((own, access): &(Own, Access), number: usize, options: &Options) -> anyhow::Result<Figures> {
    let load = &options.setup.load;
    let tenant = own.tenant(access, &format!("traced-{number}"), 0)?;
    let (events, requests) = load.load(options.events);
    let mut run = Run::begin(&tenant, events, requests, Pace::closed(requests), load.manner(0)).await?;
    let before = used(own);
    let times = run.complete().await?;
    let used = used(own).saturating_sub(before);
    let events = run.events() as f64;
    ensure!(run.read_back(&[]).await?.is_good(), "events were lost, doubled or altered on the way");
    Ok(Figures { per_s: events / times.complete.as_secs_f64(), us: used.as_micros() as f64 / events })
}

fn used(own: &Own) -> Duration {
    own.processes().into_iter().filter_map(|(_, pid)| cpu::used(pid)).sum()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates")]
fn report(options: &Options, pairs: &[(Figures, Figures)], traces_bytes: u64) -> Report {
    let of = |value: fn(&(Figures, Figures)) -> f64| median(pairs.iter().map(value));
    Report {
        scenario: "traced",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        sample_ratio: options.sample_ratio,
        events: options.events,
        pairs: pairs.len(),
        without_per_s: of(|(off, _)| off.per_s) as u64,
        with_per_s: of(|(_, on)| on.per_s) as u64,
        percent: hundredths(100.0 * (1.0 - of(|(off, on)| on.per_s / off.per_s))),
        without_us: hundredths(of(|(off, _)| off.us)),
        with_us: hundredths(of(|(_, on)| on.us)),
        processor_percent: hundredths(100.0 * (of(|(off, on)| on.us / off.us) - 1.0)),
        traces_bytes,
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
