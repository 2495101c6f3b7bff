//! A usage record as a row.
//!
//! The record of an event that carries what every event's does, and whose id is the event's own, is its id and two
//! numbers: nothing is written twice. Any other record keeps its meters in a map and its origin in words.

use clickhouse::Row;
use model::{CustomerId, TenantId, Text};
use serde::{Deserialize, Serialize};

use crate::{Error, METER_BYTES, METER_EVENTS, Origin, UsageRecord};

/// The column `origin`.
mod origin {
    /// An event; its source and id are in the record's id.
    pub(super) const EVENT: i8 = 1;
    /// An event; its source and id are in columns of their own.
    pub(super) const NAMED_EVENT: i8 = 2;
    /// Anything else, in the columns `kind` and `reference`.
    pub(super) const OTHER: i8 = 3;
}

/// A row as it is inserted. The table adds `key`, the hash of the id.
#[derive(Debug, Row, Serialize)]
pub(super) struct InsertRow<'a> {
    tenant: &'a str,
    at_us: i64,
    id: &'a str,
    void: u8,
    origin: i8,
    kind: &'a str,
    source: &'a str,
    reference: &'a str,
    events: u64,
    bytes: u64,
    /// Empty for a void record, and for exactly one count of `events` and one of `bytes`, in that order.
    meters: Vec<(&'a str, u64)>,
    /// Empty for nobody in particular.
    customer: &'a str,
    /// Empty for none.
    event_type: &'a str,
}

impl<'a> InsertRow<'a> {
    pub(super) fn of(record: &'a UsageRecord) -> Self {
        let (origin, kind, source, reference) = match &record.origin {
            _ if record.is_void() => (origin::EVENT, "", "", ""),
            Origin::Event { source, id } if is_derived(&record.id, source, id) => (origin::EVENT, "", "", ""),
            Origin::Event { source, id } => (origin::NAMED_EVENT, "", &**source, &**id),
            Origin::Other { kind, reference } => (origin::OTHER, &**kind, "", &**reference),
        };
        let sum = |meter: &str| {
            let values = record.meters.iter().filter(|(name, _)| name == meter).map(|(_, value)| *value);
            values.fold(0, u64::saturating_add)
        };
        let plain = record.meters.iter().map(|(name, _)| &**name).eq([METER_EVENTS, METER_BYTES]);
        let meters = if plain { &[] } else { &*record.meters };
        Self {
            tenant: record.tenant.as_str(),
            at_us: record.at_us,
            id: &record.id,
            void: record.is_void().into(),
            origin,
            kind,
            source,
            reference,
            events: sum(METER_EVENTS),
            bytes: sum(METER_BYTES),
            meters: meters.iter().map(|(name, value)| (&**name, *value)).collect(),
            customer: record.customer.as_deref().unwrap_or_default(),
            event_type: record.event_type.as_deref().unwrap_or_default(),
        }
    }
}

/// Whether a record's id is the one [`record_id`] makes, and gives source and id back.
fn is_derived(record: &str, source: &str, id: &str) -> bool {
    !source.contains(' ') && record.split_once(' ') == Some((source, id))
}

/// A row as it is listed; void ones never are.
#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
pub(super) struct ListRow {
    pub(super) at_us: i64,
    pub(super) key: u128,
    id: String,
    origin: i8,
    kind: String,
    source: String,
    reference: String,
    events: u64,
    bytes: u64,
    meters: Vec<(String, u64)>,
    customer: String,
    event_type: String,
}

