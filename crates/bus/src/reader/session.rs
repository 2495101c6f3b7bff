//! What is known while a partition is ours: whether the numbers are in step, what was begun, what is under way.
//!
//! The consumer sequence tells: after a reset it starts again at 1 and rises by one, so 1 means "nobody was handed
//! anything since the reset", and a gap means "somebody else was". While it rises by one nothing was missed, even
//! if the pin itself changed because this replica was slow; but then the stream is asked, for another may have been
//! handed as many messages since a reset of its own.

use std::collections::{BTreeSet, HashMap};

use async_nats::jetstream::{
    self, AckKind,
    consumer::{Consumer, pull},
    stream::RawMessageErrorKind,
};
use model::Micros;
use tokio::task::{Id, JoinError, JoinSet};

use super::{Incoming, Reader, Worker, pinned};
use crate::{Error, idle::IdleCheck};

/// Sequences remembered of those begun: more than can await their acknowledgement (`max_ack_pending`).
const REMEMBERED: usize = 4_096;
/// How long a message must have been there to be taken for stranded.
const STRANDED_US: Micros = 5_000_000;

/// One ownership of a partition.
pub(super) struct Session {
    pub(super) consumer: Consumer<pull::Config>,
    /// The pin that came with the last message.
    pub(super) pin: Option<String>,
    /// The consumer sequence of the last message, once in step with the consumer.
    in_step: Option<u64>,
    /// The lowest stream sequence that was left to come again with the reset: what comes first must not be behind it.
    left: Option<u64>,
    /// The stream sequences begun last in this session. Only what is known to have been begun is passed over when it comes
    /// again: anything else is worked, be it late.
    begun: BTreeSet<u64>,
    pub(super) under_way: JoinSet<()>,
    held: HashMap<Id, Held>,
}

/// The consumer has to begin again: from its ack floor, or from a sequence.
pub(super) struct Restart {
    pub(super) from: Option<u64>,
}

/// A message whose work is under way.
struct Held {
    message: jetstream::Message,
    sequence: u64,
    stored_at_us: Micros,
    since: Micros,
}

impl Session {
    pub(super) fn new(consumer: Consumer<pull::Config>) -> Self {
        Self {
            consumer,
            pin: None,
            in_step: None,
            left: None,
            begun: BTreeSet::new(),
            under_way: JoinSet::new(),
            held: HashMap::new(),
        }
    }

    /// Begins the work on a message, unless somebody else was handed messages in between.
    pub(super) async fn handle<W: Worker>(
        &mut self,
        reader: &mut Reader<W>,
        message: jetstream::Message,
    ) -> Result<Option<Restart>, Error> {
        let what = || format!("a message of partition {} of {}", reader.partition, reader.stream);
        let info = message.info().map_err(|e| Error::Broker { what: what(), reason: e.to_string() })?;
        let (sequence, position) = (info.stream_sequence, info.consumer_sequence);
        let stored_at_us = micros(info.published);
        if info.delivered > 1 {
            reader.counts.redelivered.inc();
        }
        let pin = message.headers.as_ref().and_then(|h| h.get("Nats-Pin-Id")).map(|p| p.as_str());
        let pinned_anew = pin.is_some() && pin != self.pin.as_deref();
        if pinned_anew {
            self.pin = pin.map(str::to_owned);
        }
        let in_step = self.in_step.is_some_and(|last| position == last + 1);
        if in_step
            && pinned_anew
            && let Some(left) = self.left_by_another(reader, sequence).await?
        {
            self.left = Some(left);
            return Ok(Some(Restart { from: None }));
        }
        let is_first = position == 1 && self.left.is_none_or(|left| sequence <= left);
        if !in_step && !is_first {
            if position == 1 {
                // Asked for again, and judged by what comes from here on: what was left may have been acked meanwhile.
                self.left = None;
            } else {
                self.left = Some(self.left.map_or(sequence, |left| left.min(sequence)));
            }
            return Ok(Some(Restart { from: None }));
        }
        if !in_step {
            reader.counts.takeovers.inc();
            self.left = None;
        }
        self.in_step = Some(position);
        if self.begun.contains(&sequence) {
            // Done already, and its ack was lost; or still under way, and then it will be acked.
            if !self.held.values().any(|h| h.sequence == sequence) {
                message.ack().await.ok();
            }
            return Ok(None);
        }
        self.begun.insert(sequence);
        if self.begun.len() > REMEMBERED {
            self.begun.pop_first();
        }
        reader.counts.messages.inc();
        // Also here: the work may have to wait before it is begun.
        reader.counts.lag(Some(stored_at_us));
        let payload = message.payload.clone();
        let incoming = Incoming { partition: reader.partition, sequence, stored_at_us, payload };
        let work = reader.worker.begin(incoming, reader.queue.turn()).await;
        let task = self.under_way.spawn(work);
        self.held.insert(task.id(), Held { message, sequence, stored_at_us, since: now_us() });
        self.report(reader);
        Ok(None)
    }

