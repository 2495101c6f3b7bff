//! Dead letters: list, get, redrive, delete, purge.

use bytes::Bytes;
use prost::Message as _;
use proto::hops::{self, raw_item::Item};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{TEN, TRACE_ID, TRACEPARENT, World, event, stamp};

/// A letter about a raw event.
pub(crate) fn letter(tenant: &str, id: &str, sequence: u64) -> hops::DeadLetter {
    let raw = hops::RawEvent {
        id: Bytes::copy_from_slice(id.as_bytes()),
        event_source: "/hooks".into(),
        headers: vec![hops::Header { name: "content-type".into(), value: "text/plain".into() }],
        query: "a=b".into(),
        body: "as it came".into(),
        ..Default::default()
    };
    hops::DeadLetter {
        stamp: Some((&stamp(tenant, TEN)).into()),
        item: Some(hops::RawItem { item: Some(Item::Raw(raw)) }),
        stage: "normalizer".into(),
        code: "unprocessable".into(),
        reason: "why not".into(),
        at_us: TEN + 5_000_000,
        sequence,
        index: 3,
        partition: 1,
    }
}

fn event_letter(tenant: &str, id: &str, sequence: u64) -> hops::DeadLetter {
    let event = (&event(id, "/a", "com.example.order")).into();
    hops::DeadLetter {
        item: Some(hops::RawItem { item: Some(Item::Event(event)) }),
        code: "schema_violation".into(),
        stage: "engine".into(),
        ..letter(tenant, id, sequence)
    }
}

impl World {
    async fn dead(&self, letters: &[hops::DeadLetter]) {
        for letter in letters {
            bus::dead::send(&self.bus, letter).await.settled().await;
        }
    }

