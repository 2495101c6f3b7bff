//! The whole of it: send, wait until all of it is everywhere, read it back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Access, Answers, Fault, Generator, Ledger, Load, Manner, Pace, Place, Strays, Verdict, order::History,
    places::Places, progress::Progress,
};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(25);
/// Between two questions how much is there, as long as there must be more to come.
const SIGHT: Duration = Duration::from_secs(1);
/// Nor is it asked again before so many times what the answer took.
const DEAR: u32 = 20;
/// How long a look may take.
const SOON: Duration = Duration::from_millis(500);
/// Without any progress for so long, the run has failed.
const STALL: Duration = Duration::from_secs(60);
/// Before everything is read again, because something was missing or did not answer.
const AGAIN: Duration = Duration::from_secs(2);
/// How often that is done without more being found.
const TRIES: u32 = 15;

/// A place where every event must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Read through the API.
    EventStore,
    /// Read through the API.
    UsageStore,
    /// Read through NATS.
    TenantStream,
}

impl Where {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::EventStore, Self::UsageStore, Self::TenantStream];

    /// As people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventStore => "event store",
            Self::UsageStore => "usage store",
            Self::TenantStream => "tenant stream",
        }
    }
}

/// A run under way. Dropped, it sends no more.
#[derive(Debug)]
pub struct Run {
    /// What is sent.
    pub load: Arc<Load>,
    /// What was promised of it so far.
    pub ledger: Arc<Ledger>,
    /// What the attempts to send came to so far.
    pub answers: Arc<Answers>,
    /// When it is sent.
    pub pace: Arc<Pace>,
    /// When the first request was sent.
    pub began: Instant,
    /// Without any progress for so long, the run has failed.
    pub stall: Duration,
    /// Who is told how far it is: stderr, unless somebody else is named.
    pub tell: fn(&str),
    places: Places,
    sending: AbortOnDropHandle<anyhow::Result<Histogram<u64>>>,
}

/// What a run took.
#[derive(Debug)]
pub struct Times {
    /// Until the last promise.
    pub accepted: Duration,
    /// Until the last event was in its last place.
    pub complete: Duration,
    /// From each request to its promise, in microseconds.
    pub requests: Histogram<u64>,
}

/// What was found in each place.
#[derive(Debug)]
pub struct Verdicts {
    /// Of the event store.
    pub events: Verdict,
    /// Of the usage store.
    pub usage: Verdict,
    /// Of the tenant stream.
    pub stream: Verdict,
    /// Events of a partition key that came to the tenant stream after a later one.
    pub inversions: Strays,
    /// Events that came to the tenant stream again.
    pub doubles: Strays,
    /// Of both, some that nothing explains.
    pub puzzles: Vec<String>,
}

impl Run {
    /// Begins to send the requests of `pace` to the fleet.
    ///
    /// # Errors
    /// If the broker or the API does not answer, or the tenant has events already.
    pub async fn begin(
        access: &Access,
        load: Load,
        requests: u64,
        pace: Pace,
        manner: Manner,
    ) -> anyhow::Result<Self> {
        let places = Places::open(access).await?;
        let since = Instant::now();
        let there = loop {
            match places.usage_total().await {
                Ok(there) => break there,
                // The API may not have heard of the key either.
                Err(_) if since.elapsed() < manner.key_settles => tokio::time::sleep(LOOK).await,
                Err(error) => return Err(error),
            }
        };
        ensure!(there == 0, "the tenant {} has {there} events already; use a fresh one", access.tenant);
        let (load, pace) = (Arc::new(load), Arc::new(pace));
        let (ledger, answers) = (Arc::new(Ledger::new(requests)), Arc::new(Answers::default()));
        let generator = Generator {
            target: access.into(),
            manner,
            pace: Arc::clone(&pace),
            load: Arc::clone(&load),
            ledger: Arc::clone(&ledger),
            answers: Arc::clone(&answers),
        };
        let began = Instant::now();
        let sending = AbortOnDropHandle::new(tokio::spawn(async move { generator.run().await }));
        Ok(Self {
            load,
            ledger,
            answers,
            pace,
            began,
            stall: STALL,
            tell: |line| eprintln!("{line}"),
            places,
            sending,
        })
    }

