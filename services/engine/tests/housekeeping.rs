//! Retention and erasure on a real nats-server and the embedded store.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bus::{Bus, TopologyOptions, purge, topology};
use catalog::Catalog;
use engine::{
    HousekeepingOptions, Options, Service,
    order::{self, Step},
};
use futures::StreamExt as _;
use model::{
    Batch, CloudEvent, Durability, TenantId,
    resource::{System, Tenant},
};
use prost::Message as _;
use proto::hops;
use runtime::{health::Health, lifecycle::Context};
use serde_json::json;
use store::{EventQuery, Sink, Stores, UsageQuery, embedded::Embedded};
use testkit::{NatsOptions, NatsServer, wait_until};

const LONG: Duration = Duration::from_secs(30);

struct Rig {
    _nats: NatsServer,
    bus: Bus,
    catalog: Catalog,
    stores: Stores,
    _embedded: Embedded,
    _folder: tempfile::TempDir,
}

fn id(tenant: &str) -> TenantId {
    tenant.parse().unwrap()
}

/// Events of both tenants in one packed message, received in 2023.
fn message(ids: std::ops::Range<usize>) -> Vec<u8> {
    let groups = ["acme", "globex"].map(|tenant| {
        let stamp = hops::Stamp {
            tenant: tenant.into(),
            system: "shop".into(),
            received_at_us: 1_700_000_000_000_000,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
            protocol: "http".into(),
            ..Default::default()
        };
        let event =
            |n: usize| CloudEvent::builder(n.to_string(), "/till", "com.example.order").build().unwrap();
        let events = ids.clone().map(|n| hops::Event::from(&event(n))).collect();
        hops::EventGroup { stamp: Some(stamp), events }
    });
    hops::EventBatch { groups: groups.into(), raw_sequence: 1, ..Default::default() }.encode_to_vec()
}