    /// The first message between the last we began and this one: another replica was handed it, has left it undone, and was handed
    /// just as many since it reset the consumer as we were before, so that the numbers are in step.
    async fn left_by_another<W: Worker>(
        &self,
        reader: &Reader<W>,
        sequence: u64,
    ) -> Result<Option<u64>, Error> {
        let Some(last) = self.begun.last() else { return Ok(None) };
        let next = self.first_from(reader, last + 1).await?;
        Ok(next.map(|(next, _)| next).filter(|next| *next < sequence))
    }

    /// What comes next is the first after a reset.
    pub(super) fn begin_again(&mut self) {
        self.in_step = None;
    }

    /// Waits for all that is under way.
    pub(super) async fn finish_all<W: Worker>(&mut self, reader: &Reader<W>) {
        while let Some(done) = self.under_way.join_next_with_id().await {
            self.finish(reader, done).await;
        }
    }

    pub(super) async fn finish<W: Worker>(&mut self, reader: &Reader<W>, done: Result<(Id, ()), JoinError>) {
        let id = match &done {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(held) = self.held.remove(&id) else { return };
        match done {
            Ok(_) => {
                // Not confirmed: a lost ack means one more delivery, which is recognized.
                held.message.ack().await.ok();
            }
            // A panic is a fault of ours; the message stays and is delivered again after the ack wait.
            Err(error) => tracing::error!(%error, sequence = held.sequence, "work on a message crashed"),
        }
        self.report(reader);
    }

    fn report<W: Worker>(&self, reader: &Reader<W>) {
        reader.counts.lag(self.held.values().map(|h| h.stored_at_us).min());
        (reader.on_progress)(reader.partition, self.held.values().map(|h| h.since).min());
    }

    pub(super) async fn report_progress<W: Worker>(&self, reader: &Reader<W>) {
        self.report(reader);
        for held in self.held.values() {
            held.message.ack_with(AckKind::Progress).await.ok();
        }
    }

    /// Nothing has come for a while. If that is because a dead owner's messages are waiting for their ack wait, or
    /// because the subscription is deaf, act.
    pub(super) async fn check_idle<W: Worker>(
        &mut self,
        reader: &Reader<W>,
        idle: &mut IdleCheck,
    ) -> Result<Option<Restart>, Error> {
        idle.step();
        if !self.held.is_empty() || !reader.bus.is_connected() {
            return Ok(None);
        }
        let what = || format!("partition {} of {}", reader.partition, reader.stream);
        let info = self.consumer.info().await.map_err(|e| Error::broker(what(), &e))?;
        let pinned = pinned(info);
        let free = pinned.is_none() || pinned == self.pin;
        if free && info.num_ack_pending > 0 {
            return Ok(Some(Restart { from: None }));
        }
        if free && info.num_pending > 0 && idle.deaf() {
            return Err(Error::Broker { what: what(), reason: "messages wait and none arrive".into() });
        }
        if free
            && info.num_pending == 0
            && idle.is_to_be_proved()
            && let Some(sequence) = self.stranded(reader).await?
        {
            tracing::warn!(
                stream = reader.stream,
                partition = reader.partition,
                sequence,
                "messages that nobody is handed"
            );
            return Ok(Some(Restart { from: Some(sequence) }));
        }
        Ok(None)
    }

    /// The first message that the stream has and the consumer will hand to nobody, as it knows of none. A broker that loses a node may
    /// come to that: it takes a message for acknowledged and does not take it out, or loses count.
    async fn stranded<W: Worker>(&self, reader: &Reader<W>) -> Result<Option<u64>, Error> {
        let first = self.first_from(reader, 1).await?;
        // What has just come may be on its way.
        Ok(first
            .filter(|(_, stored_at_us)| now_us() - stored_at_us > STRANDED_US)
            .map(|(sequence, _)| sequence))
    }

    /// The partition's first message from a sequence on, and when it was stored.
    async fn first_from<W: Worker>(
        &self,
        reader: &Reader<W>,
        sequence: u64,
    ) -> Result<Option<(u64, Micros)>, Error> {
        let what = || format!("the messages of partition {} of {}", reader.partition, reader.stream);
        let subject = self.consumer.cached_info().config.filter_subject.clone();
        let stream = reader.bus.jetstream().get_stream_no_info(reader.stream).await;
        let stream = stream.map_err(|e| Error::broker(what(), &e))?;
        // Of the leader: a replica of the stream may not know yet what is there.
        match stream.get_first_raw_message_by_subject(subject, sequence).await {
            Ok(first) => Ok(Some((first.sequence, micros(first.time)))),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(Error::broker(what(), &error)),
        }
    }
}

fn micros(at: time::OffsetDateTime) -> Micros {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

fn now_us() -> Micros {
    model::Clock::now(&model::SystemClock)
}