    /// Events that are sent.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.ledger.requests() * self.load.per_request()
    }

    /// Events that were promised so far.
    #[must_use]
    pub fn promised(&self) -> u64 {
        self.ledger.promised() * self.load.per_request()
    }

    /// Looks in another fleet from here on: one that has taken over. Nothing is sent there.
    ///
    /// # Errors
    /// If its broker does not answer.
    pub async fn look_in(&mut self, access: &Access) -> anyhow::Result<()> {
        self.places = Places::open(access).await?;
        Ok(())
    }

    /// Sends no more. What is under way may be kept or not.
    pub fn stop(&self) {
        self.pace.stop();
        self.sending.abort();
    }

    /// Waits until everything is sent, and what was promised is everywhere, as far as numbers tell.
    ///
    /// # Errors
    /// If a door refuses a request for good, or nothing moves any more.
    pub async fn complete(&mut self) -> anyhow::Result<Times> {
        let mut accepted = None;
        let (mut usage, mut stream) = (0, 0);
        let mut progress = Progress::new(self.stall, self.tell);
        let mut look = Instant::now();
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
            let near = accepted.is_some() && soon(self.places.worked_off()).await == Some(true);
            if near || look <= Instant::now() {
                let asking = Instant::now();
                // While the fleet is killed there may be no answer: what was known holds.
                usage = soon(self.places.usage_total()).await.unwrap_or(usage);
                stream = soon(self.places.stream_total()).await.unwrap_or(stream);
                // The fleet adds up what it has counted: to ask all the time would be to measure that.
                let pause = if near { asking.elapsed() } else { SIGHT.max(asking.elapsed() * DEAR) };
                look = Instant::now() + pause;
            }
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
        progress.end(complete, [self.promised(), usage, stream]);
        Ok(Times { accepted, complete, requests })
    }

    /// Reads all of it from each place. What is missing may still be on its way: among what was counted may be events that
    /// nobody promised. So it is read again until it is there, or no more comes.
    ///
    /// # Errors
    /// If a place cannot be read, again and again.
    pub async fn read_back(&self, faults: &[Fault]) -> anyhow::Result<Verdicts> {
        (self.tell)("reading everything back");
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
                    (self.tell)(&format!("{lost} are not there (yet); reading again"));
                }
                Err(error) if tries > TRIES => return Err(error),
                Err(error) => (self.tell)(&format!("reading again: {error:#}")),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Reads all of it from one place, once, and judges it.
    ///
    /// # Errors
    /// If the place cannot be read.
    pub async fn read(&self, from: Where) -> anyhow::Result<Place<'_>> {
        let mut place = Place::new(&self.load, self.ledger.requests());
        let read = match from {
            Where::EventStore => self.places.read_events(&mut place).await,
            Where::UsageStore => self.places.read_usage(&mut place).await,
            Where::TenantStream => self.places.read_stream(&mut place).await,
        };
        read.with_context(|| format!("the {} cannot be read", from.name()))?;
        place.judge(&self.ledger);
        Ok(place)
    }

    async fn read_once(&self, faults: &[Fault]) -> anyhow::Result<Verdicts> {
        let events = self.read(Where::EventStore).await?;
        let usage = self.read(Where::UsageStore).await?;
        let stream = self.read(Where::TenantStream).await?;
        let promised_ms = |number| self.ledger.promised_ms(number / self.load.per_request());
        let history = History { faults, promised_ms: &promised_ms };
        Ok(Verdicts {
            events: events.verdict(),
            usage: usage.verdict(),
            stream: stream.verdict(),
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
    #[must_use]
    pub fn sum(&self, of: impl Fn(&Verdict) -> u64) -> u64 {
        [&self.events, &self.usage, &self.stream].into_iter().map(of).sum()
    }

    /// Whether nothing is wrong anywhere.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.events.is_good() && self.usage.is_good() && self.stream.is_good()
    }

    /// Whether nothing is wrong anywhere but what a fleet that is struck may do to a tenant stream.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        let stream = Verdict { doubled: 0, ..self.stream };
        let stray = self.doubles.unexplained + self.inversions.unexplained;
        self.events.is_good() && self.usage.is_good() && stream.is_good() && stray == 0
    }
}
