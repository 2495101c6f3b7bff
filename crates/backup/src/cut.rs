//! A cut through a running fleet: the queues are held still while they are copied.
//!
//! The doors go on: what they accept waits in `RAW` or `EVENTS`. Nothing is handed out, and what was handed out before is
//! worked to its end and acked, so that nothing moves from one stream into another while they are copied one after the other.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio_util::task::AbortOnDropHandle;

use bus::Bus;

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
    again: AbortOnDropHandle<()>,
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
        let again = AbortOnDropHandle::new(tokio::spawn(hold(bus.clone(), held.clone())));
        let still = Self { bus: bus.clone(), held, since: Instant::now(), again };
        if let Err(error) = still.come_to_rest(queues, patience).await {
            still.end().await;
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
    pub async fn end(self) -> Duration {
        let Self { bus, held, since, again } = self;
        drop(again);
        let api = Api::new(&bus);
        for (stream, consumer) in &held {
            if let Err(error) = pause(&api, stream, consumer, None).await {
                tracing::warn!(stream, consumer, %error, "consumer not resumed; it goes on by itself in half a minute");
            }
        }
        since.elapsed()
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
async fn hold(bus: Bus, held: Vec<(String, String)>) {
    loop {
        tokio::time::sleep(AGAIN).await;
        let api = Api::new(&bus);
        for (stream, consumer) in &held {
            if let Err(error) = pause(&api, stream, consumer, Some(PAUSE)).await {
                tracing::warn!(stream, consumer, %error, "consumer not paused again");
            }
        }
    }
}

async fn pause(api: &Api<'_>, stream: &str, consumer: &str, span: Option<Duration>) -> Result<(), Error> {
    let until = span.and_then(|span| (OffsetDateTime::now_utc() + span).format(&Rfc3339).ok());
    let body = until.map_or_else(|| json!({}), |until| json!({"pause_until": until}));
    api.ask::<Value>(&format!("CONSUMER.PAUSE.{stream}.{consumer}"), &body).await.map(drop)
}
