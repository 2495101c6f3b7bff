//! Stored events: lists, single events, receipts.

use model::{Clock as _, SystemClock, format_rfc3339};
use prost::Message as _;
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::world::{TEN, TRACE_ID, World, event, pointers, stamp};

fn ids(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|e| e["event"]["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_are_narrowed_ordered_and_paged() {
    let world = World::start().await;
    for (n, (source, ty)) in [("/a", "t1"), ("/b", "t1"), ("/a", "t2"), ("/c", "t3")].into_iter().enumerate()
    {
        let event = event(&n.to_string(), source, ty);
        world.store(stamp("acme", TEN + n as i64 * 1_000_000), vec![event]).await;
    }
    world.store(stamp("globex", TEN), vec![event("theirs", "/a", "t1")]).await;
    let cases: [(&str, &[&str]); 10] = [
        ("", &["3", "2", "1", "0"]),
        ("?order=oldest", &["0", "1", "2", "3"]),
        ("?type=t1", &["1", "0"]),
        ("?type=t1&type=t3", &["3", "1", "0"]),
        ("?source=%2Fa", &["2", "0"]),
        ("?source=%2Fa&type=t2", &["2"]),
        ("?subject=none", &[]),
        ("?since=2026-11-21T10:00:02Z", &["3", "2"]),
        ("?since=2026-11-21T12:00:01%2B02:00&until=2026-11-21T10:00:03Z", &["2", "1"]),
        ("?limit=2", &["3", "2"]),
    ];
    for (query, expected) in cases {
        assert_eq!(ids(&world.get(&format!("/api/v1/events{query}")).await), expected, "{query}");
    }
    let mut walked = Vec::new();
    let mut query = "?order=oldest&limit=1".to_owned();
    loop {
        let page = world.get(&format!("/api/v1/events{query}")).await;
        walked.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?order=oldest&limit=1&cursor={cursor}");
    }
    assert_eq!(walked, ["0", "1", "2", "3"]);
    world.close().await;
}

/// Events "0" to "99"; the data of each says its id and what remains of it by seven.
async fn a_hundred(world: &World) {
    for n in 0..100 {
        let data = format!(r#"{{"id": "{n}", "order": {{"rest": {}, "open": {}}}}}"#, n % 7, n % 2 == 0);
        let event = model::CloudEvent::builder(n.to_string(), "/shop", "t").text("application/json", data);
        world.store(stamp("acme", TEN + n * 1_000_000), vec![event.build().unwrap()]).await;
    }
    let text = model::CloudEvent::builder("text", "/shop", "t").text("text/plain", "rest=3").build().unwrap();
    world.store(stamp("acme", TEN), vec![text]).await;
    world.store(stamp("globex", TEN), vec![event("3", "/shop", "t")]).await;
}

#[tokio::test]
async fn events_are_found_by_what_is_in_their_data() {
    let world = World::start().await;
    a_hundred(&world).await;
    let expected =
        |keep: fn(i32) -> bool| (0..100).rev().filter(|n| keep(*n)).map(|n| n.to_string()).collect();
    let cases: [(&str, Vec<String>); 5] = [
        ("data=/id=17", vec!["17".into()]),
        ("data=/order/rest=3", expected(|n| n % 7 == 3)),
        ("data=/order/rest=3&data=/order/open=true", expected(|n| n % 7 == 3 && n % 2 == 0)),
        ("data=/order/rest=3&until=2026-11-21T10:00:20Z", expected(|n| n % 7 == 3 && n < 20)),
        ("data=/order=3", vec![]),
    ];
    for (query, expected) in cases {
        // However the pages fall, each event is found once.
        for limit in [1, 2, 100] {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = world.get(&format!("/api/v1/events?{query}&limit={limit}{cursor}")).await;
                found.extend(ids(&page).into_iter().map(str::to_owned));
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(found, expected, "{query}, {limit} a page");
        }
    }
    let problem = world.ask(Method::GET, "/api/v1/events?data=id").await.json::<Value>().await.unwrap();
    assert_eq!(pointers(&problem), ["query:data"]);
    world.close().await;
}

#[tokio::test]
async fn a_search_says_how_far_it_came() {
    let world = World::start_with(api::Options { search_events_max: 1, ..crate::world::options() }).await;
    a_hundred(&world).await;
    let page = world.get("/api/v1/events?data=/id=nobody").await;
    let searched = &page["searched"];
    assert!(searched["events"].as_u64().unwrap() >= 1, "{page}");
    assert!(searched["reached"].as_str().unwrap().starts_with("2026-11-21T10:0"), "{page}");
    assert!(world.get("/api/v1/events").await.get("searched").is_none());
    world.close().await;
}

#[tokio::test]
async fn an_item_is_the_event_and_what_the_door_knew() {
    let world = World::start().await;
    let mut stamp = stamp("acme", TEN);
    stamp.source = Some("gh".parse().unwrap());
    world.store(stamp, vec![event("1", "/a", "t")]).await;
    let page = world.get("/api/v1/events").await;
    let mut item = page["events"][0].clone();
    assert!(item["stored_at"].as_str().is_some());
    item.as_object_mut().unwrap().remove("stored_at");
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/a", "type": "t",
        "datacontenttype": "application/json", "data": {"id": "1"},
    });
    assert_eq!(
        item,
        json!({
            "event": event, "received_at": "2026-11-21T10:00:00Z", "system": "shop", "source_id": "gh",
            "protocol": "http",
        })
    );
    let batch = world.http.get(world.url("/api/v1/events?limit=1")).bearer_auth(&world.keys.acme);
    let batch = batch.header(header::ACCEPT, "application/cloudevents-batch+json").send().await.unwrap();
    assert_eq!(batch.headers()[header::CONTENT_TYPE], "application/cloudevents-batch+json");
    assert_eq!(batch.json::<Value>().await.unwrap(), json!([event]));
    world.close().await;
}

