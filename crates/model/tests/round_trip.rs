//! What is written in any mode is read back as it was.

#![expect(clippy::unwrap_used, reason = "strategies stand outside the test functions")]

use bytes::Bytes;
use model::{AttributeValue, CloudEvent, Data, Text, http, json, nats};
use proptest::prelude::*;

/// What an attribute may hold: no control characters, no noncharacters.
fn attribute() -> impl Strategy<Value = Text> {
    r#"[ -~¡-ÿĀ-῿\u{1F600}-\u{1F64F}]{1,20}"#.prop_map(Text::from)
}

fn uri_reference() -> impl Strategy<Value = Text> {
    "[a-z/?#:@!$&'()*+,;=._~%-]{0,3}[a-zé/]{1,10}".prop_map(|s| Text::from(s.replace('%', "%25")))
}

fn time() -> impl Strategy<Value = Text> {
    (1970..2100u32, 1..=12u32, 1..=28u32, 0..24u32, prop::option::of(1..999u32), prop::bool::ANY).prop_map(
        |(y, mo, d, h, fraction, zulu)| {
            let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
            let offset = if zulu { "Z" } else { "+05:30" };
            Text::from(format!("{y:04}-{mo:02}-{d:02}T{h:02}:00:00{fraction}{offset}"))
        },
    )
}

fn extension_value() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        any::<bool>().prop_map(AttributeValue::Boolean),
        any::<i32>().prop_map(AttributeValue::Integer),
        attribute().prop_map(AttributeValue::String),
    ]
}

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|i| i.to_string()),
        "[a-zé\"\\\\ \n]{0,10}".prop_map(|s| serde_json::to_string(&s).unwrap()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[{}]", v.join(", "))),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..4).prop_map(|v| {
                let members: Vec<_> = v.into_iter().map(|(n, v)| format!("\"{n}\" :{v}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// A media type with data that fits it.
fn content() -> impl Strategy<Value = (Option<Text>, Option<Data>)> {
    let json_type = prop_oneof![
        Just(Some("application/json".into())),
        Just(Some("application/x+json; charset=utf-8".into())),
        Just(None)
    ];
    let bytes = prop::collection::vec(any::<u8>(), 1..64);
    prop_oneof![
        Just((None, None)),
        (json_type, json_value()).prop_map(|(m, j)| (m, Some(Data::Text(j.into())))),
        ".{1,20}".prop_map(|s| (Some("text/plain".into()), Some(Data::Text(s.into())))),
        (prop::option::of(Just("image/png".into())), bytes)
            .prop_map(|(m, b)| (m, Some(Data::Binary(b.into())))),
    ]
}

prop_compose! {
    fn event()(
        id in attribute(), source in uri_reference(), ty in attribute(),
        subject in prop::option::of(attribute()), time in prop::option::of(time()),
        schema in prop::option::of(uri_reference()),
        (media_type, data) in content(),
        extensions in prop::collection::btree_map("x[a-z0-9]{1,6}", extension_value(), 0..4),
    ) -> CloudEvent {
        let mut e = CloudEvent::builder(id, source, ty)
            .extensions(extensions.into_iter().map(|(n, v)| (n.into(), v)).collect());
        if let Some(subject) = subject { e = e.subject(subject); }
        if let Some(time) = time { e = e.time(time); }
        if let Some(schema) = schema { e = e.dataschema(format!("x:{schema}")); }
        if let Some(media_type) = media_type { e = e.datacontenttype(media_type); }
        if let Some(data) = data { e = e.data(data); }
        e.build().unwrap()
    }
}

/// The event as headers can carry it: extensions are strings, data is bytes, JSON says that it is JSON.
fn in_headers(event: &CloudEvent) -> CloudEvent {
    let extensions = event.extensions().iter().map(|(name, value)| {
        let text = match value {
            AttributeValue::Boolean(b) => b.to_string().into(),
            AttributeValue::Integer(i) => i.to_string().into(),
            AttributeValue::String(t) => t.clone(),
            other => panic!("{other:?} is not generated"),
        };
        (name.clone(), AttributeValue::String(text))
    });
    let mut e = CloudEvent::builder(event.id().clone(), event.source().clone(), event.ty().clone())
        .extensions(extensions.collect());
    if let Some(subject) = event.subject() {
        e = e.subject(subject.clone());
    }
    if let Some(time) = event.time() {
        e = e.time(time.clone());
    }
    if let Some(schema) = event.dataschema() {
        e = e.dataschema(schema.clone());
    }
    match (event.datacontenttype(), event.data()) {
        (Some(m), _) => e = e.datacontenttype(m.clone()),
        (None, Some(Data::Text(_))) => e = e.datacontenttype("application/json"),
        (None, _) => {}
    }
    if let Some(data) = event.data() {
        e = e.data(Data::Binary(data.to_bytes()));
    }
    e.build().unwrap()
}

proptest! {
    #[test]
    fn structured(event in event()) {
        prop_assert_eq!(json::decode(&json::encode(&event)).unwrap(), event);
    }

    #[test]
    fn batch(events in prop::collection::vec(event(), 0..4)) {
        prop_assert_eq!(json::decode_batch(&json::encode_batch(&events), 4).unwrap(), events);
    }

    #[test]
    fn binary(event in event()) {
        let mut headers = ::http::HeaderMap::new();
        let body = http::encode_binary(&event, &mut headers);
        prop_assert_eq!(http::mode(&headers), http::Mode::Binary);
        prop_assert_eq!(http::decode_binary(&headers, body).unwrap(), in_headers(&event));
    }

    #[test]
    fn nats_binary(event in event(), upper in any::<bool>()) {
        let headers: Vec<(String, String)> = nats::headers(&event)
            .map(|(n, v)| (if upper { n.to_uppercase() } else { n.into_owned() }, v.into_owned()))
            .collect();
        let back = nats::decode(headers.iter().map(|(n, v)| (&**n, &**v)), &nats::payload(&event));
        prop_assert_eq!(back.unwrap(), in_headers(&event));
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(bytes);
        let _ = json::decode(&bytes);
        let _ = json::decode_batch(&bytes, 10);
        let _ = nats::decode([("ce-id", &*String::from_utf8_lossy(&bytes))], &bytes);
    }

    /// Near misses reach deeper than noise does.
    #[test]
    fn damaged_events_are_refused_without_a_panic(event in event(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = json::encode(&event).to_vec();
        let i = at.index(bytes.len());
        bytes[i] = with;
        let _ = json::decode(&bytes.into());
    }
}
