//! The engine on a real nats-server and the embedded store: every effect once, ack last.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::stream::{self, DiscardPolicy};
use async_trait::async_trait;
use bus::{Bus, TopologyOptions, topology};
use catalog::{Catalog, Snapshot};
use engine::{Options, Service};
use model::{Batch, CloudEvent, Durability, TenantId, resource::TenantStream};
use prost::Message as _;
use proto::hops;
use runtime::{health::Health, lifecycle::Context};
use store::{
    Aggregation, EventPage, EventQuery, EventStore, GroupUsage, Grouping, Sink, StoredEvent, Stores,
    TailBatch, UsageBucket, UsagePage, UsageQuery, UsageRecord, UsageStore, Written, embedded::Embedded,
};
use testkit::{NatsOptions, NatsServer, wait_until};

const LONG: Duration = Duration::from_secs(30);

struct Rig {
    nats: NatsServer,
    bus: Bus,
    stores: Stores,
    tenant_stream: TenantStream,
    _embedded: Embedded,
    _folder: tempfile::TempDir,
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn event(id: usize) -> CloudEvent {
    CloudEvent::builder(format!("id {id}"), "/till", "com.example.order")
        .text("application/json", format!("{{\"n\": {id}}}"))
        .build()
        .unwrap()
}

fn message(ids: std::ops::Range<usize>) -> Vec<u8> {
    let stamp = hops::Stamp {
        tenant: "acme".into(),
        system: "shop".into(),
        received_at_us: 1_700_000_000_000_000,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into(),
        protocol: "http".into(),
        ..Default::default()
    };
    let events = ids.map(|id| hops::Event::from(&event(id))).collect();
    let groups = vec![hops::EventGroup { stamp: Some(stamp), events }];
    hops::EventBatch { groups, raw_sequence: 1, ..Default::default() }.encode_to_vec()
}

impl Rig {
    async fn new(durability: Durability) -> Self {
        let sync_always = durability == Durability::Disk;
        let nats = NatsServer::start_with(NatsOptions { sync_always, ..Default::default() });
        let options = bus::Options { url: nats.url(), request_timeout_ms: 1_000, ..Default::default() };
        let bus = Bus::connect(&options).await.unwrap();
        let options = TopologyOptions { durability, partitions: 1, ..Default::default() };
        topology::ensure(&bus, &options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let embedded =
            Embedded::open(folder.path(), Durability::Process, store::embedded::Options::default())
                .await
                .unwrap();
        Self {
            nats,
            bus,
            stores: embedded.stores(),
            tenant_stream: TenantStream::Single,
            _embedded: embedded,
            _folder: folder,
        }
    }

    async fn engine(&self) -> Context {
        self.engine_with(Arc::clone(&self.stores.sink)).await
    }

    async fn engine_with(&self, sink: Arc<dyn Sink>) -> Context {
        let stores = Stores { sink, ..self.stores.clone() };
        self.start(self.service(stores)).await
    }

    fn service(&self, stores: Stores) -> Service {
        let form = self.tenant_stream.as_str();
        let tenant = serde_json::from_value(serde_json::json!({"id": "acme", "tenant_stream": form}));
        let tenant: model::resource::Tenant = tenant.unwrap();
        let meter: model::resource::Meter = serde_json::from_value(serde_json::json!({
            "tenant": "acme", "id": "n", "event_type": "com.example.order", "aggregation": "sum", "value": "/n",
        }))
        .unwrap();
        let catalog = Catalog::fixed(Snapshot::default().with(tenant).with(meter));
        Service::new(Options::default(), self.bus.clone(), catalog, stores, 1)
    }

    async fn start(&self, service: Service) -> Context {
        let context = Context::new(Health::new(LONG));
        service.start(&context).await.unwrap();
        context
    }

    async fn publish(&self, payload: Vec<u8>) {
        self.bus.jetstream().publish("events.0", payload.into()).await.unwrap().await.unwrap();
    }

    async fn stored(&self) -> u64 {
        self.stores.events.count(&acme(), &EventQuery::default()).await.unwrap()
    }

    async fn metered(&self) -> u64 {
        let sums = self.stores.usage.sum(&acme(), store::METER_EVENTS, &UsageQuery::default()).await.unwrap();
        sums.iter().map(|b| b.value).sum()
    }

    /// What the tenant's own meter has summed up.
    async fn own(&self) -> u64 {
        let sums = self.stores.usage.sum(&acme(), "own/n", &UsageQuery::default()).await.unwrap();
        sums.iter().map(|b| b.value).sum()
    }

    async fn messages(&self, stream: &str) -> u64 {
        let mut stream = self.bus.jetstream().get_stream(stream).await.unwrap();
        stream.info().await.unwrap().state.messages
    }

    async fn acked(&self) {
        wait_until("everything is acked", LONG, async || self.messages(topology::EVENTS).await == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_stored_metered_and_in_its_tenant_stream() {
    let rig = Rig::new(Durability::Process).await;
    let engine = rig.engine().await;
    rig.publish(message(0..100)).await;
    rig.acked().await;
    assert_eq!((rig.stored().await, rig.metered().await, rig.own().await), (100, 100, (0..100).sum()));
    let found = rig.stores.events.get(&acme(), "/till", "id 7").await.unwrap().unwrap();
    assert_eq!(found.event, event(7));
    assert_eq!((found.place.events_sequence, found.place.index), (1, 7));
    let stream = rig.bus.jetstream().get_stream(topology::tenant_stream("default")).await.unwrap();
    for sequence in 1..=100 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let headers =
            message.headers.iter().flat_map(|(n, v)| v.iter().map(move |v| (n.as_ref(), v.as_str())));
        let read = model::nats::decode(headers, &message.payload).unwrap();
        let sent = event(usize::try_from(sequence - 1).unwrap());
        assert_eq!(
            (read.id(), read.data().unwrap().as_bytes()),
            (sent.id(), sent.data().unwrap().as_bytes())
        );
        assert_eq!(message.subject.as_str(), "tenant.default.acme.com.example.order");
    }
    engine.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_message_twice_changes_nothing() {
    let rig = Rig::new(Durability::Process).await;
    let engine = rig.engine().await;
    rig.publish(message(0..50)).await;
    rig.publish(message(0..50)).await;
    rig.publish(message(25..75)).await;
    rig.acked().await;
    assert_eq!((rig.stored().await, rig.metered().await, rig.own().await), (75, 75, (0..75).sum()));
    assert_eq!(rig.messages(&topology::tenant_stream("default")).await, 75);
    engine.shutdown().abort();
}

/// Refuses until told otherwise.
#[derive(Debug)]
struct Moody<Store: ?Sized> {
    refuse: AtomicBool,
    refused: AtomicUsize,
    inner: Arc<Store>,
}

impl<Store: ?Sized> Moody<Store> {
    fn new(inner: &Arc<Store>) -> Arc<Self> {
        let (refuse, refused) = (AtomicBool::new(true), AtomicUsize::new(0));
        Arc::new(Self { refuse, refused, inner: Arc::clone(inner) })
    }

    fn mood(&self) -> Result<(), store::Error> {
        if self.refuse.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(store::Error::Unavailable("out of mood".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for Moody<dyn Sink> {
    async fn write(&self, batch: Arc<Batch>) -> Result<(), store::Error> {
        self.mood()?;
        self.inner.write(batch).await
    }
}

#[async_trait]
impl UsageStore for Moody<dyn UsageStore> {
    async fn write(&self, records: Vec<UsageRecord>) -> Result<(), store::Error> {
        self.mood()?;
        self.inner.write(records).await
    }

    async fn aggregate(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        query: &UsageQuery,
    ) -> Result<Vec<UsageBucket>, store::Error> {
        self.inner.aggregate(tenant, meter, aggregation, query).await
    }

    async fn grouped(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        by: Grouping,
        query: &UsageQuery,
    ) -> Result<Vec<GroupUsage>, store::Error> {
        self.inner.grouped(tenant, meter, aggregation, by, query).await
    }

    async fn list(&self, tenant: &TenantId, query: &UsageQuery) -> Result<UsagePage, store::Error> {
        self.inner.list(tenant, query).await
    }
}

#[async_trait]
impl EventStore for Moody<dyn EventStore> {
    async fn write(&self, batch: Arc<Batch>) -> Result<Written, store::Error> {
        self.inner.write(batch).await
    }

    async fn get(
        &self,
        tenant: &TenantId,
        source: &str,
        id: &str,
    ) -> Result<Option<StoredEvent>, store::Error> {
        self.inner.get(tenant, source, id).await
    }

    async fn page(&self, tenant: &TenantId, query: &EventQuery) -> Result<EventPage, store::Error> {
        self.inner.page(tenant, query).await
    }

    async fn tail(&self, partition: u32, skip: u64, limit: u32) -> Result<Vec<TailBatch>, store::Error> {
        self.mood()?;
        self.inner.tail(partition, skip, limit).await
    }

    async fn count(&self, tenant: &TenantId, query: &EventQuery) -> Result<u64, store::Error> {
        self.inner.count(tenant, query).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_waits_in_the_broker_while_its_store_is_away_and_events_go_on() {
    let rig = Rig::new(Durability::Process).await;
    topology::ensure_usage(&rig.bus, &TopologyOptions::default(), topology::Topology { partitions: 1 })
        .await
        .unwrap();
    let usage = Moody::new(&rig.stores.usage);
    let Stores { events, erasure, .. } = rig.stores.clone();
    let stores = Stores::separate(events, Arc::clone(&usage) as Arc<dyn UsageStore>, erasure);
    let first = rig.start(rig.service(stores.clone()).queueing_usage()).await;
    for i in 0..30 {
        rig.publish(message(i * 10..i * 10 + 10)).await;
    }
    rig.acked().await;
    wait_until("the usage store has refused", LONG, async || usage.refused.load(Ordering::Relaxed) >= 2)
        .await;
    assert_eq!((rig.stored().await, rig.metered().await), (300, 0));
    assert_eq!(rig.messages(topology::USAGE).await, 30, "one for each batch, not acked");
    assert!(!first.health().ready().ok, "it shows");
    assert!(first.health().live().ok, "a restart would not help");
    // Neither the death of the engine nor that of the broker loses what waits.
    first.shutdown().abort();
    let second = rig.start(rig.service(stores).queueing_usage()).await;
    usage.refuse.store(false, Ordering::Relaxed);
    wait_until("all is metered", LONG, async || rig.messages(topology::USAGE).await == 0).await;
    assert_eq!((rig.metered().await, rig.own().await), (300, (0..300).sum()));
    wait_until("ready", LONG, async || second.health().ready().ok).await;
    second.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_holds_the_ack_and_shows_in_readiness() {
    let rig = Rig::new(Durability::Process).await;
    let sink = Moody::new(&rig.stores.sink);
    let engine = rig.engine_with(Arc::clone(&sink) as Arc<dyn Sink>).await;
    rig.publish(message(0..10)).await;
    wait_until("the store has refused", LONG, async || sink.refused.load(Ordering::Relaxed) >= 2).await;
    assert_eq!(rig.messages(topology::EVENTS).await, 1, "not acked");
    assert!(!engine.health().ready().ok);
    sink.refuse.store(false, Ordering::Relaxed);
    rig.acked().await;
    assert_eq!(rig.stored().await, 10);
    wait_until("ready again", LONG, async || engine.health().ready().ok).await;
    engine.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_dies_in_the_middle_is_continued_by_the_next() {
    let rig = Rig::new(Durability::Process).await;
    let sink = Moody::new(&rig.stores.sink);
    let first = rig.engine_with(Arc::clone(&sink) as Arc<dyn Sink>).await;
    for i in 0..30 {
        rig.publish(message(i * 10..i * 10 + 10)).await;
    }
    wait_until("the first is in the middle", LONG, async || sink.refused.load(Ordering::Relaxed) >= 2).await;
    first.shutdown().abort();
    let second = rig.engine().await;
    rig.acked().await;
    assert_eq!((rig.stored().await, rig.metered().await), (300, 300));
    assert_eq!(rig.messages(&topology::tenant_stream("default")).await, 300);
    second.shutdown().abort();
}

async fn kill_the_broker_in_the_middle(durability: Durability) {
    let mut rig = Rig::new(durability).await;
    let engine = rig.engine().await;
    for round in 0..5 {
        for i in 0..20 {
            let first = (round * 20 + i) * 10;
            rig.publish(message(first..first + 10)).await;
        }
        rig.nats.kill();
        rig.nats.restart();
        wait_until("the broker is back", LONG, async || rig.bus.is_connected()).await;
    }
    rig.acked().await;
    assert_eq!((rig.stored().await, rig.metered().await), (1_000, 1_000));
    let stream = topology::tenant_stream("default");
    wait_until("the tenant stream is whole", LONG, async || rig.messages(&stream).await >= 1_000).await;
    assert_eq!(rig.messages(&stream).await, 1_000);
    engine.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_loses_and_doubles_nothing_under_process() {
    kill_the_broker_in_the_middle(Durability::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_loses_and_doubles_nothing_under_disk() {
    kill_the_broker_in_the_middle(Durability::Disk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_stream_whose_tail_is_gone_is_made_whole_in_order() {
    let rig = Rig::new(Durability::Process).await;
    let first = rig.engine().await;
    for i in 0..30 {
        rig.publish(message(i * 10..i * 10 + 10)).await;
    }
    rig.acked().await;
    first.stop(&runtime::lifecycle::StopOptions::default()).await;
    // The tail as a power cut would take it: from the middle of a batch on, and the broker knows nothing of it.
    let name = topology::tenant_stream("default");
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    let kept: Vec<_> = {
        let mut kept = Vec::new();
        for sequence in 1..=255 {
            kept.push(stream.get_raw_message(sequence).await.unwrap());
        }
        kept
    };
    let config = stream.cached_info().config.clone();
    rig.bus.jetstream().delete_stream(&name).await.unwrap();
    rig.bus.jetstream().create_stream(config).await.unwrap();
    for message in kept {
        let ack = rig.bus.jetstream().publish_with_headers(message.subject, message.headers, message.payload);
        ack.await.unwrap().await.unwrap();
    }
    let second = rig.engine().await;
    wait_until("the tenant stream is whole", LONG, async || rig.messages(&name).await >= 300).await;
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    for sequence in 1..=300u64 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_eq!(message.headers.get("ce-id").unwrap().as_str(), format!("id%20{}", sequence - 1));
    }
    second.stop(&runtime::lifecycle::StopOptions::default()).await;
    // What is whole stays as it is.
    let third = rig.engine().await;
    rig.publish(message(300..301)).await;
    rig.acked().await;
    assert_eq!(rig.messages(&name).await, 301);
    third.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_lost_while_the_rest_was_refused_is_published_again() {
    let rig = Rig::new(Durability::Process).await;
    let name = topology::tenant_stream("default");
    let config = rig.bus.jetstream().get_stream(&name).await.unwrap().cached_info().config.clone();
    let full = stream::Config { max_messages: 5, discard: DiscardPolicy::New, ..config.clone() };
    rig.bus.jetstream().update_stream(full).await.unwrap();
    let engine = rig.engine().await;
    rig.publish(message(0..10)).await;
    wait_until("half of it is there", LONG, async || rig.messages(&name).await == 5).await;
    rig.bus.jetstream().delete_stream(&name).await.unwrap();
    rig.bus.jetstream().create_stream(config).await.unwrap();
    rig.acked().await;
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    for (sequence, id) in (1..).zip([5, 6, 7, 8, 9, 0, 1, 2, 3, 4]) {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_eq!(message.headers.get("ce-id").unwrap().as_str(), format!("id%20{id}"));
    }
    assert_eq!((rig.messages(&name).await, rig.stored().await), (10, 10));
    engine.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_stream_refuses_keeps_its_order() {
    const EVENTS: usize = 60;
    let rig = Rig::new(Durability::Process).await;
    let name = topology::tenant_stream("default");
    let config = rig.bus.jetstream().get_stream(&name).await.unwrap().cached_info().config.clone();
    let room_for = async |max_messages| {
        let limited = stream::Config { max_messages, discard: DiscardPolicy::New, ..config.clone() };
        rig.bus.jetstream().update_stream(limited).await.unwrap();
    };
    room_for(10).await;
    let engine = rig.engine().await;
    for id in 0..EVENTS {
        rig.publish(message(id..id + 1)).await;
    }
    for room in (10..=60).step_by(5) {
        room_for(room).await;
        wait_until("all that there is room for is there", LONG, async || {
            rig.messages(&name).await == room.unsigned_abs()
        })
        .await;
    }
    rig.acked().await;
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    let mut found = Vec::new();
    for sequence in 1..=60 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        found.push(message.headers.get("ce-id").unwrap().as_str().to_owned());
    }
    assert_eq!(found, (0..EVENTS).map(|id| format!("id%20{id}")).collect::<Vec<_>>());
    assert_eq!(rig.stored().await, 60);
    engine.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_stream_has_a_message_a_batch_and_its_lost_tail_comes_back() {
    let mut rig = Rig::new(Durability::Process).await;
    rig.tenant_stream = TenantStream::Packed;
    let first = rig.engine().await;
    for i in 0..30 {
        rig.publish(message(i * 10..i * 10 + 10)).await;
    }
    rig.acked().await;
    assert_eq!((rig.stored().await, rig.metered().await), (300, 300));
    first.stop(&runtime::lifecycle::StopOptions::default()).await;
    let name = topology::tenant_stream("default");
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    let mut kept = Vec::new();
    for sequence in 1..=25 {
        kept.push(stream.get_raw_message(sequence).await.unwrap());
    }
    assert_eq!(rig.messages(&name).await, 30);
    rig.bus.jetstream().delete_stream(&name).await.unwrap();
    rig.bus.jetstream().create_stream(stream.cached_info().config.clone()).await.unwrap();
    for message in kept {
        let ack = rig.bus.jetstream().publish_with_headers(message.subject, message.headers, message.payload);
        ack.await.unwrap().await.unwrap();
    }
    let second = rig.engine().await;
    wait_until("the tenant stream is whole", LONG, async || rig.messages(&name).await >= 30).await;
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    for sequence in 1..=30usize {
        let message = stream.get_raw_message(u64::try_from(sequence).unwrap()).await.unwrap();
        assert_eq!(message.subject.as_str(), "tenant.default.acme.$packed");
        let expected: Vec<_> = (sequence * 10 - 10..sequence * 10).map(event).collect();
        assert_eq!(proto::packed::unpack(message.payload).unwrap(), expected, "{sequence}");
    }
    second.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_found_whole_are_not_compared_again_until_the_broker_may_have_lost_something() {
    let mut rig = Rig::new(Durability::Process).await;
    let first = rig.engine().await;
    rig.publish(message(0..10)).await;
    rig.acked().await;
    first.stop(&runtime::lifecycle::StopOptions::default()).await;
    // From here on a comparison does not come to an end.
    let events = Moody::new(&rig.stores.events);
    let stores = Stores { events: Arc::clone(&events) as Arc<dyn EventStore>, ..rig.stores.clone() };
    let second = rig.start(rig.service(stores)).await;
    rig.publish(message(10..20)).await;
    rig.acked().await;
    assert_eq!(events.refused.load(Ordering::Relaxed), 0, "taken over without a comparison");
    rig.nats.kill();
    rig.nats.restart();
    wait_until("a comparison", LONG, async || events.refused.load(Ordering::Relaxed) > 0).await;
    events.refuse.store(false, Ordering::Relaxed);
    rig.publish(message(20..30)).await;
    rig.acked().await;
    assert_eq!(rig.messages(&topology::tenant_stream("default")).await, 30);
    second.shutdown().abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_made_whole_does_not_get_back_what_was_erased() {
    let rig = Rig::new(Durability::Process).await;
    let first = rig.engine().await;
    rig.publish(message(0..10)).await;
    rig.publish(message(10..20)).await;
    rig.acked().await;
    first.stop(&runtime::lifecycle::StopOptions::default()).await;
    for erased in [3, 12] {
        assert!(rig.stores.erasure.erase_data(&acme(), "/till", &format!("id {erased}")).await.unwrap());
    }
    // The whole stream is gone, and the broker knows nothing of it.
    let name = topology::tenant_stream("default");
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    let config = stream.cached_info().config.clone();
    rig.bus.jetstream().delete_stream(&name).await.unwrap();
    rig.bus.jetstream().create_stream(config).await.unwrap();
    let second = rig.engine().await;
    wait_until("the tenant stream is whole", LONG, async || rig.messages(&name).await >= 18).await;
    rig.publish(message(20..21)).await;
    rig.acked().await;
    assert_eq!(rig.messages(&name).await, 19);
    let stream = rig.bus.jetstream().get_stream(&name).await.unwrap();
    for sequence in 1..=19u64 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let id = message.headers.get("ce-id").unwrap().as_str();
        assert!(!["id%203", "id%2012"].contains(&id), "{id}");
    }
    second.shutdown().abort();
}
