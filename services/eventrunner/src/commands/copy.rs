//! Writing stored events and usage records into stores again: for restoring and moving.
//!
//! Usage comes from the records themselves and not from the events: it is known by its id and time, so that it is never
//! counted twice, and what was used by events that are gone comes along.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use model::{Batch, Group};
use store::{StoredEvent, Stores, UsageRecord};

use super::progress;
use crate::exit::{Code, Failure, Result};

/// Writes under way.
const WRITES_MAX: usize = 16;
/// Events of one write.
const EVENTS_MAX: usize = 512;
/// Records of one write.
const RECORDS_MAX: usize = 2_000;

/// Writes into stores.
#[derive(Debug)]
pub(super) struct Loader<'a> {
    stores: &'a Stores,
}

impl<'a> Loader<'a> {
    pub(super) fn new(stores: &'a Stores) -> Self {
        Self { stores }
    }

    /// Returns when all of them are kept, in order where the store keeps one. What is there already stays.
    pub(super) async fn events(&self, events: Vec<StoredEvent>) -> Result<()> {
        let writes = batches(events).into_iter().map(|batch| self.stores.events.write(Arc::new(batch)));
        let written = stream::iter(writes).buffered(WRITES_MAX).try_for_each(|_| std::future::ready(Ok(())));
        written.await.map_err(of_store)
    }

    pub(super) async fn usage(&self, mut records: Vec<UsageRecord>) -> Result<()> {
        let mut chunks = Vec::new();
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(RECORDS_MAX));
            chunks.push(std::mem::replace(&mut records, rest));
        }
        let writes = chunks.into_iter().map(|chunk| self.stores.usage.write(chunk));
        let written = stream::iter(writes).buffered(WRITES_MAX).try_for_each(|()| std::future::ready(Ok(())));
        written.await.map_err(of_store)
    }
}

/// The batches the events came in, as far as they stand together.
fn batches(events: Vec<StoredEvent>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for StoredEvent { stamp, event, place } in events {
        let same = |batch: &Batch| {
            batch.partition == place.partition
                && batch.sequence == place.events_sequence
                && batch.stored_at_us == place.events_stored_at_us
                && batch.raw_sequence == place.raw_sequence
                && batch.len() < EVENTS_MAX
        };
        let batch = match batches.last_mut() {
            Some(batch) if same(batch) => batch,
            _ => {
                batches.push(Batch {
                    partition: place.partition,
                    sequence: place.events_sequence,
                    stored_at_us: place.events_stored_at_us,
                    raw_sequence: place.raw_sequence,
                    raw_stored_at_us: place.raw_stored_at_us,
                    normalized_at_us: place.normalized_at_us,
                    groups: Vec::new(),
                    // They enter no tenant stream, so that none is made whole with them.
                    streamed: Vec::new(),
                    metered: Vec::new(),
                });
                let Some(last) = batches.last_mut() else { continue };
                last
            }
        };
        match batch.groups.last_mut() {
            Some(group) if group.stamp == stamp => group.events.push(event),
            _ => batch.groups.push(Group { stamp, events: vec![event] }),
        }
    }
    batches
}

/// A store's failure, for people.
#[expect(clippy::needless_pass_by_value, reason = "what map_err gives")]
pub(super) fn of_store(error: store::Error) -> Failure {
    let code = match error {
        store::Error::Unavailable(_) => Code::Unavailable,
        store::Error::Full(_) => Code::CannotTake,
        _ => Code::Failed,
    };
    Failure::new(code, error.to_string()).hint("run it again: what is written already stays")
}

/// How many events it is.
pub(super) fn bar() -> ProgressBar {
    progress::drawn(ProgressBar::new_spinner(), "{spinner} {pos} events, {per_sec}")
}
