//! Sends a [`Load`] through the fleet's doors: lanes that each have one request under way, in a closed loop, which finds
//! the rate the fleet can take, or at a rate. A request that is not promised is sent again, with the same ids, until it is;
//! some of those that are in doubt may be left so.

mod grpc;
mod http;
mod pace;

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::ValueEnum;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

pub use self::pace::{Pace, Turn};
use crate::{Access, Ledger, Load};

/// Wait before a refused or broken request is sent again.
const RETRY: Duration = Duration::from_millis(50);
/// Lanes that share a `StreamEvents` call.
const LANES_OF_STREAM: usize = 16;

/// Where the events go.
#[derive(Debug, Clone)]
pub struct Target {
    /// `http://host:port` of the HTTP door.
    pub url: String,
    /// The same of the gRPC door.
    pub grpc_url: Option<String>,
    /// A key that may publish.
    pub key: String,
}

impl From<&Access> for Target {
    fn from(access: &Access) -> Self {
        Self { url: access.url.clone(), grpc_url: access.grpc_url.clone(), key: access.key.clone() }
    }
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Door {
    /// HTTP/1.1, a connection each
    Http,
    /// `PublishEvents`, a connection each
    Grpc,
    /// `StreamEvents`, up to sixteen to a stream
    Stream,
}

/// What one attempt to send came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The fleet keeps it.
    Promised,
    /// The tenant's quota is used up; whether the answer said when to come again.
    Limited { retry_after: bool },
    /// The fleet cannot take it now, or does not know whether it has.
    Unavailable { retry_after: bool },
    /// There was no connection, or it closed before the request went out.
    Unsent,
    /// It was sent, and the connection broke, as its client says.
    Broken(String),
    /// It was sent, and there was no answer in time.
    Late,
    /// The door does not know the key or its tenant, as it says.
    Stranger(String),
}

/// How often attempts came to what.
#[derive(Debug, Default)]
pub struct Answers {
    /// 429.
    pub limited: AtomicU64,
    /// 503.
    pub unavailable: AtomicU64,
    /// Either of them, without saying when to come again.
    pub no_retry_after: AtomicU64,
    /// No connection.
    pub unsent: AtomicU64,
    /// Connections that broke, with the outcome of their request unknown.
    pub broken: AtomicU64,
    /// No answer in time.
    pub late: AtomicU64,
    /// How connections broke, and how often.
    pub breaks: Mutex<BTreeMap<String, u64>>,
}

impl Answers {
    fn count(&self, attempt: &Attempt) {
        let counter = match attempt {
            Attempt::Promised | Attempt::Stranger(_) => return,
            Attempt::Limited { .. } => &self.limited,
            Attempt::Unavailable { .. } => &self.unavailable,
            Attempt::Unsent => &self.unsent,
            Attempt::Broken(why) => {
                let mut breaks = self.breaks.lock().unwrap_or_else(PoisonError::into_inner);
                *breaks.entry(why.clone()).or_default() += 1;
                &self.broken
            }
            Attempt::Late => &self.late,
        };
        counter.fetch_add(1, Relaxed);
        if let Attempt::Limited { retry_after: false } | Attempt::Unavailable { retry_after: false } = attempt
        {
            self.no_retry_after.fetch_add(1, Relaxed);
        }
    }

    /// Requests that were refused and sent again.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.limited.load(Relaxed) + self.unavailable.load(Relaxed)
    }

    /// Requests that were sent without an answer.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.broken.load(Relaxed) + self.late.load(Relaxed)
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// How a load is sent.
#[derive(Debug, Clone)]
pub struct Manner {
    /// The ways in; lanes are dealt to them in turn.
    pub doors: Vec<Door>,
    /// Requests under way at most.
    pub lanes: usize,
    /// How long an answer may take.
    pub deadline: Duration,
    /// Of attempts without an answer, one in so many is not made again; 0: none.
    pub give_up_one_in: u64,
    /// How often a request is sent; `None`: until it is promised.
    pub tries: Option<u64>,
    /// For how long, from the first request on, the HTTP door may not know the key: one that was made a moment ago.
    pub key_settles: Duration,
}

/// Whoever sends.
#[derive(Debug, Clone)]
pub struct Generator {
    /// Where to.
    pub target: Target,
    /// How.
    pub manner: Manner,
    /// When.
    pub pace: Arc<Pace>,
    /// What.
    pub load: Arc<Load>,
    /// Where promises are written down.
    pub ledger: Arc<Ledger>,
    /// Where answers are counted.
    pub answers: Arc<Answers>,
}

