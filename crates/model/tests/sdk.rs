//! The official SDK as a second opinion: what we write it reads, what it writes we read, and both see the same.
#![cfg(feature = "cloudevents-sdk")]

use bytes::Bytes;
use cloudevents::{AttributesReader as _, Event};
use model::{AttributeValue, CloudEvent, Data, json};

#[test]
fn both_read_what_the_other_writes() {
    let event = || CloudEvent::builder("1 é", "/s%20x?q#f", "com.example.t");
    let events = [
        event(),
        event().text("application/json", r#"{"a": [1, 2.5, null, "é\n"]}"#),
        event().text("text/plain", "a \"quoted\" line\nand another"),
        event().datacontenttype("image/png").data(Data::Binary(Bytes::from_static(b"\x89PNG\0"))),
        event()
            .subject("über")
            .time("2026-11-21T10:00:00Z")
            .dataschema("https://example.com/s")
            .text("application/vnd.x+json", "7")
            .extension("flag", AttributeValue::Boolean(true))
            .extension("count", AttributeValue::Integer(-3))
            .extension("partitionkey", AttributeValue::String("k".into())),
    ];
    for event in events {
        let event = event.build().unwrap();
        let theirs: Event = serde_json::from_slice(&json::encode(&event)).unwrap();
        assert_eq!(theirs.id(), &**event.id());
        assert_eq!(theirs, Event::try_from(&event).unwrap());

        let ours = json::decode(&Bytes::from(serde_json::to_vec(&theirs).unwrap())).unwrap();
        assert_eq!((ours.id(), ours.source(), ours.ty()), (event.id(), event.source(), event.ty()));
        assert_eq!(ours.subject(), event.subject());
        assert_eq!(ours.time_us(), event.time_us());
        assert_eq!(ours.extensions(), event.extensions());
        assert_eq!(ours.datacontenttype(), event.datacontenttype());
        if !event.has_json_content_type() {
            assert_eq!(ours.data(), event.data());
        }
    }
}
