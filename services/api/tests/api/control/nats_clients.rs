//! What tenants' NATS clients read is metered.

use std::time::Duration;

use api::Options;
use async_nats::{
    ConnectOptions,
    jetstream::{self, consumer::PullConsumer},
};
use bus::accounts::Accounts;
use futures::StreamExt as _;
use model::CloudEvent;
use runtime::config::Millis;
use serde_json::json;
use store::{METER_EGRESS_BYTES, UsageQuery};
use testkit::wait_until;

use super::world::Control;
use crate::world::{PATIENCE, World, options};

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

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_meter_once_what_nats_clients_read() {
    let options = || Options { egress_flush_ms: Millis(100), ..options() };
    let control = Control::start_with(options()).await;
    let world = &control.world;
    let (shutdown, second) = world.second(options()).await;
    let told = control.post("/nats-credentials", &json!({})).await;
    assert_eq!(told.status, 201, "{told:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reader.creds");
    std::fs::write(&file, told.json["credentials"].as_str().unwrap()).unwrap();
    let guest = ConnectOptions::with_credentials_file(&file).await.unwrap();
    let guest = guest.connect(world.nats.url()).await.unwrap();
    let text = |name: &str| told.json[name].as_str().unwrap();
    let jetstream = jetstream::with_domain(guest.clone(), bus::accounts::DOMAIN);
    let name = format!("acme~{}", text("id"));
    let consumer: PullConsumer = jetstream.get_consumer_from_stream(name, "TENANT-default").await.unwrap();

    let accounts = Accounts::new(&world.bus, &world.signing).unwrap().unwrap();
    let tenants = ["acme".parse().unwrap(), "globex".parse().unwrap()];
    let sent = async || -> u64 {
        accounts.sent(&tenants).await.unwrap().unwrap().iter().map(|sent| sent.bytes).sum()
    };
    let mut expected = 0;
    for round in 0..5 {
        let events: Vec<_> = (round * 20..(round + 1) * 20).map(large).collect();
        world.publish("acme", &events).await;
        world.publish("globex", &events).await;
        expected += read(&consumer, 20).await;
        wait_until("it is metered", PATIENCE, async || metered(world, "acme").await >= expected).await;
    }
    // Answers to what it asked, and to acknowledgements, are in it.
    let all = sent().await;
    wait_until("all is metered", PATIENCE, async || metered(world, "acme").await >= all).await;
    println!("events of {expected} bytes, {all} sent, {} metered", metered(world, "acme").await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((metered(world, "acme").await, sent().await), (all, all), "it is not metered again");
    assert!((expected..expected + 8_192).contains(&all), "events of {expected} bytes, {all} sent");
    assert_eq!(metered(world, "globex").await, 0);

    let records = world.stores.usage.list(&tenants[0], &UsageQuery::default()).await.unwrap().records;
    assert!(
        records.len() >= 5 && records.iter().all(|record| record.id.starts_with("nats/N")),
        "{records:?}"
    );
    shutdown.abort();
    second.await.unwrap().unwrap();
    control.close().await;
}
