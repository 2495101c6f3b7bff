//! One event as a row.
//!
//! What a filter needs has a column of its own; the rest of the event is the inner hops' `Event` without that, in one
//! blob; the data is the same message with nothing else in it, in another, so that it can be taken away alone. What
//! the receipt tells is a third.

use std::sync::Arc;

use bytes::Bytes;
use model::{Batch, CloudEvent, Micros, Stamp, TenantId, Text};
use prost::Message;
use proto::hops;
use scylla::{DeserializeRow, SerializeRow, value::MaybeUnset};

use super::{
    failure::unreadable,
    key::{Bucket, Key},
};
use crate::{Error, EventQuery, Place, StoredEvent};

/// What a receipt tells that is not in the key.
#[derive(Clone, PartialEq, Message)]
struct Receipt {
    #[prost(message, optional, tag = "1")]
    stamp: Option<hops::Stamp>,
    #[prost(uint64, tag = "2")]
    raw_sequence: u64,
    #[prost(sint64, tag = "3")]
    raw_stored_at_us: i64,
    #[prost(sint64, tag = "4")]
    normalized_at_us: i64,
    #[prost(sint64, tag = "5")]
    events_stored_at_us: i64,
    #[prost(sint64, tag = "6")]
    stored_at_us: i64,
}

/// The receipt of all events of a request in a batch.
pub(super) fn receipt(batch: &Batch, stamp: &Stamp, stored_at_us: Micros) -> Bytes {
    let receipt = Receipt {
        stamp: Some(stamp.into()),
        raw_sequence: batch.raw_sequence,
        raw_stored_at_us: batch.raw_stored_at_us,
        normalized_at_us: batch.normalized_at_us,
        events_stored_at_us: batch.stored_at_us,
        stored_at_us,
    };
    receipt.encode_to_vec().into()
}

/// A row on its way to the table.
#[derive(Debug, SerializeRow)]
pub(super) struct NewRow<'a> {
    pub(super) tenant: &'a str,
    level: i8,
    window: i64,
    shard: i8,
    received_at: i64,
    stream_partition: i64,
    stream_sequence: i64,
    idx: i32,
    #[scylla(rename = "type")]
    ty: &'a str,
    source: &'a str,
    // Unset, not null: a null is a tombstone.
    subject: MaybeUnset<&'a str>,
    id: &'a str,
    envelope: Vec<u8>,
    receipt: Bytes,
    data: MaybeUnset<Vec<u8>>,
    #[scylla(rename = "[ttl]")]
    ttl: i32,
}

impl<'a> NewRow<'a> {
    pub(super) fn new(
        tenant: &'a TenantId,
        bucket: Bucket,
        key: Key,
        event: &'a CloudEvent,
        receipt: Bytes,
        with_data: bool,
        ttl: i32,
    ) -> Self {
        let mut wire = hops::Event::from(event);
        let data = wire.data.take().filter(|_| with_data);
        for column in [&mut wire.id, &mut wire.source, &mut wire.r#type, &mut wire.subject] {
            *column = Bytes::new();
        }
        let (level, window, shard) = bucket.values();
        Self {
            tenant,
            level,
            window,
            shard,
            received_at: key.received_at,
            stream_partition: key.partition,
            stream_sequence: key.sequence,
            idx: key.index,
            ty: event.ty(),
            source: event.source(),
            subject: event.subject().map_or(MaybeUnset::Unset, |s| MaybeUnset::Set(s)),
            id: event.id(),
            envelope: wire.encode_to_vec(),
            receipt,
            data: data.map_or(MaybeUnset::Unset, |data| {
                MaybeUnset::Set(hops::Event { data: Some(data), ..hops::Event::default() }.encode_to_vec())
            }),
            ttl,
        }
    }

    /// About its bytes in a request.
    pub(super) fn size(&self) -> u64 {
        let data = match &self.data {
            MaybeUnset::Set(data) => data.len(),
            MaybeUnset::Unset => 0,
        };
        let text = self.tenant.len() + self.ty.len() + self.source.len() + self.id.len();
        u64::try_from(128 + text + self.envelope.len() + self.receipt.len() + data).unwrap_or(u64::MAX)
    }
}

