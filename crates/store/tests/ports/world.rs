//! What the cases are told in: tenants of their own, events, batches, and whole walks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use model::{Batch, CloudEvent, CloudEventBuilder, Group, Micros, Stamp, TenantId};
use store::{Cursor, EventQuery, Order, StoredEvent, Stores, UsageBucket, UsageQuery, UsageRecord};

/// 2026-11-21T10:00:00Z.
pub(crate) const NOON: Micros = 1_795_255_200_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Names that no other case, and no earlier run, uses.
pub(crate) struct World {
    name: String,
    sequence: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        static CASES: AtomicU64 = AtomicU64::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("{since:x}-{:x}-{case}", std::process::id()), sequence: AtomicU64::new(1) }
    }

    pub(crate) fn tenant(&self, name: &str) -> TenantId {
        format!("{name}-{}", self.name).parse().unwrap()
    }

    /// A batch of one request.
    pub(crate) fn batch(&self, tenant: &TenantId, at: Micros, events: Vec<CloudEvent>) -> Arc<Batch> {
        self.batch_of(vec![Group { stamp: stamp(tenant, at), events }])
    }

    pub(crate) fn batch_of(&self, groups: Vec<Group>) -> Arc<Batch> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        Arc::new(Batch {
            partition: 3,
            sequence,
            stored_at_us: NOON + 30,
            raw_sequence: sequence + 1_000,
            raw_stored_at_us: NOON + 10,
            normalized_at_us: NOON + 20,
            groups,
            streamed: Vec::new(),
            metered: Vec::new(),
        })
    }
}

pub(crate) fn stamp(tenant: &TenantId, received_at_us: Micros) -> Arc<Stamp> {
    Arc::new(Stamp {
        tenant: tenant.clone(),
        system: "till".parse().unwrap(),
        source: Some("door".parse().unwrap()),
        customer: None,
        received_at_us,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        protocol: "http".into(),
    })
}

pub(crate) fn builder(id: impl std::fmt::Display) -> CloudEventBuilder {
    CloudEvent::builder(id.to_string(), "/shop", "order.placed")
}

pub(crate) fn event(id: impl std::fmt::Display) -> CloudEvent {
    builder(&id).text("application/json", format!(r#"{{"order": "{id}"}}"#)).build().unwrap()
}

pub(crate) fn events(ids: impl IntoIterator<Item = u32>) -> Vec<CloudEvent> {
    ids.into_iter().map(event).collect()
}

/// Every page of a query, one after another.
pub(crate) async fn walk(stores: &Stores, tenant: &TenantId, query: &EventQuery) -> Vec<StoredEvent> {
    let mut query = query.clone();
    let mut all = Vec::new();
    for _ in 0..100_000 {
        let page = stores.events.page(tenant, &query).await.unwrap();
        assert!(query.limit == 0 || page.events.len() <= usize::try_from(query.limit).unwrap());
        all.extend(page.events);
        let Some(next) = page.next else { return all };
        query.cursor = Some(reparsed(&next));
    }
    panic!("the walk does not end");
}

/// A cursor as it comes back from a client.
pub(crate) fn reparsed(cursor: &Cursor) -> Cursor {
    cursor.to_string().parse().unwrap()
}

pub(crate) async fn ids(stores: &Stores, tenant: &TenantId, query: &EventQuery) -> Vec<String> {
    walk(stores, tenant, query).await.iter().map(|e| e.event.id().to_string()).collect()
}

pub(crate) fn oldest_first() -> EventQuery {
    EventQuery { order: Order::OldestFirst, ..EventQuery::default() }
}

/// Every page of a list of usage.
pub(crate) async fn records(stores: &Stores, tenant: &TenantId, query: &UsageQuery) -> Vec<UsageRecord> {
    let mut query = query.clone();
    let mut all = Vec::new();
    for _ in 0..100_000 {
        let page = stores.usage.list(tenant, &query).await.unwrap();
        assert!(query.limit == 0 || page.records.len() <= usize::try_from(query.limit).unwrap());
        all.extend(page.records);
        let Some(next) = page.next else { return all };
        query.cursor = Some(reparsed(&next));
    }
    panic!("the list does not end");
}

/// One sum over everything.
pub(crate) async fn total(stores: &Stores, tenant: &TenantId, meter: &str) -> u64 {
    let buckets = stores.usage.sum(tenant, meter, &UsageQuery::default()).await.unwrap();
    assert!(buckets.len() <= 1, "{buckets:?}");
    buckets.first().map_or(0, |b| b.value)
}

pub(crate) fn bucket(start_us: Micros, value: u64) -> UsageBucket {
    UsageBucket { start_us, value }
}
