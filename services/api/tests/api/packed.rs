//! A tenant's stream whose messages hold several events each, beside single ones.

use std::sync::Arc;

use async_nats::HeaderMap;
use model::{CloudEvent, Group};
use proto::packed;
use reqwest::Method;
use serde_json::json;

use crate::{
    grpc::after,
    sse::event_ids,
    world::{TEN, World, event, stamp},
};

impl World {
    /// Publishes events as one message, as the engine does for a tenant that chose so. Returns its sequence.
    async fn publish_packed(&self, tenant: &str, events: &[CloudEvent]) -> u64 {
        let group = Group { stamp: Arc::new(stamp(tenant, TEN)), events: events.to_vec() };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", packed::CONTENT_TYPE);
        let subject = model::tenant_packed_subject("default", &tenant.parse().unwrap());
        let sent = self.bus.jetstream().publish_with_headers(subject, headers, packed::pack([&group])).await;
        sent.unwrap().await.unwrap().sequence
    }

    /// A single message, a packed one of four events, another of one and a single one: sequences 1 to 4.
    async fn publish_mixed(&self) {
        self.publish("acme", &[event("1", "/a", "t1")]).await;
        let pack =
            [event("2", "/a", "t1"), event("3", "/b", "t2"), event("4", "/a", "t2"), event("5", "/b", "t1")];
        self.publish_packed("acme", &pack).await;
        self.publish_packed("acme", &[event("6", "/b", "t2")]).await;
        self.publish("acme", &[event("7", "/a", "t2")]).await;
    }
}

#[tokio::test]
async fn both_kinds_of_message_are_one_stream_of_events() {
    let world = World::start().await;
    world.publish_mixed().await;
    let mut stream = world.stream("?start=0", None).await;
    let all = stream.take_messages(7).await;
    let positions: Vec<_> = all.iter().map(|m| &*m.id).collect();
    assert_eq!(positions, ["1", "1.1", "1.2", "1.3", "2", "3", "4"]);
    assert_eq!(event_ids(&all), ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(all[2].json()["data"], json!({"id": "3"}));
    // From every position on each of the others comes once.
    for (n, position) in positions.iter().enumerate() {
        let mut resumed = world.stream("", Some(position)).await;
        assert_eq!(
            event_ids(&resumed.take_messages(6 - n).await),
            event_ids(&all[n + 1..]),
            "after {position}"
        );
    }
    let mut started = world.stream("?start=1.2", None).await;
    assert_eq!(event_ids(&started.take_messages(4).await), ["4", "5", "6", "7"]);
    let filters: [(&str, &[&str]); 4] = [
        ("?start=0&type=t1", &["1", "2", "5"]),
        ("?start=0&type=t2&source=%2Fa", &["4", "7"]),
        ("?start=0&source=%2Fb", &["3", "5", "6"]),
        ("?start=1.2&type=t1&type=t2&source=%2Fb", &["5", "6"]),
    ];
    for (query, expected) in filters {
        let mut stream = world.stream(query, None).await;
        assert_eq!(event_ids(&stream.take_messages(expected.len()).await), expected, "{query}");
    }
    world.close().await;
}

#[tokio::test]
async fn grpc_resumes_within_a_message() {
    let world = World::start().await;
    world.publish_mixed().await;
    let mut all = world.subscribe(after(0)).await;
    let mut places = Vec::new();
    for id in 1..=7 {
        let response = all.next().await.unwrap().unwrap();
        assert_eq!(response.event.unwrap().id, id.to_string());
        places.push((response.sequence, response.events));
    }
    assert_eq!(places, [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (3, 0), (4, 0)]);
    let mut exact = after(1);
    exact.after_events = 3;
    assert_eq!(world.subscribe(exact).await.ids(3).await, ["5", "6", "7"]);
    assert_eq!(
        world.subscribe(after(1)).await.ids(6).await,
        ["2", "3", "4", "5", "6", "7"],
        "none is missed"
    );
    world.close().await;
}

#[tokio::test]
async fn a_receipt_tells_the_place_in_a_packed_message_and_erasure_leaves_the_others() {
    let world = World::start().await;
    world.publish_mixed().await;
    let pack =
        [event("2", "/a", "t1"), event("3", "/b", "t2"), event("4", "/a", "t2"), event("5", "/b", "t1")];
    // Received before the stream has it.
    world.store(stamp("acme", TEN), pack.to_vec()).await;
    let path = "/api/v1/events/%2Fb/3";
    let hop = world.get(&format!("{path}/receipt")).await["hops"][4].clone();
    assert_eq!((&hop["hop"], &hop["sequence"], &hop["index"]), (&json!("streamed"), &json!(2), &json!(1)));
    let erased = world.json(Method::DELETE, &format!("{path}/data")).await;
    assert_eq!(erased["stream_messages"], 1);
    let mut stream = world.stream("?start=0", None).await;
    assert_eq!(event_ids(&stream.take_messages(6).await), ["1", "6", "7", "2", "4", "5"]);
    assert_eq!(stream.quiet().await, None);
    world.close().await;
}
