//! A block of one tenant's events: what requests and messages have in common written once, then each event.

use std::sync::Arc;

use bytes::Bytes;
use fjall::Slice;
use model::{Batch, CloudEvent, Micros, Stamp, Text};
use prost::Message as _;
use proto::hops;

use super::{
    codec::{Packer, Reader, put_bytes, put_len, put_signed, put_varint, unpack},
    head::{Head, HeadBuilder},
    wire::put_event,
};
use crate::{Error, Place, StoredEvent};

/// A block takes no more events once it has this many …
pub(super) const EVENTS_MAX: u32 = 128;
/// … or this many bytes. A single event may be larger.
pub(super) const BYTES_MAX: usize = 256 << 10;

/// A block being filled.
#[derive(Debug, Default)]
pub(super) struct EventBlockBuilder {
    head: HeadBuilder,
    stamps: Vec<Arc<Stamp>>,
    ways: Vec<Way>,
    rows: Vec<u8>,
}

/// What the events of one message have in common of their [`Place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    partition: u32,
    raw_sequence: u64,
    raw_stored_at_us: Micros,
    normalized_at_us: Micros,
    events_sequence: u64,
    events_stored_at_us: Micros,
}

impl Way {
    fn of(batch: &Batch) -> Self {
        Self {
            partition: batch.partition,
            raw_sequence: batch.raw_sequence,
            raw_stored_at_us: batch.raw_stored_at_us,
            normalized_at_us: batch.normalized_at_us,
            events_sequence: batch.sequence,
            events_stored_at_us: batch.stored_at_us,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.partition));
        put_varint(out, self.raw_sequence);
        put_signed(out, self.raw_stored_at_us);
        put_signed(out, self.normalized_at_us);
        put_varint(out, self.events_sequence);
        put_signed(out, self.events_stored_at_us);
    }

    fn decode(reader: &mut Reader) -> Result<Self, Error> {
        Ok(Self {
            partition: reader.u32()?,
            raw_sequence: reader.varint()?,
            raw_stored_at_us: reader.signed()?,
            normalized_at_us: reader.signed()?,
            events_sequence: reader.varint()?,
            events_stored_at_us: reader.signed()?,
        })
    }
}

