//! A cut through a running fleet: the queues are held still while they are copied.
//!
//! The doors go on: what they accept waits in `RAW` or `EVENTS`. Nothing is handed out, and what was handed out before is
//! worked to its end and acked, so that nothing moves from one stream into another while they are copied one after the other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bus::Bus;
use futures::future::join_all;
use serde::Deserialize;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::task::AbortOnDropHandle;

use crate::{Error, wire::Api};

/// How long consumers stay paused if nobody says so again: what a backup that dies costs at most.
const PAUSE: Duration = Duration::from_secs(30);
/// How often it is said again.
const AGAIN: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How many looks in a row must find the queues at rest.
const LOOKS: u32 = 3;

/// The queues, held still. [`Still::end`] lets them go on; so does time, if this is dropped.
#[derive(Debug)]
pub struct Still {
    bus: Bus,
    /// (stream, consumer).
    held: Vec<(String, String)>,
    since: Instant,
    pause: Arc<Mutex<Pause>>,
    again: AbortOnDropHandle<()>,
}

/// How far the pause reaches.
#[derive(Debug, Clone, Copy)]
struct Pause {
    /// When every consumer was told last.
    told: Instant,
    /// Whether it had ended before it was said again.
    lapsed: bool,
}

impl Pause {
    fn is_over(self) -> bool {
        self.lapsed || self.told.elapsed() >= PAUSE
    }
}

impl Still {
    /// Pauses every consumer of these queues and waits until none has anything under way.
    ///
    /// # Errors
    /// If that takes longer than `patience`, or the broker does not answer.
    pub async fn begin(bus: &Bus, queues: &[String], patience: Duration) -> Result<Self, Error> {
        let api = Api::new(bus);
        let mut held = Vec::new();
        for queue in queues {
            held.extend(
                api.consumers(queue).await?.into_iter().map(|consumer| (queue.clone(), consumer.name)),
            );
        }
        let pause = Arc::new(Mutex::new(Pause { told: Instant::now(), lapsed: false }));
        let again = tokio::spawn(hold(bus.clone(), held.clone(), Arc::clone(&pause)));
        let again = AbortOnDropHandle::new(again);
        let still = Self { bus: bus.clone(), held, since: Instant::now(), pause, again };
        if let Err(error) = still.come_to_rest(queues, patience).await {
            // Why they do not rest is what is to be told.
            let _ = still.end().await;
            return Err(error);
        }
        Ok(still)
    }

    async fn come_to_rest(&self, queues: &[String], patience: Duration) -> Result<(), Error> {
        let api = Api::new(&self.bus);
        for (stream, consumer) in &self.held {
            pause(&api, stream, consumer, Some(PAUSE)).await?;
        }
        let (mut before, mut looks) = (BTreeMap::new(), 0);
        loop {
            let mut now = BTreeMap::new();
            for queue in queues {
                now.insert(queue.as_str(), Look::at(&api, queue).await?);
            }
            let rests = |(queue, look): (&&str, &Look)| look.rests(before.get(queue));
            looks = if now.iter().all(rests) { looks + 1 } else { 0 };
            if looks == LOOKS {
                return Ok(());
            }
            if self.since.elapsed() > patience {
                return Err(Error::Restless(told(&now, patience)));
            }
            before = now;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets the queues go on. How long they stood still.
    ///
    /// # Errors
    /// If they have not stood still all the time, because the broker could not be told in time: what was copied does not fit together.
    pub async fn end(self) -> Result<Duration, Error> {
        let Self { bus, held, since, pause: told, again } = self;
        drop(again);
        let is_over = told.lock().unwrap_or_else(PoisonError::into_inner).is_over();
        let api = Api::new(&bus);
        // At once: where the broker is away, each takes as long as an answer may.
        let api = &api;
        let resumed = held.iter().map(|(stream, consumer)| async move {
            if let Err(error) = pause(api, stream, consumer, None).await {
                tracing::warn!(stream, consumer, %error, "consumer not resumed; it goes on by itself in half a minute");
            }
        });
        join_all(resumed).await;
        if is_over {
            return Err(Error::Restless(
                "the queues did not stand still to the end: the broker could not be told".into(),
            ));
        }
        Ok(since.elapsed())
    }
}

/// A queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    /// Messages that were handed out and are not acked.
    under_way: u64,
    /// Messages that were acked and are still there: the broker takes them away a moment later.
    acked: u64,
}

impl Look {
    async fn at(api: &Api<'_>, queue: &str) -> Result<Self, Error> {
        // In this order: what the doors add in between counts as waiting and not as acked.
        let messages = api.stream(queue).await?.map_or(0, |stream| stream.state.messages);
        let consumers = api.consumers(queue).await?;
        if let Some(consumer) = consumers.iter().find(|consumer| !consumer.paused) {
            let name = &consumer.name;
            return Err(Error::Restless(format!(
                "consumer {name} of {queue} could not be paused: is the broker older than 2.11?"
            )));
        }
        let waiting = consumers.iter().map(|consumer| consumer.num_pending).sum();
        let under_way: u64 = consumers.iter().map(|consumer| consumer.num_ack_pending).sum();
        Ok(Self { under_way, acked: messages.saturating_sub(under_way).saturating_sub(waiting) })
    }

    /// Whether nothing moves: there may be messages that no consumer is for.
    fn rests(&self, before: Option<&Self>) -> bool {
        self.under_way == 0 && (self.acked == 0 || before == Some(self))
    }
}

fn told(looks: &BTreeMap<&str, Look>, patience: Duration) -> String {
    let busy = looks.iter().filter(|(_, look)| look.under_way + look.acked > 0);
    let busy: Vec<_> = busy
        .map(|(queue, look)| {
            format!(
                "{} messages of {queue} are under way, {} acked ones are there",
                look.under_way, look.acked
            )
        })
        .collect();
    format!("the queues do not come to rest within {} s: {}", patience.as_secs(), busy.join("; "))
}

/// Says again and again that they are paused.
async fn hold(bus: Bus, held: Vec<(String, String)>, told: Arc<Mutex<Pause>>) {
    loop {
        tokio::time::sleep(AGAIN).await;
        let (api, began) = (Api::new(&bus), Instant::now());
        let again = held.iter().map(|(stream, consumer)| pause(&api, stream, consumer, Some(PAUSE)));
        if let Some(error) = join_all(again).await.into_iter().find_map(Result::err) {
            tracing::warn!(%error, "consumers not paused again");
            continue;
        }
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Pause { lapsed: told.lapsed || told.told + PAUSE < Instant::now(), told: began };
    }
}

async fn pause(api: &Api<'_>, stream: &str, consumer: &str, span: Option<Duration>) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        pause_remaining: u64,
    }
    let until = span.and_then(|span| (OffsetDateTime::now_utc() + span).format(&Rfc3339).ok());
    let body = until.map_or_else(|| json!({}), |until| json!({"pause_until": until}));
    let answer: Answer = api.ask(&format!("CONSUMER.PAUSE.{stream}.{consumer}"), &body).await?;
    // The end is a time of day. By the broker's clock it may come before we say it again, or an hour after we are killed.
    let remaining = Duration::from_nanos(answer.pause_remaining);
    match span {
        Some(span) if !(AGAIN * 2..=span * 2).contains(&remaining) => Err(Error::Mismatch(format!(
            "the clocks of this machine and of the broker are apart: {} s from now are {} s there",
            span.as_secs(),
            remaining.as_secs()
        ))),
        _ => Ok(()),
    }
}