impl Rig {
    async fn new() -> Self {
        let nats = NatsServer::start_with(NatsOptions { sync_always: false, ..Default::default() });
        let bus = Bus::connect(&bus::Options { url: nats.url(), ..Default::default() }).await.unwrap();
        let layout = TopologyOptions { durability: Durability::Process, partitions: 1, ..Default::default() };
        topology::ensure(&bus, &layout).await.unwrap();
        catalog::ensure_bucket(bus.jetstream(), &catalog::Options::default(), 1).await.unwrap();
        let catalog = Catalog::open(bus.jetstream().clone(), catalog::Options::default()).await;
        for tenant in ["acme", "globex"] {
            let tenant: Tenant = serde_json::from_value(json!({"id": tenant})).unwrap();
            catalog.create(&tenant).await.unwrap();
            let system = json!({"tenant": tenant.id, "id": "shop"});
            catalog.create(&serde_json::from_value::<System>(system).unwrap()).await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let embedded = Embedded::open(folder.path(), Durability::Process, Default::default()).await.unwrap();
        Self { _nats: nats, bus, catalog, stores: embedded.stores(), _embedded: embedded, _folder: folder }
    }

    async fn engine(&self, sink: Arc<dyn Sink>, retention_interval_seconds: u64) -> Context {
        let context = Context::new(Health::new(LONG));
        let housekeeping = HousekeepingOptions { retention_interval_seconds, erasure_settle_ms: 100 };
        let options = Options { housekeeping, ..Options::default() };
        let stores = Stores { sink, ..self.stores.clone() };
        let service = Service::new(options, self.bus.clone(), self.catalog.clone(), stores, 1);
        service.start(&context).await.unwrap();
        context
    }

    async fn publish(&self, subject: &str, payload: Vec<u8>) {
        self.bus.jetstream().publish(subject.to_owned(), payload.into()).await.unwrap().await.unwrap();
    }

    /// Events, metered events, messages in its tenant stream and dead letters, entries of the catalog.
    async fn of(&self, tenant: &str) -> [u64; 5] {
        let tenant = id(tenant);
        let events = self.stores.events.count(&tenant, &EventQuery::default()).await.unwrap();
        let sums = self.stores.usage.sum(&tenant, store::METER_EVENTS, &UsageQuery::default()).await.unwrap();
        let held = purge::held(&self.bus, &tenant).await.unwrap();
        let entries = self.catalog.held(&tenant).await.unwrap();
        [events, sums.iter().map(|b| b.value).sum(), held["TENANT-default"], held["DEAD"], entries]
    }
}

/// Holds batches back until told otherwise.
#[derive(Debug)]
struct Gate {
    inner: Arc<dyn Sink>,
    closed: AtomicBool,
}

#[async_trait]
impl Sink for Gate {
    async fn write(&self, batch: Arc<Batch>) -> Result<(), store::Error> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(store::Error::Unavailable("closed".into()));
        }
        self.inner.write(batch).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_tenant_is_gone_from_every_place_and_nobody_else() {
    let rig = Rig::new().await;
    let gate = Arc::new(Gate { inner: Arc::clone(&rig.stores.sink), closed: AtomicBool::new(false) });
    let engine = rig.engine(Arc::clone(&gate) as Arc<dyn Sink>, 0).await;
    rig.publish("events.0", message(0..150)).await;
    for tenant in ["acme", "globex"] {
        rig.publish(&bus::dead::subject("normalizer", tenant), b"a letter".to_vec()).await;
    }
    wait_until("all is worked", LONG, async || rig.of("acme").await == [150, 150, 150, 1, 2]).await;
    // In flight when the order is given: it is worked off first, and goes with the rest.
    gate.closed.store(true, Ordering::Relaxed);
    rig.publish("events.0", message(150..200)).await;
    let mut news = order::place(&rig.bus, &id("acme")).await.unwrap();
    let mut steps = Vec::new();
    let mut last = None;
    while let Some(order) = tokio::time::timeout(LONG, news.next()).await.unwrap() {
        let order = order.unwrap();
        if order.step == Step::Draining {
            assert!(rig.catalog.snapshot().tenant(&id("acme")).unwrap().disabled, "its doors are shut first");
            gate.closed.store(false, Ordering::Relaxed);
        }
        if steps.last() != Some(&order.step) {
            steps.push(order.step);
        }
        last = Some(order);
    }
    // It may be taken up before it is first looked at.
    steps.retain(|step| *step != Step::Asked);
    assert_eq!(steps, [Step::Disabling, Step::Draining, Step::Erasing, Step::Erased]);
    let proof = last.unwrap();
    let places =
        ["AUDIT", "DEAD", "KV_idempotency", "TENANT-default", "catalog", "stored events", "usage records"];
    assert_eq!(proof.left.keys().collect::<Vec<_>>(), places);
    assert!(proof.left.values().all(|left| *left == 0), "{proof:?}");
    assert_eq!((proof.removed["TENANT-default"], proof.removed["stored events"]), (200, 200));
    assert_eq!(rig.of("acme").await, [0; 5]);
    assert!(rig.catalog.snapshot().tenant(&id("acme")).is_none());
    assert_eq!(rig.of("globex").await, [200, 200, 200, 1, 2]);
    // Nothing remembers even the names of what there was.
    let bucket = rig.bus.jetstream().get_stream("KV_catalog").await.unwrap();
    let names = bucket.info_with_subjects("$KV.catalog.*.acme.>").await.unwrap().count().await;
    assert_eq!(names, 0);
    // Again: nothing to do, and said so.
    let again: Vec<_> = order::place(&rig.bus, &id("acme")).await.unwrap().collect().await;
    assert_eq!(again.last().unwrap().as_ref().unwrap().step, Step::Erased);
    engine.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_outlives_the_engine_that_took_it_up() {
    let rig = Rig::new().await;
    let gate = Arc::new(Gate { inner: Arc::clone(&rig.stores.sink), closed: AtomicBool::new(true) });
    let first = rig.engine(Arc::clone(&gate) as Arc<dyn Sink>, 0).await;
    rig.publish("events.0", message(0..50)).await;
    let mut news = order::place(&rig.bus, &id("acme")).await.unwrap();
    while tokio::time::timeout(LONG, news.next()).await.unwrap().unwrap().unwrap().step != Step::Draining {}
    first.shutdown().drain();
    gate.closed.store(false, Ordering::Relaxed);
    let second = rig.engine(Arc::clone(&rig.stores.sink), 0).await;
    let mut last = None;
    while let Some(order) = tokio::time::timeout(LONG * 2, news.next()).await.unwrap() {
        last = Some(order.unwrap().step);
    }
    assert_eq!(last, Some(Step::Erased));
    assert_eq!((rig.of("acme").await, rig.of("globex").await[0]), ([0; 5], 50));
    second.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_takes_what_is_older_and_leaves_those_who_have_none() {
    let rig = Rig::new().await;
    let engine = rig.engine(Arc::clone(&rig.stores.sink), 1).await;
    rig.publish("events.0", message(0..150)).await;
    wait_until("all is worked", LONG, async || rig.of("acme").await[..2] == [150, 150]).await;
    let acme = rig.catalog.get::<Tenant>(&id("acme"), "acme").await.unwrap().value;
    rig.catalog.put(&Tenant { retention_days: 36_500, ..acme.clone() }, None).await.unwrap();
    let applied =
        || runtime::metrics::counter(runtime::metrics::Metric::HousekeepingExpirations, &["done"]).get();
    let before = applied();
    wait_until("retention was applied", LONG, async || applied() >= before + 2).await;
    assert_eq!(rig.of("acme").await[..2], [150, 150], "a century has not passed");
    rig.catalog.put(&Tenant { retention_days: 1, ..acme }, None).await.unwrap();
    wait_until("its events are gone", LONG, async || rig.of("acme").await[0] == 0).await;
    assert_eq!(rig.of("acme").await[1], 150, "it was used");
    assert_eq!(rig.of("globex").await[..2], [150, 150]);
    engine.shutdown().abort();
}