/// The index of `item` in `list`, added if need be. Looks from the end: neighbours are alike.
fn intern<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().rposition(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

impl EventBlockBuilder {
    /// Adds an event and gives its index in the block. `index` is that in its batch.
    pub(super) fn add(&mut self, batch: &Batch, index: u32, stamp: &Arc<Stamp>, event: &CloudEvent) -> u32 {
        let at = self.head.count();
        self.head.add(stamp.received_at_us, event);
        let stamp_at = match self.stamps.iter().rposition(|s| Arc::ptr_eq(s, stamp)) {
            Some(known) => known,
            None => intern(&mut self.stamps, Arc::clone(stamp)),
        };
        let way_at = intern(&mut self.ways, Way::of(batch));
        put_len(&mut self.rows, stamp_at);
        put_len(&mut self.rows, way_at);
        put_varint(&mut self.rows, u64::from(index));
        put_event(&mut self.rows, event);
        at
    }

    pub(super) fn is_full(&self) -> bool {
        self.head.count() >= EVENTS_MAX || self.rows.len() >= BYTES_MAX
    }

    /// The block and its head.
    pub(super) fn finish(self, stored_at_us: Micros, packer: &mut Packer) -> (Head, Slice) {
        let raw = packer.begin();
        put_front(raw, stored_at_us, &self.stamps, &self.ways);
        put_varint(raw, u64::from(self.head.count()));
        raw.extend_from_slice(&self.rows);
        (self.head.finish(), packer.finish(&[]))
    }
}

/// What stands before a block's rows.
fn put_front(raw: &mut Vec<u8>, stored_at_us: Micros, stamps: &[Arc<Stamp>], ways: &[Way]) {
    put_signed(raw, stored_at_us);
    put_len(raw, stamps.len());
    for stamp in stamps {
        put_bytes(raw, &hops::Stamp::from(&**stamp).encode_to_vec());
    }
    put_len(raw, ways.len());
    ways.iter().for_each(|way| way.encode(raw));
}

/// A block read back, its events not yet decoded.
#[derive(Debug)]
pub(super) struct EventBlock {
    stored_at_us: Micros,
    stamps: Vec<Arc<Stamp>>,
    ways: Vec<Way>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    stamp: usize,
    way: usize,
    index: u32,
    event: Bytes,
}

impl EventBlock {
    pub(super) fn decode(packed: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(unpack(packed)?);
        let stored_at_us = reader.signed()?;
        let stamps = (0..reader.count()?).map(|_| {
            let wire = hops::Stamp::decode(reader.bytes()?).map_err(unreadable)?;
            Ok(Arc::new(Stamp::try_from(wire).map_err(unreadable)?))
        });
        let stamps = stamps.collect::<Result<_, Error>>()?;
        let ways = (0..reader.count()?).map(|_| Way::decode(&mut reader)).collect::<Result<_, _>>()?;
        let rows = (0..reader.count()?).map(|_| {
            Ok(Row { stamp: reader.len()?, way: reader.len()?, index: reader.u32()?, event: reader.bytes()? })
        });
        let rows = rows.collect::<Result<_, Error>>()?;
        Ok(Self { stored_at_us, stamps, ways, rows })
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Takes an event's data away.
    pub(super) fn drop_data(&mut self, at: u32) -> Result<(), Error> {
        let row = usize::try_from(at).ok().and_then(|at| self.rows.get_mut(at));
        let row = row.ok_or_else(|| Error::Corrupt(format!("no event {at} in its block")))?;
        let mut event = hops::Event::decode(row.event.clone()).map_err(unreadable)?;
        event.data = None;
        row.event = event.encode_to_vec().into();
        Ok(())
    }

    /// The block as it is now.
    pub(super) fn encode(&self, packer: &mut Packer) -> Slice {
        let raw = packer.begin();
        put_front(raw, self.stored_at_us, &self.stamps, &self.ways);
        put_len(raw, self.rows.len());
        for row in &self.rows {
            put_len(raw, row.stamp);
            put_len(raw, row.way);
            put_varint(raw, u64::from(row.index));
            put_bytes(raw, &row.event);
        }
        packer.finish(&[])
    }

    /// An event as it is on the wire: cheap to look at, not yet checked.
    pub(super) fn peek(&self, at: u32) -> Result<Peek<'_>, Error> {
        let row = usize::try_from(at).ok().and_then(|at| self.rows.get(at));
        let row = row.ok_or_else(|| Error::Corrupt(format!("no event {at} in its block")))?;
        let missing = || Error::Corrupt("an event without its stamp".into());
        Ok(Peek {
            block: self,
            row,
            stamp: self.stamps.get(row.stamp).ok_or_else(missing)?,
            way: self.ways.get(row.way).ok_or_else(missing)?,
            event: hops::Event::decode(row.event.clone()).map_err(unreadable)?,
        })
    }
}

/// One event of a block.
#[derive(Debug)]
pub(super) struct Peek<'a> {
    block: &'a EventBlock,
    row: &'a Row,
    stamp: &'a Arc<Stamp>,
    way: &'a Way,
    event: hops::Event,
}

impl Peek<'_> {
    /// Its source and id, if they are text.
    pub(super) fn identity(&self) -> Option<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some((text(&self.event.source)?, text(&self.event.id)?))
    }

    /// Whether it has data.
    pub(super) fn has_data(&self) -> bool {
        self.event.data.is_some()
    }

    pub(super) fn is(&self, source: &str, id: &str) -> bool {
        self.event.source == source.as_bytes() && self.event.id == id.as_bytes()
    }

    /// Whether the filters leave this event (see [`crate::EventQuery::matches`]).
    pub(super) fn matches(&self, query: &crate::EventQuery) -> bool {
        let among =
            |list: &[Text], value: &Bytes| list.is_empty() || list.iter().any(|t| t.as_bytes() == value);
        query.since_us.is_none_or(|t| self.stamp.received_at_us >= t)
            && query.until_us.is_none_or(|t| self.stamp.received_at_us < t)
            && among(&query.types, &self.event.r#type)
            && among(&query.sources, &self.event.source)
            // An absent subject is empty on the wire, and no subject is: a filter never takes it.
            && among(&query.subjects, &self.event.subject)
            && (query.subjects.is_empty() || !self.event.subject.is_empty())
    }

    /// Its size on the wire.
    pub(super) fn size(&self) -> usize {
        self.row.event.len()
    }

    pub(super) fn into_event(self) -> Result<StoredEvent, Error> {
        let Way {
            partition,
            raw_sequence,
            raw_stored_at_us,
            normalized_at_us,
            events_sequence,
            events_stored_at_us,
        } = *self.way;
        Ok(StoredEvent {
            stamp: Arc::clone(self.stamp),
            event: CloudEvent::try_from(self.event).map_err(unreadable)?,
            place: Place {
                partition,
                raw_sequence,
                raw_stored_at_us,
                normalized_at_us,
                events_sequence,
                events_stored_at_us,
                index: self.row.index,
                stored_at_us: self.block.stored_at_us,
            },
        })
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Corrupt(error.to_string())
}
