//! What tenants read by streams is metered.

use api::Options;
use model::CloudEvent;
use prost::Message as _;
use runtime::config::Millis;
use serde_json::json;
use store::{METER_EGRESS_BYTES, UsageQuery};
use testkit::wait_until;

use crate::{
    grpc::after,
    sse::Message,
    world::{PATIENCE, World, events, options},
};

/// As it stands in the stream.
fn bytes_of(message: &Message) -> u64 {
    format!("id: {}\ndata: {}\n\n", message.id, message.data).len() as u64
}

async fn read(world: &World) -> u64 {
    let path = format!("/api/v1/usage/acme?meter={METER_EGRESS_BYTES}");
    world.get(&path).await["total"].as_u64().unwrap()
}

#[tokio::test]
async fn bytes_of_both_transports_are_metered_once() {
    let world = World::start_with(Options { egress_flush_ms: Millis(100), ..options() }).await;
    let all: Vec<CloudEvent> = events(20);
    world.publish("acme", &all).await;
    let mut sse = world.stream("?start=0", None).await;
    let by_sse: u64 = sse.take_messages(20).await.iter().map(bytes_of).sum();
    wait_until("the bytes read by SSE are metered", PATIENCE, async || read(&world).await == by_sse).await;
    let mut grpc = world.subscribe(after(0)).await;
    let mut by_grpc = 0;
    for _ in 0..20 {
        by_grpc += grpc.next().await.unwrap().unwrap().encoded_len() as u64;
    }
    wait_until("those by gRPC too", PATIENCE, async || read(&world).await == by_sse + by_grpc).await;
    // Heartbeats are no events.
    sse.until(|s| s.comments > 2).await;
    assert_eq!(read(&world).await, by_sse + by_grpc);
    let records = world.get("/api/v1/usage/acme/records").await;
    let record = &records["records"][0];
    assert_eq!((&record["origin"]["kind"], &record["origin"]["name"]), (&json!("other"), &json!("egress")));
    assert!(record["id"].as_str().unwrap().starts_with("egress/"), "{record}");
    world.close().await;
}

#[tokio::test]
async fn the_rest_is_metered_at_a_stop() {
    let world = World::start_with(Options { egress_flush_ms: Millis(60_000), ..options() }).await;
    world.publish("acme", &events(5)).await;
    let mut sse = world.stream("?start=0", None).await;
    let bytes: u64 = sse.take_messages(5).await.iter().map(bytes_of).sum();
    assert_eq!(read(&world).await, 0);
    world.shutdown.drain();
    let (running, stores) = (world.running, world.stores);
    running.await.unwrap().unwrap();
    let acme = "acme".parse().unwrap();
    let sums = stores.usage.sum(&acme, METER_EGRESS_BYTES, &UsageQuery::default()).await.unwrap();
    assert_eq!(sums.iter().map(|bucket| bucket.value).sum::<u64>(), bytes);
}
