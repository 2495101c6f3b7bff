//! Publishing that does not give up: for the stages behind the doors, where an event is already kept.

use std::future::IntoFuture as _;

use async_nats::{HeaderMap, jetstream::context::PublishAckFuture};
use bytes::Bytes;

use crate::{Backoff, Bus, chain};

/// A message on its way. Sent at once, in the order of the calls; [`Outgoing::settled`] waits for the
/// acknowledgement and sends again as often as it takes.
#[derive(Debug)]
pub struct Outgoing {
    bus: Bus,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    ack: Option<PublishAckFuture>,
}

impl Outgoing {
    /// Sends. `headers` should carry a `Nats-Msg-Id`, so that a second sending is not a second message.
    pub async fn send(bus: &Bus, subject: String, headers: HeaderMap, payload: Bytes) -> Self {
        let mut outgoing = Self { bus: bus.clone(), subject, headers, payload, ack: None };
        outgoing.try_send().await;
        outgoing
    }

    async fn try_send(&mut self) {
        let sent = self.bus.jetstream().publish_with_headers(
            self.subject.clone(),
            self.headers.clone(),
            self.payload.clone(),
        );
        self.ack = sent.await.inspect_err(|e| tracing::debug!(error = chain(e), "could not publish")).ok();
    }

    /// Waits until the broker has it. Returns its sequence and how often it had to be sent again.
    pub async fn settled(mut self) -> (u64, u32) {
        let mut backoff = Backoff::default();
        let mut again = 0;
        loop {
            if let Some(ack) = self.ack.take() {
                match ack.into_future().await {
                    Ok(ack) => return (ack.sequence, again),
                    Err(error) => {
                        // Said once for each outage, not once for each message.
                        tracing::debug!(error = chain(&error), subject = self.subject, "not acknowledged");
                    }
                }
            }
            backoff.wait().await;
            again += 1;
            self.try_send().await;
        }
    }
}