impl Generator {
    /// Sends everything. Returns each request's time to its promise, in microseconds: from when it was to be sent, if there
    /// is a rate, so that a slow answer counts against those that waited behind it.
    ///
    /// # Errors
    /// If a door has no address, or refuses a request for good.
    pub async fn run(&self) -> anyhow::Result<Histogram<u64>> {
        let mut tasks = JoinSet::new();
        let mut streams: Vec<Arc<grpc::Stream>> = Vec::new();
        let mut lanes_of_streams = 0;
        let began = Instant::now();
        for lane in 0..self.manner.lanes.max(1) {
            let door = self.manner.doors.get(lane % self.manner.doors.len().max(1));
            let way = match door.copied().unwrap_or(Door::Http) {
                Door::Http => Way::Http(http::Connection::new(&self.target, self.load.content_type()).await?),
                Door::Grpc => Way::Grpc(grpc::Caller::new(&self.target)?),
                Door::Stream => {
                    if lanes_of_streams % LANES_OF_STREAM == 0 {
                        streams.push(Arc::new(grpc::Stream::new(&self.target)?));
                    }
                    lanes_of_streams += 1;
                    streams.last().cloned().map_or_else(|| unreachable!("one was made"), Way::Stream)
                }
            };
            let number = u64::try_from(lane)?;
            tasks.spawn(Lane { run: self.clone(), began, number, way }.work());
        }
        let mut all = Histogram::new(3)?;
        while let Some(one) = tasks.join_next().await {
            all.add(one??)?;
        }
        Ok(all)
    }
}

enum Way {
    Http(http::Connection),
    Grpc(grpc::Caller),
    Stream(Arc<grpc::Stream>),
}

struct Lane {
    run: Generator,
    began: Instant,
    number: u64,
    way: Way,
}

impl Lane {
    async fn work(mut self) -> anyhow::Result<Histogram<u64>> {
        let mut times = Histogram::new(3)?;
        let pace = Arc::clone(&self.run.pace);
        while let Some(turn) = pace.next().await {
            let began = turn.due.unwrap_or_else(Instant::now);
            if self.deliver(turn.request).await? {
                self.run.ledger.promise(turn.request);
                times.record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))?;
            } else {
                self.run.ledger.give_up(turn.request);
            }
        }
        Ok(times)
    }

    /// Sends a request until it is promised. Whether it was.
    async fn deliver(&mut self, request: u64) -> anyhow::Result<bool> {
        let mut tries = 0;
        loop {
            if self.run.manner.tries == Some(tries) {
                return Ok(false);
            }
            tries += 1;
            let attempt = self.attempt(request).await?;
            self.run.answers.count(&attempt);
            match attempt {
                Attempt::Promised => return Ok(true),
                Attempt::Limited { .. } | Attempt::Unsent => {}
                Attempt::Stranger(_) if self.began.elapsed() < self.run.manner.key_settles => {}
                Attempt::Stranger(answer) => bail!("the door answers {answer}"),
                // Some of its events may be kept.
                Attempt::Unavailable { .. } => self.run.ledger.doubt(request),
                Attempt::Broken(_) | Attempt::Late => {
                    self.run.ledger.doubt(request);
                    let one_in = self.run.manner.give_up_one_in;
                    if one_in > 0 && self.run.answers.unanswered().is_multiple_of(one_in) {
                        return Ok(false);
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn attempt(&mut self, request: u64) -> anyhow::Result<Attempt> {
        let (load, lane) = (&self.run.load, self.number);
        let exchange = async {
            match &mut self.way {
                Way::Http(connection) => connection.attempt(load.body(request, lane)).await,
                Way::Grpc(caller) => caller.publish(load.events(request, lane)).await,
                Way::Stream(stream) => stream.publish(request, load.events(request, lane)).await,
            }
        };
        if let Ok(attempt) = tokio::time::timeout(self.run.manner.deadline, exchange).await {
            return attempt;
        }
        match &mut self.way {
            Way::Http(connection) => connection.close(),
            Way::Grpc(_) => {}
            Way::Stream(stream) => stream.close().await,
        }
        Ok(Attempt::Late)
    }
}
