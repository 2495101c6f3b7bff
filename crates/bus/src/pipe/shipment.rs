//! Messages that are sent together, and what the streams say to each of them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::protocol;

/// The headers of a message. A value that would end its line is left out.
pub trait Headers {
    /// Adds one.
    fn add(&mut self, name: &str, value: &str);
}

/// Takes messages.
pub trait Messages {
    /// Adds one.
    fn add(&mut self, subject: &str, fill: impl FnOnce(&mut dyn Headers), payload: &Bytes);
}

/// Messages to be sent together; at most as many as were announced.
#[derive(Debug)]
pub struct Shipment {
    slot: Held,
    buffers: mpsc::Sender<Vec<u8>>,
    patience: Duration,
    buffer: Vec<u8>,
    headers: Vec<u8>,
    messages: usize,
}

impl Shipment {
    pub(super) fn new(
        slots: &Arc<Slots>,
        buffers: mpsc::Sender<Vec<u8>>,
        patience: Duration,
        messages: usize,
    ) -> Self {
        let (buffer, headers) = (Vec::with_capacity(messages * 1_024), Vec::with_capacity(512));
        let slot = Slots::take(slots, messages);
        Self { slot, buffers, patience, buffer, headers, messages: 0 }
    }

    /// Sends it. Not being able to is said where acknowledgements are awaited.
    pub async fn send(self) -> Sent {
        let Self { slot, buffers, patience, buffer, messages, .. } = self;
        // An error means that the runtime ends; acknowledgements will not come either.
        if !slot.is_lost() && buffers.send(buffer).await.is_err() {
            slot.slot.lose();
        }
        Sent { slot, messages, patience }
    }
}

impl Messages for Shipment {
    fn add(&mut self, subject: &str, fill: impl FnOnce(&mut dyn Headers), payload: &Bytes) {
        let Self { slot, buffer, headers, messages, .. } = self;
        headers.clear();
        fill(headers);
        let message = *messages;
        *messages += 1;
        if protocol::size(headers, payload) > slot.slots.message_bytes_max.load(Ordering::Relaxed) {
            // The broker would end the connection for it, and everybody's messages with it.
            tracing::error!(subject, bytes = payload.len(), "a message is larger than the broker takes");
            slot.slot.answer(message, None);
            return;
        }
        let reply = (slot.slots.inbox.as_str(), slot.number, message);
        protocol::publish(buffer, subject, reply, headers, payload);
    }
}

/// Messages that have been sent.
#[derive(Debug)]
pub struct Sent {
    slot: Held,
    messages: usize,
    patience: Duration,
}

impl Sent {
    /// Waits for the acknowledgements. Gives for each message its sequence in its stream, or none if it was not
    /// acknowledged: refused, or the outcome is not known because the broker went away or fell silent.
    pub async fn acknowledged(self) -> Vec<Option<u64>> {
        self.slot.outcome(self.messages, self.patience).await
    }
}

/// The shipments whose acknowledgements are awaited.
#[derive(Debug)]
pub(super) struct Slots {
    /// What the replies' subjects begin with.
    pub(super) inbox: String,
    message_bytes_max: AtomicUsize,
    connected: watch::Sender<bool>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connected: bool,
    next: u64,
    slots: HashMap<u64, Arc<Slot>>,
}

/// One shipment's acknowledgements.
#[derive(Debug)]
pub(super) struct Slot {
    /// By message: its sequence, which is never 0, or 0.
    sequences: Box<[AtomicU64]>,
    answered: AtomicUsize,
    change: Notify,
}

/// Nothing more will be answered.
const LOST: usize = usize::MAX / 8;

impl Slots {
    pub(super) fn new() -> Self {
        let inbox = format!("_INBOX.er{:016x}", rand::random::<u64>());
        let (connected, _) = watch::channel(false);
        Self { inbox, message_bytes_max: AtomicUsize::new(1 << 20), connected, open: Mutex::default() }
    }

    /// Waits for the connection, but not longer than `patience`. What is sent without one is lost, and sent again after what
    /// came later: out of order for no need, if the connection is only a moment away.
    pub(super) async fn connection(&self, patience: Duration) {
        let mut connected = self.connected.subscribe();
        // Without one the shipment says so.
        let _ = tokio::time::timeout(patience, connected.wait_for(|connected| *connected)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(slots: &Arc<Self>, messages: usize) -> Held {
        let sequences = (0..messages).map(|_| AtomicU64::new(0)).collect();
        let slot = Arc::new(Slot { sequences, answered: AtomicUsize::new(0), change: Notify::new() });
        let mut open = slots.lock();
        let number = open.next;
        open.next += 1;
        if open.connected {
            open.slots.insert(number, Arc::clone(&slot));
        } else {
            slot.lose();
        }
        Held { slots: Arc::clone(slots), number, slot }
    }

    pub(super) fn find(&self, number: u64) -> Option<Arc<Slot>> {
        self.lock().slots.get(&number).cloned()
    }

    pub(super) fn connected(&self, message_bytes_max: usize) {
        self.message_bytes_max.store(message_bytes_max, Ordering::Relaxed);
        self.lock().connected = true;
        self.connected.send_replace(true);
    }

    /// What was sent over the connection that is gone is not answered any more.
    pub(super) fn disconnected(&self) {
        self.connected.send_replace(false);
        let mut open = self.lock();
        open.connected = false;
        open.slots.drain().for_each(|(_, slot)| slot.lose());
    }
}

impl Slot {
    /// A stream has answered: with a sequence, or with a refusal.
    pub(super) fn answer(&self, message: usize, sequence: Option<u64>) {
        if let (Some(place), Some(sequence)) = (self.sequences.get(message), sequence) {
            place.store(sequence, Ordering::Relaxed);
        }
        // The last one releases what all have stored.
        if self.answered.fetch_add(1, Ordering::AcqRel) + 1 >= self.sequences.len() {
            self.change.notify_one();
        }
    }

    fn lose(&self) {
        self.answered.fetch_add(LOST, Ordering::AcqRel);
        self.change.notify_one();
    }
}

/// A slot in use.
#[derive(Debug)]
struct Held {
    slots: Arc<Slots>,
    number: u64,
    slot: Arc<Slot>,
}

impl Held {
    fn is_lost(&self) -> bool {
        self.slot.answered.load(Ordering::Acquire) >= LOST
    }

    /// Waits as long as answers come: what is silent for `patience` counts as away.
    async fn outcome(self, messages: usize, patience: Duration) -> Vec<Option<u64>> {
        let mut before = 0;
        loop {
            let answered = self.slot.answered.load(Ordering::Acquire);
            if answered >= messages {
                break;
            }
            let waited = tokio::time::timeout(patience, self.slot.change.notified()).await;
            if waited.is_err() && answered == before {
                break;
            }
            before = answered;
        }
        let sequences = self.slot.sequences.iter().take(messages).map(|s| s.load(Ordering::Acquire));
        sequences.map(|sequence| (sequence > 0).then_some(sequence)).collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.slots.lock().slots.remove(&self.number);
    }
}
