//! How long single events take at a steady rate: until they are promised, until they are in the tenant's stream, and until
//! the API has them; beside bare awaited publishes in the same broker, at the same rate and by the same clock.

use std::{sync::Arc, time::Duration};

use clap::Args;
use hdrhistogram::Histogram;
use oracle::{Access, Pace, Run};
use serde::Serialize;

use super::{LoadArgs, Setup};
use crate::{
    baseline::Bare,
    fleet::Own,
    tail::{self, Tail},
};

/// Events a second.
const RATE: f64 = 2_000.0;
/// How often the API is asked for an event, a second.
const ASKED: f64 = 20.0;

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// How long events are sent
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long the bare broker is measured, half of it before and half after
    #[arg(long, default_value_t = 6)]
    baseline_seconds: u64,
    /// The p99 of a promise may be at most so many times that of a bare publish by the same clock
    #[arg(long, default_value_t = 5.0)]
    ratio_max: f64,
}

/// The last line. Times in microseconds.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    rate: f64,
    p50_us: u64,
    p99_us: u64,
    p999_us: u64,
    stream_p50_us: u64,
    stream_p99_us: u64,
    stream_p999_us: u64,
    api_p50_us: u64,
    api_p99_us: u64,
    bare_p50_us: u64,
    bare_p99_us: u64,
    /// Bare publishes at the same rate and by the same clock.
    paced_p50_us: u64,
    paced_p99_us: u64,
    /// Of the promise's p99 to that of bare publishes by the same clock: both wait where the machine stands still.
    ratio: f64,
    /// The same to publishes one right after the other, which never see the machine fall asleep.
    back_to_back_ratio: f64,
    events: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
}

/// What was measured of one run.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) promise: Histogram<u64>,
    pub(crate) stream: Histogram<u64>,
    pub(crate) api: Histogram<u64>,
    pub(crate) run: Run,
}

/// Runs it. Whether its claim holds.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    options.setup.load.prefer_single();
    options.setup.load.rate.get_or_insert(RATE);
    if let Some(access) = options.setup.fleet.running()? {
        return measure(&options, &access).await;
    }
    let (own, access) = Box::pin(Own::start(&options.setup.fleet, options.setup.durability)).await?;
    let good = Box::pin(measure(&options, &access)).await?;
    own.stop().await?;
    Ok(good)
}

/// Sends at the options' rate for so long and takes each time.
pub(crate) async fn timed(access: &Access, args: &LoadArgs, span: Duration) -> anyhow::Result<Measured> {
    let rate = args.rate.unwrap_or(RATE);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let (events, every) = ((rate * span.as_secs_f64()) as u64, (rate / ASKED) as u64);
    let (load, requests) = args.load(events);
    let stream = Tail::follow(access).await?;
    let pace = Pace::open(requests, args.requests_per_second(), None);
    let mut run = Box::pin(Run::begin(access, load, requests, pace, args.manner(0))).await?;
    let (load, pace) = (Arc::clone(&run.load), Arc::clone(&run.pace));
    let asking = tokio::spawn(tail::ask(access.clone(), load, pace, requests, every / args.batch()));
    let times = Box::pin(run.complete()).await?;
    let api = asking.await??;
    Ok(Measured { promise: times.requests, stream: stream.times(&run).await?, api, run })
}

/// Bare publishes for about `span`: one right after the other, and at the rate of the load.
async fn bare_times(bare: &Bare, options: &Options, span: Duration) -> anyhow::Result<[Histogram<u64>; 2]> {
    let (rate, bytes) = (options.setup.load.rate.unwrap_or(RATE), options.setup.load.data_bytes);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = (rate * span.as_secs_f64()) as u64;
    let at_once = bare.latency(bytes, &Pace::closed(count)).await?;
    Ok([at_once, bare.latency(bytes, &Pace::open(count, Some(rate), None)).await?])
}

async fn measure(options: &Options, access: &Access) -> anyhow::Result<bool> {
    let bare = Bare::open(access).await?;
    let span = Duration::from_secs(options.baseline_seconds.max(1)) / 2;
    eprintln!("measuring bare publishes for {:.1} s", span.as_secs_f64());
    let mut bare_all = bare_times(&bare, options, span).await?;
    let Measured { promise, stream, api, run } =
        timed(access, &options.setup.load, Duration::from_secs(options.seconds)).await?;
    for (times, after) in bare_all.iter_mut().zip(bare_times(&bare, options, span).await?) {
        times.add(after)?;
    }
    bare.close().await?;
    let [publish, paced] = bare_all;
    let verdicts = Box::pin(run.read_back(&[])).await?;
    let at = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile);
    let ratio_to = |bare: &Histogram<u64>| super::ratio(at(&promise, 0.99), at(bare, 0.99));
    let (ratio, back_to_back_ratio) = (ratio_to(&paced), ratio_to(&publish));
    let rows = [
        ("promise (2xx)", &promise),
        ("in the tenant stream", &stream),
        ("by the API", &api),
        ("bare publish", &publish),
        ("the same, paced", &paced),
    ];
    for (what, times) in rows {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| at(times, quantile));
        println!(
            "{what:<22} {p50:>8} µs median, {p99:>8} µs p99, {p999:>8} µs p99.9  ({} times)",
            times.len()
        );
    }
    println!(
        "ratio                  {ratio:>8.2} to paced ones, {back_to_back_ratio:.2} to those back to back"
    );
    let report = Report {
        scenario: "latency",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        rate: options.setup.load.rate.unwrap_or(RATE),
        p50_us: at(&promise, 0.5),
        p99_us: at(&promise, 0.99),
        p999_us: at(&promise, 0.999),
        stream_p50_us: at(&stream, 0.5),
        stream_p99_us: at(&stream, 0.99),
        stream_p999_us: at(&stream, 0.999),
        api_p50_us: at(&api, 0.5),
        api_p99_us: at(&api, 0.99),
        bare_p50_us: at(&publish, 0.5),
        bare_p99_us: at(&publish, 0.99),
        paced_p50_us: at(&paced, 0.5),
        paced_p99_us: at(&paced, 0.99),
        ratio,
        back_to_back_ratio,
        events: run.events(),
        lost: verdicts.sum(|v| v.lost),
        doubled: verdicts.sum(|v| v.doubled),
        altered: verdicts.sum(|v| v.altered),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(verdicts.is_good() && ratio <= options.ratio_max)
}