    async fn letters(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("/api/v1/dead-letters{query}")).await;
        let letters = page["dead_letters"].as_array().unwrap();
        letters.iter().map(|l| l["event_id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What is in `RAW`, in order.
    async fn raw(&self) -> Vec<(String, hops::RawBatch)> {
        let mut stream = self.bus.jetstream().get_stream("RAW").await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        let mut found = Vec::new();
        for sequence in 1..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            found.push((message.subject.to_string(), hops::RawBatch::decode(message.payload).unwrap()));
        }
        found
    }
}

#[tokio::test]
async fn letters_are_listed_and_shown_whole() {
    let world = World::start().await;
    let binary = hops::RawEvent { body: Bytes::from_static(b"\xff\0"), ..Default::default() };
    let binary = hops::DeadLetter {
        item: Some(hops::RawItem { item: Some(Item::Raw(binary)) }),
        ..letter("acme", "", 4)
    };
    world
        .dead(&[letter("acme", "1", 1), letter("globex", "2", 2), event_letter("acme", "3", 3), binary])
        .await;
    let cases: [(&str, &[&str]); 7] = [
        ("", &["1", "3", ""]),
        ("?stage=engine", &["3"]),
        ("?code=unprocessable", &["1", ""]),
        ("?source=%2Fhooks", &["1"]),
        ("?stage=normalizer&code=schema_violation", &[]),
        ("?since=2100-01-01T00:00:00Z", &[]),
        ("?until=2020-01-01T00:00:00Z", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(world.letters(query).await, expected, "{query}");
    }
    let one = world.get("/api/v1/dead-letters/1").await;
    assert_eq!(
        one,
        json!({
            "id": 1, "stage": "normalizer", "code": "unprocessable", "reason": "why not",
            "at": "2026-11-21T10:00:05Z", "event_id": "1", "event_source": "/hooks", "kind": "raw",
            "system": "shop", "protocol": "http", "received_at": "2026-11-21T10:00:00Z", "trace_id": TRACE_ID,
            "partition": 1, "sequence": 1, "index": 3,
            "request": {
                "headers": [{"name": "content-type", "value": "text/plain"}], "query": "a=b",
                "body": "as it came",
            },
        })
    );
    let whole = world.get("/api/v1/dead-letters/3").await;
    assert_eq!((&whole["kind"], &whole["event_type"]), (&json!("event"), &json!("com.example.order")));
    assert_eq!(whole["event"]["data"], json!({"id": "3"}));
    assert_eq!(world.get("/api/v1/dead-letters/4").await["request"]["body_base64"], "/wA=");
    for nothing in ["0", "2", "99", "x", "-1"] {
        let response = world.ask(Method::GET, &format!("/api/v1/dead-letters/{nothing}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{nothing}");
    }
    world.close().await;
}

#[tokio::test]
async fn lists_are_paged_and_a_page_does_bounded_work() {
    let world = World::start_with(api::Options { letters_scan_max: 10, ..crate::world::options() }).await;
    let letters: Vec<_> = (1..=35)
        .map(|n| {
            if n % 9 == 0 {
                event_letter("acme", &n.to_string(), n)
            } else {
                letter("acme", &n.to_string(), n)
            }
        })
        .collect();
    world.dead(&letters).await;
    let mut pages = Vec::new();
    let mut query = "?stage=normalizer&limit=4".to_owned();
    loop {
        let page = world.get(&format!("/api/v1/dead-letters{query}")).await;
        pages.extend(page["dead_letters"].as_array().unwrap().iter().map(|l| l["id"].as_u64().unwrap()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?stage=normalizer&limit=4&cursor={cursor}");
    }
    assert_eq!(pages, (1..=35).filter(|n| n % 9 != 0).collect::<Vec<_>>());
    // A filter the broker cannot apply: short pages, none missed.
    let first = world.get("/api/v1/dead-letters?code=schema_violation").await;
    assert_eq!((first["dead_letters"].as_array().unwrap().len(), &first["next_cursor"]), (1, &json!("10")));
    world.close().await;
}

#[tokio::test]
async fn a_redriven_letter_is_on_its_way_once_and_gone() {
    let world = World::start().await;
    world.dead(&[letter("acme", "1", 1)]).await;
    let told = world.json(Method::POST, "/api/v1/dead-letters/1/redrive").await;
    assert_eq!(told, json!({"redriven": 1, "more": false}));
    assert_eq!(world.letters("").await, [""; 0]);
    let raw = world.raw().await;
    let [(subject, batch)] = &raw[..] else { panic!("{raw:?}") };
    assert_eq!(subject, "raw.1", "its own partition");
    let expected = letter("acme", "1", 1);
    assert_eq!(batch.groups[0].stamp, expected.stamp, "as the door stamped it");
    assert_eq!(batch.groups[0].items, [expected.item.unwrap()], "untouched");
    assert_eq!(batch.groups[0].stamp.as_ref().unwrap().traceparent, TRACEPARENT);
    let again = world.ask(Method::POST, "/api/v1/dead-letters/1/redrive").await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    world.close().await;
}

/// Two at the same moment, and one whose deletion was lost: the broker knows the letter.
#[tokio::test]
async fn redriving_twice_is_redriving_once() {
    let world = World::start().await;
    world.dead(&[letter("acme", "1", 1)]).await;
    let asks = (0..8).map(|_| world.ask(Method::POST, "/api/v1/dead-letters/1/redrive"));
    for response in futures::future::join_all(asks).await {
        assert!([200, 404].contains(&response.status().as_u16()));
    }
    assert_eq!(world.raw().await.len(), 1);
    world.close().await;
}

#[tokio::test]
async fn all_that_match_are_redriven_in_order_and_in_bounds() {
    let world = World::start_with(api::Options { letters_change_max: 120, ..crate::world::options() }).await;
    let mut letters: Vec<_> = (1..=250).map(|n| letter("acme", &n.to_string(), n)).collect();
    letters.push(event_letter("acme", "engine's", 251));
    letters.push(letter("globex", "theirs", 252));
    world.dead(&letters).await;
    let redrive = async || world.json(Method::POST, "/api/v1/dead-letters/redrive?stage=normalizer").await;
    assert_eq!(redrive().await, json!({"redriven": 120, "more": true}));
    assert_eq!(redrive().await, json!({"redriven": 120, "more": true}));
    assert_eq!(redrive().await, json!({"redriven": 10, "more": false}));
    assert_eq!(redrive().await, json!({"redriven": 0, "more": false}));
    assert_eq!(world.letters("").await, ["engine's"]);
    let ids: Vec<String> = world.raw().await.iter().map(|(_, b)| raw_id(b)).collect();
    assert_eq!(ids, (1..=250).map(|n| n.to_string()).collect::<Vec<_>>());
    let theirs = world.ask_as(&world.keys.globex, Method::GET, "/api/v1/dead-letters").await;
    assert_eq!(theirs.json::<Value>().await.unwrap()["dead_letters"].as_array().unwrap().len(), 1);
    world.close().await;
}

/// `RAW` is full: nothing is lost, and it is said.
#[tokio::test]
async fn a_letter_that_cannot_be_appended_stays() {
    let world = World::start().await;
    world.dead(&[letter("acme", "1", 1), letter("acme", "2", 2)]).await;
    let mut raw = world.bus.jetstream().get_stream("RAW").await.unwrap();
    let mut config = raw.info().await.unwrap().config.clone();
    config.max_bytes = 10;
    world.bus.jetstream().update_stream(config).await.unwrap();
    for path in ["/api/v1/dead-letters/1/redrive", "/api/v1/dead-letters/redrive"] {
        let response = world.ask(Method::POST, path).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(response.headers().contains_key("retry-after"));
    }
    assert_eq!(world.letters("").await, ["1", "2"]);
    world.close().await;
}

/// A letter without an event in it would be deleted for nothing.
#[tokio::test]
async fn an_empty_letter_cannot_be_redriven() {
    let world = World::start().await;
    world.dead(&[hops::DeadLetter { item: None, ..letter("acme", "1", 1) }, letter("acme", "2", 2)]).await;
    let response = world.ask(Method::POST, "/api/v1/dead-letters/1/redrive").await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let told = world.json(Method::POST, "/api/v1/dead-letters/redrive").await;
    assert_eq!(told, json!({"redriven": 1, "more": false}), "it does not stop the others");
    assert_eq!(world.letters("").await.len(), 1);
    world.close().await;
}

#[tokio::test]
async fn letters_are_deleted_one_by_filter_or_all() {
    let world = World::start_with(api::Options { letters_change_max: 2, ..crate::world::options() }).await;
    let mut letters: Vec<_> = (1..=5).map(|n| letter("acme", &n.to_string(), n)).collect();
    letters.extend([event_letter("acme", "6", 6), event_letter("acme", "7", 7), letter("globex", "8", 8)]);
    world.dead(&letters).await;
    let response = world.ask(Method::DELETE, "/api/v1/dead-letters/1").await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(world.ask(Method::DELETE, "/api/v1/dead-letters/1").await.status(), StatusCode::NOT_FOUND);
    let response = world.ask(Method::DELETE, "/api/v1/dead-letters").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "everything is not deleted by mistake");
    let purge = async |query: &str| world.json(Method::DELETE, &format!("/api/v1/dead-letters{query}")).await;
    assert_eq!(purge("?code=unprocessable").await, json!({"deleted": 2, "more": true}));
    assert_eq!(world.letters("").await, ["4", "5", "6", "7"]);
    assert_eq!(purge("?stage=engine").await, json!({"deleted": 2, "more": false}));
    assert_eq!(purge("?all=true").await, json!({"deleted": 2, "more": false}));
    assert_eq!(world.letters("").await, [""; 0]);
    let theirs = world.ask_as(&world.keys.globex, Method::GET, "/api/v1/dead-letters").await;
    assert_eq!(theirs.json::<Value>().await.unwrap()["dead_letters"].as_array().unwrap().len(), 1);
    world.close().await;
}

fn raw_id(batch: &hops::RawBatch) -> String {
    match &batch.groups[0].items[0].item {
        Some(Item::Raw(raw)) => String::from_utf8(raw.id.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}
