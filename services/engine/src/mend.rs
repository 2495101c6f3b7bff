//! Makes a tenant stream whole again whose tail the broker has lost.
//!
//! The broker writes `RAW` and `EVENTS` before it acknowledges, with an fsync under durability `disk`, but the tenant streams only
//! later: a message a time would cost a write each. When the broker dies, or the power goes, what it had
//! acknowledged last may be gone from them, always a tail. The event store has those events, with the sequences they
//! had, so whoever takes a partition over compares the two and publishes the missing ones again, in order: once after
//! each time the broker may have lost anything ([`mark`]), for this takes a store seconds when it is busy.

mod mark;

use std::{collections::BTreeMap, sync::Arc};

use bus::{Backoff, Bus, Turn};
use model::{Batch, Group};
use runtime::metrics::IntCounter;
use store::{EventStore, StoredEvent, TailBatch};

use self::mark::Look;
use crate::{
    effects::Effects,
    read_back::{LastPack, NoAnswer, ReadBack},
};

/// Batches looked at in one go.
const STEP: u32 = 16;

#[derive(Debug, Clone)]
pub(crate) struct Mender {
    pub(crate) bus: Bus,
    pub(crate) streams: ReadBack,
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
    Streams(#[from] NoAnswer),
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
                let begun = self.effects.begin(Turn::alone(), batch, None).await;
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
                match self.ends_are_there(&batch).await? {
                    Some(false) => {
                        lost.extend(batch.events.first().map(|event| (event.place.events_sequence, skip)));
                        whole = 0;
                    }
                    Some(true) => whole += 1,
                    // All of it was erased: it tells nothing of the streams.
                    None => {}
                }
                if whole >= self.under_way_max {
                    return Ok(lost);
                }
                skip += 1;
            }
        }
    }

    /// Whether each stream that a batch went to holds what was published there last; that is not always the last event,
    /// for a packed message stands where its first does. Nothing if nothing is left of the batch.
    async fn ends_are_there(&self, batch: &TailBatch) -> Result<Option<bool>, Error> {
        let mut ends: BTreeMap<String, (&StoredEvent, u64)> = BTreeMap::new();
        for (event, &sequence) in batch.events.iter().zip(&batch.streamed) {
            let end = ends.entry(self.streams.stream_of(&event.stamp)).or_insert((event, sequence));
            if sequence >= end.1 {
                *end = (event, sequence);
            }
        }
        let mut last = LastPack::default();
        for (event, sequence) in ends.values() {
            if !self.streams.is_there(&event.stamp, &event.event, *sequence, &mut last).await? {
                return Ok(Some(false));
            }
        }
        Ok((!ends.is_empty()).then_some(true))
    }

    /// The events of a batch that are not in their streams.
    async fn missing(&self, batch: TailBatch) -> Result<Vec<StoredEvent>, Error> {
        let mut last = LastPack::default();
        let mut missing = Vec::new();
        for (event, sequence) in batch.events.into_iter().zip(batch.streamed) {
            if !self.streams.is_there(&event.stamp, &event.event, sequence, &mut last).await? {
                missing.push(event);
            }
        }
        Ok(missing)
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
        metered: Vec::new(),
    })
}