impl ListRow {
    pub(super) fn record(self, tenant: &TenantId) -> Result<UsageRecord, Error> {
        let origin = match self.origin {
            origin::EVENT => {
                let Some((source, id)) = self.id.split_once(' ') else {
                    return Err(Error::Corrupt(format!("a usage record's id is {:?}", self.id)));
                };
                Origin::Event { source: source.into(), id: id.into() }
            }
            origin::NAMED_EVENT => Origin::Event { source: self.source.into(), id: self.reference.into() },
            origin::OTHER => Origin::Other { kind: self.kind.into(), reference: self.reference.into() },
            other => return Err(Error::Corrupt(format!("a usage record's origin is {other}"))),
        };
        let mut meters: Vec<_> =
            self.meters.into_iter().map(|(name, value)| (Text::from(name), value)).collect();
        if meters.is_empty() {
            meters.push((Text::from_static(METER_EVENTS), self.events));
            meters.push((Text::from_static(METER_BYTES), self.bytes));
        }
        let customer = present(self.customer).map(CustomerId::from_text).transpose();
        Ok(UsageRecord {
            tenant: tenant.clone(),
            id: self.id.into(),
            at_us: self.at_us,
            origin,
            customer: customer.map_err(|e| Error::Corrupt(e.to_string()))?,
            event_type: present(self.event_type),
            meters,
        })
    }
}

fn present(text: String) -> Option<Text> {
    if text.is_empty() { None } else { Some(text.into()) }
}

/// Bytes a record takes while it waits: near enough to bound what waits.
pub(super) fn bytes_of(record: &UsageRecord) -> u64 {
    let origin = match &record.origin {
        Origin::Event { source, id } => source.len() + id.len(),
        Origin::Other { kind, reference } => kind.len() + reference.len(),
    };
    let meters: usize = record.meters.iter().map(|(name, _)| name.len() + 48).sum();
    u64::try_from(record.tenant.as_str().len() + record.id.len() + origin + meters + 200).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record_id;

    fn listed(row: &InsertRow<'_>) -> ListRow {
        let InsertRow { at_us, id, origin, kind, source, reference, events, bytes, ref meters, .. } = *row;
        let (customer, event_type) = (row.customer.to_owned(), row.event_type.to_owned());
        let meters = meters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let (id, kind) = (id.to_owned(), kind.to_owned());
        let (source, reference) = (source.to_owned(), reference.to_owned());
        ListRow {
            at_us,
            key: 0,
            id,
            origin,
            kind,
            source,
            reference,
            events,
            bytes,
            meters,
            customer,
            event_type,
        }
    }

    fn record() -> impl Strategy<Value = UsageRecord> {
        let text = || "[a /]{0,4}".prop_map(Text::from);
        let origin = (any::<bool>(), text(), text()).prop_map(|(event, a, b)| {
            if event { Origin::Event { source: a, id: b } } else { Origin::Other { kind: a, reference: b } }
        });
        let name = prop_oneof!["events", "bytes", "calls"].prop_map(Text::from);
        let meters = proptest::collection::vec((name, any::<u64>()), 1..4);
        let customer = proptest::option::of("[a-c]").prop_map(|id| id.map(|id| id.parse().unwrap()));
        let whose = (customer, proptest::option::of("[a-c]".prop_map(Text::from)));
        (text(), any::<bool>(), any::<i64>(), origin, whose, meters).prop_map(
            |(id, derived, at_us, origin, (customer, event_type), meters)| {
                let id = match &origin {
                    Origin::Event { source, id } if derived => record_id(source, id),
                    _ => id,
                };
                let tenant = "t".parse().unwrap();
                UsageRecord { tenant, id, at_us, origin, customer, event_type, meters }
            },
        )
    }

    proptest! {
        #[test]
        fn records_come_back(record in record()) {
            prop_assert_eq!(listed(&InsertRow::of(&record)).record(&record.tenant).unwrap(), record);
        }
    }

    #[test]
    fn an_events_record_is_its_id_and_two_numbers() {
        let mut record = UsageRecord::void("t".parse().unwrap(), record_id("/s", "1 2"), 5);
        record.origin = Origin::Event { source: "/s".into(), id: "1 2".into() };
        record.meters = vec![(METER_EVENTS.into(), 1), (METER_BYTES.into(), 90)];
        let row = InsertRow::of(&record);
        assert_eq!((row.events, row.bytes, row.void, row.origin), (1, 90, 0, origin::EVENT));
        assert_eq!((row.kind, row.source, row.reference, row.meters.len()), ("", "", "", 0));
    }
}
