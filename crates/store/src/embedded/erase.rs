//! Taking away, in transactions of a few blocks each. After any of them the store is whole: what a block held, its
//! identities, its head and its share of the sums leave together, so a crash in the middle leaves a part of a
//! tenant's blocks, and taking away again goes on with those.
//!
//! What others have in common with a tenant, the tail's batches, is written anew without it.

use std::collections::HashMap;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, Readable as _};
use model::{Micros, TenantId};

use super::{
    bounds::Bounds,
    commit::{Committer, number},
    event_block::EventBlock,
    head::Head,
    keys::{self, IdKey, Kind, Level, META_UNTIDY, Position},
    recent::Log,
    slot::{EVENT, Slot, USAGE},
    tail,
    usage_block::UsageBlock,
};
use crate::Error;

/// Blocks taken away in one transaction: some thousands of events, so that writers wait some milliseconds.
const BLOCKS_MAX: usize = 32;
/// Heads looked at, or keys removed, in one transaction.
const KEYS_MAX: usize = 4_096;

/// What is to change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Where the next block will be: what is written from now on is in blocks from there on.
    Look,
    /// Take away blocks.
    Blocks {
        tenant: TenantId,
        kind: Kind,
        /// From this number on …
        from: u64,
        /// … below this one.
        end: u64,
        /// Only of events all received before this.
        before_us: Option<Micros>,
    },
    /// Take away what speaks of blocks, if there are none left.
    Traces { tenant: TenantId },
    /// Take away what leads from times before this to blocks of events that are gone.
    Bounds { tenant: TenantId, before_us: Micros },
    /// Take a tenant's events out of batches of the tail.
    Tail { tenant: TenantId, slots: Vec<Vec<u8>> },
    /// Take away one event's data.
    Data { tenant: TenantId, source: String, id: String },
    /// The files hold nothing any more that was taken away up to this removal.
    Tidied(u64),
}

/// How far it got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// Where to go on; none when it is done.
    pub(super) next: Option<u64>,
    /// Whether there was such an event.
    pub(super) found: bool,
    /// The last removal of which files may still hold something; none if they hold nothing of any.
    pub(super) untidy: Option<u64>,
}

/// A transaction that takes away.
struct Removal {
    batch: OwnedWriteBatch,
    /// Identities under which something is not kept any more: what, and, of an event, where it was.
    released: Vec<(IdKey, u8, Option<Position>)>,
}

impl Committer {
    /// Makes a change. The inner error is one that changed nothing and does not ask for opening the store again.
    pub(super) fn change(&mut self, change: &Change) -> Result<Result<Changed, Error>, fjall::Error> {
        self.disk.make_way()?;
        self.log.tidy(&self.disk)?;
        let changed = match change {
            Change::Look => Ok(Changed { next: Some(self.next_block), ..Changed::default() }),
            Change::Blocks { tenant, kind: Kind::Events, from, end, before_us } => {
                self.take_events(tenant, *from..*end, *before_us)?
            }
            Change::Blocks { tenant, kind: Kind::Usage, from, end, .. } => {
                self.take_usage(tenant, *from..*end)?
            }
            Change::Traces { tenant } => self.take_traces(tenant)?,
            Change::Bounds { tenant, before_us } => self.take_bounds(tenant, *before_us)?,
            Change::Tail { tenant, slots } => self.take_from_tail(tenant, slots)?,
            Change::Data { tenant, source, id } => self.take_data(tenant, source, id)?,
            Change::Tidied(last) => {
                if self.untidy()? == Some(*last) {
                    let mut batch = self.removal().batch;
                    batch.remove(&self.disk.index, META_UNTIDY);
                    batch.durability(Some(self.persist)).commit()?;
                }
                Ok(Changed::default())
            }
        };
        let untidy = self.untidy()?;
        Ok(changed.map(|changed| Changed { untidy, ..changed }))
    }

    fn untidy(&self) -> Result<Option<u64>, fjall::Error> {
        Ok(self.disk.index.get(META_UNTIDY)?.as_deref().and_then(number))
    }

    fn removal(&self) -> Removal {
        Removal { batch: OwnedWriteBatch::with_capacity(self.disk.db.clone(), 256), released: Vec::new() }
    }

    /// Keeps what was taken away as taken away.
    fn finish(&mut self, removal: Removal) -> Result<(), fjall::Error> {
        let Removal { mut batch, mut released } = removal;
        if batch.is_empty() {
            return Ok(());
        }
        // Neighbours in the tree are looked up one after another.
        released.sort_unstable();
        let mut slots: Vec<(IdKey, Slot)> = Vec::with_capacity(released.len());
        for (key, what, at) in released {
            let mut slot = match slots.last() {
                Some((last, slot)) if *last == key => *slot,
                _ => self.slot(&key)?,
            };
            if at.is_some() && slot.event() != at {
                continue;
            }
            slot.kept &= !what;
            if at.is_some() {
                slot.position = Slot::default().position;
            }
            slots.push((key, slot));
        }
        self.log.stage(&self.disk, &slots, &mut batch);
        self.stage_facts(&mut batch);
        // A number that a removal before the files were last tidied up had as well does no harm: they are tidied again.
        let removals = self.untidy()?.map_or(0, |last| last.wrapping_add(1));
        batch.insert(&self.disk.index, META_UNTIDY, removals.to_be_bytes());
        // What is known of sums and bounds may be about what goes now.
        self.sums.clear();
        self.bounds = Bounds::default();
        // Before it is done: a reader that finds no block must not find the way to it either.
        Log::publish(&self.disk.recent, &slots);
        batch.durability(Some(self.persist)).commit()
    }

