//! Batches, lines and protobuf that are refused.

use model::ErrorCode::{InvalidEvent, Malformed, TooLarge};
use prost::Message as _;
use proto::cloudevents::{self as ce, cloud_event_attribute_value::Attr};

use crate::{
    malformed::{check, event},
    support::{BATCH_EVENTS_MAX, Door, EVENT_BYTES_MAX, Request},
};

#[test]
fn batches() {
    let send = |body: String| Request::publish().content("application/cloudevents-batch+json", body);
    let good = event("");
    let many = [&*good; BATCH_EVENTS_MAX + 1].join(",");
    check(&[
        ("an object", send("{}".into()), Malformed, ""),
        ("nothing", send(String::new()), Malformed, ""),
        ("an array that does not end", send(format!("[{good}")), Malformed, ""),
        ("broken JSON after a good event", send(format!("[{good},{{]")), Malformed, ""),
        (
            "the middle one lacks its id",
            send(format!("[{good},{{\"specversion\":\"1.0\"}},{good}]")),
            InvalidEvent,
            "/1/id",
        ),
        ("the last is null", send(format!("[{good},null]")), InvalidEvent, "/1"),
        ("one in an array of its own", send(format!("[[{good}]]")), InvalidEvent, "/0"),
        (
            "a bad extension in the third",
            send(format!("[{good},{good},{}]", event(r#""x":[]"#))),
            InvalidEvent,
            "/2/x",
        ),
        ("one event too many", send(format!("[{many}]")), TooLarge, ""),
    ]);
    let door = Door::open();
    let answer = door.send(&send(format!("[{good},7,{good},{}]", event(r#""A":1"#))));
    let pointers: Vec<_> =
        answer.json()["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
    assert_eq!(pointers, ["/1", "/3/A"], "each bad event is named");
    assert!(answer.json()["detail"].as_str().unwrap().contains("none of its events was accepted"));
    assert!(door.kept().is_empty());
}

#[test]
fn lines() {
    let send = |body: String| Request::publish().content("application/x-ndjson", body);
    let good = event("");
    let many = [&*good; BATCH_EVENTS_MAX + 1].join("\n");
    let large = format!("\"{}\"", "x".repeat(EVENT_BYTES_MAX));
    check(&[
        ("a line that is no JSON", send(format!("{good}\nhello\n")), InvalidEvent, "/1"),
        ("two values in a line", send(format!("{good} {good}")), InvalidEvent, "/0"),
        ("an event broken over lines", send("{\n\"specversion\":\"1.0\"}".into()), InvalidEvent, "/0"),
        (
            "an event without id",
            send(format!("{good}\n\n{{\"specversion\":\"1.0\"}}")),
            InvalidEvent,
            "/1/id",
        ),
        ("another version", send(good.replace("1.0", "2.0")), InvalidEvent, "/0/specversion"),
        (
            "a line that is not UTF-8",
            Request::publish().content("application/jsonl", b"\"\xff\"".to_vec()),
            InvalidEvent,
            "/0",
        ),
        ("a raw line over the limit", send(format!("{good}\n{large}")), TooLarge, "/1"),
        ("one line too many", send(many), TooLarge, ""),
        ("nothing", send(String::new()), Malformed, ""),
        ("empty lines only", send("\n \r\n\n".into()), Malformed, ""),
    ]);
}

#[test]
fn protobuf() {
    let good = || ce::CloudEvent {
        id: "1".into(),
        source: "/s".into(),
        spec_version: "1.0".into(),
        r#type: "t".into(),
        ..Default::default()
    };
    let send = |event: ce::CloudEvent| {
        Request::publish().content("application/cloudevents+protobuf", event.encode_to_vec())
    };
    let attribute = |name: &str, attr: Option<Attr>| {
        let mut event = good();
        event.attributes.insert(name.into(), ce::CloudEventAttributeValue { attr });
        event
    };
    let mut cut = good().encode_to_vec();
    cut.pop();
    let cut = Request::publish().content("application/cloudevents+protobuf", cut);
    let bytes = |bytes: &[u8]| Request::publish().content("application/cloudevents+protobuf", bytes.to_vec());
    let batch = |events: Vec<ce::CloudEvent>| {
        let batch = ce::CloudEventBatch { events };
        Request::publish().content("application/cloudevents-batch+protobuf", batch.encode_to_vec())
    };
    let time = |seconds| Some(Attr::CeTimestamp(prost_types::Timestamp { seconds, nanos: 0 }));
    check(&[
        ("cut short", cut, Malformed, ""),
        ("a wire type that is none", bytes(&[0x0f]), Malformed, ""),
        ("a length beyond the end", bytes(&[0x0a, 0x7f, b'x']), Malformed, ""),
        ("an id that is not UTF-8", bytes(&[0x0a, 0x01, 0xff]), Malformed, ""),
        ("a number as id", bytes(&[0x08, 0x01]), Malformed, ""),
        ("nothing", bytes(&[]), InvalidEvent, "/specversion"),
        (
            "no version",
            send(ce::CloudEvent { spec_version: String::new(), ..good() }),
            InvalidEvent,
            "/specversion",
        ),
        ("no id", send(ce::CloudEvent { id: String::new(), ..good() }), InvalidEvent, "/id"),
        ("an attribute without value", send(attribute("x", None)), InvalidEvent, "/x"),
        ("a name that is none", send(attribute("X-y", Some(Attr::CeBoolean(true)))), InvalidEvent, "/X-y"),
        ("id as an attribute", send(attribute("id", Some(Attr::CeString("2".into())))), InvalidEvent, "/id"),
        ("a boolean as time", send(attribute("time", Some(Attr::CeBoolean(true)))), InvalidEvent, "/time"),
        ("a time beyond 9999", send(attribute("time", time(i64::MAX))), InvalidEvent, "/time"),
        ("a relative URI", send(attribute("x", Some(Attr::CeUri("a".into())))), InvalidEvent, "/x"),
        (
            "a bad event in a batch",
            batch(vec![good(), ce::CloudEvent::default()]),
            InvalidEvent,
            "/1/specversion",
        ),
        ("one event too many", batch(vec![good(); BATCH_EVENTS_MAX + 1]), TooLarge, ""),
    ]);
}
