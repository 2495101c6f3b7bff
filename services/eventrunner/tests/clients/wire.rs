//! CloudEvents as they are on the wire, read by the specification alone: the second opinion on our own
//! decoders.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use prost::Message as _;
use proto::cloudevents::{self as ce, cloud_event::Data, cloud_event_attribute_value::Attr};
use serde_json::{Value, value::RawValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An event: every attribute by its name, and the bytes of its data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) attributes: BTreeMap<String, Value>,
    pub(crate) data: Option<Vec<u8>>,
}

impl Event {
    /// An attribute that is text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.attributes[name].as_str().unwrap()
    }

    /// Whether JSON is said, or implied by silence (JSON format 1.0.2, section 3.1.1).
    fn is_json(&self) -> bool {
        let Some(media_type) = self.attributes.get("datacontenttype") else { return true };
        let essence = media_type.as_str().unwrap().split(';').next().unwrap().trim().to_ascii_lowercase();
        essence.ends_with("/json") || essence.ends_with("+json")
    }

    /// As headers carry it: every value text, and JSON named where the JSON format only implied it.
    pub(crate) fn in_headers(&self, was_structured: bool) -> (BTreeMap<String, String>, Vec<u8>) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut attributes: BTreeMap<_, _> =
            self.attributes.iter().map(|(name, v)| (name.clone(), text(v))).collect();
        if was_structured && self.data.is_some() {
            attributes.entry("datacontenttype".to_owned()).or_insert_with(|| "application/json".to_owned());
        }
        (attributes, self.data.clone().unwrap_or_default())
    }
}

/// The events of an HTTP request, of any mode. Header names in lower case.
pub(crate) fn events(headers: &BTreeMap<String, String>, body: &[u8]) -> Vec<Event> {
    let media_type = headers.get("content-type").map(String::as_str).unwrap_or_default();
    if media_type.starts_with("application/cloudevents-batch+json") {
        let items: Vec<&RawValue> = serde_json::from_slice(body).unwrap();
        return items.into_iter().map(|item| structured(item.get())).collect();
    }
    if media_type.starts_with("application/cloudevents+json") {
        return vec![structured(std::str::from_utf8(body).unwrap())];
    }
    vec![binary(headers, body)]
}

/// HTTP protocol binding 1.0.2, section 3.1.
fn binary(headers: &BTreeMap<String, String>, body: &[u8]) -> Event {
    let attributes = headers.iter().filter_map(|(name, value)| {
        let name = if name == "content-type" { "datacontenttype" } else { name.strip_prefix("ce-")? };
        let value = percent_decode_str(value).decode_utf8().unwrap();
        Some((name.to_owned(), Value::from(&*value)))
    });
    Event { attributes: attributes.collect(), data: (!body.is_empty()).then(|| body.to_vec()) }
}

/// JSON format 1.0.2. The bytes of `data` are those of the JSON text, or of the string where the data is
/// none.
fn structured(text: &str) -> Event {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
    members.retain(|_, value| value.get() != "null");
    let (data, base64) = (members.remove("data"), members.remove("data_base64"));
    let attributes =
        members.into_iter().map(|(name, value)| (name, serde_json::from_str(value.get()).unwrap()));
    let mut event = Event { attributes: attributes.collect(), data: None };
    event.data = match (data, base64) {
        (None, None) => None,
        (None, Some(base64)) => {
            Some(BASE64.decode(serde_json::from_str::<String>(base64.get()).unwrap()).unwrap())
        }
        (Some(data), None) if !event.is_json() && data.get().starts_with('"') => {
            Some(serde_json::from_str::<String>(data.get()).unwrap().into_bytes())
        }
        (Some(data), None) => Some(data.get().as_bytes().to_vec()),
        (Some(_), Some(_)) => panic!("data and data_base64: {text}"),
    };
    event
}

/// A stored event, as the API answers it in its two formats.
#[derive(Debug)]
pub(crate) struct Stored {
    json: Event,
    protobuf: Event,
}

impl Stored {
    pub(crate) fn new(json: &[u8], protobuf: &[u8]) -> Self {
        Self {
            json: structured(std::str::from_utf8(json).unwrap()),
            protobuf: from_protobuf(ce::CloudEvent::decode(protobuf).unwrap()),
        }
    }

    /// Compares it with what was sent. Only protobuf has the data to the last byte: around a JSON value in
    /// JSON, white space means nothing. Only JSON has the time to the last letter.
    pub(crate) fn assert_is(&self, sent: &Event) {
        let name = format!("{} {}", sent.text("source"), sent.text("id"));
        assert_eq!(self.json.attributes, sent.attributes, "{name}: attributes, as JSON");
        let mut attributes = sent.attributes.clone();
        if let Some(time) = attributes.get_mut("time") {
            let at = OffsetDateTime::parse(time.as_str().unwrap(), &Rfc3339).unwrap();
            *time = Value::from(i64::try_from(at.unix_timestamp_nanos()).unwrap());
        }
        assert_eq!(self.protobuf.attributes, attributes, "{name}: attributes, as protobuf");
        assert_same_bytes(&format!("{name}: data, as protobuf"), &self.protobuf.data, &sent.data);
        let value = |event: &Event| match &event.data {
            Some(data) if sent.is_json() => Some(data.trim_ascii().to_vec()),
            other => other.clone(),
        };
        assert_same_bytes(&format!("{name}: data, as JSON"), &value(&self.json), &value(sent));
    }

    pub(crate) fn json(&self) -> &Event {
        &self.json
    }
}

fn assert_same_bytes(what: &str, found: &Option<Vec<u8>>, expected: &Option<Vec<u8>>) {
    let shown = |data: &Option<Vec<u8>>| {
        data.as_ref().map(|d| String::from_utf8_lossy(&d[..d.len().min(300)]).into_owned())
    };
    assert!(found == expected, "{what}: {:?} instead of {:?}", shown(found), shown(expected));
}

fn from_protobuf(event: ce::CloudEvent) -> Event {
    let required = [
        ("id", event.id),
        ("source", event.source),
        ("specversion", event.spec_version),
        ("type", event.r#type),
    ];
    let required = required.into_iter().map(|(name, value)| (name.to_owned(), Value::from(&*value)));
    let others = event.attributes.into_iter().map(|(name, value)| {
        let value = match value.attr.unwrap() {
            Attr::CeBoolean(b) => Value::from(b),
            Attr::CeInteger(i) => Value::from(i),
            Attr::CeString(t) | Attr::CeUri(t) | Attr::CeUriRef(t) => Value::from(&*t),
            Attr::CeBytes(b) => Value::from(BASE64.encode(b)),
            // Of no offset: this format has none to give.
            Attr::CeTimestamp(at) => Value::from(at.seconds * 1_000_000_000 + i64::from(at.nanos)),
        };
        (String::from(&*name), value)
    });
    let data = event.data.map(|data| match data {
        Data::BinaryData(bytes) => bytes.to_vec(),
        Data::TextData(text) => text.as_bytes().to_vec(),
        Data::ProtoData(any) => any.encode_to_vec(),
    });
    Event { attributes: required.chain(others).collect(), data }
}

/// A string as one segment of a path.
pub(crate) fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