    fn slot(&self, key: &IdKey) -> Result<Slot, fjall::Error> {
        if let Some(slot) = self.disk.recent.maps().get(key) {
            return Ok(slot);
        }
        Ok(self.disk.ids.get(key)?.map_or_else(Slot::default, |slot| Slot::decode(&slot)))
    }

    fn take_events(
        &mut self,
        tenant: &TenantId,
        range: std::ops::Range<u64>,
        before_us: Option<Micros>,
    ) -> Result<Result<Changed, Error>, fjall::Error> {
        let mut removal = self.removal();
        let (mut taken, mut looked, mut next) = (0, 0, None);
        let of = |number| keys::block(Kind::Events, tenant, number);
        let heads = |number| keys::head(tenant, number);
        let snapshot = self.disk.snapshot();
        // By the heads, which are small, where only some of the blocks go.
        let mut walk = match before_us {
            Some(_) => snapshot.range(&self.disk.index, heads(range.start)..heads(range.end)),
            None => snapshot.range(&self.disk.data, of(range.start)..of(range.end)),
        };
        for entry in &mut walk {
            let (key, value) = entry.into_inner()?;
            let Some(block) = keys::block_of(&key) else { continue };
            if taken == BLOCKS_MAX || looked == KEYS_MAX {
                next = Some(block);
                break;
            }
            looked += 1;
            let value = match before_us {
                Some(before_us) => match Head::decode(Bytes::copy_from_slice(&value)) {
                    Ok(head) if head.last_us >= before_us => continue,
                    Err(error) => return Ok(Err(error)),
                    Ok(_) => snapshot.get(&self.disk.data, of(block))?,
                },
                None => Some(value),
            };
            taken += 1;
            match value.map(|value| EventBlock::decode(Bytes::copy_from_slice(&value))) {
                Some(Ok(events)) => self.release_events(&mut removal, tenant, block, &events),
                // It goes all the same. Nothing leads to what cannot be read.
                Some(Err(error)) => {
                    tracing::warn!(%tenant, block, %error, "unreadable block of events taken away");
                }
                None => {}
            }
            removal.batch.remove(&self.disk.data, of(block));
            removal.batch.remove(&self.disk.index, heads(block));
            for mark in snapshot.prefix(&self.disk.index, keys::erased_of(tenant, block)) {
                removal.batch.remove(&self.disk.index, mark.key()?);
            }
        }
        drop(walk);
        self.finish(removal)?;
        Ok(Ok(Changed { next, ..Changed::default() }))
    }

    fn release_events(&mut self, removal: &mut Removal, tenant: &TenantId, block: u64, events: &EventBlock) {
        for index in 0..events.len() {
            self.totals.events = self.totals.events.saturating_sub(1);
            let Ok(event) = events.peek(index) else { continue };
            let Some((source, id)) = event.identity() else { continue };
            let key = self.disk.hasher.event(tenant, source, id);
            removal.released.push((key, EVENT, Some(Position { block, index })));
        }
    }

