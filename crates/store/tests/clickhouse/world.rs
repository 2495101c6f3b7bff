//! What the tests are told in: a database of its own for each, records, sums.

use std::sync::atomic::{AtomicU64, Ordering};

use model::{Micros, TenantId, Text};
use store::{
    METER_BYTES, METER_EVENTS, Origin, UsageQuery, UsageRecord, UsageStore as _,
    clickhouse::{ClickHouse, Options, migrations},
    migration::Mode,
    record_id,
};
use testkit::ClickHouse as Server;

/// 2026-11-21T10:00:00Z.
pub(crate) const NOON: Micros = 1_795_255_200_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// A database of nobody else's on a server, and no long waits for other writers.
pub(crate) fn options(server: &Server) -> Options {
    static DATABASES: AtomicU64 = AtomicU64::new(0);
    let database = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    Options { url: server.url(), database, linger_ms_max: 2, ..Options::default() }
}

/// The adapter on a database just made.
pub(crate) async fn open(server: &Server) -> (ClickHouse, Options) {
    let options = options(server);
    migrations::migrate(&options, Mode::Apply).await.unwrap();
    (ClickHouse::open(options.clone()).await.unwrap(), options)
}

pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

/// The record of an event of 100 bytes.
pub(crate) fn record(tenant: &TenantId, id: impl std::fmt::Display, at_us: Micros) -> UsageRecord {
    let (source, id) = (Text::from_static("/shop"), Text::from(id.to_string()));
    UsageRecord {
        tenant: tenant.clone(),
        id: record_id(&source, &id),
        at_us,
        origin: Origin::Event { source, id },
        customer: None,
        event_type: None,
        meters: vec![(METER_EVENTS.into(), 1), (METER_BYTES.into(), 100)],
    }
}

pub(crate) fn records(tenant: &TenantId, ids: impl IntoIterator<Item = u32>) -> Vec<UsageRecord> {
    ids.into_iter().map(|id| record(tenant, id, NOON + i64::from(id) * SECOND)).collect()
}

/// One sum over everything.
pub(crate) async fn total(usage: &ClickHouse, tenant: &TenantId, meter: &str) -> u64 {
    let buckets = usage.sum(tenant, meter, &UsageQuery::default()).await.unwrap();
    assert!(buckets.len() <= 1, "{buckets:?}");
    buckets.first().map_or(0, |b| b.value)
}

/// Every record, page by page.
pub(crate) async fn listed(usage: &ClickHouse, tenant: &TenantId) -> Vec<UsageRecord> {
    let mut query = UsageQuery { limit: 1_000, ..UsageQuery::default() };
    let mut all = Vec::new();
    loop {
        let page = usage.list(tenant, &query).await.unwrap();
        all.extend(page.records);
        query.cursor = page.next;
        if query.cursor.is_none() {
            return all;
        }
    }
}
