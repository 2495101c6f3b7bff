//! The port for usage.

use std::fmt;

use async_trait::async_trait;
use model::{Batch, CustomerId, Micros, TenantId, Text, resource::Aggregation};

use crate::{Cursor, Error, METER_BYTES, METER_EVENTS, Written};

/// The longest name of a meter, in bytes.
pub const METER_NAME_MAX: usize = 255;

/// Different values that one query tells apart at most: some 100 MB of them.
pub const UNIQUE_MAX: usize = 4_000_000;

/// Buckets of one answer in groups.
pub const GROUPED_BUCKETS_MAX: usize = 50_000;

/// What was counted, by meter name. A record carries few, so a list beats a map.
pub type Meters = Vec<(Text, u64)>;

/// Keeps usage records exactly once each, and sums them.
#[async_trait]
pub trait UsageStore: Send + Sync + fmt::Debug + 'static {
    /// Keeps records. Returns when they are durable. Records that agree in tenant, id and time are one: the time is that of
    /// what is counted, never that of the writing. A [void](UsageRecord::void) record takes the one of its key out of
    /// every sum and list, whichever of them is written first; a store that knows records by id alone has no use for it.
    ///
    /// # Errors
    /// If they are not known to be durable; write the same records again. [`Error::Invalid`] if a meter's name is
    /// longer than [`METER_NAME_MAX`] bytes: then none of them is kept.
    async fn write(&self, records: Vec<UsageRecord>) -> Result<(), Error>;

    /// One meter by time bucket, in time order; buckets without records of that meter are left out. Sums are kept ready, of all
    /// and of each customer; anything else reads the records of the range.
    ///
    /// # Errors
    /// If the store cannot answer, or the buckets' width is not a whole number of minutes; [`Error::Invalid`] too if more than
    /// [`UNIQUE_MAX`] different values would have to be told apart.
    async fn aggregate(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        query: &UsageQuery,
    ) -> Result<Vec<UsageBucket>, Error>;

    /// The same in groups, in order of what they are told apart by; records without it come first. Reads the records of the
    /// range.
    ///
    /// # Errors
    /// As [`UsageStore::aggregate`]; [`Error::Invalid`] too if there are more than [`GROUPED_BUCKETS_MAX`] buckets altogether.
    async fn grouped(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        by: Grouping,
        query: &UsageQuery,
    ) -> Result<Vec<GroupUsage>, Error>;

    /// [`UsageStore::aggregate`] by [`Aggregation::Sum`].
    ///
    /// # Errors
    /// As that.
    async fn sum(
        &self,
        tenant: &TenantId,
        meter: &str,
        query: &UsageQuery,
    ) -> Result<Vec<UsageBucket>, Error> {
        self.aggregate(tenant, meter, Aggregation::Sum, query).await
    }

    /// One page of records. The order is the store's own, the same in every walk: that in which it took them, or that of
    /// their times. Records written while a walk is under way may be left out of it.
    ///
    /// # Errors
    /// If the store cannot answer, or the cursor is not one it gave.
    async fn list(&self, tenant: &TenantId, query: &UsageQuery) -> Result<UsagePage, Error>;
}

/// One count with its key, time and origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRecord {
    /// Who used it.
    pub tenant: TenantId,
    /// Unique within the tenant; the same again is the same use.
    pub id: Text,
    /// When it was used.
    pub at_us: Micros,
    /// What of.
    pub origin: Origin,
    /// The tenant's customer that used it, if it is known to be one.
    pub customer: Option<CustomerId>,
    /// The type of the event that it counts; none for anything else, and in records of before types were kept.
    pub event_type: Option<Text>,
    /// How much, by meter.
    pub meters: Meters,
}

impl UsageRecord {
    /// Says that the record of this key does not count: one without meters.
    #[must_use]
    pub fn void(tenant: TenantId, id: Text, at_us: Micros) -> Self {
        let origin = Origin::Other { kind: Text::from_static("void"), reference: id.clone() };
        Self { tenant, id, at_us, origin, customer: None, event_type: None, meters: Vec::new() }
    }

