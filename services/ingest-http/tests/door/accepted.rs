//! Requests the door takes: what is appended, and what the caller is told.

use std::io::Write as _;

use crate::support::{Answer, Broker, Door, HEAVY, KEY, Request, SECRET, SLOW};
use bus::{AcceptError, Item, Placed};
use model::CloudEvent;
use prost::Message as _;
use proto::{cloudevents as ce, hops};
use serde_json::json;

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a": 1}}"#;

pub(crate) fn event(placed: &Placed) -> CloudEvent {
    match placed.item.clone() {
        // The tenant has sources, behind whose events one with a key may have to wait.
        Item::Raw(hops::RawItem { item: Some(hops::raw_item::Item::Event(event)) })
            if placed.key.is_some() =>
        {
            event.try_into().unwrap()
        }
        Item::Normal(event) if placed.key.is_none() => event.try_into().unwrap(),
        other => panic!("{other:?} is no CloudEvent, or goes the wrong way"),
    }
}

fn raw(placed: &Placed) -> hops::RawEvent {
    match &placed.item {
        Item::Raw(hops::RawItem { item: Some(hops::raw_item::Item::Raw(raw)) }) => raw.clone(),
        event => panic!("{event:?} is no raw event"),
    }
}

/// The events that were appended by one accepted request.
fn accepted(door: &Door, request: &Request) -> (hops::Stamp, Vec<Placed>, Answer) {
    let answer = door.send(request);
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let mut kept = door.kept();
    assert_eq!(kept.len(), 1);
    let (stamp, placed) = kept.remove(0);
    let named = answer.json()["events"].as_array().unwrap().len();
    assert_eq!(named, placed.len(), "each event is named");
    (stamp, placed, answer)
}