/// A row as it is read. Of one that another gave way to, or that only says so, columns may be missing.
#[derive(Debug, DeserializeRow)]
pub(super) struct Row {
    received_at: i64,
    stream_partition: i64,
    stream_sequence: i64,
    idx: i32,
    #[scylla(rename = "type")]
    ty: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    id: Option<String>,
    envelope: Option<Bytes>,
    receipt: Option<Bytes>,
    data: Option<Bytes>,
    superseded: Option<bool>,
    erased: Option<bool>,
}

impl Row {
    pub(super) fn key(&self) -> Key {
        Key {
            received_at: self.received_at,
            partition: self.stream_partition,
            sequence: self.stream_sequence,
            index: self.idx,
        }
    }

    /// Whether it holds an event at all, whatever became of it.
    pub(super) fn is_whole(&self) -> bool {
        self.envelope.is_some()
    }

    /// Whether it is to be seen: whole, and not given way to another.
    pub(super) fn is_kept(&self) -> bool {
        self.is_whole() && self.superseded != Some(true)
    }

    /// Whether its data was taken away for good.
    pub(super) fn is_erased(&self) -> bool {
        self.erased == Some(true)
    }

    /// Whether the filters leave it (see [`EventQuery::matches`]); its time is the statement's matter.
    pub(super) fn matches(&self, query: &EventQuery) -> bool {
        matches(query, self.ty.as_deref(), self.source.as_deref(), self.subject.as_deref())
    }

    pub(super) fn size(&self) -> u64 {
        let len = |b: &Option<Bytes>| b.as_ref().map_or(0, Bytes::len);
        u64::try_from(256 + len(&self.envelope) + len(&self.receipt) + len(&self.data)).unwrap_or(u64::MAX)
    }

    pub(super) fn into_event(self) -> Result<StoredEvent, Error> {
        let missing = || unreadable("an event without its columns");
        let (key, erased) = (self.key(), self.is_erased());
        let mut wire = hops::Event::decode(self.envelope.ok_or_else(missing)?).map_err(unreadable)?;
        wire.id = self.id.ok_or_else(missing)?.into();
        wire.source = self.source.ok_or_else(missing)?.into();
        wire.r#type = self.ty.ok_or_else(missing)?.into();
        wire.subject = self.subject.unwrap_or_default().into();
        if let Some(data) = self.data.filter(|_| !erased) {
            wire.data = hops::Event::decode(data).map_err(unreadable)?.data;
        }
        let receipt = Receipt::decode(self.receipt.ok_or_else(missing)?).map_err(unreadable)?;
        let stamp = Stamp::try_from(receipt.stamp.ok_or_else(missing)?).map_err(unreadable)?;
        Ok(StoredEvent {
            stamp: Arc::new(stamp),
            event: CloudEvent::try_from(wire).map_err(unreadable)?,
            place: Place {
                partition: u32::try_from(key.partition).map_err(unreadable)?,
                raw_sequence: receipt.raw_sequence,
                raw_stored_at_us: receipt.raw_stored_at_us,
                normalized_at_us: receipt.normalized_at_us,
                events_sequence: key.sequence.cast_unsigned(),
                events_stored_at_us: receipt.events_stored_at_us,
                index: key.index.cast_unsigned(),
                stored_at_us: receipt.stored_at_us,
            },
        })
    }
}

/// Whether a query's lists leave an event of these attributes.
pub(super) fn matches(
    query: &EventQuery,
    ty: Option<&str>,
    source: Option<&str>,
    subject: Option<&str>,
) -> bool {
    let among = |list: &[Text], value: Option<&str>| {
        list.is_empty() || value.is_some_and(|value| list.iter().any(|t| *t == *value))
    };
    among(&query.types, ty) && among(&query.sources, source) && among(&query.subjects, subject)
}
