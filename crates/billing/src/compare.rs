//! Usage records against the events they come from: which record is missing, which one is too many, which one says
//! something else than its event.

use std::collections::HashMap;

use model::{Measuring, Micros, TenantId, Text, parse_rfc3339, resource::Meter};
use store::{
    EventQuery, EventStore, METER_BYTES, METER_EVENTS, Order, Origin, StoredEvent, UsageQuery, UsageRecord,
    UsageStore, record_id,
};

use crate::Error;

/// So long after a tenant's own meter was changed its records are taken for what they are: the engine knows of a change within a
/// second, and clocks differ.
const CHANGED_US: Micros = 60_000_000;
/// Records and events asked for at a time.
const PAGE: u32 = 1_000;

/// How records and events differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An event has no record: its use is not billed.
    Missing,
    /// A record has no event: somebody pays for what was not there.
    Extra,
    /// A record says another quantity than its event.
    Altered,
}

/// One record that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub fault: Fault,
    /// The event's `source`.
    pub source: Text,
    /// The event's `id`.
    pub event: Text,
    /// When it was received, or is said to have been.
    pub at_us: Micros,
    /// Of what the record has another quantity than the event.
    pub meter: Option<Text>,
    /// The quantity in the record.
    pub recorded: u64,
    /// The quantity by the event.
    pub expected: u64,
}

/// What comparing a stretch of time came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Metered events that were looked at.
    pub events: u64,
    /// Records of events that were looked at.
    pub records: u64,
    /// Events whose data is gone, so that their bytes cannot be counted again.
    pub without_data: u64,
    /// The records that differ, by time.
    pub differences: Vec<Difference>,
}

/// A tenant's own meter, with its name in records and since when all of them are by what it says now.
struct Own<'a> {
    meter: &'a Meter,
    name: Text,
    since_us: Micros,
}

impl<'a> Own<'a> {
    /// None of one that does not say when it was changed.
    fn new(meter: &'a Meter) -> Option<Self> {
        let changed =
            [&meter.meta.updated_at, &meter.meta.created_at].into_iter().find(|at| !at.is_empty())?;
        let since_us = parse_rfc3339(changed).ok()?.saturating_add(CHANGED_US);
        Some(Self { meter, name: meter.record_name(), since_us })
    }

    fn counts(&self, stored: &StoredEvent) -> bool {
        stored.stamp.received_at_us >= self.since_us
            && self.meter.event_type.as_ref().is_none_or(|ty| **ty == **stored.event.ty())
            // Of erased data nothing can be counted again.
            && (self.meter.value.is_none() || stored.event.data().is_some())
    }
}

/// Compares what was received from `since_us` and before `until_us`; the caller chooses stretches of which memory holds the
/// records. `own` are the tenant's own meters: each is counted again in events that came after it was last changed. Events that a
/// tenant's retention has taken away look like records that are too many: ask for none of their time.
///
/// # Errors
/// If a store does not answer.
pub async fn compare(
    events: &dyn EventStore,
    usage: &dyn UsageStore,
    tenant: &TenantId,
    own: &[Meter],
    (since_us, until_us): (Micros, Micros),
) -> Result<Comparison, Error> {
    let own: Vec<_> = own.iter().filter_map(Own::new).collect();
    let mut found = Comparison::default();
    let mut records = records(usage, tenant, (since_us, until_us)).await?;
    found.records = records.len() as u64;
    let mut query = EventQuery {
        since_us: Some(since_us),
        until_us: Some(until_us),
        order: Order::OldestFirst,
        limit: PAGE,
        ..EventQuery::default()
    };
    loop {
        let page = events.page(tenant, &query).await.map_err(|e| Error::unavailable(&e))?;
        // What the fleet tells is not metered: it must have no record.
        for stored in page.events.iter().filter(|stored| stored.stamp.is_metered()) {
            found.events += 1;
            let id = record_id(stored.event.source(), stored.event.id());
            one(&mut found, stored, records.remove(&id), &own);
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    found.differences.extend(records.into_values().map(extra));
    found.differences.sort_by(|a, b| (a.at_us, &a.source, &a.event).cmp(&(b.at_us, &b.source, &b.event)));
    Ok(found)
}

/// Records of events, by their ids.
async fn records(
    usage: &dyn UsageStore,
    tenant: &TenantId,
    (since_us, until_us): (Micros, Micros),
) -> Result<HashMap<Text, UsageRecord>, Error> {
    let mut query = UsageQuery {
        since_us: Some(since_us),
        until_us: Some(until_us),
        limit: PAGE,
        ..UsageQuery::default()
    };
    let mut records = HashMap::new();
    loop {
        let page = usage.list(tenant, &query).await.map_err(|e| Error::unavailable(&e))?;
        let of_events = page.records.into_iter().filter(|r| matches!(r.origin, Origin::Event { .. }));
        records.extend(of_events.map(|record| (record.id.clone(), record)));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(records),
        }
    }
}

fn one(found: &mut Comparison, stored: &StoredEvent, record: Option<UsageRecord>, own: &[Own<'_>]) {
    let event = &stored.event;
    let differs = |fault, meter: Option<Text>, recorded, expected| Difference {
        fault,
        source: event.source().clone(),
        event: event.id().clone(),
        at_us: stored.stamp.received_at_us,
        meter,
        recorded,
        expected,
    };
    let Some(record) = record else {
        found.differences.push(differs(Fault::Missing, None, 0, 1));
        return;
    };
    let (events, bytes) = (quantity(&record, METER_EVENTS), quantity(&record, METER_BYTES));
    if events != 1 {
        found.differences.push(differs(Fault::Altered, Some(METER_EVENTS.into()), events, 1));
    }
    let size = u64::try_from(event.size()).unwrap_or(u64::MAX);
    if event.data().is_none() && bytes > size {
        found.without_data += 1;
    } else if bytes != size {
        found.differences.push(differs(Fault::Altered, Some(METER_BYTES.into()), bytes, size));
    }
    let mut measuring = Measuring::new(event);
    for Own { meter, name, .. } in own.iter().filter(|own| own.counts(stored)) {
        let (recorded, expected) = (record.value_of(name), measuring.value(meter).ok());
        if recorded != expected {
            let [recorded, expected] = [recorded, expected].map(Option::unwrap_or_default);
            found.differences.push(differs(Fault::Altered, Some(name.clone()), recorded, expected));
        }
    }
}

fn extra(record: UsageRecord) -> Difference {
    let recorded = quantity(&record, METER_EVENTS);
    let (source, event) = match record.origin {
        Origin::Event { source, id } => (source, id),
        Origin::Other { kind, reference } => (kind, reference),
    };
    let (fault, at_us) = (Fault::Extra, record.at_us);
    Difference { fault, source, event, at_us, meter: None, recorded, expected: 0 }
}

fn quantity(record: &UsageRecord, meter: &str) -> u64 {
    let of = record.meters.iter().filter(|(name, _)| *name == *meter);
    of.fold(0, |sum, (_, value)| sum.saturating_add(*value))
}
