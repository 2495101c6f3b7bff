//! What the scenarios share: send, wait until all of it is everywhere, read it back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use hdrhistogram::Histogram;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    fleet::Access,
    generator::{Answers, Generator, Target},
    load::Load,
    oracle::{Ledger, Place, Verdict},
    places::Places,
};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(25);
/// How long a look may take.
const SOON: Duration = Duration::from_millis(500);
/// Between two lines that say so.
const TELL: Duration = Duration::from_secs(2);
/// Without any progress for so long, the run has failed.
const STALL: Duration = Duration::from_secs(60);

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) load: Arc<Load>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) began: Instant,
    /// Without any progress for so long, the run has failed.
    pub(crate) stall: Duration,
    places: Places,
    sending: AbortOnDropHandle<anyhow::Result<Histogram<u64>>>,
}

/// What a run took.
#[derive(Debug)]
pub(crate) struct Times {
    /// Until the last promise.
    pub(crate) accepted: Duration,
    /// Until the last event was in its last place.
    pub(crate) complete: Duration,
    /// From each request to its promise, in microseconds.
    pub(crate) requests: Histogram<u64>,
}

/// What was found in each place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdicts {
    pub(crate) events: Verdict,
    pub(crate) usage: Verdict,
    pub(crate) stream: Verdict,
}

impl Run {
    /// Begins to send `load` to the fleet over that many connections.
    pub(crate) async fn begin(
        access: &Access,
        load: Load,
        requests: u64,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let places = Places::open(access).await?;
        let there = places.usage_total().await?;
        ensure!(there == 0, "the tenant {} has {there} events already; use a fresh one", access.tenant);
        let (load, ledger, answers) =
            (Arc::new(load), Arc::new(Ledger::new(requests)), Arc::new(Answers::default()));
        let generator = Generator {
            target: Target { url: access.url.parse()?, key: access.key.clone() },
            load: load.clone(),
            ledger: ledger.clone(),
            answers: answers.clone(),
        };
        let began = Instant::now();
        let sending = AbortOnDropHandle::new(tokio::spawn(async move { generator.run(connections).await }));
        Ok(Self { load, ledger, answers, began, stall: STALL, places, sending })
    }

    /// Events that are sent.
    pub(crate) fn events(&self) -> u64 {
        self.ledger.requests() * self.load.per_request()
    }

    /// Waits until everything is promised and everywhere.
    pub(crate) async fn complete(&mut self) -> anyhow::Result<Times> {
        let mut accepted = None;
        let (mut usage, mut stream) = (0, 0);
        let mut progress = Progress::new(self.stall);
        let total = self.events();
        let (complete, requests) = loop {
            if accepted.is_none() && self.sending.is_finished() {
                let requests = (&mut self.sending).await??;
                accepted = Some((self.began.elapsed(), requests));
            }
            // While the fleet is killed there may be no answer: what was known holds.
            usage = soon(self.places.usage_total()).await.unwrap_or(usage);
            stream = soon(self.places.stream_total()).await.unwrap_or(stream);
            let elapsed = self.began.elapsed();
            if usage >= total
                && stream >= total
                && let Some((at, requests)) = accepted
            {
                break (elapsed, (at, requests));
            }
            let promised = self.ledger.promised() * self.load.per_request();
            progress.see(elapsed, [promised, usage, stream])?;
            tokio::time::sleep(LOOK).await;
        };
        let (accepted, requests) = requests;
        progress.end();
        Ok(Times { accepted, complete, requests })
    }

    /// Reads all of it from each place.
    pub(crate) async fn read_back(&self) -> anyhow::Result<Verdicts> {
        eprintln!("reading everything back");
        let place = || Place::new(&self.load, self.ledger.requests());
        let (mut events, mut usage, mut stream) = (place(), place(), place());
        self.places.read_events(&mut events).await?;
        self.places.read_usage(&mut usage).await?;
        self.places.read_stream(&mut stream).await?;
        Ok(Verdicts {
            events: events.judge(&self.ledger),
            usage: usage.judge(&self.ledger),
            stream: stream.judge(&self.ledger),
        })
    }
}

/// The answer, if there is one soon.
async fn soon<T>(answer: impl Future<Output = anyhow::Result<T>>) -> Option<T> {
    tokio::time::timeout(SOON, answer).await.ok().and_then(Result::ok)
}

impl Verdicts {
    /// The sum over the three places.
    pub(crate) fn sum(&self, of: impl Fn(&Verdict) -> u64) -> u64 {
        [&self.events, &self.usage, &self.stream].into_iter().map(of).sum()
    }

    /// Whether nothing is wrong anywhere.
    pub(crate) fn is_good(&self) -> bool {
        self.events.is_good() && self.usage.is_good() && self.stream.is_good()
    }
}

/// Tells how far it is, and gives up when it is no further for long.
struct Progress {
    told: Duration,
    moved: Duration,
    last: [u64; 3],
    stall: Duration,
}

impl Progress {
    fn new(stall: Duration) -> Self {
        Self { told: Duration::ZERO, moved: Duration::ZERO, last: [0; 3], stall }
    }

    fn see(&mut self, elapsed: Duration, now: [u64; 3]) -> anyhow::Result<()> {
        if now != self.last {
            self.last = now;
            self.moved = elapsed;
        }
        if elapsed - self.told >= TELL {
            self.told = elapsed;
            self.tell();
        }
        let [accepted, usage, stream] = now;
        ensure!(
            elapsed - self.moved < self.stall,
            "nothing moves any more: {accepted} accepted, {usage} stored and counted, {stream} in the tenant stream"
        );
        Ok(())
    }

    fn tell(&self) {
        let [accepted, usage, stream] = self.last;
        eprintln!(
            "{:>5.0} s  {accepted:>9} accepted  {usage:>9} stored and counted  {stream:>9} in the tenant stream",
            self.told.as_secs_f64()
        );
    }

    fn end(&mut self) {
        self.tell();
    }
}
