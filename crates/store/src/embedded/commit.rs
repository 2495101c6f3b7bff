//! One transaction: everything that is new in several batches, in all three keyspaces, or nothing.

use std::{collections::HashMap, sync::Arc};

use fjall::{OwnedWriteBatch, PersistMode};
use model::{Batch, CloudEvent, Micros, Stamp, TenantId};

use super::{
    bounds::Bounds,
    codec::Packer,
    disk::Disk,
    keys::{self, IdKey, META_NEXT_BLOCK, META_TOTALS, Position},
    recent::Log,
    shelf::{Block, Shelf},
    slot::{EVENT, Slot, USAGE},
    tail::{Entry, Ring},
};
use crate::{Error, UsageRecord};

/// What somebody wants kept.
#[derive(Debug)]
pub(super) enum Work {
    /// Events.
    Batch {
        /// The events.
        batch: Arc<Batch>,
        /// [`EVENT`] to store them, [`USAGE`] to meter them, or both.
        want: u8,
    },
    /// Usage records.
    Records(Vec<UsageRecord>),
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) records: u64,
}

/// Sums and block bounds are read from disk once and then known; so many before they are forgotten again.
const KNOWN_MAX: usize = 8_192;
/// Block numbers are set aside in such portions, so that a crash never leads to one being used again.
const BLOCKS_PORTION: u64 = 65_536;

/// Makes transactions. It belongs to one open [`Disk`]: after a failure, what it knows may be wrong, and both are
/// to be thrown away.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) disk: Disk,
    pub(super) totals: Totals,
    pub(super) persist: PersistMode,
    pub(super) log: Log,
    pub(super) next_block: u64,
    blocks_end: u64,
    pub(super) sums: HashMap<Vec<u8>, u64>,
    pub(super) bounds: Bounds,
    ring: Ring,
    pub(super) packer: Packer,
}

/// An event or a record on its way into the transaction.
struct Item<'a> {
    key: IdKey,
    want: u8,
    what: What<'a>,
    /// The item's identity in the list of identities.
    identity: usize,
    /// Which of what it wants is not there yet.
    fresh: u8,
}

