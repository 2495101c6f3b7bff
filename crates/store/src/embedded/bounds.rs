//! From a time to the blocks that may hold something of that time.
//!
//! Blocks are numbered in the order they were written, which follows the time of receipt only by and large. So for
//! each minute and each day of a tenant the first and the last block that hold something of it are kept. The last one is
//! rounded up, so that it changes once in a thousand blocks and not with each.

use std::collections::HashMap;

use fjall::{OwnedWriteBatch, Readable as _, Snapshot};
use model::{Micros, TenantId};

use super::{
    disk::Disk,
    keys::{self, Kind, Level},
};
use crate::Error;

const MINUTES_OF_A_DAY: i64 = 24 * 60;
const ROUND_UP: u64 = 0x3ff;

/// The first and the last block.
type Range = (u64, u64);

/// What the writer knows of the bounds.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    known: HashMap<Vec<u8>, Range>,
    changed: HashMap<Vec<u8>, Range>,
}

impl Bounds {
    pub(super) fn forget_beyond(&mut self, entries_max: usize) {
        if self.known.len() > entries_max {
            self.known.clear();
        }
    }

    /// Makes sure that `block` is found by its minute and its day.
    pub(super) fn cover(
        &mut self,
        disk: &Disk,
        kind: Kind,
        tenant: &TenantId,
        minute: i64,
        block: u64,
    ) -> Result<(), fjall::Error> {
        for (level, period) in [(Level::Minute, minute), (Level::Day, minute.div_euclid(MINUTES_OF_A_DAY))] {
            let key = keys::bounds(kind, level, tenant, period);
            let known = match self.known.get(&key) {
                Some(range) => Some(*range),
                None => disk.index.get(&key)?.as_deref().and_then(decode),
            };
            let (first, last) = known.unwrap_or((block, block | ROUND_UP));
            let range = (first.min(block), if last < block { block | ROUND_UP } else { last });
            if known != Some(range) {
                self.changed.insert(key.clone(), range);
            }
            self.known.insert(key, range);
        }
        Ok(())
    }

    /// Adds what has changed to the transaction.
    pub(super) fn stage(&mut self, disk: &Disk, batch: &mut OwnedWriteBatch) {
        for (key, (first, last)) in self.changed.drain() {
            batch.insert(&disk.index, key, [first.to_be_bytes(), last.to_be_bytes()].concat());
        }
    }
}

fn decode(bytes: &[u8]) -> Option<Range> {
    let (first, last) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(*last.first_chunk()?)))
}

/// The blocks outside which nothing of `since..until` is; none if there is nothing of it at all.
pub(super) fn find(
    disk: &Disk,
    snapshot: &Snapshot,
    kind: Kind,
    tenant: &TenantId,
    since_us: Option<Micros>,
    until_us: Option<Micros>,
) -> Result<Option<Range>, Error> {
    if since_us.is_none() && until_us.is_none() {
        return Ok(Some((0, u64::MAX)));
    }
    let (since, until) = (since_us.unwrap_or(Micros::MIN), until_us.unwrap_or(Micros::MAX));
    if since >= until {
        return Ok(None);
    }
    let last = until - 1;
    let mut found: Option<Range> = None;
    let mut widen = |level: Level, from: i64, to: i64| {
        let range = keys::bounds(kind, level, tenant, from)..=keys::bounds(kind, level, tenant, to);
        for entry in snapshot.range(&disk.index, range) {
            let value = entry.value().map_err(Disk::read_error)?;
            let (first, last) =
                decode(&value).ok_or_else(|| Error::Corrupt("block bounds that are none".into()))?;
            found = Some(found.map_or((first, last), |(f, l)| (f.min(first), l.max(last))));
        }
        Ok::<_, Error>(())
    };
    let minute = |at| Level::Minute.of(at);
    let (first_day, last_day) = (Level::Day.of(since), Level::Day.of(last));
    if first_day == last_day {
        widen(Level::Minute, minute(since), minute(last))?;
    } else {
        // Minutes where the range begins and ends within a day, days between.
        widen(Level::Minute, minute(since), (first_day + 1).saturating_mul(MINUTES_OF_A_DAY) - 1)?;
        widen(Level::Day, first_day + 1, last_day - 1)?;
        widen(Level::Minute, last_day.saturating_mul(MINUTES_OF_A_DAY), minute(last))?;
    }
    Ok(found)
}