#[tokio::test]
async fn impossible_queries_are_refused_by_name() {
    let world = World::start().await;
    let cases: [(&str, &[&str]); 7] = [
        ("?limit=0", &["query:limit"]),
        ("?limit=1001", &["query:limit"]),
        ("?order=up&since=yesterday", &["query:since", "query:order"]),
        ("?cursor=nobodys", &["query:cursor"]),
        ("?types=t", &["query:types"]),
        ("?source=", &["query:source"]),
        ("?since=2026-11-21T10:00:00Z&until=2026-11-21T09:00:00Z", &["query:until"]),
    ];
    for (query, expected) in cases {
        let response = world.ask(Method::GET, &format!("/api/v1/events{query}")).await;
        assert_eq!(response.status(), 400, "{query}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "invalid_argument");
        assert!(problem["trace_id"].as_str().is_some());
        assert_eq!(pointers(&problem), expected, "{query}");
    }
    world.close().await;
}

#[tokio::test]
async fn one_event_is_found_by_its_encoded_identity() {
    let world = World::start().await;
    let id = "x/1 %2F+é";
    let event = model::CloudEvent::builder(id, "https://example.com/a%20b?c=d/%C3%A9", "t")
        .time("2026-11-21T10:00:00.5+02:00")
        .text("application/json", "{ \"kept\":   1.0 }")
        .build()
        .unwrap();
    world.store(stamp("acme", TEN), vec![event.clone()]).await;
    let encode = |s: &str| {
        s.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect::<String>()
    };
    let path = format!("/api/v1/events/{}/{}", encode(event.source()), encode(id));
    let response = world.ask(Method::GET, &path).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/cloudevents+json");
    assert_eq!(response.headers()["eventrunner-received-at"], "2026-11-21T10:00:00Z");
    let body = response.bytes().await.unwrap();
    assert_eq!(model::json::decode(&body).unwrap(), event, "attribute for attribute, byte for byte");

    let request = world.http.get(world.url(&path)).bearer_auth(&world.keys.acme);
    let response = request.header(header::ACCEPT, "application/cloudevents+protobuf").send().await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/cloudevents+protobuf");
    let body = response.bytes().await.unwrap();
    let decoded = proto::cloudevents::CloudEvent::decode(body).unwrap();
    assert_eq!(decoded, proto::cloudevents::CloudEvent::from(&event));

    let response = world.ask(Method::GET, "/api/v1/events/%FF/1").await;
    assert_eq!(response.status(), 400, "not UTF-8");
    for nowhere in ["/api/v1/events/%2Fa/1", "/api/v1/events/%2Fa/1/receipt"] {
        let response = world.ask(Method::GET, nowhere).await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "not_found");
    }
    world.close().await;
}

