//! A fleet of our own under load while something is done to it; judged afterwards.

use std::{
    ffi::OsString,
    path::Path,
    sync::{Arc, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use oracle::{Access, Answers, Fault, Ledger, Load, Manner, Pace, Run, Strays, Times, Verdict, Verdicts};
use serde::Serialize;

use crate::{
    faults,
    fleet::{Durability, FleetArgs, Own},
    memory::Peaks,
    standstill,
};

/// Nothing may move for longer where something is struck: a message whose owner has died in silence comes back after
/// `topology.ack_wait_seconds` (60). That would be late, and is not lost.
const STRUCK: Duration = Duration::from_secs(90);

/// What is tried.
pub(crate) struct Trial {
    pub(crate) fleet: FleetArgs,
    pub(crate) durability: Durability,
    pub(crate) load: Load,
    pub(crate) requests: u64,
    pub(crate) manner: Manner,
    /// Requests a second.
    pub(crate) rate: Option<f64>,
    /// How many requests may be sent before [`Pace::allow`] allows more.
    pub(crate) limit: Option<u64>,
    /// How long nothing may move because of what is done.
    pub(crate) patience: Duration,
    /// Before the fleet starts.
    pub(crate) prepare: Option<Prepare>,
}

/// What is done to the folder of a fleet before it starts; gives what it adds to its command line.
pub(crate) type Prepare = Box<dyn FnOnce(&Path) -> anyhow::Result<Vec<OsString>> + Send>;

/// What whoever does something to the fleet works with.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) own: Own,
    pub(crate) access: Access,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) peaks: Peaks,
    /// What was done so far.
    pub(crate) faults: Vec<Fault>,
}

impl Stage {
    /// Notes what was done.
    pub(crate) fn did(&mut self, fault: Fault) {
        self.faults.push(fault);
        self.peaks.also(self.own.processes());
    }

    /// Waits for the moment to do the next of `count` things, at equal parts of the way.
    pub(crate) async fn moment(&self, number: u64, count: u64) {
        faults::settled(&self.ledger, self.share(number, count)).await;
    }

    /// Lets the load go on after that thing was done, far enough to do the next.
    pub(crate) fn go_on(&self, number: u64, count: u64) {
        self.pace.allow(self.share(number + 2, count));
    }

    /// As many requests as may be sent before the first thing is done.
    pub(crate) fn first_limit(requests: u64, count: u64) -> u64 {
        requests.saturating_mul(2) / (count + 1)
    }

    fn share(&self, number: u64, count: u64) -> u64 {
        let requests = self.ledger.requests();
        (requests.saturating_mul(number) / (count + 1)).min(requests)
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) times: Times,
    pub(crate) verdicts: Verdicts,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) per_request: u64,
    /// The most memory that any process of the fleet itself held.
    pub(crate) peak_mb: u64,
}

/// The part of the last line that all trials share.
#[derive(Debug, Serialize)]
pub(crate) struct Judged {
    /// Events that were sent.
    pub(crate) events: u64,
    /// Those that were promised.
    pub(crate) promised: u64,
    /// Those whose outcome stays unknown, because their request was not sent again.
    pub(crate) in_doubt: u64,
    /// Requests of which an attempt had an unknown outcome.
    pub(crate) doubted_requests: u64,
    /// Promised and not in the event store, usage store or tenant stream.
    pub(crate) lost: u64,
    /// More than once in the event store or usage store.
    pub(crate) doubled: u64,
    pub(crate) altered: u64,
    /// More than once in the tenant stream, which is exact only within the broker's dedup window.
    pub(crate) stream_doubled: u64,
    pub(crate) stream_doubled_unexplained: u64,
    /// Behind a later event of their partition key in the tenant stream.
    pub(crate) out_of_order: u64,
    pub(crate) out_of_order_unexplained: u64,
    pub(crate) seconds: f64,
    pub(crate) peak_mb: u64,
}

