//! The JSON event format and JSON batch format (CloudEvents JSON format 1.0.2).
//!
//! Decoding slices: attributes without escapes and the whole of `data` borrow from the body, and `data` is
//! never parsed, only skipped over. Skipping is iterative, so that no nesting of `data` overflows the stack.
//! Encoding `data` that claims to be JSON checks that it is.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;

use crate::{
    AttributeValue, BadItem, BatchError, CloudEvent, Data, DecodeError, InvalidEvent, Text,
    json_members::EventSeed,
};

/// The media type of one event.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";
/// The media type of a batch.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// Reads one event.
///
/// # Errors
/// If the body is not one JSON object, or the object breaks a rule of CloudEvents.
pub fn decode(body: &Bytes) -> Result<CloudEvent, DecodeError> {
    let text = utf8(body).map_err(DecodeError::Malformed)?;
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let event = serde::de::DeserializeSeed::deserialize(EventSeed::new(&text), &mut deserializer)
        .and_then(|event| deserializer.end().map(|()| event))
        .map_err(|e| DecodeError::Malformed(not_json(&e)))?;
    Ok(event?)
}

/// Reads a batch: a JSON array of events, which may be empty.
///
/// # Errors
/// If the body is no JSON array, holds more than `items_max` events, or any event breaks a rule: then each
/// that does is named.
pub fn decode_batch(body: &Bytes, items_max: usize) -> Result<Vec<CloudEvent>, BatchError> {
    struct Batch<'t> {
        text: &'t Text,
        items_max: usize,
        events: Vec<CloudEvent>,
        bad: Vec<BadItem>,
        too_many: bool,
    }

    impl<'de> serde::de::Visitor<'de> for &mut Batch<'_> {
        type Value = ();

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an array of events")
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
            let mut index = 0;
            while let Some(item) = items.next_element_seed(EventSeed::new(self.text))? {
                if index == self.items_max {
                    self.too_many = true;
                    // Reading on would be work for a request that is refused anyhow.
                    return Err(serde::de::Error::custom("too many events"));
                }
                match item {
                    Ok(event) => self.events.push(event),
                    Err(error) => self.bad.push(BadItem { index, error }),
                }
                index += 1;
            }
            Ok(())
        }
    }

    let text = utf8(body).map_err(BatchError::Malformed)?;
    let mut batch = Batch { text: &text, items_max, events: Vec::new(), bad: Vec::new(), too_many: false };
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let read =
        serde::Deserializer::deserialize_seq(&mut deserializer, &mut batch).and_then(|()| deserializer.end());
    match read {
        _ if batch.too_many => Err(BatchError::TooMany { items_max }),
        Err(e) => Err(BatchError::Malformed(not_json(&e))),
        Ok(()) if !batch.bad.is_empty() => Err(BatchError::Items(batch.bad)),
        Ok(()) => Ok(batch.events),
    }
}

/// Whether a body is a JSON object with the member `specversion`: what tells an event, be it a bad one, from
/// any other JSON.
#[must_use]
pub fn has_specversion(body: &[u8]) -> bool {
    struct Found;

    impl<'de> serde::de::Visitor<'de> for Found {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
            let mut found = false;
            while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                found |= name == "specversion";
                map.next_value::<serde::de::IgnoredAny>()?;
            }
            Ok(found)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_slice(body);
    serde::Deserializer::deserialize_map(&mut deserializer, Found).unwrap_or(false)
}

/// Writes one event.
#[must_use]
pub fn encode(event: &CloudEvent) -> Bytes {
    let mut out = Vec::with_capacity(event.size() + 256);
    encode_into(event, &mut out);
    out.into()
}

/// Writes a batch.
#[must_use]
pub fn encode_batch<'a>(events: impl IntoIterator<Item = &'a CloudEvent>) -> Bytes {
    let mut out = vec![b'['];
    for (i, event) in events.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        encode_into(event, &mut out);
    }
    out.push(b']');
    out.into()
}

/// Writes one event at the end of `out`. JSON data is written as it came, line breaks included.
pub fn encode_into(event: &CloudEvent, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"specversion":"1.0""#);
    let required = [("id", event.id()), ("source", event.source()), ("type", event.ty())];
    let optional = [
        ("subject", event.subject()),
        ("time", event.time()),
        ("datacontenttype", event.datacontenttype()),
        ("dataschema", event.dataschema()),
    ];
    for (name, value) in required {
        string_member(out, name, value);
    }
    for (name, value) in optional {
        if let Some(value) = value {
            string_member(out, name, value);
        }
    }
    for (name, value) in event.extensions() {
        match value {
            AttributeValue::Boolean(b) => raw_member(out, name, if *b { b"true" } else { b"false" }),
            AttributeValue::Integer(i) => raw_member(out, name, i.to_string().as_bytes()),
            AttributeValue::Binary(b) => string_member(out, name, &BASE64.encode(b)),
            AttributeValue::String(t)
            | AttributeValue::Uri(t)
            | AttributeValue::UriRef(t)
            | AttributeValue::Timestamp(t) => string_member(out, name, t),
        }
    }
    if let Some(data) = event.data() {
        data_member(out, event, data);
    }
    out.push(b'}');
}

/// JSON format 1.0.2, section 3.1.1: JSON stands as a value, other text as a string, the rest as base64.
fn data_member(out: &mut Vec<u8>, event: &CloudEvent, data: &Data) {
    let says_json = event.has_json_content_type();
    let implies_json = event.datacontenttype().is_none() && matches!(data, Data::Text(_));
    match data {
        // An encoded `Any` is never JSON, whatever the attribute says.
        Data::Proto(any) => string_member(out, "data_base64", &BASE64.encode(any)),
        _ if (says_json || implies_json) && is_json(data.as_bytes()) => {
            raw_member(out, "data", data.as_bytes());
        }
        // As `data`, a string would be taken for a JSON string.
        _ if says_json => string_member(out, "data_base64", &BASE64.encode(data.as_bytes())),
        Data::Text(text) => string_member(out, "data", text),
        Data::Binary(bytes) => string_member(out, "data_base64", &BASE64.encode(bytes)),
    }
}

/// Whether the bytes are one JSON value: checked without building it.
#[must_use]
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|s| serde_json::from_str::<&serde_json::value::RawValue>(s).is_ok())
}

fn string_member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, value);
}

fn raw_member(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}

fn utf8(body: &Bytes) -> Result<Text, String> {
    let text = Text::try_from(body.clone()).map_err(|_| {
        let good = std::str::from_utf8(body).map_or_else(|e| e.valid_up_to(), str::len);
        format!("the JSON is not UTF-8 at byte {good}")
    })?;
    // RFC 8259, section 8.1: must not be sent. Named, because it is invisible.
    if text.starts_with('\u{FEFF}') {
        return Err("the JSON begins with a byte order mark".to_owned());
    }
    Ok(text)
}

fn not_json(error: &serde_json::Error) -> String {
    format!("the JSON cannot be read: {error}")
}

impl From<InvalidEvent> for BatchError {
    /// A batch of one.
    fn from(error: InvalidEvent) -> Self {
        Self::Items(vec![BadItem { index: 0, error }])
    }
}
