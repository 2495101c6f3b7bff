//! The broker stopped, full and frozen, or its line cut and slow, while events are published. Each request gets a 503 that says when to come again, or
//! is truly kept, within the client's deadline; readiness goes off and comes back by itself; memory stays bounded; nothing
//! promised is lost.

mod far;
mod near;

use std::{
    fs,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use oracle::{Fault, What, now_ms};
use serde::Serialize;
use tempfile::TempDir;

use self::{
    far::Far,
    near::{Closed, STREAMS},
};
use super::Setup;
use crate::{
    faults::{self, Stopped},
    held::Held,
    readiness::Readiness,
    trial::{self, Judged, Outcome, Stage, Trial},
};

/// After a phase, until the fleet is ready again and some of what waits has been sent.
const RECOVERY: Duration = Duration::from_secs(10);
/// How long the fleet may take to be ready again by itself: whoever watches the broker starts it again within 10 s, and its
/// clients look for it every 2 s.
const READY: Duration = Duration::from_secs(60);
/// How long the broker may hang before a client of it must have noticed: it asks every 10 s, and believes the third silence.
const SILENCE: Duration = Duration::from_secs(35);
/// What `RAW` may hold where it is to become full: some seconds of a steady load.
const HOP_BYTES_MAX: u64 = 4 << 20;

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    setup: Setup,
    /// How long each outage lasts
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Which outages, one after the other
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Phase::Stopped, Phase::Full, Phase::Frozen])]
    phases: Vec<Phase>,
    /// How late each byte is in the phase `slow`
    #[arg(long, default_value_t = 300)]
    delay_ms: u64,
    /// The most memory that a process of the fleet may hold, in megabytes
    #[arg(long, default_value_t = 1_024)]
    memory_mb_max: u64,
}

/// An outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    /// Every node of the broker is killed, and does not come back
    Stopped,
    /// Nothing is read from RAW, until it holds all that it may
    Full,
    /// Every node of the broker hangs (SIGSTOP)
    Frozen,
    /// The broker's disk is full: a small one in memory, which only root may mount
    Disk,
    /// The connections between the fleet and a broker elsewhere are cut, and no new ones come about
    Cut,
    /// What passes between the fleet and a broker elsewhere is late
    Slow,
}

impl Phase {
    /// Whether it needs a broker that the fleet does not run itself, or one that it does; any, if neither.
    const fn needs_far(self) -> Option<bool> {
        match self {
            Self::Cut | Self::Slow => Some(true),
            Self::Stopped | Self::Frozen | Self::Disk => Some(false),
            Self::Full => None,
        }
    }
}

/// What one outage did.
#[derive(Debug, Serialize)]
struct Seen {
    phase: Phase,
    /// Refused with 503, or what it is in gRPC.
    refused: u64,
    /// Until readiness went off.
    off_ms: Option<u64>,
    /// From the outage's end until it was on again.
    back_ms: Option<u64>,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    durability: &'static str,
    form: &'static str,
    seconds_each: u64,
    refused: u64,
    /// Requests that got neither an answer in time nor one that says when to come again.
    failed: u64,
    /// Readiness did not go off in an outage, or did not come back after it.
    not_ready: bool,
    memory_mb_max: u64,
    #[serde(flatten)]
    judged: Judged,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(mut options: Options) -> anyhow::Result<bool> {
    if options.phases.contains(&Phase::Full) {
        options.setup.fleet.settings.push(format!("topology.hop_bytes_max={HOP_BYTES_MAX}"));
    }
    let spans = Duration::from_secs(options.seconds) + RECOVERY;
    let seconds = spans.as_secs() * u64::try_from(options.phases.len())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a count"
    )]
    let events = (options.setup.load.rate.unwrap_or(super::STEADY) * seconds as f64) as u64;
    // Unmounted when everything has ended.
    let small = Arc::default();
    let far = far(&options).await?;
    let prepare = match &far {
        Some((far, _)) => far.prepare(),
        None => near::prepare(options.phases.contains(&Phase::Disk), Arc::clone(&small)),
    };
    let trial = Trial {
        patience: Duration::from_secs(options.seconds),
        prepare: Some(prepare),
        ..options.setup.steady(events)
    };
    let (outcome, seen) =
        trial::run(trial, async |stage| strike(&options, far.as_ref().map(|(far, _)| far), stage).await)
            .await?;
    for Seen { phase, refused, off_ms, back_ms } in &seen {
        let ms = |time: &Option<u64>| time.map_or_else(|| "never".to_owned(), |ms| format!("after {ms} ms"));
        println!(
            "{:<14} {refused:>9} refused; not ready {}, ready again {}",
            format!("{phase:?}"),
            ms(off_ms),
            ms(back_ms)
        );
    }
    outcome.print();
    report(&options, &outcome, &seen)
}

