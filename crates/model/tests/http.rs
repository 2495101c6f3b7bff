//! The HTTP and NATS bindings, rule by rule.

#![expect(clippy::unwrap_used, reason = "a helper stands outside the test functions")]

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use model::{
    AttributeValue, Data, DecodeError,
    http::{self, Format, Mode},
    nats,
};

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(n, v)| {
            (HeaderName::from_bytes(n.as_bytes()).unwrap(), HeaderValue::from_bytes(v.as_bytes()).unwrap())
        })
        .collect()
}

const GOOD: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

fn with(more: &[(&str, &str)]) -> HeaderMap {
    headers(&[&GOOD, more].concat())
}

#[test]
fn the_content_type_decides_the_mode() {
    let cases = [
        ("application/cloudevents+json", Mode::Structured(Format::Json)),
        ("Application/CloudEvents+JSON; charset=UTF-8", Mode::Structured(Format::Json)),
        ("application/cloudevents+json; charset=\"utf-8\"; x=y", Mode::Structured(Format::Json)),
        ("application/cloudevents", Mode::Structured(Format::Json)),
        ("application/cloudevents+json; charset=utf-16", Mode::Structured(Format::Unknown)),
        ("application/cloudevents+protobuf", Mode::Structured(Format::Protobuf)),
        ("application/cloudevents+avro", Mode::Structured(Format::Unknown)),
        ("application/cloudevents-batch+json", Mode::Batch(Format::Json)),
        ("APPLICATION/CLOUDEVENTS-BATCH+JSON", Mode::Batch(Format::Json)),
        ("application/cloudevents-batch+protobuf", Mode::Batch(Format::Protobuf)),
        ("application/cloudevents-batch+xml", Mode::Batch(Format::Unknown)),
        ("application/json", Mode::None),
        ("application/cloud", Mode::None),
    ];
    for (media_type, mode) in cases {
        assert_eq!(http::mode(&headers(&[("content-type", media_type)])), mode, "{media_type}");
    }
    assert_eq!(http::mode(&headers(&[])), Mode::None);
    assert_eq!(http::mode(&headers(&[("content-type", "application/json"), ("ce-id", "1")])), Mode::Binary);
    assert_eq!(
        http::mode(&headers(&[("content-type", "application/cloudevents+json"), ("ce-id", "1")])),
        Mode::Structured(Format::Json)
    );
}

#[test]
fn binary_mode_reads_headers_and_body() {
    let body = Bytes::from_static(b"{not even json");
    let h = with(&[
        ("content-type", "application/json"),
        ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("CE-Time", "2026-11-21T10:00:00+02:00"),
        ("ce-myext", "\"a \\\"b\\\" %41\""),
    ]);
    let event = http::decode_binary(&h, body.clone()).unwrap();
    assert_eq!(event.subject().unwrap(), "Euro € 😀");
    assert_eq!(event.time().unwrap(), "2026-11-21T10:00:00+02:00");
    assert_eq!(event.datacontenttype().unwrap(), "application/json");
    assert_eq!(event.extension("myext"), Some(&AttributeValue::String("a \"b\" A".into())));
    assert_eq!(event.data(), Some(&Data::Binary(body)));
    assert_eq!(http::decode_binary(&with(&[]), Bytes::new()).unwrap().data(), None);
}

#[test]
fn binary_mode_refuses_and_names_the_attribute() {
    let cases = [
        (with(&[("ce-datacontenttype", "text/plain")]), "datacontenttype"),
        (with(&[("content-type", "text/plain"), ("content-type", "text/plain")]), "datacontenttype"),
        (with(&[("content-type", "plain")]), "datacontenttype"),
        (with(&[("ce-id", "2")]), "id"),
        (with(&[("ce-ext", "2"), ("ce-ext", "2")]), "ext"),
        (with(&[("ce-my-ext", "2")]), "my-ext"),
        (with(&[("ce-my_ext", "2")]), "my_ext"),
        (with(&[("ce-", "2")]), ""),
        (with(&[("ce-data", "2")]), "data"),
        (with(&[("ce-subject", "")]), "subject"),
        (with(&[("ce-subject", "%C0%A0")]), "subject"),
        (with(&[("ce-subject", "100%")]), "subject"),
        (with(&[("ce-subject", "\u{e9}")]), "subject"),
        (with(&[("ce-subject", "%0A")]), "subject"),
        (with(&[("ce-subject", "\"open")]), "subject"),
        (with(&[("ce-time", "noon")]), "time"),
        (with(&[("ce-dataschema", "relative")]), "dataschema"),
        (headers(&GOOD[1..]), "specversion"),
        (headers(&[("ce-specversion", "0.3"), GOOD[1], GOOD[2], GOOD[3]]), "specversion"),
        (headers(&[GOOD[0], GOOD[2], GOOD[3]]), "id"),
        (headers(&[GOOD[0], GOOD[1], ("ce-source", "a%20b"), GOOD[3]]), "source"),
    ];
    for (h, attribute) in cases {
        let error = http::decode_binary(&h, Bytes::new()).unwrap_err();
        assert_eq!(error.attribute, attribute, "{h:?}: {error}");
    }
}

#[test]
fn nats_messages_in_both_modes() {
    let payload = Bytes::from_static(b"x");
    let event = nats::decode(
        [
            ("Ce-Specversion", "1.0"),
            ("CE-ID", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-datacontenttype", "text/plain"),
            ("Nats-Msg-Id", "7"),
            ("ce", "x"),
        ],
        &payload,
    );
    assert_eq!(event.unwrap().datacontenttype().unwrap(), "text/plain");

    let body = Bytes::from_static(br#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#);
    assert_eq!(nats::decode([("Content-Type", "application/CloudEvents+json")], &body).unwrap().id(), "1");

    let twice =
        [("ce-id", "1"), ("CE-ID", "1"), ("ce-specversion", "1.0"), ("ce-source", "/"), ("ce-type", "t")];
    let error = nats::decode(twice, &payload).unwrap_err();
    assert!(matches!(error, DecodeError::Invalid(e) if e.attribute == "id"));
    let batch = nats::decode([("content-type", "application/cloudevents-batch+json")], &body);
    assert!(matches!(batch, Err(DecodeError::Malformed(_))));
}
