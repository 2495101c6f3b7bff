//! The port for events.

use std::{fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use model::{Batch, CloudEvent, Micros, Stamp, TenantId, Text};

use crate::{Error, UsageRecord};

/// Keeps every event, finds it by identity, and pages through a tenant's events.
#[async_trait]
pub trait EventStore: Send + Sync + fmt::Debug + 'static {
    /// Keeps a batch. Returns when it is durable. Of events with one identity the first stays: the first written, or, in
    /// a store that many processes write to at once, the first received.
    ///
    /// # Errors
    /// If it is not known to be durable; write the same batch again.
    async fn write(&self, batch: Arc<Batch>) -> Result<Written, Error>;

    /// One event by its identity.
    ///
    /// # Errors
    /// If the store cannot answer.
    async fn get(&self, tenant: &TenantId, source: &str, id: &str) -> Result<Option<StoredEvent>, Error>;

    /// One page of a tenant's events. The order is that in which the store took them, which follows the time of
    /// receipt but for events received within moments of each other.
    ///
    /// # Errors
    /// If the store cannot answer, or the cursor is not one it gave.
    async fn page(&self, tenant: &TenantId, query: &EventQuery) -> Result<EventPage, Error>;

    /// What was written last of a partition, newest batch first, without the `skip` newest: what the lost tail of a tenant
    /// stream is made again from. Of batches written with their stream sequences; at least the last
    /// 60,000 of each partition that were written within a day. Writing a batch again puts it at the front.
    ///
    /// # Errors
    /// If the store cannot answer.
    async fn tail(&self, partition: u32, skip: u64, limit: u32) -> Result<Vec<TailBatch>, Error>;

    /// How many of a tenant's events the query's filters leave (its limit, order and cursor are ignored).
    ///
    /// # Errors
    /// If the store cannot answer.
    async fn count(&self, tenant: &TenantId, query: &EventQuery) -> Result<u64, Error>;
}

/// What writing a batch found out that metering must know, where events and usage are kept apart and usage is not
/// known by the event's identity alone. A store that is both says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Indices of the events, ascending, that were not kept, because another with their identity came first: nothing is to
    /// be metered for them.
    pub again: Vec<u32>,
    /// The records of events that were kept before and gave way to one of this batch that was received earlier:
    /// [void](crate::UsageRecord::void) records.
    pub given_way: Vec<UsageRecord>,
}

/// An event as it is kept, with what its receipt tells.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// What the door knew.
    pub stamp: Arc<Stamp>,
    /// The event.
    pub event: CloudEvent,
    /// Its way here.
    pub place: Place,
}

/// An event's way through the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The partition it travelled in.
    pub partition: u32,
    /// Sequence of its packed message in `RAW`; 0: it never was there, its door has put it into `EVENTS` itself.
    pub raw_sequence: u64,
    /// When the broker stored that, if it did.
    pub raw_stored_at_us: Micros,
    /// When the normalizer was done with it, if it had it.
    pub normalized_at_us: Micros,
    /// Sequence of its packed message in `EVENTS`.
    pub events_sequence: u64,
    /// When the broker stored that.
    pub events_stored_at_us: Micros,
    /// Its index within that message.
    pub index: u32,
    /// When the store took it.
    pub stored_at_us: Micros,
}

/// A batch as it was written, of any tenants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TailBatch {
    /// In order.
    pub events: Vec<StoredEvent>,
    /// The sequence each has in its tenant's stream.
    pub streamed: Vec<u64>,
}

/// Which of a tenant's events. Lists narrow by any of their values; empty ones do not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Received at or after.
    pub since_us: Option<Micros>,
    /// Received before.
    pub until_us: Option<Micros>,
    /// `type` attributes.
    pub types: Vec<Text>,
    /// `source` attributes.
    pub sources: Vec<Text>,
    /// `subject` attributes.
    pub subjects: Vec<Text>,
    /// Which end first.
    pub order: Order,
    /// Most events in a page; 0 counts as 100.
    pub limit: u32,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
}

impl EventQuery {
    /// Whether the filters leave this event.
    #[must_use]
    pub fn matches(&self, stamp: &Stamp, event: &CloudEvent) -> bool {
        let among =
            |list: &[Text], value: Option<&Text>| list.is_empty() || value.is_some_and(|v| list.contains(v));
        self.since_us.is_none_or(|t| stamp.received_at_us >= t)
            && self.until_us.is_none_or(|t| stamp.received_at_us < t)
            && among(&self.types, Some(event.ty()))
            && among(&self.sources, Some(event.source()))
            && among(&self.subjects, event.subject())
    }
}

/// Which end of the events first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The latest first.
    #[default]
    NewestFirst,
    /// The earliest first.
    OldestFirst,
}

/// One page of events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events, at most the query's limit.
    pub events: Vec<StoredEvent>,
    /// Where to go on. A page may be short, even empty, and still have one: a page does a bounded amount of work.
    pub next: Option<Cursor>,
}

/// Where a page ended. Opaque to callers; URL-safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let ok = !s.is_empty()
            && s.len() <= 512
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b));
        if ok {
            Ok(Self(s.to_owned()))
        } else {
            Err(Error::BadCursor("use the next_cursor of a previous page".into()))
        }
    }
}