#[test]
fn structured_json_in_all_spellings_of_its_type() {
    let door = Door::open();
    for media_type in [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON; charset=UTF-8",
        "application/cloudevents",
    ] {
        let (stamp, placed, answer) = accepted(&door, &Request::publish().content(media_type, EVENT));
        assert_eq!((&*stamp.tenant, &*stamp.system, &*stamp.source), (&b"acme"[..], &b"shop"[..], &b""[..]));
        assert_eq!(stamp.customer, "jane");
        assert_eq!(event(&placed[0]).data().unwrap().as_bytes(), br#"{"a": 1}"#);
        assert_eq!(answer.json()["events"], json!([{ "source": "/s", "id": "1" }]));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[test]
fn binary_mode_keeps_body_and_attributes() {
    let door = Door::open();
    let request = Request::publish()
        .header("ce-specversion", "1.0")
        .header("CE-ID", "Euro%20%e2%82%ac")
        .header("ce-source", "/s")
        .header("ce-type", "t")
        .header("ce-partitionkey", "k")
        .header("ce-time", "2026-11-21T10:00:00+02:00")
        .content("application/json", b"\xff not json".to_vec());
    let (_, placed, answer) = accepted(&door, &request);
    let event = event(&placed[0]);
    assert_eq!(event.time().unwrap(), "2026-11-21T10:00:00+02:00");
    assert_eq!(event.data().unwrap().as_bytes(), b"\xff not json");
    assert_eq!(placed[0].key.as_deref(), Some("k"));
    assert_eq!(answer.json()["events"][0]["id"], "Euro €");
}

#[test]
fn batches_in_both_formats() {
    let door = Door::open();
    let batch = |body: String| Request::publish().content("application/cloudevents-batch+json", body);
    assert_eq!(accepted(&door, &batch(format!("[{EVENT}, {EVENT}]"))).1.len(), 2);
    let empty = door.send(&batch("[]".into()));
    assert_eq!((empty.status, &empty.json()["events"]), (202, &json!([])));
    assert!(door.kept().is_empty());

    let wire = ce::CloudEvent {
        id: "1".into(),
        source: "/s".into(),
        spec_version: "1.0".into(),
        r#type: "t".into(),
        ..Default::default()
    };
    let one = Request::publish().content("application/cloudevents+protobuf", wire.encode_to_vec());
    assert_eq!(event(&accepted(&door, &one).1[0]).id(), "1");
    let batch = ce::CloudEventBatch { events: vec![wire.clone(), wire] }.encode_to_vec();
    let batch = Request::publish().content("application/cloudevents-batch+protobuf", batch);
    assert_eq!(accepted(&door, &batch).1.len(), 2);
}

#[test]
fn any_other_body_is_a_raw_event() {
    let door = Door::open();
    let request = Request::new("POST", "/v1/events?a=1&b")
        .key(KEY)
        .header("Idempotency-Key", "\"order-7\"")
        .header("cookie", "secret")
        .content("text/csv", b"a;b\n\xff".to_vec());
    let (_, placed, answer) = accepted(&door, &request);
    let raw = raw(&placed[0]);
    assert_eq!((&*raw.body, &*raw.query), (&b"a;b\n\xff"[..], &b"a=1&b"[..]));
    assert_eq!(answer.json()["events"], json!([{ "source": "/shop", "id": "order-7" }]));
    let names: Vec<&[u8]> = raw.headers.iter().map(|h| &*h.name).collect();
    assert_eq!(names, [&b"content-type"[..], b"idempotency-key"], "nothing but the allow-list is kept");
}

#[test]
fn lines_are_events_of_either_kind() {
    let door = Door::open();
    let body = format!("{EVENT}\r\n\n{{\"kind\":\"x\"}}\n[1]\n7");
    let request = Request::publish().header("idempotency-key", "bulk").content("application/x-ndjson", body);
    let (_, placed, answer) = accepted(&door, &request);
    assert_eq!(event(&placed[0]).id(), "1");
    let bodies: Vec<_> = placed[1..].iter().map(|p| raw(p).body).collect();
    assert_eq!(bodies, ["{\"kind\":\"x\"}", "[1]", "7"]);
    let media_types: Vec<_> = raw(&placed[1])
        .headers
        .iter()
        .filter(|h| &*h.name == b"content-type")
        .map(|h| h.value.clone())
        .collect();
    assert_eq!(media_types, ["application/json"], "a line is not NDJSON itself");
    let ids: Vec<_> = answer.json()["events"].as_array().unwrap().iter().map(|e| e["id"].clone()).collect();
    assert_eq!(ids, ["1", "bulk", "bulk-2", "bulk-3"], "one key must not make one event of many lines");
}

#[test]
fn content_encodings_are_undone() {
    let door = Door::open();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(EVENT.as_bytes()).unwrap();
    for (encoding, body) in
        [("gzip", gzip.finish().unwrap()), ("zstd", zstd::encode_all(EVENT.as_bytes(), 3).unwrap())]
    {
        let request = Request::publish().header("content-encoding", encoding);
        let (_, placed, _) = accepted(&door, &request.content("application/cloudevents+json", body));
        assert_eq!(event(&placed[0]).id(), "1", "{encoding}");
    }
}

#[test]
fn a_webhook_is_kept_as_it_is() {
    let door = Door::open();
    let body = "{ \"action\" : \"opened\",  \"repository\": { \"full_name\": \"a/b\" } }";
    let request = Request::new("POST", "/v1/sources/acme.hub?x=1")
        .content("application/json", body)
        .signed(SECRET)
        .header("x-github-event", "issues")
        .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    let (stamp, placed, answer) = accepted(&door, &request);
    assert_eq!((&*stamp.tenant, &*stamp.system, &*stamp.source), (&b"acme"[..], &b"hub"[..], &b"hub"[..]));
    assert_eq!(stamp.customer, "", "a signature is nobody's in particular");
    let raw = raw(&placed[0]);
    assert_eq!(raw.body, body);
    assert_eq!(answer.json()["events"][0]["id"], "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(placed[0].key.as_deref(), Some("a/b"));
    assert_eq!(raw.partition_key, "a/b");
    let kept = |name: &str| raw.headers.iter().any(|h| h.name == name);
    assert!(kept("x-github-event") && !kept("x-hub-signature-256"));
}

#[test]
fn a_source_without_a_scheme_takes_a_key() {
    let door = Door::open();
    for path in ["/v1/sources/acme.till", "/v1/sources/till"] {
        let request = Request::new("POST", path)
            .key(KEY)
            .header("x-till", "3")
            .content("application/json", r#"{"till":"3"}"#);
        let (stamp, placed, answer) = accepted(&door, &request);
        assert_eq!(stamp.customer, "jane", "the key is used on her behalf");
        assert_eq!(&*stamp.source, b"till");
        assert_eq!(answer.json()["events"][0]["source"], "/shop/till");
        assert_eq!(placed[0].key.as_deref(), Some("3"));
        assert!(raw(&placed[0]).headers.iter().any(|h| h.name == "x-till"));
    }
    let cloud_event = Request::new("POST", "/v1/sources/till").key(KEY);
    let (stamp, placed, _) = accepted(&door, &cloud_event.content("application/cloudevents+json", EVENT));
    assert_eq!(&*stamp.source, b"till");
    assert_eq!(event(&placed[0]).source(), "/s", "a CloudEvent stays what it says");
}

#[test]
fn handshakes_are_answered() {
    let door = Door::open();
    let ask =
        |path: &str| Request::new("OPTIONS", path).header("WebHook-Request-Origin", "events.example.com");
    let yes = door.send(&ask("/v1/sources/acme.hub").header("WebHook-Request-Rate", "120"));
    assert_eq!(yes.status, 204);
    assert_eq!(yes.header("webhook-allowed-origin"), Some("events.example.com"));
    assert_eq!(yes.header("webhook-allowed-rate"), Some("*"));
    assert_eq!(yes.header("allow"), Some("POST, OPTIONS"));
    let slow = door.send(&ask("/v1/sources/slow.till"));
    assert_eq!(slow.header("webhook-allowed-rate"), Some("60"), "requests a minute");
    let plain = door.send(&Request::new("OPTIONS", "/v1/sources/acme.hub"));
    assert_eq!(
        (plain.status, plain.header("webhook-allowed-origin")),
        (204, None),
        "nobody asked for consent"
    );
}

#[test]
fn the_trace_is_carried_on() {
    let door = Door::open();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = Request::publish()
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .content("application/cloudevents+json", EVENT);
    let (stamp, _, answer) = accepted(&door, &request);
    assert_eq!(answer.json()["trace_id"], trace);
    let traceparent = String::from_utf8(stamp.traceparent.to_vec()).unwrap();
    assert!(traceparent.starts_with(&format!("00-{trace}-")) && traceparent.ends_with("-01"));
    assert!(!traceparent.contains("b7ad6b7169203331"), "this hop has a span of its own");
    assert_eq!((&*stamp.protocol, stamp.received_at_us > 0), (&b"http"[..], true));
}

#[test]
fn a_quota_is_told_and_kept() {
    let door = Door::open();
    let send = |n: usize| {
        let batch = format!("[{}]", vec![EVENT; n].join(","));
        Request::new("POST", "/v1/events").key(SLOW).content("application/cloudevents-batch+json", batch)
    };
    let policy = Some(r#""events";q=3;w=3;qu="events""#);
    let first = door.send(&send(2));
    assert_eq!(first.status, 202);
    assert_eq!(first.header("ratelimit-policy"), policy);
    assert!(first.header("ratelimit").unwrap().starts_with(r#""events";r=1;t="#));
    let over = door.send(&send(4));
    assert_eq!((over.status, &over.json()["code"]), (413, &json!("too_large")), "waiting would not help");
    let later = door.send(&send(3));
    assert_eq!((later.status, &later.json()["code"]), (429, &json!("rate_limited")));
    assert_eq!(later.header("ratelimit-policy"), policy);
    let wait: u32 = later.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait));
    assert_eq!(later.header("ratelimit"), Some(&*format!(r#""events";r=0;t={wait}"#)));
    assert_eq!(door.kept().len(), 1);

    let bad = Request::new("POST", "/v1/events").key(SLOW).content("application/cloudevents+json", "{}");
    let bad = door.send(&bad);
    assert_eq!((bad.status, bad.header("ratelimit-policy")), (400, policy), "told with every answer");
    let unlimited = door.send(&Request::publish().content("application/cloudevents+json", EVENT));
    assert_eq!(unlimited.header("ratelimit"), None);
}

#[test]
fn bytes_are_limited_by_the_plan_whatever_they_come_as() {
    let door = Door::open();
    let raw = |bytes: usize| {
        let request = Request::new("POST", "/v1/sources/till").key(HEAVY);
        request.content("application/json", json!({ "data": "x".repeat(bytes) }).to_string())
    };
    let first = door.send(&raw(1_000));
    assert_eq!(first.status, 202, "{}", first.json());
    assert_eq!(first.header("ratelimit-policy"), Some(r#""bytes";q=2000;w=2048;qu="bytes""#));
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": "x".repeat(1_500)});
    let request = Request::new("POST", "/v1/events").key(HEAVY);
    let later = door.send(&request.content("application/cloudevents+json", event.to_string()));
    assert_eq!((later.status, &later.json()["code"]), (429, &json!("rate_limited")));
    let answer = later.json();
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("`bytes_per_second` is 1, with 2000 bytes at once"), "{detail}");
    assert!(detail.contains("in the tenant's limits or its plan"), "{detail}");
    assert!(later.header("retry-after").unwrap().parse::<u32>().unwrap() > 100);
    let never = door.send(&raw(2_500));
    assert_eq!((never.status, &never.json()["code"]), (413, &json!("too_large")), "waiting would not help");
    assert_eq!(door.kept().len(), 1);
}

#[test]
fn without_the_broker_nothing_is_promised() {
    let door = Door::open();
    let request = Request::publish().content("application/cloudevents+json", EVENT);
    let cases = [
        (AcceptError::Unavailable("secret address".into()), 503, "unavailable"),
        (AcceptError::Full("maximum bytes".into()), 503, "unavailable"),
        (AcceptError::TooLarge { size: 2, limit: 1 }, 413, "too_large"),
    ];
    for (error, status, code) in cases {
        door.broker(Broker::Refuses(error));
        let answer = door.send(&request);
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)));
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
        assert!(!answer.json()["detail"].as_str().unwrap().contains("secret address"));
    }
    door.broker(Broker::Acknowledges);
    assert_eq!(door.send(&request).status, 202);
}

#[test]
fn the_description_lists_every_route() {
    let openapi = serde_json::to_value(ingest_http::openapi()).unwrap();
    let routes: Vec<(String, String)> = openapi["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |m| (path.clone(), m.clone())))
        .collect();
    let route = |path: &str, method: &str| (path.to_owned(), method.to_owned());
    let expected = [
        route("/events", "post"),
        route("/v1/events", "post"),
        route("/v1/sources/{source}", "options"),
        route("/v1/sources/{source}", "post"),
    ];
    assert!(expected.iter().all(|r| routes.contains(r)) && routes.len() == expected.len(), "{routes:?}");
}
