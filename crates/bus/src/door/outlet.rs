//! Whether the broker takes messages: seen by those that are sent, and tried out while it did not take the last.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::{sync::watch, time::MissedTickBehavior};

use super::AcceptError;
use crate::{
    Bus,
    topology::{EVENTS, RAW},
};

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What keeps the broker from taking messages, if anything is known to.
#[derive(Debug)]
pub(super) struct Outlet(watch::Sender<Option<String>>);

impl Outlet {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// A message was acknowledged.
    pub(super) fn took(&self) {
        if self.0.borrow().is_some() {
            self.0.send_replace(None);
        }
    }

    /// A message was not.
    pub(super) fn refused(&self, why: &AcceptError) {
        self.0.send_replace(Some(why.to_string()));
    }

    pub(super) fn hindrance(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// While messages are taken, listens whether the broker answers at all: a door that nobody uses should know, too. While
    /// they are not, tries with an empty one, which is no event to anybody, because what has no traffic for want of
    /// readiness would never see it end.
    pub(super) async fn watch(&self, bus: &Bus, full_message: usize) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let inbox = bus.client().new_inbox();
        let mut echo = loop {
            match bus.client().subscribe(inbox.clone()).await {
                Ok(echo) => break echo,
                Err(_) => ticks.tick().await,
            };
        };
        loop {
            ticks.tick().await;
            if !bus.is_connected() {
                continue;
            }
            if self.hindrance().is_some() {
                if let Ok(Some(true)) = tokio::time::timeout(PATIENCE, takes(bus, full_message)).await {
                    self.took();
                }
            } else {
                let heard = async {
                    bus.client().publish(inbox.clone(), Bytes::new()).await.ok()?;
                    echo.next().await
                };
                if tokio::time::timeout(PATIENCE, heard).await.is_err() {
                    self.0.send_replace(Some("the broker does not answer".to_owned()));
                }
            }
        }
    }
}

/// Whether each stream that a door writes has room for more than this message, and takes it.
async fn takes(bus: &Bus, full_message: usize) -> Option<bool> {
    for (stream, subject) in [(RAW, "raw.0"), (EVENTS, "events.0")] {
        let stream = bus.jetstream().get_stream(stream).await.ok()?;
        let info = stream.cached_info();
        let room = match info.config.max_bytes {
            limit @ 0.. => u64::try_from(limit).ok()?.saturating_sub(info.state.bytes),
            _ => u64::MAX,
        };
        if room <= u64::try_from(full_message).ok()?.saturating_mul(4) {
            return Some(false);
        }
        bus.jetstream().publish(subject, Bytes::new()).await.ok()?.await.ok()?;
    }
    Some(true)
}
