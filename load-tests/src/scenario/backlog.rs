//! The engine gets nothing while the door runs at full rate: what gathers is bounded by the streams' limits, the door sheds
//! what is beyond, memory stays bounded, and afterwards the engine catches up at least as fast as events usually come.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use clap::Args;
use oracle::{Access, Pace, Run, Verdicts};
use serde::Serialize;

use super::Setup;
use crate::{held::Held, memory::Peaks};

/// More events than a door takes in a second.
const PER_SECOND_MAX: u64 = 200_000;
/// How long the stream is held at most beyond the load.
const MARGIN: Duration = Duration::from_secs(60);

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// How long the engine gets nothing
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Events to send beforehand, to know the rate of the whole path: about as many as gather, since the path, too, is
    /// slower over millions
    #[arg(long, default_value_t = 2_000_000)]
    path_events: u64,
    /// It must catch up at least at so many times that rate
    #[arg(long, default_value_t = 1.0)]
    ratio_min: f64,
    /// The most memory that a process of the fleet may hold, in megabytes
    #[arg(long, default_value_t = 2_048)]
    memory_mb_max: u64,
}

/// The last line. Events a second.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    seconds: u64,
    accepted: u64,
    /// Requests shed with 503 or 429.
    shed: u64,
    /// What had gathered before the engine, in megabytes.
    gathered_mb: u64,
    /// Until the engine read on, which is not in the rate: consumers that were paused, not an engine that was started.
    woke_ms: u64,
    path_per_s: u64,
    catch_up_per_s: u64,
    ratio: f64,
    peak_mb: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    options.setup.load.prefer_http();
    let (own, access) = Box::pin(options.setup.own()).await?;
    let peaks = Peaks::watch(own.processes());
    let before = own.tenant(&access, "before", 0)?;
    let path_per_s = Box::pin(path(&before, &options)).await?;
    let behind = own.tenant(&access, "behind", 0)?;
    let (report, verdicts) = Box::pin(fall_behind(&behind, &options, path_per_s)).await?;
    let peak_mb = peaks.print();
    own.stop().await?;
    let report = Report { peak_mb, ..report };
    println!("whole path      {path_per_s:>10} events/s");
    println!("catching up     {:>10} events/s, ratio {}", report.catch_up_per_s, report.ratio);
    println!("gathered        {:>10} events, {} MB before the engine", report.accepted, report.gathered_mb);
    println!("shed            {:>10} requests", report.shed);
    println!("{}", serde_json::to_string(&report)?);
    Ok(verdicts.is_good() && report.ratio >= options.ratio_min && peak_mb <= options.memory_mb_max)
}

async fn path(access: &Access, options: &Options) -> anyhow::Result<u64> {
    let (load, requests) = options.setup.load.load(options.path_events);
    let mut run =
        Run::begin(access, load, requests, Pace::closed(requests), options.setup.load.manner(0)).await?;
    let times = run.complete().await?;
    Ok(super::rate(run.events(), times.complete))
}

async fn fall_behind(
    access: &Access,
    options: &Options,
    path_per_s: u64,
) -> anyhow::Result<(Report, Verdicts)> {
    let span = Duration::from_secs(options.seconds);
    let mut held = Held::hold(access, "EVENTS", span + MARGIN).await?;
    let (load, requests) = options.setup.load.load(PER_SECOND_MAX * options.seconds);
    let mut run =
        Run::begin(access, load, requests, Pace::closed(requests), options.setup.load.manner(0)).await?;
    run.stall += span;
    let (pace, ledger, per_request) = (run.pace.clone(), run.ledger.clone(), run.load.per_request());
    let answers = run.answers.clone();
    let engine = async move {
        tokio::time::sleep(span).await;
        pace.stop();
        let gathered = held.bytes().await?;
        // What is promised from here on would have to be told apart from what had gathered.
        let (released, events) = (Instant::now(), ledger.promised() * per_request);
        held.resumed().await?;
        anyhow::Ok((Instant::now(), released.elapsed(), events, gathered))
    };
    let (times, gathered) = tokio::join!(run.complete(), engine);
    let (_, (at, woke, events, bytes)) = (times?, gathered?);
    let catch_up_per_s = super::rate(events, at.elapsed());
    let verdicts = run.read_back(&[]).await?;
    let ratio = super::ratio(catch_up_per_s, path_per_s);
    let report = Report {
        scenario: "backlog",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        seconds: options.seconds,
        accepted: run.promised(),
        shed: answers.unavailable.load(Relaxed) + answers.limited.load(Relaxed),
        gathered_mb: bytes >> 20,
        woke_ms: u64::try_from(woke.as_millis()).unwrap_or(u64::MAX),
        path_per_s,
        catch_up_per_s,
        ratio,
        peak_mb: 0,
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.sum(|v| v.doubled),
        altered: verdicts.sum(|v| v.altered),
    };
    Ok((report, verdicts))
}
