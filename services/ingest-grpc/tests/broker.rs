//! The door on a real broker: what is accepted is there, and an outage is never an acceptance.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{collections::HashMap, sync::Arc};

use auth::NewKey;
use bus::{Bus, Door, DoorOptions, TopologyOptions, topology};
use catalog::{Catalog, Options as CatalogOptions};
use ingest_grpc::{Dependencies, Options, Service};
use model::{
    Durability,
    resource::{ApiKey, Scope, System},
};
use prost::Message as _;
use proto::{
    cloudevents::cloud_event_attribute_value::Attr,
    hops::EventBatch,
    v1::{PublishEventRequest, StreamEventsRequest, event_ingest_service_client::EventIngestServiceClient},
};
use runtime::{http::ServerOptions, lifecycle::Shutdown};
use secrecy::ExposeSecret as _;
use serde_json::json;
use support::{Key, attribute, event, tenant};
use testkit::NatsServer;
use tonic::{Code, service::interceptor::InterceptedService, transport::Channel};

type Client = EventIngestServiceClient<InterceptedService<Channel, Key>>;

struct Stand {
    nats: NatsServer,
    bus: Bus,
    catalog: Catalog,
    key: ApiKey,
    client: Client,
    shutdown: Shutdown,
}

async fn stand() -> Stand {
    let nats = NatsServer::start();
    let options = bus::Options { url: nats.url(), request_timeout_ms: 1_000, ..Default::default() };
    let bus = Bus::connect(&options).await.unwrap();
    let topology_options =
        TopologyOptions { durability: Durability::Process, partitions: 2, ..Default::default() };
    let partitions = topology::ensure(&bus, &topology_options).await.unwrap().partitions;
    catalog::ensure_bucket(bus.jetstream(), &CatalogOptions::default(), 1).await.unwrap();
    let catalog = Catalog::open(bus.jetstream().clone(), CatalogOptions::default()).await;
    catalog.create(&tenant(&json!({}))).await.unwrap();
    let system: System = serde_json::from_value(json!({"tenant": "acme", "id": "shop"})).unwrap();
    catalog.create(&system).await.unwrap();
    let new = NewKey {
        tenant: "acme".parse().unwrap(),
        system: "shop".parse().unwrap(),
        name: String::new(),
        scopes: vec![Scope::Publish],
        created_at: "2026-11-21T10:00:00Z".into(),
    };
    let (key, shown) = auth::generate(&mut rand::rng(), new);
    catalog.create(&key).await.unwrap();

    let door = Door::start(&bus, partitions, &DoorOptions { accept_timeout_ms: 1_000, ..Default::default() });
    let snapshots = catalog.clone();
    let dependencies = Dependencies::new(Arc::new(door), Arc::new(move || snapshots.snapshot()));
    let options = Options { server: ServerOptions::on_port(0), ..Options::default() };
    let service = Service::build(options, dependencies).await.unwrap();
    let url = format!("http://{}", service.local_addr());
    let shutdown = Shutdown::new();
    tokio::spawn(service.run(shutdown.clone()));
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let bearer = Key(format!("Bearer {}", shown.expose_secret()).parse().unwrap());
    let client = EventIngestServiceClient::with_interceptor(channel, bearer);
    Stand { nats, bus, catalog, key, client, shutdown }
}

/// The ids in `EVENTS`, by partition, in the order of the stream.
async fn events(bus: &Bus) -> HashMap<String, Vec<String>> {
    let mut stream = bus.jetstream().get_stream("EVENTS").await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    let mut ids: HashMap<String, Vec<String>> = HashMap::new();
    for sequence in state.first_sequence..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let batch = EventBatch::decode(message.payload).unwrap();
        let partition = ids.entry(message.subject.to_string()).or_default();
        for event in batch.groups.into_iter().flat_map(|g| g.events) {
            partition.push(String::from_utf8(event.id.to_vec()).unwrap());
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_in_the_broker_in_order_of_its_keys() {
    let mut stand = stand().await;
    let messages = (0..2_000_u64).map(|n| {
        let mut event = event(&n.to_string());
        attribute(&mut event, "partitionkey", Attr::CeString(format!("k{}", n % 5)));
        StreamEventsRequest { sequence: n, events: vec![event] }
    });
    let answers = stand.client.stream_events(tokio_stream::iter(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut answered = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(matches!(answer.results[0].outcome, Some(proto::v1::publish_result::Outcome::Accepted(_))));
        answered += 1;
    }
    assert_eq!(answered, 2_000);
    let mut kept = 0;
    let mut last: HashMap<u64, u64> = HashMap::new();
    for ids in events(&stand.bus).await.into_values() {
        for n in ids.iter().map(|id| id.parse::<u64>().unwrap()) {
            let before = last.insert(n % 5, n);
            assert!(before.is_none_or(|before| before < n), "{before:?} before {n}");
            kept += 1;
        }
    }
    assert_eq!(kept, 2_000);
    stand.shutdown.drain();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_unavailable_and_a_revoked_key_is_refused_within_a_second() {
    let mut stand = stand().await;
    let one = |id: &str| PublishEventRequest { event: Some(event(id)) };
    stand.client.publish_event(one("1")).await.unwrap();
    stand.nats.kill();
    let status = stand.client.publish_event(one("2")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    stand.nats.restart();
    while stand.client.publish_event(one("3")).await.is_err() {}
    let ids = events(&stand.bus).await.into_values().flatten().collect::<Vec<_>>();
    assert!(ids.contains(&"1".to_owned()) && ids.contains(&"3".to_owned()), "{ids:?}");

    let id = stand.key.id.clone();
    // Another process revokes it, as far as this door's catalog is concerned.
    let js = stand.nats.jetstream().await;
    let other = Catalog::open(js, CatalogOptions::default()).await;
    stand.client.publish_event(one("4")).await.unwrap();
    let began = std::time::Instant::now();
    other.delete::<ApiKey>(&stand.key.tenant, &id, None).await.unwrap();
    let refused = loop {
        if let Err(status) = stand.client.publish_event(one("5")).await {
            break status;
        }
    };
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(stand.catalog.status().fault, None);
}
