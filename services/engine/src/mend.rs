//! Makes a tenant stream whole again whose tail the broker has lost.
//!
//! Under durability `disk` the broker fsyncs `RAW` and `EVENTS` before it acknowledges, but the tenant streams only
//! later: a message a time would cost an fsync each. When the broker dies, or the power goes, what it had
//! acknowledged last may be gone from them, always a tail. The event store has those events, with the sequences they
//! had, so whoever takes a partition over compares the two and publishes the missing ones again, in order: once after
//! each time the broker may have lost anything ([`mark`]), for this takes a store seconds when it is busy.

mod mark;

use std::sync::Arc;

use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bus::{Backoff, Bus, topology};
use catalog::Catalog;
use model::{Batch, CloudEvent, Group};
use proto::packed;
use runtime::metrics::IntCounter;
use store::{EventStore, StoredEvent, TailBatch};

use self::mark::Look;
use crate::{effects::Effects, tenant_stream::placement};

/// Batches looked at in one go.
const STEP: u32 = 16;

#[derive(Debug, Clone)]
pub(crate) struct Mender {
    pub(crate) bus: Bus,
    pub(crate) catalog: Catalog,
    pub(crate) events: Arc<dyn EventStore>,
    pub(crate) effects: Effects,
    pub(crate) mended: IntCounter,
    /// Batches of a partition that can be under way at once.
    pub(crate) under_way_max: usize,
}

