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
    generator::{Answers, Generator, Manner, Pace, Target},
    ledger::Ledger,
    load::Load,
    oracle::{Place, Verdict},
    order::{Fault, History, Strays},
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
/// Before everything is read again, because something was missing or did not answer.
const AGAIN: Duration = Duration::from_secs(2);
/// How often that is done without more being found.
const TRIES: u32 = 15;

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) load: Arc<Load>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) pace: Arc<Pace>,
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
#[derive(Debug)]
pub(crate) struct Verdicts {
    pub(crate) events: Verdict,
    pub(crate) usage: Verdict,
    pub(crate) stream: Verdict,
    /// Events of a partition key that came to the tenant stream after a later one.
    pub(crate) inversions: Strays,
    /// Events that came to the tenant stream again.
    pub(crate) doubles: Strays,
    /// Of both, some that nothing explains.
    pub(crate) puzzles: Vec<String>,
}

impl Run {
    /// Begins to send the requests of `pace` to the fleet.
    pub(crate) async fn begin(
        access: &Access,
        load: Load,
        requests: u64,
        pace: Pace,
        manner: Manner,
    ) -> anyhow::Result<Self> {
        let places = Places::open(access).await?;
        let there = places.usage_total().await?;
        ensure!(there == 0, "the tenant {} has {there} events already; use a fresh one", access.tenant);
        let (load, pace) = (Arc::new(load), Arc::new(pace));
        let (ledger, answers) = (Arc::new(Ledger::new(requests)), Arc::new(Answers::default()));
        let generator = Generator {
            target: Target {
                url: access.url.clone(),
                grpc_url: access.grpc_url.clone(),
                key: access.key.clone(),
            },
            manner,
            pace: Arc::clone(&pace),
            load: Arc::clone(&load),
            ledger: Arc::clone(&ledger),
            answers: Arc::clone(&answers),
        };
        let began = Instant::now();
        let sending = AbortOnDropHandle::new(tokio::spawn(async move { generator.run().await }));
        Ok(Self { load, ledger, answers, pace, began, stall: STALL, places, sending })
    }

    /// Events that are sent.
    pub(crate) fn events(&self) -> u64 {
        self.ledger.requests() * self.load.per_request()
    }

    /// Events that were promised so far.
    pub(crate) fn promised(&self) -> u64 {
        self.ledger.promised() * self.load.per_request()
    }

    /// Waits until everything is sent, and what was promised is everywhere, as far as numbers tell.
    pub(crate) async fn complete(&mut self) -> anyhow::Result<Times> {
        let mut accepted = None;
        let (mut usage, mut stream) = (0, 0);
        let mut progress = Progress::new(self.stall);
        let (complete, requests) = loop {
            if accepted.is_none() && self.sending.is_finished() {
                let requests = (&mut self.sending).await??;
                let (all, settled) = (self.pace.taken(), self.ledger.settled());
                ensure!(
                    all == settled,
                    "a fault of this tool: {settled} of {all} requests were sent to an end"
                );
                accepted = Some((self.began.elapsed(), requests));
            }
            // While the fleet is killed there may be no answer: what was known holds.
            usage = soon(self.places.usage_total()).await.unwrap_or(usage);
            stream = soon(self.places.stream_total()).await.unwrap_or(stream);
            let elapsed = self.began.elapsed();
            let promised = self.ledger.promised() * self.load.per_request();
            if usage >= promised
                && stream >= promised
                && let Some((at, requests)) = accepted
            {
                break (elapsed, (at, requests));
            }
            progress.see(elapsed, [promised, usage, stream])?;
            tokio::time::sleep(LOOK).await;
        };
        let (accepted, requests) = requests;
        progress.end();
        Ok(Times { accepted, complete, requests })
    }

    /// Reads all of it from each place. What is missing may still be on its way: among what was counted may be events that
    /// nobody promised. So it is read again until it is there, or no more comes.
    pub(crate) async fn read_back(&self, faults: &[Fault]) -> anyhow::Result<Verdicts> {
        eprintln!("reading everything back");
        let (mut found, mut tries) = (0, 0);
        loop {
            tries += 1;
            match self.read_once(faults).await {
                Ok(verdicts) => {
                    let (now, lost) = (verdicts.sum(|v| v.found), verdicts.sum(|v| v.lost));
                    if lost == 0 || tries > TRIES {
                        return Ok(verdicts);
                    }
                    if now > found {
                        (found, tries) = (now, 0);
                    }
                    eprintln!("{lost} are not there (yet); reading again");
                }
                Err(error) if tries > TRIES => return Err(error),
                Err(error) => eprintln!("reading again: {error:#}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn read_once(&self, faults: &[Fault]) -> anyhow::Result<Verdicts> {
        let place = || Place::new(&self.load, self.ledger.requests());
        let (mut events, mut usage, mut stream) = (place(), place(), place());
        self.places.read_events(&mut events).await?;
        self.places.read_usage(&mut usage).await?;
        self.places.read_stream(&mut stream).await?;
        let promised_ms = |number| self.ledger.promised_ms(number / self.load.per_request());
        let history = History { faults, promised_ms: &promised_ms };
        Ok(Verdicts {
            events: events.judge(&self.ledger),
            usage: usage.judge(&self.ledger),
            stream: stream.judge(&self.ledger),
            inversions: stream.order.inversions(&history),
            doubles: stream.order.doubles(&history),
            puzzles: stream.order.puzzles(&history),
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

    /// Whether nothing is wrong anywhere but what a fleet that is struck may do to a tenant stream.
    pub(crate) fn is_explained(&self) -> bool {
        let stream = Verdict { doubled: 0, ..self.stream };
        let stray = self.doubles.unexplained + self.inversions.unexplained;
        self.events.is_good() && self.usage.is_good() && stream.is_good() && stray == 0
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