    /// Whether it says that the record of its key does not count.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.meters.is_empty()
    }

    /// What it counts of a meter: should it have several values of it, their sum.
    #[must_use]
    pub fn value_of(&self, meter: &str) -> Option<u64> {
        let values = self.meters.iter().filter(|(name, _)| *name == *meter).map(|(_, value)| *value);
        values.reduce(u64::saturating_add)
    }

    /// By which group it is counted; none: by that of those without.
    #[must_use]
    pub fn group(&self, by: Grouping) -> Option<&Text> {
        match (by, &self.origin) {
            (Grouping::Source, Origin::Event { source, .. }) => Some(source),
            (Grouping::Source, Origin::Other { .. }) => None,
            (Grouping::EventType, _) => self.event_type.as_ref(),
            (Grouping::Customer, _) => self.customer.as_ref().map(CustomerId::as_text),
        }
    }
}

/// What a usage record counts, so that an invoice line can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An event was accepted.
    Event {
        /// Its source attribute.
        source: Text,
        /// Its id attribute.
        id: Text,
    },
    /// Anything else, named by its kind and a reference.
    Other {
        /// Such as `delivery`.
        kind: Text,
        /// Such as the attempt's id.
        reference: Text,
    },
}

/// Which usage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// Used at or after.
    pub since_us: Option<Micros>,
    /// Used before.
    pub until_us: Option<Micros>,
    /// By this customer of the tenant's; none: by whomever.
    pub customer: Option<CustomerId>,
    /// In lists, only records that have this meter, if it is named.
    pub meter: Option<Text>,
    /// Width of a bucket: any whole number of minutes; 0 gives one bucket for the whole range.
    pub bucket_us: i64,
    /// Most records in a page; 0 counts as 100.
    pub limit: u32,
    /// Where the previous page ended.
    pub cursor: Option<Cursor>,
}

/// A meter over a time bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBucket {
    /// Its beginning: a multiple of the width, or of the first record's minute when the width is 0.
    pub start_us: Micros,
    /// The sum, count or whatever was asked for.
    pub value: u64,
}

/// What groups of usage are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// The events' source attribute; none where no event caused it.
    Source,
    /// The events' type attribute; none where no event caused it, or it is not known.
    EventType,
    /// The customer; none where it is nobody's in particular.
    Customer,
}

/// A meter over time, of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupUsage {
    /// What it is told apart by; none: it has none.
    pub group: Option<Text>,
    /// As in [`UsageStore::aggregate`].
    pub buckets: Vec<UsageBucket>,
}

/// One page of records.
#[derive(Debug, Clone, PartialEq)]
pub struct UsagePage {
    /// The records.
    pub records: Vec<UsageRecord>,
    /// Where to go on.
    pub next: Option<Cursor>,
}

/// The id of an event's usage record. A source is a URI reference and holds no space: the first space ends it.
#[must_use]
pub fn record_id(source: &str, id: &str) -> Text {
    format!("{source} {id}").into()
}

/// The usage records of a batch that was written: one a metered event that was kept, under the event's own key, counted at the
/// time of receipt; and those that take back what gave way to it.
pub fn records_of<'a>(batch: &'a Batch, written: &'a Written) -> impl Iterator<Item = UsageRecord> + 'a {
    let kept = batch
        .events()
        .filter(|(index, stamp, _)| stamp.is_metered() && written.again.binary_search(index).is_err());
    let records = kept.map(|(index, stamp, event)| {
        let mut meters = vec![
            (Text::from_static(METER_EVENTS), 1),
            (Text::from_static(METER_BYTES), u64::try_from(event.size()).unwrap_or(u64::MAX)),
        ];
        meters.extend_from_slice(batch.metered(index));
        UsageRecord {
            tenant: stamp.tenant.clone(),
            id: record_id(event.source(), event.id()),
            at_us: stamp.received_at_us,
            origin: Origin::Event { source: event.source().clone(), id: event.id().clone() },
            customer: stamp.customer.clone(),
            event_type: Some(event.ty().clone()),
            meters,
        }
    });
    records.chain(written.given_way.iter().cloned())
}
