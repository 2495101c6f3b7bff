//! What tenants' NATS clients read is metered.

use std::time::Duration;

use api::Options;
use async_nats::{
    ConnectOptions,
    jetstream::{self, consumer::PullConsumer},
};
use bus::{
    accounts::{Accounts, Sent},
    topology::EGRESS,
};
use futures::StreamExt as _;
use model::CloudEvent;
use runtime::config::Millis;
use serde_json::json;
use store::{METER_EGRESS_BYTES, UsageQuery};
use testkit::wait_until;

use super::world::Control;
use crate::world::{PATIENCE, TEN, World, options};

async fn metered(world: &World, tenant: &str) -> u64 {
    let tenant = tenant.parse().unwrap();
    let sums = world.stores.usage.sum(&tenant, METER_EGRESS_BYTES, &UsageQuery::default()).await.unwrap();
    sums.iter().map(|bucket| bucket.value).sum()
}

fn large(n: usize) -> CloudEvent {
    CloudEvent::builder(n.to_string(), "/shop".to_owned(), "com.example.order".to_owned())
        .text("text/plain", "x".repeat(1_000))
        .build()
        .unwrap()
}

/// Bytes of the next events as they are in the stream: payloads and headers.
async fn read(consumer: &PullConsumer, count: usize) -> u64 {
    let mut messages = consumer.fetch().max_messages(count).messages().await.unwrap();
    let mut bytes = 0;
    let mut read = 0;
    while let Some(message) = messages.next().await {
        let message = message.unwrap();
        message.double_ack().await.unwrap();
        let headers = message.headers.as_ref().unwrap().iter().flat_map(|(name, values)| {
            values.iter().map(|value| name.to_string().len() + ": \r\n".len() + value.as_str().len())
        });
        bytes += message.payload.len() + "NATS/1.0\r\n\r\n".len() + headers.sum::<usize>();
        read += 1;
    }
    assert_eq!(read, count);
    bytes as u64
}

/// A client of acme's, and its consumer.
async fn consumer(control: &Control) -> PullConsumer {
    let told = control.post("/nats-credentials", &json!({})).await;
    assert_eq!(told.status, 201, "{told:?}");
    let text = |name: &str| told.json[name].as_str().unwrap();
    let credentials = ConnectOptions::with_credentials(text("credentials")).unwrap();
    let guest = credentials.connect(control.world.nats.url()).await.unwrap();
    let jetstream = jetstream::with_domain(guest, bus::accounts::DOMAIN);
    let name = format!("acme~{}", text("id"));
    jetstream.get_consumer_from_stream(name, "TENANT-default").await.unwrap()
}

/// What the broker says.
async fn sent(world: &World) -> Vec<Sent> {
    let accounts = Accounts::new(&world.bus, &world.signing).unwrap().unwrap();
    accounts.sent(&["acme".parse().unwrap()]).await.unwrap().unwrap()
}

fn every(ms: u64) -> Options {
    Options { egress_flush_ms: Millis(ms), ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_meter_once_what_nats_clients_read() {
    let control = Control::start_with(every(100)).await;
    let world = &control.world;
    let (shutdown, second) = world.second(every(100)).await;
    let consumer = consumer(&control).await;
    let mut expected = 0;
    // Both look between any two of these, and see other counts.
    for round in 0..20 {
        let events: Vec<_> = (round * 5..(round + 1) * 5).map(large).collect();
        world.publish("acme", &events).await;
        world.publish("globex", &events).await;
        expected += read(&consumer, 5).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // An answer to what it asked is in it too.
    let all = sent(world).await[0].bytes;
    wait_until("all is metered", PATIENCE, async || metered(world, "acme").await >= all).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((metered(world, "acme").await, sent(world).await[0].bytes), (all, all), "not again");
    println!("events of {expected} bytes, {all} sent");
    assert!((expected..expected + 8_192).contains(&all), "events of {expected} bytes, {all} sent");
    assert_eq!(metered(world, "globex").await, 0);
    let acme = "acme".parse().unwrap();
    let records = world.stores.usage.list(&acme, &UsageQuery::default()).await.unwrap().records;
    assert!(
        records.len() >= 5 && records.iter().all(|record| record.id.starts_with("nats/N")),
        "{records:?}"
    );
    shutdown.abort();
    second.await.unwrap().unwrap();
    control.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_that_died_had_claimed_is_metered_by_another() {
    let control = Control::start_with(every(60_000)).await;
    let world = &control.world;
    let consumer = consumer(&control).await;
    world.publish("acme", &(0..20).map(large).collect::<Vec<_>>()).await;
    read(&consumer, 20).await;
    let Sent { node, account, bytes, .. } = sent(world).await.remove(0);
    let claimed = json!({"from": 0, "to": bytes, "at_us": TEN, "round": 0}).to_string();
    let bucket = world.bus.jetstream().get_key_value(EGRESS).await.unwrap();
    bucket.create(format!("{node}.{account}"), claimed.into()).await.unwrap();
    assert_eq!(metered(world, "acme").await, 0);
    let (shutdown, second) = world.second(every(100)).await;
    wait_until("it is metered", PATIENCE, async || metered(world, "acme").await == bytes).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(metered(world, "acme").await, bytes, "not again");
    shutdown.abort();
    second.await.unwrap().unwrap();
    control.close().await;
}
