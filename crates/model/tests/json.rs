//! The JSON format, rule by rule.

use bytes::Bytes;
use model::{AttributeValue, BatchError, CloudEvent, Data, DecodeError, json};

fn decode(body: &str) -> Result<CloudEvent, DecodeError> {
    json::decode(&Bytes::copy_from_slice(body.as_bytes()))
}

/// A good event with something more in it.
fn with(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t",{members}}}"#)
}

#[test]
fn attributes_and_data_are_slices_of_the_body() {
    let body = Bytes::from(with(r#""subject":"sub","data":{"a": [1, 2]}"#));
    let event = json::decode(&body).unwrap();
    let range = body.as_ptr_range();
    for part in [event.id().as_bytes(), event.subject().unwrap().as_bytes()] {
        assert!(range.contains(&part.as_ptr()));
    }
    assert!(range.contains(&event.data().unwrap().as_bytes().as_ptr()));
    assert_eq!(event.data(), Some(&Data::Text(r#"{"a": [1, 2]}"#.into())));
}

#[test]
fn values_have_the_types_of_the_format() {
    let line_break = decode(&with(r#""subject":"a\nb""#));
    assert!(line_break.is_err(), "a line break is a control character, which no attribute may hold");
    let event = decode(&with(
        r#""subject":"a\u00e9\"\ud83d\ude00","b":true,"i":-2147483648,"n":null,"s":"x","time":null"#,
    ));
    let event = event.unwrap();
    assert_eq!(event.subject().unwrap(), "aé\"😀");
    assert_eq!(event.extension("b"), Some(&AttributeValue::Boolean(true)));
    assert_eq!(event.extension("i"), Some(&AttributeValue::Integer(i32::MIN)));
    assert_eq!(event.extension("s"), Some(&AttributeValue::String("x".into())));
    assert_eq!(event.extension("n"), None);
    assert_eq!((event.time(), event.data()), (None, None));
}

#[test]
fn data_is_kept_byte_for_byte() {
    let text = |s: &str| Some(Data::Text(s.to_owned().into()));
    let cases = [
        // An explicit null is data (section 3.1.1).
        (r#""data":null"#, text("null")),
        (r#""data": 1.50e3 "#, text("1.50e3")),
        (r#""data":"a\u0062""#, text(r#""a\u0062""#)),
        (r#""datacontenttype":"application/vnd.x+json","data":"{}""#, text(r#""{}""#)),
        (r#""datacontenttype":"application/xml","data":"<a b=\"c\"/>""#, text(r#"<a b="c"/>"#)),
        (r#""data":"plain","datacontenttype":"text/plain""#, text("plain")),
        (r#""datacontenttype":"text/plain","data":null"#, None),
        (r#""data_base64":"AP8=""#, Some(Data::Binary(Bytes::from_static(b"\0\xff")))),
        (r#""data_base64":null"#, None),
        (r#""data_base64":"""#, Some(Data::Binary(Bytes::new()))),
    ];
    for (members, data) in cases {
        assert_eq!(decode(&with(members)).unwrap().data(), data.as_ref(), "{members}");
    }
}

#[test]
fn refuses_events_that_break_a_rule_and_names_the_attribute() {
    let cases = [
        (with(r#""ID":"2""#), "ID"),
        (with(r#""Type":"t""#), "Type"),
        (with(r#""my_ext":1"#), "my_ext"),
        (with(r#""my-ext":null"#), "my-ext"),
        (with(r#""":1"#), ""),
        (with(r#""id":"2""#), "id"),
        (with(r#""subject":null,"subject":"x""#), "subject"),
        (with(r#""ext":1,"ext":1"#), "ext"),
        (with(r#""data":1,"data":1"#), "data"),
        (with(r#""data":1,"data_base64":"AA==""#), "data_base64"),
        (with(r#""data_base64":"AA==","data_base64":"AA==""#), "data_base64"),
        (with(r#""data_base64":"AA""#), "data_base64"),
        (with(r#""data_base64":"%%%%""#), "data_base64"),
        (with(r#""data_base64":7"#), "data_base64"),
        (with(r#""datacontenttype":"text/plain","data":{}"#), "data"),
        (with(r#""datacontenttype":"text/plain","data":"\ud800""#), "data"),
        (with(r#""ext":1.5"#), "ext"),
        (with(r#""ext":1e2"#), "ext"),
        (with(r#""ext":2147483648"#), "ext"),
        (with(r#""ext":18446744073709551616"#), "ext"),
        (with(r#""ext":[1]"#), "ext"),
        (with(r#""ext":{"a":1}"#), "ext"),
        (with(r#""subject":7"#), "subject"),
        (with(r#""subject":"""#), "subject"),
        (with(r#""time":"noon""#), "time"),
        (with(r#""dataschema":"relative""#), "dataschema"),
        (r#"{"id":"1","source":"/s","type":"t"}"#.into(), "specversion"),
        (r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#.into(), "specversion"),
        (r#"{"specversion":1.0,"id":"1","source":"/s","type":"t"}"#.into(), "specversion"),
        (r#"{"specversion":"1.0","id":null,"source":"/s","type":"t"}"#.into(), "id"),
        (r#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#.into(), "id"),
        (r#"{"specversion":"1.0","id":"1","source":"","type":"t"}"#.into(), "source"),
        (r#"{"specversion":"1.0","id":"1","source":"/s"}"#.into(), "type"),
        ("[]".into(), ""),
        ("null".into(), ""),
        (r#""event""#.into(), ""),
        ("7".into(), ""),
    ];
    for (body, attribute) in cases {
        match decode(&body) {
            Err(DecodeError::Invalid(e)) => assert_eq!(e.attribute, attribute, "{body}: {e}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn refuses_what_is_not_json() {
    let good = with(r#""data":1"#);
    let bodies: [Vec<u8>; 12] = [
        b"".to_vec(),
        b"{".to_vec(),
        b"{}{}".to_vec(),
        format!("{good} x").into(),
        format!("\u{FEFF}{good}").into(),
        with(r#""data":01"#).into(),
        with(r#""data":'a'"#).into(),
        with(r#""data":tru"#).into(),
        with(r#""subject":"\ud800""#).into(),
        with("\"data\":\"\u{1}\"").into(),
        with(r#""data":1,"#).into(),
        [good.as_bytes(), b"\xff"].concat(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!(matches!(json::decode(&body.into()), Err(DecodeError::Malformed(_))), "{shown}");
    }
}

#[test]
fn deep_nesting_neither_overflows_nor_passes_as_an_attribute() {
    let deep = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let event = decode(&with(&format!(r#""data":{}"#, deep(200_000)))).unwrap();
    assert_eq!(event.data().unwrap().len(), 400_000);
    assert!(json::decode(&json::encode(&event)).is_ok());
    assert!(matches!(decode(&with(&format!(r#""ext":{}"#, deep(200_000)))), Err(DecodeError::Invalid(_))));
    assert!(decode(&deep(200_000)).is_err());
    assert!(decode(&"[".repeat(200_000)).is_err());
    assert!(json::decode_batch(&Bytes::from(deep(200_000)), 10).is_err());
}

#[test]
fn a_batch_names_each_bad_event() {
    let good = with(r#""data":1"#);
    let body =
        Bytes::from(format!(r#"[{good}, 7, {good}, {{"specversion":"1.0"}}, [], {}]"#, with(r#""a":[]"#)));
    let BatchError::Items(items) = json::decode_batch(&body, 10).unwrap_err() else { panic!() };
    let named: Vec<_> = items.iter().map(|i| (i.index, &*i.error.attribute)).collect();
    assert_eq!(named, [(1, ""), (3, "id"), (4, ""), (5, "a")]);
}

#[test]
fn batches_are_arrays_within_the_limit() {
    let good = with(r#""data":1"#);
    let batch = |s: String, max| json::decode_batch(&Bytes::from(s), max);
    assert_eq!(batch("[]".into(), 10).unwrap(), []);
    assert_eq!(batch(format!("[{good},{good}]"), 2).unwrap().len(), 2);
    assert_eq!(batch(format!("[{good},{good}]"), 1), Err(BatchError::TooMany { items_max: 1 }));
    for bad in [
        good.clone(),
        "null".into(),
        "".into(),
        format!("[{good},]"),
        format!("[{good}"),
        format!("[{good}] x"),
    ] {
        assert!(matches!(batch(bad, 10), Err(BatchError::Malformed(_))));
    }
}

#[test]
fn data_is_written_as_the_format_says() {
    let event = |media_type: Option<&str>, data: Data| {
        let e = CloudEvent::builder("1", "/s", "t").data(data);
        let e = match media_type {
            Some(m) => e.datacontenttype(m.to_owned()),
            None => e,
        };
        String::from_utf8(json::encode(&e.build().unwrap()).to_vec()).unwrap()
    };
    let text = |s: &str| Data::Text(s.to_owned().into());
    let binary = |s: &'static [u8]| Data::Binary(Bytes::from_static(s));
    let cases = [
        (event(None, text(r#"{"a":1}"#)), r#""data":{"a":1}}"#),
        (event(None, text("not json")), r#""data":"not json"}"#),
        (event(None, binary(b"{}")), r#""data_base64":"e30="}"#),
        (event(Some("application/json"), binary(b"[1]")), r#""data":[1]}"#),
        (event(Some("application/json"), binary(b"[1")), r#""data_base64":"WzE="}"#),
        (event(Some("application/json"), text("[1")), r#""data_base64":"WzE="}"#),
        (event(Some("text/plain"), text("a\"b")), r#""data":"a\"b"}"#),
        (event(Some("text/plain"), binary(b"a")), r#""data_base64":"YQ=="}"#),
    ];
    for (written, end) in cases {
        assert!(written.ends_with(end), "{written} should end with {end}");
    }
}

#[test]
fn specversion_tells_events_from_other_json() {
    for yes in [r#"{"specversion":7}"#, r#"{"a":{},"spec\u0076ersion":null}"#] {
        assert!(json::has_specversion(yes.as_bytes()), "{yes}");
    }
    for no in ["{}", r#"{"a":{"specversion":"1.0"}}"#, r#"["specversion"]"#, "7", "", r#"{"specversion""#] {
        assert!(!json::has_specversion(no.as_bytes()), "{no}");
    }
}