enum What<'a> {
    Event { batch: &'a Batch, index: u32, stamp: &'a Arc<Stamp>, event: &'a CloudEvent },
    Record(&'a UsageRecord),
}

/// An identity that the transaction touches.
struct Identity {
    key: IdKey,
    slot: Slot,
    changed: bool,
}

impl Committer {
    pub(super) fn new(disk: Disk, persist: PersistMode) -> Result<Self, Error> {
        let meta = |key| disk.index.get(key).map_err(Disk::read_error);
        let next_block = meta(META_NEXT_BLOCK)?.as_deref().and_then(number).unwrap_or(0);
        let totals = meta(META_TOTALS)?;
        let total = |at: usize| totals.as_deref().and_then(|v| v.get(at..)).and_then(number).unwrap_or(0);
        let totals = Totals { events: total(0), records: total(8) };
        Ok(Self {
            log: disk.read_log()?,
            disk,
            totals,
            persist,
            next_block,
            blocks_end: next_block,
            sums: HashMap::new(),
            bounds: Bounds::default(),
            ring: Ring::default(),
            packer: Packer::default(),
        })
    }

    /// Keeps what is new in `works`. When it returns, that is as durable as it was asked to be.
    pub(super) fn commit(&mut self, works: &[Work], now_us: Micros) -> Result<(), fjall::Error> {
        self.disk.make_way()?;
        self.log.tidy(&self.disk)?;
        if self.sums.len() > KNOWN_MAX {
            self.sums.clear();
        }
        self.bounds.forget_beyond(KNOWN_MAX);
        let mut items = items(works, &self.disk);
        let mut identities = self.resolve(&mut items)?;
        let mut batch = OwnedWriteBatch::with_capacity(self.disk.db.clone(), 256);
        self.shelve(&items, &mut identities, now_us, &mut batch)?;
        self.stage_tail(&items, &identities, &mut batch)?;
        let changed = identities.iter().filter(|identity| identity.changed);
        let keys: Vec<(IdKey, Slot)> = changed.map(|identity| (identity.key, identity.slot)).collect();
        if keys.is_empty() && batch.is_empty() {
            return Ok(());
        }
        self.log.stage(&self.disk, &keys, &mut batch);
        self.bounds.stage(&self.disk, &mut batch);
        self.stage_facts(&mut batch);
        batch.durability(Some(self.persist)).commit()?;
        Log::publish(&self.disk.recent, &keys);
        Ok(())
    }

    /// Adds the facts about the store.
    pub(super) fn stage_facts(&mut self, batch: &mut OwnedWriteBatch) {
        if self.next_block > self.blocks_end {
            self.blocks_end = self.next_block + BLOCKS_PORTION;
            batch.insert(&self.disk.index, META_NEXT_BLOCK, self.blocks_end.to_be_bytes());
        }
        let Totals { events, records } = self.totals;
        let totals = [events.to_be_bytes(), records.to_be_bytes()].concat();
        batch.insert(&self.disk.index, META_TOTALS, totals);
    }

    /// Finds out which items are new: against the disk, and against each other.
    fn resolve(&mut self, items: &mut [Item<'_>]) -> Result<Vec<Identity>, fjall::Error> {
        let mut order: Vec<(IdKey, usize)> =
            items.iter().enumerate().map(|(n, item)| (item.key, n)).collect();
        // By key, so that neighbours in the tree are looked up and inserted one after another; then by arrival,
        // so that the first wins.
        order.sort_unstable();
        let mut identities: Vec<Identity> = Vec::with_capacity(order.len());
        let recent = self.disk.recent.maps();
        for (key, n) in order {
            if identities.last().is_none_or(|last| last.key != key) {
                let slot = match recent.get(&key) {
                    Some(slot) => slot,
                    None => self.disk.ids.get(key)?.map_or_else(Slot::default, |slot| Slot::decode(&slot)),
                };
                identities.push(Identity { key, slot, changed: false });
            }
            let at = identities.len() - 1;
            let (item, identity) = (&mut items[n], &mut identities[at]);
            item.identity = at;
            item.fresh = item.want & !identity.slot.kept;
            identity.slot.kept |= item.fresh;
            identity.changed |= item.fresh != 0;
        }
        Ok(identities)
    }

    /// Puts what is new into blocks and sums, in the order of arrival.
    fn shelve(
        &mut self,
        items: &[Item<'_>],
        identities: &mut [Identity],
        now_us: Micros,
        batch: &mut OwnedWriteBatch,
    ) -> Result<(), fjall::Error> {
        let mut shelves: Vec<Shelf<'_>> = Vec::new();
        let mut places: HashMap<&TenantId, usize> = HashMap::new();
        let mut at = 0;
        for item in items.iter().filter(|item| item.fresh != 0) {
            let tenant = item.tenant();
            if shelves.get(at).is_none_or(|shelf| shelf.tenant != tenant) {
                at = *places.entry(tenant).or_insert_with(|| {
                    shelves.push(Shelf::new(tenant));
                    shelves.len() - 1
                });
            }
            let shelf = &mut shelves[at];
            match item.what {
                What::Event { batch: from, index, stamp, event } => {
                    if item.fresh & EVENT != 0 {
                        let number = || next(&mut self.next_block);
                        let (block, index) = shelf.add_event(number, from, index, stamp, event);
                        identities[item.identity].slot.position = Position { block, index };
                        self.totals.events += 1;
                    }
                    if item.fresh & USAGE != 0 {
                        let own = from.metered(index);
                        shelf.meter_event(|| next(&mut self.next_block), stamp, event, own);
                        self.totals.records += 1;
                    }
                }
                What::Record(record) => {
                    shelf.add_record(|| next(&mut self.next_block), record);
                    self.totals.records += 1;
                }
            }
            for full in shelf.take_full(now_us, &mut self.packer).into_iter().flatten() {
                self.stage_block(tenant, full, batch)?;
            }
        }
        for mut shelf in shelves {
            let tenant = shelf.tenant;
            for rest in shelf.take_rest(now_us, &mut self.packer).into_iter().flatten() {
                self.stage_block(tenant, rest, batch)?;
            }
            for (key, value) in shelf.into_sums() {
                self.stage_sum(key, value, batch)?;
            }
        }
        Ok(())
    }

    /// Notes where the events of each batch are that is in its tenants' streams.
    fn stage_tail(
        &mut self,
        items: &[Item<'_>],
        identities: &[Identity],
        batch: &mut OwnedWriteBatch,
    ) -> Result<(), fjall::Error> {
        // The items of a batch follow each other.
        for items in
            items.chunk_by(|a, b| a.batch().map(std::ptr::from_ref) == b.batch().map(std::ptr::from_ref))
        {
            let Some(from) = items.first().and_then(Item::batch) else { continue };
            let entries: Vec<Entry<'_>> = items
                .iter()
                .zip(&from.streamed)
                .filter_map(|(item, &streamed)| {
                    let position = identities[item.identity].slot.event()?;
                    Some(Entry { tenant: item.tenant(), position, streamed })
                })
                .collect();
            if !entries.is_empty() {
                self.ring.stage(&self.disk, from.partition, &entries, &mut self.packer, batch)?;
            }
        }
        Ok(())
    }

    fn stage_block(
        &mut self,
        tenant: &TenantId,
        block: Block,
        batch: &mut OwnedWriteBatch,
    ) -> Result<(), fjall::Error> {
        for minute in block.minutes {
            self.bounds.cover(&self.disk, block.kind, tenant, minute, block.number)?;
        }
        if let Some(head) = block.head {
            batch.insert(&self.disk.index, keys::head(tenant, block.number), head.encode());
        }
        batch.insert(&self.disk.data, keys::block(block.kind, tenant, block.number), block.bytes);
        Ok(())
    }

    /// Adds to a sum. Called once a transaction for each.
    fn stage_sum(&mut self, key: Vec<u8>, add: u64, batch: &mut OwnedWriteBatch) -> Result<(), fjall::Error> {
        let before = match self.sums.get(&key) {
            Some(known) => *known,
            None => self.disk.index.get(&key)?.as_deref().and_then(number).unwrap_or(0),
        };
        let sum = before.saturating_add(add);
        batch.insert(&self.disk.index, &key[..], sum.to_be_bytes());
        self.sums.insert(key, sum);
        Ok(())
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        // The thread that sorts keys holds the database open. If it failed, the log still has what it had.
        drop(self.log.wait(&self.disk));
    }
}

/// The events and records of `works`, in order, hashed.
fn items<'a>(works: &'a [Work], disk: &Disk) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    for work in works {
        match work {
            Work::Batch { batch, want } => items.extend(batch.events().map(|(index, stamp, event)| Item {
                key: disk.hasher.event(&stamp.tenant, event.source(), event.id()),
                want: if stamp.is_metered() { *want } else { *want & EVENT },
                what: What::Event { batch, index, stamp, event },
                identity: 0,
                fresh: 0,
            })),
            Work::Records(records) => items.extend(records.iter().map(|record| Item {
                key: disk.hasher.record(&record.tenant, &record.id),
                want: USAGE,
                what: What::Record(record),
                identity: 0,
                fresh: 0,
            })),
        }
    }
    items
}

impl<'a> Item<'a> {
    fn batch(&self) -> Option<&'a Batch> {
        match self.what {
            What::Event { batch, .. } => Some(batch),
            What::Record(_) => None,
        }
    }

    fn tenant(&self) -> &'a TenantId {
        match self.what {
            What::Event { stamp, .. } => &stamp.tenant,
            What::Record(record) => &record.tenant,
        }
    }
}

pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|n| u64::from_be_bytes(*n))
}

fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number - 1
}
