//! The identities of late: in memory, until enough have gathered to be sorted into a file.
//!
//! Most of what keeping an event costs is its key. Random keys put one by one into the engine's sorted memory cost
//! more than everything else together (ADR 0002), so they are gathered here in a hash map, as fast to ask as to fill, and
//! handed to the engine in bulk, sorted. Each transaction carries its own keys as one entry of a log; the log is
//! read back at the start, and its entries are removed once the keys are in a file.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    ops::Range,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    thread::{self, JoinHandle},
};

use fjall::{Keyspace, OwnedWriteBatch, PersistMode};

use super::{
    disk::Disk,
    keys::IdKey,
    slot::{Encoded, Slot},
};
use crate::Error;

type Map = HashMap<IdKey, Encoded, BuildHasherDefault<FirstBytes>>;

/// Bytes a map takes for each place it has, and the share of places that are taken before it grows.
const PLACE_BYTES: u64 = 16 + 10 + 1;
/// Entries of the log: so that many small transactions are tidied up as well.
const LOG_ENTRIES_MAX: u64 = 16_384;

/// The keys are hashes already.
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {
        // The length of the key, which is always the same.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What readers and the writer share.
#[derive(Debug, Default)]
pub(super) struct Recent(RwLock<Maps>);

#[derive(Debug, Default)]
pub(super) struct Maps {
    filling: Map,
    /// On its way into a file; there until it is in it.
    leaving: Option<Arc<Map>>,
}

impl Maps {
    pub(super) fn get(&self, key: &IdKey) -> Option<Slot> {
        let found = self.filling.get(key).or_else(|| self.leaving.as_ref().and_then(|map| map.get(key)));
        found.map(|slot| Slot::decode(slot))
    }
}

impl Recent {
    pub(super) fn maps(&self) -> RwLockReadGuard<'_, Maps> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Maps) -> T) -> T {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct Log {
    /// Entries that are not removed yet.
    entries: Range<u64>,
    /// The first entry whose keys are in the map that is being filled.
    filling_from: u64,
    keys_max: usize,
    leaving: Option<JoinHandle<Result<(), fjall::Error>>>,
}

impl Log {
    /// Reads the log back into the map. `bytes_max` is what a map may take.
    pub(super) fn read(log: &Keyspace, recent: &Recent, bytes_max: u64) -> Result<Self, Error> {
        let mut entries = 0..0;
        let mut map = Map::default();
        for entry in log.iter() {
            let (key, value) = entry.into_inner().map_err(Disk::read_error)?;
            let number = key.first_chunk().map(|n| u64::from_be_bytes(*n));
            let number = number.ok_or_else(|| Error::Corrupt("a log entry without a number".into()))?;
            if entries.is_empty() {
                entries.start = number;
            }
            entries.end = number + 1;
            for entry in value.as_chunks::<26>().0 {
                if let (Some(key), Some(slot)) = (entry.first_chunk(), entry.last_chunk()) {
                    map.insert(*key, *slot);
                }
            }
        }
        recent.change(|maps| maps.filling = map);
        // The largest power of two of places, of which seven in eight are used.
        let places = (bytes_max / PLACE_BYTES).max(1_024).ilog2();
        let keys_max = (1usize << places.min(32)) / 8 * 7;
        Ok(Self { filling_from: entries.start, entries, keys_max, leaving: None })
    }

    /// Adds a transaction's keys to it, and the removal of what has come into a file.
    pub(super) fn stage(&mut self, disk: &Disk, keys: &[(IdKey, Slot)], batch: &mut OwnedWriteBatch) {
        if !keys.is_empty() {
            let mut entry = Vec::with_capacity(keys.len() * 26);
            for (key, slot) in keys {
                entry.extend_from_slice(key);
                entry.extend_from_slice(&slot.encode());
            }
            batch.insert(&disk.log, self.entries.end.to_be_bytes(), entry);
            self.entries.end += 1;
        }
        if self.leaving.is_none() {
            for number in self.entries.start..self.filling_from {
                batch.remove(&disk.log, number.to_be_bytes());
            }
            self.entries.start = self.filling_from;
        }
    }

    /// Makes a transaction's keys known, once it is kept.
    pub(super) fn publish(recent: &Recent, keys: &[(IdKey, Slot)]) {
        recent.change(|maps| maps.filling.extend(keys.iter().map(|(key, slot)| (*key, slot.encode()))));
    }

    /// Hands the keys over to a file when there are enough of them.
    pub(super) fn tidy(&mut self, disk: &Disk) -> Result<(), fjall::Error> {
        let enough = disk.recent.maps().filling.len() >= self.keys_max
            || self.entries.end - self.filling_from >= LOG_ENTRIES_MAX;
        if enough || self.leaving.as_ref().is_some_and(JoinHandle::is_finished) {
            self.wait(disk)?;
        }
        if enough {
            let map = disk.recent.change(|maps| {
                let next = Map::with_capacity_and_hasher(self.keys_max, BuildHasherDefault::default());
                let map = Arc::new(std::mem::replace(&mut maps.filling, next));
                maps.leaving = Some(Arc::clone(&map));
                map
            });
            self.filling_from = self.entries.end;
            let disk = disk.clone();
            let thread =
                thread::Builder::new().name("store-keys".into()).spawn(move || into_file(&disk, &map))?;
            self.leaving = Some(thread);
        }
        Ok(())
    }

    /// Waits until the keys that are leaving have left.
    pub(super) fn wait(&mut self, disk: &Disk) -> Result<(), fjall::Error> {
        if let Some(thread) = self.leaving.take() {
            thread.join().unwrap_or(Err(fjall::Error::Poisoned))?;
            disk.recent.change(|maps| maps.leaving = None);
        }
        Ok(())
    }
}

/// Sorts keys into a file of the engine's.
fn into_file(disk: &Disk, map: &Map) -> Result<(), fjall::Error> {
    let mut keys: Vec<(IdKey, Encoded)> = map.iter().map(|(key, slot)| (*key, *slot)).collect();
    keys.sort_unstable();
    // No key may survive a power cut that its event does not: then the event sent again would count as kept.
    disk.db.persist(PersistMode::SyncAll)?;
    let mut file = disk.ids.start_ingestion()?;
    for (key, slot) in keys {
        if Slot::decode(&slot).kept == 0 {
            file.write_tombstone(key)?;
        } else {
            file.write(key, slot)?;
        }
    }
    file.finish()
}