/// The broker or the store did not answer; trying again is right.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the broker does not answer: {0}")]
    Broker(String),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Mender {
    /// Returns when the tenant streams hold all that this partition has put there. Waits out outages.
    pub(crate) async fn mend(&self, partition: u32) {
        let mut backoff = Backoff::default();
        while let Err(error) = self.try_mend(partition).await {
            tracing::debug!(partition, %error, "could not compare tenant streams with the store, trying again");
            backoff.wait().await;
        }
    }

    async fn try_mend(&self, partition: u32) -> Result<(), Error> {
        let Look::Compare(unmarked) = mark::look(&self.bus, partition).await? else { return Ok(()) };
        let mended = self.compare(partition).await?;
        // What was made whole is looked at once more by the next owner: the one before may have had work under way.
        if let (0, Some(unmarked)) = (mended, unmarked) {
            unmarked.set().await;
        }
        Ok(())
    }

    /// How many events were published again.
    async fn compare(&self, partition: u32) -> Result<usize, Error> {
        let mut lost = self.lost_batches(partition).await?;
        lost.sort_unstable();
        let mut count = 0;
        for (before, (_, skip)) in (0..).zip(&lost) {
            // Each one mended so far has become the newest.
            let Some(batch) = self.events.tail(partition, skip + before, 1).await?.pop() else { break };
            let missing = self.missing(batch).await?;
            count += missing.len();
            if let Some(batch) = batch_of(missing) {
                let begun = self.effects.begin(batch, None).await;
                self.effects.clone().finish(begun).await;
            }
        }
        if count > 0 {
            self.mended.inc_by(u64::try_from(count).unwrap_or_default());
            tracing::warn!(
                partition,
                events = count,
                "the broker had lost the tail of tenant streams; published again"
            );
        }
        Ok(count)
    }

    /// Which of the last batches are not wholly in their streams: their sequences and how far they are from the newest.
    /// Losses are tails. Batches that were under way together may have been stored in another order than they were
    /// published, so the walk ends after as many whole ones as can have been.
    async fn lost_batches(&self, partition: u32) -> Result<Vec<(u64, u64)>, Error> {
        let mut lost = Vec::new();
        let (mut skip, mut whole) = (0, 0);
        loop {
            let batches = self.events.tail(partition, skip, STEP).await?;
            if batches.is_empty() {
                return Ok(lost);
            }
            for batch in batches {
                // What was published last is not always the last event: a packed message stands where its first does.
                let last = batch.events.iter().zip(batch.streamed).max_by_key(|(_, sequence)| *sequence);
                match last {
                    Some((event, sequence)) if !self.is_there(event, sequence, &mut None).await? => {
                        lost.push((event.place.events_sequence, skip));
                        whole = 0;
                    }
                    // All of it was erased: it tells nothing of the streams.
                    None => {}
                    Some(_) => whole += 1,
                }
                if whole >= self.under_way_max {
                    return Ok(lost);
                }
                skip += 1;
            }
        }
    }

    /// The events of a batch that are not in their streams.
    async fn missing(&self, batch: TailBatch) -> Result<Vec<StoredEvent>, Error> {
        let first = batch.events.iter().zip(&batch.streamed).min_by_key(|(_, sequence)| **sequence);
        let mut pack = None;
        let all_gone = match first {
            Some((event, sequence)) => !self.is_there(event, *sequence, &mut pack).await?,
            None => true,
        };
        if all_gone {
            return Ok(batch.events);
        }
        let mut missing = Vec::new();
        for (event, sequence) in batch.events.into_iter().zip(batch.streamed) {
            if !self.is_there(&event, sequence, &mut pack).await? {
                missing.push(event);
            }
        }
        Ok(missing)
    }

    /// Whether the stream holds this event at this sequence, or has let go of it by its own limits. `pack` is the packed
    /// message looked at last: the events of a batch share one.
    async fn is_there(
        &self,
        event: &StoredEvent,
        sequence: u64,
        pack: &mut Option<Pack>,
    ) -> Result<bool, Error> {
        let snapshot = self.catalog.snapshot();
        let name = topology::tenant_stream(placement(&snapshot, &event.stamp));
        let event = &event.event;
        if let Some(pack) = pack.as_ref().filter(|pack| pack.stream == name && pack.sequence == sequence) {
            return Ok(pack.holds(event));
        }
        let stream = self.stream(&name).await?;
        match stream.direct_get(sequence).await {
            Ok(message) if message.headers.get("ce-id").is_none() => {
                // What cannot be read is not the event.
                let events = packed::unpack(message.payload).unwrap_or_default();
                Ok(pack.insert(Pack { stream: name, sequence, events }).holds(event))
            }
            Ok(message) => {
                let is = |name: &str, value: &str| {
                    let value = model::nats::encode_value(value);
                    message.headers.get(name).is_some_and(|v| v.as_str() == value)
                };
                Ok(is("ce-id", event.id()) && is("ce-source", event.source()))
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                let info = stream.get_info().await.map_err(|e| Error::Broker(e.to_string()))?;
                // Below the end and not there: aged out, or erased.
                Ok(sequence <= info.state.last_sequence)
            }
            Err(error) => Err(Error::Broker(error.to_string())),
        }
    }

    /// Without asking the broker about it: an event a message, that would double what a take-over asks.
    async fn stream(&self, name: &str) -> Result<Stream<()>, Error> {
        self.bus.jetstream().get_stream_no_info(name).await.map_err(|e| Error::Broker(e.to_string()))
    }
}

/// A packed message of a tenant stream.
#[derive(Debug)]
struct Pack {
    stream: String,
    sequence: u64,
    events: Vec<CloudEvent>,
}

impl Pack {
    fn holds(&self, event: &CloudEvent) -> bool {
        self.events.iter().any(|held| held.id() == event.id() && held.source() == event.source())
    }
}

/// The batch these events came in, as far as it is left.
fn batch_of(events: Vec<StoredEvent>) -> Option<Batch> {
    let place = events.first()?.place;
    let mut groups: Vec<Group> = Vec::new();
    for StoredEvent { stamp, event, .. } in events {
        match groups.last_mut() {
            Some(group) if group.stamp == stamp => group.events.push(event),
            _ => groups.push(Group { stamp, events: vec![event] }),
        }
    }
    Some(Batch {
        partition: place.partition,
        sequence: place.events_sequence,
        stored_at_us: place.events_stored_at_us,
        raw_sequence: place.raw_sequence,
        raw_stored_at_us: place.raw_stored_at_us,
        normalized_at_us: place.normalized_at_us,
        groups,
        streamed: Vec::new(),
    })
}