    fn take_usage(
        &mut self,
        tenant: &TenantId,
        range: std::ops::Range<u64>,
    ) -> Result<Result<Changed, Error>, fjall::Error> {
        let mut removal = self.removal();
        let (mut taken, mut next) = (0, None);
        let mut less: HashMap<Vec<u8>, u64> = HashMap::new();
        let of = |number| keys::block(Kind::Usage, tenant, number);
        let snapshot = self.disk.snapshot();
        for entry in snapshot.range(&self.disk.data, of(range.start)..of(range.end)) {
            let (key, value) = entry.into_inner()?;
            let Some(block) = keys::block_of(&key) else { continue };
            if taken == BLOCKS_MAX {
                next = Some(block);
                break;
            }
            taken += 1;
            let records =
                UsageBlock::decode(Bytes::copy_from_slice(&value)).and_then(|block| block.records(tenant));
            match records {
                Ok(records) => {
                    for record in records {
                        self.totals.records = self.totals.records.saturating_sub(1);
                        let key = self.disk.hasher.record(tenant, &record.id);
                        removal.released.push((key, USAGE, None));
                        for (meter, value) in &record.meters {
                            let minute = Level::Minute.of(record.at_us);
                            let sum = less.entry(keys::rollup(tenant, meter, minute)).or_default();
                            *sum = sum.saturating_add(*value);
                            if let Some(customer) = &record.customer {
                                let key = keys::customer_rollup(tenant, customer, meter, minute);
                                let sum = less.entry(key).or_default();
                                *sum = sum.saturating_add(*value);
                            }
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%tenant, block, %error, "unreadable block of usage taken away");
                }
            }
            removal.batch.remove(&self.disk.data, of(block));
        }
        for (key, less) in less {
            let before = self.disk.index.get(&key)?.as_deref().and_then(number).unwrap_or(0);
            match before.saturating_sub(less) {
                0 => removal.batch.remove(&self.disk.index, &key[..]),
                left => removal.batch.insert(&self.disk.index, &key[..], left.to_be_bytes()),
            }
        }
        self.finish(removal)?;
        Ok(Ok(Changed { next, ..Changed::default() }))
    }

    fn take_traces(&mut self, tenant: &TenantId) -> Result<Result<Changed, Error>, fjall::Error> {
        let mut removal = self.removal();
        let snapshot = self.disk.snapshot();
        for kind in [Kind::Events, Kind::Usage] {
            if snapshot.prefix(&self.disk.data, keys::blocks(kind, tenant)).next().is_some() {
                // Written meanwhile: what there is speaks of those.
                return Ok(Ok(Changed::default()));
            }
        }
        let mut removed = 0;
        for prefix in keys::traces(tenant) {
            for trace in snapshot.prefix(&self.disk.index, prefix).take(KEYS_MAX - removed) {
                removal.batch.remove(&self.disk.index, trace.key()?);
                removed += 1;
            }
        }
        self.finish(removal)?;
        let next = (removed == KEYS_MAX).then_some(0);
        Ok(Ok(Changed { next, ..Changed::default() }))
    }

    fn take_bounds(
        &mut self,
        tenant: &TenantId,
        before_us: Micros,
    ) -> Result<Result<Changed, Error>, fjall::Error> {
        let mut removal = self.removal();
        let snapshot = self.disk.snapshot();
        // Blocks that reach over the time are kept whole, and stay to be found by all their times.
        let mut oldest_us = before_us;
        for head in snapshot.prefix(&self.disk.index, keys::heads(tenant)) {
            match Head::decode(Bytes::copy_from_slice(&head.value()?)) {
                Ok(head) => oldest_us = oldest_us.min(head.first_us),
                Err(error) => return Ok(Err(error)),
            }
        }
        let mut removed = 0;
        for level in [Level::Minute, Level::Day] {
            let of = |period| keys::bounds(Kind::Events, level, tenant, period);
            let range = of(i64::MIN)..of(level.of(oldest_us));
            for bound in snapshot.range(&self.disk.index, range).take(KEYS_MAX - removed) {
                removal.batch.remove(&self.disk.index, bound.key()?);
                removed += 1;
            }
        }
        self.finish(removal)?;
        let next = (removed == KEYS_MAX).then_some(0);
        Ok(Ok(Changed { next, ..Changed::default() }))
    }

    fn take_from_tail(
        &mut self,
        tenant: &TenantId,
        slots: &[Vec<u8>],
    ) -> Result<Result<Changed, Error>, fjall::Error> {
        let mut removal = self.removal();
        for slot in slots {
            let Some(found) = self.disk.index.get(slot)? else { continue };
            match tail::without(Bytes::copy_from_slice(&found), tenant, &mut self.packer) {
                Ok(Some(rest)) => removal.batch.insert(&self.disk.index, &slot[..], rest),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        self.finish(removal)?;
        Ok(Ok(Changed::default()))
    }

    fn take_data(
        &mut self,
        tenant: &TenantId,
        source: &str,
        id: &str,
    ) -> Result<Result<Changed, Error>, fjall::Error> {
        let mut removal = self.removal();
        let key = self.disk.hasher.event(tenant, source, id);
        let Some(position) = self.slot(&key)?.event() else { return Ok(Ok(Changed::default())) };
        let at = keys::block(Kind::Events, tenant, position.block);
        let Some(found) = self.disk.data.get(&at)? else {
            return Ok(Err(Error::Corrupt(format!("block {} is missing", position.block))));
        };
        let rewritten = EventBlock::decode(Bytes::copy_from_slice(&found)).and_then(|mut block| {
            // The key is a hash: only the event itself says whose it is.
            if !block.peek(position.index)?.is(source, id) {
                return Ok(None);
            }
            block.drop_data(position.index)?;
            Ok(Some(block.encode(&mut self.packer)))
        });
        match rewritten {
            Ok(Some(block)) => {
                removal.batch.insert(&self.disk.data, at, block);
                removal.batch.insert(&self.disk.index, keys::erased(tenant, position), []);
                self.finish(removal)?;
                Ok(Ok(Changed { found: true, ..Changed::default() }))
            }
            Ok(None) => Ok(Ok(Changed::default())),
            Err(error) => Ok(Err(error)),
        }
    }
}