/// The broker elsewhere and the folder of its streams, if a phase needs one.
async fn far(options: &Options) -> anyhow::Result<Option<(Far, TempDir)>> {
    let needs = |far| options.phases.iter().any(|phase| phase.needs_far() == Some(far));
    if !needs(true) {
        return Ok(None);
    }
    ensure!(
        !needs(false) && !options.setup.fleet.processes,
        "cut and slow are of a broker elsewhere, which only a fleet in one process is given here: leave --processes and the \
         other phases out, as in --phases cut,slow"
    );
    let dir = &options.setup.fleet.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let folder = TempDir::with_prefix_in("broker-", fs::canonicalize(dir)?)?;
    let far = Far::start(folder.path(), options.setup.durability).await?;
    Ok(Some((far, folder)))
}

fn report(options: &Options, outcome: &Outcome, seen: &[Seen]) -> anyhow::Result<bool> {
    let answers = &outcome.answers;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
    let must_show = |phase| match phase {
        Phase::Stopped | Phase::Cut | Phase::Full | Phase::Disk => true,
        // Everything is answered, only later.
        Phase::Slow => false,
        Phase::Frozen => options.seconds > SILENCE.as_secs(),
    };
    let wrong = |seen: &Seen| seen.back_ms.is_none() || (seen.off_ms.is_none() && must_show(seen.phase));
    let report = Report {
        scenario: "outage",
        durability: options.setup.durability.as_str(),
        form: options.setup.fleet.form(),
        seconds_each: options.seconds,
        refused: answers.refused(),
        failed: answers.unanswered() + count(&answers.unsent) + count(&answers.no_retry_after),
        not_ready: seen.iter().any(wrong),
        memory_mb_max: options.memory_mb_max,
        judged: outcome.judged(),
    };
    println!("{}", serde_json::to_string(&report)?);
    let bounded = report.judged.peak_mb <= options.memory_mb_max;
    Ok(outcome.verdicts.is_explained() && report.failed == 0 && !report.not_ready && bounded)
}

async fn strike(options: &Options, far: Option<&Far>, stage: &mut Stage) -> anyhow::Result<Vec<Seen>> {
    let span = Duration::from_secs(options.seconds);
    let readiness = Readiness::watch(&stage.access.admin_url)?;
    let mut all = Vec::new();
    tokio::time::sleep(RECOVERY / 4).await;
    for &phase in &options.phases {
        eprintln!("the broker is {phase:?} for {} s", options.seconds);
        let (began, refused) = (Instant::now(), stage.answers.refused());
        match phase {
            Phase::Stopped => {
                let _closed = Closed::close(stage.own.folder())?;
                for pid in brokers(stage) {
                    faults::signal(pid, "KILL")?;
                }
                tokio::time::sleep(span).await;
            }
            Phase::Full => {
                let entry = if options.setup.fleet.checked == Some(false) { "EVENTS" } else { "RAW" };
                let held = Held::hold(&stage.access, entry, span + RECOVERY).await?;
                tokio::time::sleep(span).await;
                held.release().await?;
            }
            Phase::Disk => {
                let filler = stage.own.folder().join(STREAMS).join("filler");
                near::fill(&filler)?;
                tokio::time::sleep(span).await;
                fs::remove_file(&filler)?;
            }
            Phase::Cut => far.context("there is no line to cut")?.cut(span).await,
            Phase::Slow => {
                let delay = Duration::from_millis(options.delay_ms);
                far.context("there is no line to slow down")?.slow(delay, span).await;
            }
            Phase::Frozen => {
                let _stopped = Stopped::stop(brokers(stage))?;
                tokio::time::sleep(span).await;
            }
        }
        let over = Instant::now();
        stage.did(Fault { at_ms: now_ms(), what: What::Broker });
        let refused = stage.answers.refused() - refused;
        ensure!(phase != Phase::Full || refused > 0, "the stream took everything: nothing was shown");
        ensure!(phase != Phase::Cut || refused > 0, "nothing was refused: the line was not cut");
        let back = readiness.on_after(over, READY).await;
        let since = |at: Option<Instant>, from: Instant| {
            at.map(|at| u64::try_from(at.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX))
        };
        let off = since(readiness.off_between(began, over), began);
        all.push(Seen { phase, refused, off_ms: off, back_ms: since(back, over) });
        let rest = (over + RECOVERY).saturating_duration_since(Instant::now());
        tokio::time::sleep(rest).await;
    }
    Ok(all)
}

fn brokers(stage: &Stage) -> Vec<u32> {
    let members = stage.own.members();
    members.into_iter().filter(|member| member.is_broker()).filter_map(|member| member.pid).collect()
}
