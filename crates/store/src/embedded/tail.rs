//! The tail: for each partition, where the events of its last batches are and which sequences they got in their
//! tenants' streams. A ring in the index, overwritten round by round, so that it never grows beyond its size.
//!
//! | key | value |
//! |---|---|
//! | `T` partition slot | one batch: its events' places and stream sequences |
//! | `Mtail` partition | how many batches the partition has ever had |

use std::collections::HashMap;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, Readable as _, Slice};
use model::TenantId;

use super::{
    codec::{Packer, Reader, put_bytes, put_len, put_signed, put_varint, unpack},
    disk::Disk,
    event_block::EventBlock,
    keys::{self, Position},
    read_events::block_if_there,
};
use crate::{Error, TailBatch};

/// Batches kept of each partition: at the highest rates some minutes, which is longer than any broker or disk
/// keeps what it has acknowledged only in memory.
const BATCHES: u64 = 65_536;

fn slot_key(partition: u32, number: u64) -> Vec<u8> {
    let slot = u32::try_from(number % BATCHES).unwrap_or_default();
    [b"T", &partition.to_be_bytes()[..], &slot.to_be_bytes()[..]].concat()
}

fn count_key(partition: u32) -> Vec<u8> {
    [b"Mtail", &partition.to_be_bytes()[..]].concat()
}

/// One event of a batch on its way into the ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) position: Position,
    pub(super) streamed: u64,
}

/// Writes the ring.
#[derive(Debug, Default)]
pub(super) struct Ring {
    counts: HashMap<u32, u64>,
}

impl Ring {
    /// Adds a batch to the transaction.
    pub(super) fn stage(
        &mut self,
        disk: &Disk,
        partition: u32,
        entries: &[Entry<'_>],
        packer: &mut Packer,
        batch: &mut OwnedWriteBatch,
    ) -> Result<(), fjall::Error> {
        let number = match self.counts.get(&partition) {
            Some(known) => *known,
            None => disk.index.get(count_key(partition))?.as_deref().map_or(0, number),
        };
        batch.insert(&disk.index, slot_key(partition, number), encode(entries, packer));
        batch.insert(&disk.index, count_key(partition), (number + 1).to_be_bytes());
        self.counts.insert(partition, number + 1);
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |n| u64::from_be_bytes(*n))
}

/// Differences to the entry before: neighbours lie side by side, in the block and in the stream.
fn encode(entries: &[Entry<'_>], packer: &mut Packer) -> Slice {
    let raw = packer.begin();
    put_len(raw, entries.len());
    let mut tenant: Option<&TenantId> = None;
    let (mut block, mut streamed) = (0u64, 0u64);
    for entry in entries {
        if tenant == Some(entry.tenant) {
            put_varint(raw, 0);
        } else {
            put_bytes(raw, entry.tenant.as_bytes());
            tenant = Some(entry.tenant);
        }
        put_signed(raw, entry.position.block.wrapping_sub(block).cast_signed());
        put_varint(raw, u64::from(entry.position.index));
        put_signed(raw, entry.streamed.wrapping_sub(streamed).cast_signed());
        (block, streamed) = (entry.position.block, entry.streamed);
    }
    packer.finish(&[])
}

/// Batches of a partition, newest first, without the `skip` newest.
pub(super) fn read(disk: &Disk, partition: u32, skip: u64, limit: u32) -> Result<Vec<TailBatch>, Error> {
    let snapshot = disk.snapshot();
    let count = snapshot.get(&disk.index, count_key(partition)).map_err(Disk::read_error)?;
    let count = count.as_deref().map_or(0, number);
    let mut batches = Vec::new();
    for nth in skip..skip.saturating_add(u64::from(limit)).min(count.min(BATCHES)) {
        let found =
            snapshot.get(&disk.index, slot_key(partition, count - 1 - nth)).map_err(Disk::read_error)?;
        let Some(found) = found else { break };
        batches.push(decode(disk, &snapshot, Bytes::copy_from_slice(&found))?);
    }
    Ok(batches)
}

/// The places of a batch's events, read one after another.
struct Places {
    reader: Reader,
    left: usize,
    tenant: Option<TenantId>,
    number: u64,
    streamed: u64,
}

impl Places {
    fn new(packed: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(unpack(packed)?);
        Ok(Self { left: reader.count()?, reader, tenant: None, number: 0, streamed: 0 })
    }

    /// The next event's tenant, position and sequence in its stream.
    fn next(&mut self) -> Result<Option<(TenantId, Position, u64)>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let name = self.reader.text()?;
        if !name.is_empty() {
            self.tenant = Some(TenantId::from_text(name).map_err(|e| Error::Corrupt(e.to_string()))?);
        }
        let tenant =
            self.tenant.clone().ok_or_else(|| Error::Corrupt("a place without its tenant".into()))?;
        self.number = self.number.wrapping_add(self.reader.signed()?.cast_unsigned());
        let index = self.reader.u32()?;
        self.streamed = self.streamed.wrapping_add(self.reader.signed()?.cast_unsigned());
        Ok(Some((tenant, Position { block: self.number, index }, self.streamed)))
    }
}

/// What was taken away since is left out.
fn decode(disk: &Disk, snapshot: &fjall::Snapshot, packed: Bytes) -> Result<TailBatch, Error> {
    let mut places = Places::new(packed)?;
    let mut batch = TailBatch::default();
    let mut open: Option<(u64, Option<EventBlock>)> = None;
    while let Some((tenant, position, streamed)) = places.next()? {
        if open.as_ref().is_none_or(|(at, _)| *at != position.block) {
            open = Some((position.block, block_if_there(disk, snapshot, &tenant, position.block)?));
        }
        let Some((_, Some(block))) = &open else { continue };
        let event = block.peek(position.index)?;
        let erased = || snapshot.contains_key(&disk.index, keys::erased(&tenant, position));
        if event.has_data() || !erased().map_err(Disk::read_error)? {
            batch.events.push(event.into_event()?);
            batch.streamed.push(streamed);
        }
    }
    Ok(batch)
}

/// The keys of the batches that hold something of a tenant's.
pub(super) fn slots_with(disk: &Disk, tenant: &TenantId) -> Result<Vec<Vec<u8>>, Error> {
    let snapshot = disk.snapshot();
    let mut slots = Vec::new();
    for entry in snapshot.prefix(&disk.index, b"T") {
        let (key, value) = entry.into_inner().map_err(Disk::read_error)?;
        let mut places = Places::new(Bytes::copy_from_slice(&value))?;
        while let Some((whose, ..)) = places.next()? {
            if whose == *tenant {
                slots.push(key.to_vec());
                break;
            }
        }
    }
    Ok(slots)
}

/// A batch without a tenant's events; none if it has none of them.
pub(super) fn without(packed: Bytes, tenant: &TenantId, packer: &mut Packer) -> Result<Option<Slice>, Error> {
    let mut places = Places::new(packed)?;
    let (mut rest, mut all) = (Vec::new(), 0);
    while let Some(place) = places.next()? {
        all += 1;
        if place.0 != *tenant {
            rest.push(place);
        }
    }
    if rest.len() == all {
        return Ok(None);
    }
    let entries: Vec<Entry<'_>> = rest
        .iter()
        .map(|(tenant, position, streamed)| Entry { tenant, position: *position, streamed: *streamed })
        .collect();
    Ok(Some(encode(&entries, packer)))
}
