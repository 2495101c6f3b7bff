//! The raw messages of the feed's consumer, checked for completeness.

use std::{sync::atomic::Ordering, time::Duration};

use async_nats::{HeaderMap, Message, StatusCode, Subscriber, jetstream};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::time::Instant;

use crate::watch::Shared;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("{0}")]
    Broker(String),
    #[error("no heartbeat for {0:?}")]
    Silent(Duration),
    #[error("messages were lost")]
    Gap,
    #[error("the connection was made anew")]
    Reconnected,
}

impl Ended {
    pub(crate) fn broker(error: impl std::fmt::Display) -> Self {
        Self::Broker(error.to_string())
    }
}

/// One change of the bucket.
pub(crate) struct Change {
    pub(crate) key: String,
    pub(crate) revision: u64,
    /// None: deleted.
    pub(crate) value: Option<Bytes>,
    /// How many more there are at this moment.
    pub(crate) pending: u64,
}

/// The consumer's messages, checked for completeness.
pub(crate) struct Messages {
    pub(crate) js: jetstream::Context,
    pub(crate) subscriber: Subscriber,
    /// `$KV.<bucket>.`
    pub(crate) prefix: String,
    /// How often the client had connected when the session began.
    pub(crate) connects: u64,
    pub(crate) heartbeat: Duration,
    /// The consumer sequence that must come next.
    pub(crate) next: u64,
    pub(crate) heard: Instant,
}

impl Messages {
    /// The next change, or none for a heartbeat and the like. Safe to drop while it waits.
    pub(crate) async fn next(&mut self, shared: &Shared) -> Result<Option<Change>, Ended> {
        let message = loop {
            // Looking at the connection often is what makes a broker's restart a matter of milliseconds
            // and not of three heartbeats.
            let wait = (self.heartbeat / 10).max(Duration::from_millis(20));
            match tokio::time::timeout(wait, self.subscriber.next()).await {
                Ok(Some(message)) => break message,
                Ok(None) => return Err(Ended::Broker("the subscription has ended".to_owned())),
                Err(_) => self.check_alive()?,
            }
        };
        self.heard = Instant::now();
        shared.heard();
        match message.status {
            Some(StatusCode::IDLE_HEARTBEAT) => self.control(&message).await.map(|()| None),
            Some(status) => {
                let why = message.description.unwrap_or_default();
                Err(Ended::Broker(format!("the consumer has ended: {status} {why}")))
            }
            None => self.change(message).map(Some),
        }
    }

    fn check_alive(&self) -> Result<(), Ended> {
        if self.js.client().statistics().connects.load(Ordering::Relaxed) != self.connects {
            return Err(Ended::Reconnected);
        }
        let silent = self.heard.elapsed();
        if silent > self.heartbeat * 3 { Err(Ended::Silent(silent)) } else { Ok(()) }
    }

    /// A heartbeat, or a question whether we keep up.
    async fn control(&mut self, message: &Message) -> Result<(), Ended> {
        let header = |name: &str| {
            message.headers.as_ref().and_then(|h: &HeaderMap| h.get(name)).map(|v| v.as_str().to_owned())
        };
        let stalled = header("Nats-Consumer-Stalled");
        if let Some(reply) = message.reply.as_ref().map(|r| r.to_string()).or(stalled) {
            return self.js.client().publish(reply, Bytes::new()).await.map_err(Ended::broker);
        }
        match header("Nats-Last-Consumer").and_then(|last| last.parse::<u64>().ok()) {
            Some(last) if last + 1 != self.next => Err(Ended::Gap),
            _ => Ok(()),
        }
    }

    fn change(&mut self, message: Message) -> Result<Change, Ended> {
        let message = jetstream::Message { message, context: self.js.clone() };
        let info = message.info().map_err(Ended::broker)?;
        if info.consumer_sequence != self.next {
            return Err(Ended::Gap);
        }
        self.next += 1;
        let (revision, pending) = (info.stream_sequence, info.pending);
        let key = message.subject.strip_prefix(self.prefix.as_str()).unwrap_or_default().to_owned();
        // A put has no such header; a delete and a purge say what they are, and so do the broker's own markers
        // (by Nats-Marker-Reason), all without a value.
        let gone = message.headers.as_ref().is_some_and(|h| {
            h.get("KV-Operation").is_some_and(|op| op.as_str() != "PUT")
                || h.get("Nats-Marker-Reason").is_some()
        });
        let value = (!gone).then(|| message.payload.clone());
        Ok(Change { key, revision, value, pending })
    }
}
