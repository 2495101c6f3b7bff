//! Publishing that does not give up: for the stages behind the doors, where an event is already kept.

use std::{
    collections::BTreeSet,
    future::IntoFuture as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, jetstream::context::PublishAckFuture};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::{Backoff, Bus, chain};

/// For so long after a message was refused the next are sent one by one.
const CAUTION: Duration = Duration::from_secs(1);
/// Between tries of what stands first in a queue. It alone tries, so it may do so often: a full stream has room again in a moment.
const TRY_FIRST: Duration = Duration::from_millis(20);
const TRY_LAST: Duration = Duration::from_millis(500);

/// A message on its way. Sent at once, in the order of the calls; [`Outgoing::settled`] waits for the
/// acknowledgement and sends again as often as it takes.
#[derive(Debug)]
pub struct Outgoing {
    bus: Bus,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    ack: Option<PublishAckFuture>,
    /// Its place among others, if it has one.
    turn: Option<Turn>,
}

impl Outgoing {
    /// Sends. `headers` should carry a `Nats-Msg-Id`, so that a second sending is not a second message.
    pub async fn send(bus: &Bus, subject: String, headers: HeaderMap, payload: Bytes) -> Self {
        Self { bus: bus.clone(), subject, headers, payload, ack: None, turn: None }.sent().await
    }

    /// The same, and sends it again only in its turn.
    pub async fn in_turn(turn: Turn, bus: &Bus, subject: String, headers: HeaderMap, payload: Bytes) -> Self {
        Self { bus: bus.clone(), subject, headers, payload, ack: None, turn: Some(turn) }.sent().await
    }

    async fn sent(mut self) -> Self {
        self.try_send().await;
        self
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
            match &mut self.turn {
                Some(turn) => turn.refused().await,
                None => backoff.wait().await,
            }
            again += 1;
            self.try_send().await;
        }
    }
}

/// The messages that a partition's become, whose order matters, several of them on their way at once. What the broker refuses is
/// sent again in order, and nothing new meanwhile ([`is_held`](Self::is_held)): only what was on its way already can overtake it.
#[derive(Debug, Default)]
pub(crate) struct Queue(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    unsettled: BTreeSet<u64>,
    /// Of them.
    refused: usize,
    /// When one was refused last.
    refused_at: Option<Instant>,
}

impl Queue {
    /// Whether the next message should wait until one that is on its way is settled.
    pub(crate) fn is_held(&self) -> bool {
        let state = self.0.state();
        let cautious = || state.refused_at.is_some_and(|at| at.elapsed() < CAUTION);
        state.refused > 0 || (!state.unsettled.is_empty() && cautious())
    }

    /// The next place.
    pub(crate) fn turn(&self) -> Turn {
        let mut state = self.0.state();
        let number = state.next;
        state.next += 1;
        state.unsettled.insert(number);
        Turn {
            queue: Arc::clone(&self.0),
            number,
            refused: false,
            backoff: Backoff::new(TRY_FIRST, TRY_LAST),
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place in its partition's order of what a message becomes. Dropped when the broker has that.
#[derive(Debug)]
pub struct Turn {
    queue: Arc<Inner>,
    number: u64,
    refused: bool,
    backoff: Backoff,
}

impl Turn {
    /// Of what has nothing before it or after it.
    #[must_use]
    pub fn alone() -> Self {
        Queue::default().turn()
    }

    /// The broker did not take it. Ends when it has all before it, and a moment has passed: then it is time to send again.
    pub async fn refused(&mut self) {
        {
            let mut state = self.queue.state();
            state.refused += usize::from(!self.refused);
            state.refused_at = Some(Instant::now());
        }
        self.refused = true;
        loop {
            // Made before the look: what is settled after it is heard.
            let settled = self.queue.settled.notified();
            if self.queue.state().unsettled.first() == Some(&self.number) {
                break;
            }
            settled.await;
        }
        self.backoff.wait().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.unsettled.remove(&self.number);
        state.refused -= usize::from(self.refused);
        drop(state);
        self.queue.settled.notify_waiters();
    }
}