/// Starts a fleet, sends the load, does `act` to it, and judges. Fails if the fleet comes to a stand.
pub(crate) async fn run<T>(
    trial: Trial,
    act: impl AsyncFnOnce(&mut Stage) -> anyhow::Result<T>,
) -> anyhow::Result<(Outcome, T)> {
    ensure!(trial.fleet.context.is_none(), "only a fleet of this scenario's own is struck");
    let prepare = trial.prepare.unwrap_or_else(|| Box::new(|_| Ok(Vec::new())));
    let (own, access) = Box::pin(Own::start_on(&trial.fleet, trial.durability, None, prepare)).await?;
    let per_request = trial.load.per_request();
    let pace = Pace::open(trial.requests, trial.rate, trial.limit);
    let peaks = Peaks::watch(own.processes());
    let beginning = Run::begin(&access, trial.load, trial.requests, pace, trial.manner);
    let mut run = Box::pin(beginning).await?;
    run.stall += trial.patience + STRUCK;
    let (ledger, answers) = (Arc::clone(&run.ledger), Arc::clone(&run.answers));
    let mut stage = Stage {
        own,
        access,
        ledger: Arc::clone(&ledger),
        answers: Arc::clone(&answers),
        pace: Arc::clone(&run.pace),
        peaks,
        faults: Vec::new(),
    };
    let struck = {
        let mut act = Box::pin(act(&mut stage));
        let mut completing = Box::pin(run.complete());
        tokio::select! {
            // Whoever still waits for the right moment would wait for ever.
            times = &mut completing => match times {
                Ok(times) => act.await.map(|done| (times, done)),
                Err(error) => Err(error),
            },
            done = &mut act => match done {
                Ok(done) => completing.await.map(|times| (times, done)),
                Err(error) => Err(error),
            },
        }
    };
    let (times, done) = match struck {
        Ok(both) => both,
        Err(error) => {
            standstill::tell(&stage.own).await;
            return Err(error.context(format!("its folder is kept: {}", stage.own.keep().display())));
        }
    };
    stage.own.ready().await.context("after all that was done")?;
    let verdicts = Box::pin(run.read_back(&stage.faults)).await?;
    let peak_mb = stage.peaks.print();
    stage.own.stop().await?;
    Ok((Outcome { times, verdicts, ledger, answers, per_request, peak_mb }, done))
}

impl Outcome {
    /// Tells what was found in each place.
    pub(crate) fn print(&self) {
        let Verdicts { events, usage, stream, inversions, doubles, puzzles } = &self.verdicts;
        for (place, verdict) in [("event store", events), ("usage store", usage), ("tenant stream", stream)] {
            let Verdict { found, lost, doubled, altered, unpromised } = verdict;
            println!(
                "{place:<14} {found:>9} found, {lost} lost, {doubled} doubled, {altered} altered; {unpromised} nobody promised"
            );
        }
        let explain = |what, strays: &Strays| {
            let Strays { broker, paused, unexplained } = strays;
            println!(
                "{what:<14} {:>9} in the tenant stream: {broker} after a fault of the broker, {paused} after a long pause, \
                 {unexplained} unexplained",
                strays.sum()
            );
        };
        explain("doubled", doubles);
        explain("out of order", inversions);
        for puzzle in puzzles {
            println!("  {puzzle}");
        }
        let attempts = [
            ("503", &self.answers.unavailable),
            ("429", &self.answers.limited),
            ("connection refused or closed before", &self.answers.unsent),
            ("connection broken", &self.answers.broken),
            ("no answer in time", &self.answers.late),
        ];
        for (what, count) in attempts {
            let count = count.load(std::sync::atomic::Ordering::Relaxed);
            println!("{count:>10} attempts: {what}");
        }
        let breaks = self.answers.breaks.lock().unwrap_or_else(PoisonError::into_inner);
        for (why, count) in breaks.iter() {
            println!("{count:>20} broken: {why}");
        }
    }

    /// For the last line.
    pub(crate) fn judged(&self) -> Judged {
        let Self { times, verdicts, ledger, per_request, peak_mb, .. } = self;
        Judged {
            events: ledger.requests() * per_request,
            promised: ledger.promised() * per_request,
            in_doubt: ledger.given_up() * per_request,
            doubted_requests: ledger.doubted(),
            lost: verdicts.sum(|v| v.lost),
            doubled: verdicts.events.doubled + verdicts.usage.doubled,
            altered: verdicts.sum(|v| v.altered),
            stream_doubled: verdicts.stream.doubled,
            stream_doubled_unexplained: verdicts.doubles.unexplained,
            out_of_order: verdicts.inversions.sum(),
            out_of_order_unexplained: verdicts.inversions.unexplained,
            seconds: (times.complete.as_secs_f64() * 10.0).round() / 10.0,
            peak_mb: *peak_mb,
        }
    }
}