#[tokio::test]
async fn a_receipt_tells_every_hop() {
    let world = World::start().await;
    let now = SystemClock.now();
    let wanted = event("wanted", "/a", "com.example.order");
    // Older events of its type, events of other types, and the same id of another source.
    world
        .publish("acme", &[event("0", "/a", "com.example.order"), event("wanted", "/b", "com.example.order")])
        .await;
    let sequence = world.publish("acme", &[event("wanted", "/a", "other"), wanted.clone()]).await;
    world.store(stamp("acme", now - 1_000_000), vec![event("0", "/a", "com.example.order"), wanted]).await;
    let receipt = world.get("/api/v1/events/%2Fa/wanted/receipt").await;
    assert_eq!(receipt["trace_id"], TRACE_ID);
    assert_eq!(receipt["type"], "com.example.order");
    let hops: Vec<&str> =
        receipt["hops"].as_array().unwrap().iter().map(|h| h["hop"].as_str().unwrap()).collect();
    assert_eq!(hops, ["accepted", "normalized", "stored", "metered", "streamed"]);
    let hop = |n: usize| receipt["hops"][n].clone();
    let received = now - 1_000_000;
    assert_eq!(
        hop(0),
        json!({
            "hop": "accepted", "at": format_rfc3339(received), "stream": "RAW", "partition": 1, "sequence": 11,
            "broker_at": format_rfc3339(received + 1),
        })
    );
    assert_eq!(
        hop(1),
        json!({
            "hop": "normalized", "at": format_rfc3339(received + 2), "stream": "EVENTS", "partition": 1,
            "sequence": 22, "index": 1, "broker_at": format_rfc3339(received + 3),
        })
    );
    assert!(hop(2)["at"].as_str().is_some());
    assert_eq!(hop(3)["usage"]["origin"], json!({"kind": "event", "source": "/a", "id": "wanted"}));
    assert_eq!(hop(3)["usage"]["meters"]["events"], 1);
    assert_eq!((&hop(4)["stream"], &hop(4)["sequence"]), (&json!("TENANT-default"), &json!(sequence)));
    assert!(hop(4)["at"].as_str().is_some() && hop(4).get("missing").is_none());
    world.close().await;
}

#[tokio::test]
async fn a_receipt_says_why_a_hop_is_missing() {
    let options = api::Options { receipt_scan_events_max: 10, ..crate::world::options() };
    let world = World::start_with(options).await;
    let now = SystemClock.now();
    world.store(stamp("acme", now), vec![event("1", "/a", "t")]).await;
    let streamed = async || world.get("/api/v1/events/%2Fa/1/receipt").await["hops"][4].clone();
    let hop = streamed().await;
    assert_eq!((&hop["missing"]["reason"], &hop["missing"]["searched"]), (&json!("not_found"), &json!(0)));
    let others: Vec<_> = (0..30).map(|n| event(&format!("other-{n}"), "/a", "t")).collect();
    world.publish("acme", &others).await;
    let hop = streamed().await;
    assert_eq!(
        (&hop["missing"]["reason"], &hop["missing"]["searched"]),
        (&json!("not_found_within"), &json!(10))
    );
    world.close().await;
}

#[tokio::test]
async fn erased_data_is_gone_from_store_and_stream_and_the_rest_stays() {
    let world = World::start().await;
    let now = SystemClock.now();
    let all: Vec<_> = ["a", "wanted", "b"].map(|id| event(id, "/a", "com.example.order")).into();
    world.store(stamp("acme", now), all.clone()).await;
    world.store(stamp("globex", now), all.clone()).await;
    // Published twice, as after a crash; a sequence of somebody else's between.
    world.publish("acme", &all).await;
    world.publish("globex", &all).await;
    let last = world.publish("acme", &all[1..2]).await;
    let path = "/api/v1/events/%2Fa/wanted";
    let receipt = world.get(&format!("{path}/receipt")).await;
    let erased = world.json(Method::DELETE, &format!("{path}/data")).await;
    assert_eq!(erased, json!({"source": "/a", "id": "wanted", "stream_messages": 2}));
    let stored = world.get(path).await;
    assert_eq!((&stored["id"], stored.get("data")), (&"wanted".into(), None));
    assert_eq!(stored["type"], "com.example.order");
    let after = world.get(&format!("{path}/receipt")).await;
    assert_eq!(after["hops"].as_array().unwrap()[..4], receipt["hops"].as_array().unwrap()[..4]);
    assert_eq!(world.get("/api/v1/events/%2Fa/b").await["data"], json!({"id": "b"}));
    let stream = world.bus.jetstream().get_stream("TENANT-default").await.unwrap();
    for sequence in 1..=last {
        assert_eq!(
            stream.get_raw_message(sequence).await.is_err(),
            [2, last].contains(&sequence),
            "{sequence}"
        );
    }
    let theirs = world.ask_as(&world.keys.globex, Method::GET, path).await.json::<Value>().await.unwrap();
    assert_eq!(theirs["data"], json!({"id": "wanted"}));
    // Again, and of what is not there.
    let again = world.json(Method::DELETE, &format!("{path}/data")).await;
    assert_eq!(again["stream_messages"], 0);
    assert_eq!(world.ask(Method::DELETE, "/api/v1/events/%2Fa/none/data").await.status(), 404);
    world.close().await;
}
