//! `PublishEvent` and `PublishEvents`, by a real client.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use bus::AcceptError;
use bytes::Bytes;
use ingest_grpc::Options;
use model::{AttributeValue, CloudEvent, Data, ErrorCode, resource::Scope};
use proto::{
    cloudevents::{
        CloudEvent as Wire, CloudEventAttributeValue, cloud_event, cloud_event_attribute_value::Attr,
    },
    v1::{self, publish_result::Outcome},
};
use runtime::grpc;
use serde_json::json;
use support::{Fleet, attribute, event, new_key, tenant};
use tonic::{Code, Request, Status, codec::CompressionEncoding};
use tonic_types::StatusExt as _;

fn one(event: Wire) -> v1::PublishEventRequest {
    v1::PublishEventRequest { event: Some(event) }
}

fn several(events: Vec<Wire>) -> v1::PublishEventsRequest {
    v1::PublishEventsRequest { events }
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request();
    details.into_iter().flat_map(|d| d.field_violations).map(|v| v.field).collect()
}

fn rich() -> CloudEvent {
    CloudEvent::builder("42", "/shop/till-3", "com.example.order.placed")
        .subject("order 42")
        .time("2026-11-21T10:00:00.000001Z")
        .dataschema("https://example.com/order")
        .text("application/json", r#"{"amount": 120}"#)
        .extension("partitionkey", AttributeValue::String("till-3".into()))
        .extension("retries", AttributeValue::Integer(-3))
        .extension("test", AttributeValue::Boolean(true))
        .extension("raw", AttributeValue::Binary(Bytes::from_static(b"\0\xff")))
        .extension("link", AttributeValue::Uri("urn:x".into()))
        .extension("path", AttributeValue::UriRef("/x".into()))
        .extension("at", AttributeValue::Timestamp("2026-11-21T08:00:00Z".into()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_event_is_handed_on_whole_and_named_in_the_answer() {
    let fleet = Fleet::start().await;
    let mut client = fleet.client().await;
    let any = CloudEvent::builder("2", "/s", "t")
        .data(Data::Proto(Bytes::from_static(b"\n\x01x")))
        .build()
        .unwrap();
    let binary =
        CloudEvent::builder("3", "/s", "t").data(Data::Binary(Bytes::from_static(b"\xff"))).build().unwrap();
    let bare = CloudEvent::builder("4", "/s", "t").build().unwrap();
    let sent = [rich(), any, binary, bare];
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for event in &sent {
        let mut request = Request::new(one(Wire::from(event)));
        let parent = format!("00-{trace}-b7ad6b7169203331-01");
        request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        let answer = client.publish_event(request).await.unwrap().into_inner();
        let named = answer.event.unwrap();
        assert_eq!((named.id.as_str(), named.source.as_str()), (&**event.id(), &**event.source()));
        assert_eq!(answer.trace_id, trace);
    }
    assert_eq!(fleet.broker.events(), sent);
    let received = fleet.broker.received.lock().unwrap();
    let (stamp, items) = received.first().unwrap();
    assert_eq!(
        (&*stamp.tenant, &*stamp.system, &*stamp.source, &*stamp.protocol),
        (&b"acme"[..], &b"shop"[..], &b""[..], &b"grpc"[..])
    );
    assert_eq!(stamp.customer, "jane", "the key is used on her behalf");
    let parent = String::from_utf8(stamp.traceparent.to_vec()).unwrap();
    assert!(parent.contains(trace) && !parent.contains("b7ad6b7169203331"), "a span of its own: {parent}");
    assert!(stamp.received_at_us > 1_700_000_000_000_000);
    assert_eq!(items[0].key.as_deref(), Some("till-3"));
}

/// A fault with its code and the field that is named.
type Fault = (&'static str, Wire, ErrorCode, &'static str);

fn with(name: &str, attr: Attr) -> Wire {
    let mut event = event("1");
    attribute(&mut event, name, attr);
    event
}

fn text(s: &str) -> Attr {
    Attr::CeString(s.to_owned())
}

fn at(seconds: i64, nanos: i32) -> Attr {
    Attr::CeTimestamp(prost_types::Timestamp { seconds, nanos })
}

/// Required attributes.
fn required() -> Vec<Fault> {
    use ErrorCode::InvalidEvent;
    vec![
        ("id absent", event(""), InvalidEvent, "event.id"),
        ("source absent", Wire { source: String::new(), ..event("1") }, InvalidEvent, "event.source"),
        ("type absent", Wire { r#type: String::new(), ..event("1") }, InvalidEvent, "event.type"),
        (
            "version absent",
            Wire { spec_version: String::new(), ..event("1") },
            InvalidEvent,
            "event.spec_version",
        ),
        (
            "version 0.3",
            Wire { spec_version: "0.3".into(), ..event("1") },
            InvalidEvent,
            "event.spec_version",
        ),
        (
            "version 1.1",
            Wire { spec_version: "1.1".into(), ..event("1") },
            InvalidEvent,
            "event.spec_version",
        ),
        ("nothing at all", Wire::default(), InvalidEvent, "event.spec_version"),
        ("id with a control character", event("a\u{7}"), InvalidEvent, "event.id"),
        ("id with a noncharacter", event("a\u{FFFE}"), InvalidEvent, "event.id"),
        ("source with a space", Wire { source: "a b".into(), ..event("1") }, InvalidEvent, "event.source"),
        (
            "source with a broken triplet",
            Wire { source: "/%2".into(), ..event("1") },
            InvalidEvent,
            "event.source",
        ),
        ("type with a line break", Wire { r#type: "a\nb".into(), ..event("1") }, InvalidEvent, "event.type"),
    ]
}

/// Optional attributes and their types.
fn optional() -> Vec<Fault> {
    use ErrorCode::InvalidEvent;
    let mut unset = event("1");
    unset.attributes.insert("unset".to_owned(), CloudEventAttributeValue { attr: None });
    vec![
        ("attribute without a value", unset, InvalidEvent, "event.unset"),
        ("subject empty", with("subject", text("")), InvalidEvent, "event.subject"),
        ("subject an integer", with("subject", Attr::CeInteger(1)), InvalidEvent, "event.subject"),
        ("subject a timestamp", with("subject", at(0, 0)), InvalidEvent, "event.subject"),
        ("time a boolean", with("time", Attr::CeBoolean(true)), InvalidEvent, "event.time"),
        ("time bytes", with("time", Attr::CeBytes(Bytes::from_static(b"x"))), InvalidEvent, "event.time"),
        ("time not RFC 3339", with("time", text("yesterday")), InvalidEvent, "event.time"),
        ("time before year 1", with("time", at(-62_135_596_801, 0)), InvalidEvent, "event.time"),
        ("time after year 9999", with("time", at(253_402_300_800, 0)), InvalidEvent, "event.time"),
        ("time with negative nanoseconds", with("time", at(0, -1)), InvalidEvent, "event.time"),
        ("time with too many nanoseconds", with("time", at(0, 1_000_000_000)), InvalidEvent, "event.time"),
        (
            "media type bytes",
            with("datacontenttype", Attr::CeBytes(Bytes::new())),
            InvalidEvent,
            "event.datacontenttype",
        ),
        (
            "media type without a slash",
            with("datacontenttype", text("json")),
            InvalidEvent,
            "event.datacontenttype",
        ),
        ("schema relative", with("dataschema", text("/schema")), InvalidEvent, "event.dataschema"),
        ("schema an integer", with("dataschema", Attr::CeInteger(1)), InvalidEvent, "event.dataschema"),
    ]
}

/// Extension attributes.
fn extensions() -> Vec<Fault> {
    use ErrorCode::InvalidEvent;
    vec![
        ("extension in upper case", with("Upper", Attr::CeInteger(1)), InvalidEvent, "event.Upper"),
        ("extension with a dash", with("a-b", Attr::CeInteger(1)), InvalidEvent, "event.a-b"),
        ("extension without a name", with("", Attr::CeInteger(1)), InvalidEvent, "event"),
        ("extension named data", with("data", text("x")), InvalidEvent, "event.data"),
        ("extension named id", with("id", text("x")), InvalidEvent, "event.id"),
        ("extension named specversion", with("specversion", text("1.0")), InvalidEvent, "event.spec_version"),
        ("URI without a scheme", with("link", Attr::CeUri("x".into())), InvalidEvent, "event.link"),
        ("URI reference with a quote", with("link", Attr::CeUriRef("\"".into())), InvalidEvent, "event.link"),
        ("timestamp out of range", with("at", at(i64::MAX, 0)), InvalidEvent, "event.at"),
        ("string with a control character", with("note", text("\u{0}")), InvalidEvent, "event.note"),
    ]
}

/// Sizes.
fn sizes() -> Vec<Fault> {
    use ErrorCode::TooLarge;
    let many = (0..65).fold(event("1"), |mut event, n| {
        attribute(&mut event, &format!("x{n}"), Attr::CeInteger(n));
        event
    });
    let data = |bytes: usize| Wire {
        data: Some(cloud_event::Data::BinaryData(vec![0; bytes].into())),
        ..event("1")
    };
    vec![
        ("event over the tenant's limit", data(1_001), TooLarge, "event"),
        ("attribute over the limit", with("note", text(&"x".repeat(513))), TooLarge, "event"),
        ("type over its limit", Wire { r#type: "t".repeat(600), ..event("1") }, TooLarge, "event"),
        ("too many extensions", many, TooLarge, "event"),
    ]
}

#[tokio::test]
async fn each_fault_has_its_code_and_names_its_field() {
    let options = Options { attribute_bytes_max: 512, attributes_bytes_max: 4_096, ..Options::default() };
    let fleet = Fleet::with(options, &json!({"event_bytes_max": 1_000})).await;
    let mut client = fleet.client().await;
    for (name, wire, code, field) in [required(), optional(), extensions(), sizes()].concat() {
        let status = client.publish_event(one(wire.clone())).await.unwrap_err();
        assert_eq!(
            (grpc::code(&status), status.code() as i32),
            (Some(code), code.grpc_code()),
            "{name}: {status:?}"
        );
        let named = fields(&status);
        assert!(named.len() == 1 && named[0].starts_with(field), "{name}: {named:?}");

        // The same fault beside good events.
        let answer =
            client.publish_events(several(vec![event("a"), wire, event("b")])).await.unwrap().into_inner();
        let outcomes: Vec<Outcome> = answer.results.into_iter().map(|r| r.outcome.unwrap()).collect();
        let [Outcome::Accepted(a), Outcome::Error(error), Outcome::Accepted(b)] = &*outcomes else {
            panic!("{name}: {outcomes:?}");
        };
        assert_eq!((a.id.as_str(), b.id.as_str()), ("a", "b"));
        assert_eq!((error.status, error.code.as_str()), (code.grpc_code(), code.as_str()), "{name}");
        assert_eq!(error.violations.len(), 1, "{name}");
        let expected = named[0].replacen("event", "events[1]", 1);
        assert_eq!(error.violations[0].field, expected, "{name}");
    }
    assert!(fleet.broker.events().iter().all(|e| matches!(&**e.id(), "a" | "b")), "nothing bad got through");
    let missing = client.publish_event(v1::PublishEventRequest { event: None }).await.unwrap_err();
    assert_eq!(
        (grpc::code(&missing), fields(&missing)),
        (Some(ErrorCode::InvalidArgument), vec!["event".into()])
    );
}

#[tokio::test]
async fn who_may_publish() {
    let fleet = Fleet::start().await;
    let (reader, read_only) = new_key(&[Scope::Read]);
    fleet.catalog.replace((*fleet.catalog.snapshot()).clone().with(reader));
    let mut cut = fleet.key.clone();
    cut.pop();
    let right = fleet.key.clone();
    type Case<'a> = (&'a str, Vec<(&'a str, String)>, Result<(), ErrorCode>);
    let cases: Vec<Case<'_>> = vec![
        ("bearer", vec![("authorization", format!("Bearer {right}"))], Ok(())),
        ("api key", vec![("x-api-key", right.clone())], Ok(())),
        ("none", vec![], Err(ErrorCode::Unauthenticated)),
        ("empty", vec![("authorization", String::new())], Err(ErrorCode::Unauthenticated)),
        (
            "another scheme",
            vec![("authorization", format!("Basic {right}"))],
            Err(ErrorCode::Unauthenticated),
        ),
        ("not a key", vec![("x-api-key", "secret".into())], Err(ErrorCode::Unauthenticated)),
        ("cut short", vec![("x-api-key", cut)], Err(ErrorCode::Unauthenticated)),
        ("unknown", vec![("x-api-key", new_key(&[Scope::Publish]).1)], Err(ErrorCode::Unauthenticated)),
        ("without the scope", vec![("x-api-key", read_only.clone())], Err(ErrorCode::Forbidden)),
        (
            "two",
            vec![("x-api-key", right), ("authorization", format!("Bearer {read_only}"))],
            Err(ErrorCode::Malformed),
        ),
    ];
    let channel = fleet.channel().await;
    let mut client = v1::event_ingest_service_client::EventIngestServiceClient::new(channel);
    for (name, metadata, expected) in cases {
        let mut request = Request::new(one(event("1")));
        for (header, value) in metadata {
            request.metadata_mut().insert(
                tonic::metadata::MetadataKey::from_static(if header == "x-api-key" {
                    "x-api-key"
                } else {
                    "authorization"
                }),
                value.parse().unwrap(),
            );
        }
        let outcome = client.publish_event(request).await.map(drop);
        assert_eq!(
            outcome.as_ref().map_err(|s| grpc::code(s).unwrap()).copied(),
            expected,
            "{name}: {outcome:?}"
        );
        if let Err(status) = outcome {
            assert_eq!(status.get_details_request_info().unwrap().request_id.len(), 32);
        }
    }
    let mut disabled = tenant(&json!({}));
    disabled.disabled = true;
    fleet.change(disabled, Some(fleet.stored.clone()));
    let status = fleet.client().await.publish_event(one(event("1"))).await.unwrap_err();
    assert_eq!(grpc::code(&status), Some(ErrorCode::Forbidden));
    fleet.change(tenant(&json!({})), None);
    let status = fleet.client().await.publish_event(one(event("1"))).await.unwrap_err();
    assert_eq!(grpc::code(&status), Some(ErrorCode::Unauthenticated), "revoked");
}

#[tokio::test]
async fn quota_and_batch_limits_refuse_the_whole_call() {
    let fleet = Fleet::with(
        Options::default(),
        &json!({"events_per_second": 1, "events_burst": 3, "batch_events_max": 4}),
    )
    .await;
    let mut client = fleet.client().await;
    let status =
        client.publish_events(several((0..5).map(|n| event(&n.to_string())).collect())).await.unwrap_err();
    assert_eq!((status.code(), grpc::code(&status)), (Code::OutOfRange, Some(ErrorCode::TooLarge)));
    let status =
        client.publish_events(several((0..4).map(|n| event(&n.to_string())).collect())).await.unwrap_err();
    assert_eq!(grpc::code(&status), Some(ErrorCode::TooLarge), "over the burst: waiting would not help");
    client.publish_events(several((0..3).map(|n| event(&n.to_string())).collect())).await.unwrap();
    let status = client.publish_event(one(event("late"))).await.unwrap_err();
    assert_eq!((status.code(), grpc::code(&status)), (Code::ResourceExhausted, Some(ErrorCode::RateLimited)));
    assert!(status.get_details_retry_info().unwrap().retry_delay.unwrap() >= Duration::from_secs(1));
    assert_eq!(fleet.broker.events().len(), 3);
    fleet.change(tenant(&json!({"bytes_per_second": 1, "bytes_burst": 64})), Some(fleet.stored.clone()));
    client.publish_event(one(event("small"))).await.unwrap();
    let status = client.publish_event(one(event("over"))).await.unwrap_err();
    assert_eq!(grpc::code(&status), Some(ErrorCode::RateLimited));
    assert!(status.message().contains("`bytes_per_second` is 1"), "{status:?}");
    fleet.change(tenant(&json!({})), Some(fleet.stored.clone()));
    client.publish_event(one(event("now"))).await.unwrap();
    let empty = client.publish_events(several(vec![])).await.unwrap().into_inner();
    assert!(empty.results.is_empty() && empty.trace_id.len() == 32);
}

#[tokio::test]
async fn what_the_broker_refuses_is_never_accepted() {
    let fleet = Fleet::start().await;
    let mut client = fleet.client().await;
    for (failure, code) in [
        (AcceptError::Unavailable("gone".into()), ErrorCode::Unavailable),
        (AcceptError::Full("behind".into()), ErrorCode::Unavailable),
        (AcceptError::TooLarge { size: 2, limit: 1 }, ErrorCode::TooLarge),
    ] {
        *fleet.broker.failure.lock().unwrap() = Some(failure);
        let one = client.publish_event(one(event("1"))).await.unwrap_err();
        let both = client.publish_events(several(vec![event("1"), event("")])).await.unwrap_err();
        for status in [one, both] {
            assert_eq!((grpc::code(&status), status.code() as i32), (Some(code), code.grpc_code()));
            assert_eq!(status.get_details_retry_info().is_some(), code == ErrorCode::Unavailable);
            assert!(!status.message().contains("gone"), "the operator's words stay here");
        }
    }
}

#[tokio::test]
async fn calls_are_bounded_without_a_deadline_too() {
    let fleet = Fleet::with(Options { call_timeout_ms: 200, ..Options::default() }, &json!({})).await;
    fleet.broker.hold();
    let status = fleet.client().await.publish_event(one(event("1"))).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn messages_may_be_compressed_both_ways() {
    let fleet = Fleet::start().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = fleet.client().await.send_compressed(encoding).accept_compressed(encoding);
        let events = (0..100).map(|n| event(&n.to_string())).collect();
        let answer = client.publish_events(several(events)).await.unwrap();
        let header = answer.metadata().get("grpc-encoding").map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(
            header.as_deref(),
            Some(if encoding == CompressionEncoding::Gzip { "gzip" } else { "zstd" })
        );
        assert_eq!(answer.into_inner().results.len(), 100);
    }
    assert_eq!(fleet.broker.events().len(), 200);
}

#[tokio::test]
async fn calls_in_flight_are_answered_while_it_stops() {
    let fleet = Fleet::start().await;
    let mut client = fleet.client().await;
    fleet.broker.hold();
    let call = tokio::spawn(async move { client.publish_event(one(event("1"))).await });
    fleet.broker.has(1).await;
    fleet.shutdown.drain();
    fleet.broker.acks.add_permits(1);
    call.await.unwrap().unwrap();
    fleet.stop().await;
}
