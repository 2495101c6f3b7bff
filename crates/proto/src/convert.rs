//! Between the model and the wire. Moves and slices only: payloads and strings are never copied.

use bytes::Bytes;
use model::{
    AttributeValue, Batch, CloudEvent, CloudEventBuilder, CustomerId, Data, Group, InvalidEvent, SourceId,
    Stamp, SystemId, TenantId, Text, format_rfc3339_nanos, parse_rfc3339_nanos,
};
use prost::Message as _;

use crate::{
    cloudevents as ce,
    cloudevents::{cloud_event, cloud_event_attribute_value::Attr},
    hops,
};

/// Why a message is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A rule of CloudEvents is broken.
    #[error(transparent)]
    Event(#[from] InvalidEvent),
    /// A field that must be text is not.
    #[error("field {0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A field is missing.
    #[error("field {0} is missing")]
    Missing(&'static str),
}

fn text(field: &'static str, bytes: Bytes) -> Result<Text, ConvertError> {
    Text::try_from(bytes).map_err(|_| ConvertError::NotUtf8(field))
}

fn present(field: &'static str, bytes: Bytes) -> Result<Option<Text>, ConvertError> {
    if bytes.is_empty() { Ok(None) } else { text(field, bytes).map(Some) }
}

fn bytes_of(text: &Text) -> Bytes {
    text.as_bytes().clone()
}

fn bytes_or_empty(text: Option<&Text>) -> Bytes {
    text.map(bytes_of).unwrap_or_default()
}

impl From<&CloudEvent> for hops::Event {
    fn from(event: &CloudEvent) -> Self {
        use hops::event::Data as Wire;
        Self {
            id: bytes_of(event.id()),
            source: bytes_of(event.source()),
            r#type: bytes_of(event.ty()),
            subject: bytes_or_empty(event.subject()),
            time: bytes_or_empty(event.time()),
            datacontenttype: bytes_or_empty(event.datacontenttype()),
            dataschema: bytes_or_empty(event.dataschema()),
            extensions: event.extensions().iter().map(extension_to_wire).collect(),
            data: event.data().map(|data| match data {
                Data::Binary(b) => Wire::Binary(b.clone()),
                Data::Text(t) => Wire::Text(bytes_of(t)),
                Data::Proto(b) => Wire::Proto(b.clone()),
            }),
        }
    }
}

fn extension_to_wire((name, value): &(Text, AttributeValue)) -> hops::Extension {
    use hops::extension::Value;
    hops::Extension {
        name: bytes_of(name),
        value: Some(match value {
            AttributeValue::Boolean(b) => Value::Boolean(*b),
            AttributeValue::Integer(i) => Value::Integer(*i),
            AttributeValue::String(t) => Value::String(bytes_of(t)),
            AttributeValue::Binary(b) => Value::Binary(b.clone()),
            AttributeValue::Uri(t) => Value::Uri(bytes_of(t)),
            AttributeValue::UriRef(t) => Value::UriRef(bytes_of(t)),
            AttributeValue::Timestamp(t) => Value::Timestamp(bytes_of(t)),
        }),
    }
}

impl TryFrom<hops::Event> for CloudEvent {
    type Error = ConvertError;

    fn try_from(wire: hops::Event) -> Result<Self, ConvertError> {
        use hops::{event::Data as Wire, extension::Value};
        let mut event =
            Self::builder(text("id", wire.id)?, text("source", wire.source)?, text("type", wire.r#type)?);
        if let Some(subject) = present("subject", wire.subject)? {
            event = event.subject(subject);
        }
        if let Some(time) = present("time", wire.time)? {
            event = event.time(time);
        }
        if let Some(media_type) = present("datacontenttype", wire.datacontenttype)? {
            event = event.datacontenttype(media_type);
        }
        if let Some(schema) = present("dataschema", wire.dataschema)? {
            event = event.dataschema(schema);
        }
        for extension in wire.extensions {
            let value = match extension.value.ok_or(ConvertError::Missing("extension.value"))? {
                Value::Boolean(b) => AttributeValue::Boolean(b),
                Value::Integer(i) => AttributeValue::Integer(i),
                Value::String(b) => AttributeValue::String(text("extension", b)?),
                Value::Binary(b) => AttributeValue::Binary(b),
                Value::Uri(b) => AttributeValue::Uri(text("extension", b)?),
                Value::UriRef(b) => AttributeValue::UriRef(text("extension", b)?),
                Value::Timestamp(b) => AttributeValue::Timestamp(text("extension", b)?),
            };
            event = event.extension(text("extension", extension.name)?, value);
        }
        event = match wire.data {
            None => event,
            Some(Wire::Binary(b)) => event.data(Data::Binary(b)),
            Some(Wire::Text(b)) => event.data(Data::Text(text("data", b)?)),
            Some(Wire::Proto(b)) => event.data(Data::Proto(b)),
        };
        Ok(event.build()?)
    }
}

impl From<&CloudEvent> for ce::CloudEvent {
    /// The public format. `time` becomes a `google.protobuf.Timestamp`, which has no offset.
    fn from(event: &CloudEvent) -> Self {
        let mut attributes = std::collections::HashMap::new();
        let mut add = |name: &str, attr: Attr| {
            attributes.insert(name.to_owned(), ce::CloudEventAttributeValue { attr: Some(attr) });
        };
        if let Some(subject) = event.subject() {
            add("subject", Attr::CeString(subject.to_string()));
        }
        if let Some(time) = event.time() {
            add("time", timestamp_to_wire(time));
        }
        if let Some(media_type) = event.datacontenttype() {
            add("datacontenttype", Attr::CeString(media_type.to_string()));
        }
        if let Some(schema) = event.dataschema() {
            add("dataschema", Attr::CeUri(schema.to_string()));
        }
        for (name, value) in event.extensions() {
            let attr = match value {
                AttributeValue::Boolean(b) => Attr::CeBoolean(*b),
                AttributeValue::Integer(i) => Attr::CeInteger(*i),
                AttributeValue::String(t) => Attr::CeString(t.to_string()),
                AttributeValue::Binary(b) => Attr::CeBytes(b.clone()),
                AttributeValue::Uri(t) => Attr::CeUri(t.to_string()),
                AttributeValue::UriRef(t) => Attr::CeUriRef(t.to_string()),
                AttributeValue::Timestamp(t) => timestamp_to_wire(t),
            };
            add(name, attr);
        }
        Self {
            id: event.id().to_string(),
            source: event.source().to_string(),
            spec_version: "1.0".to_owned(),
            r#type: event.ty().to_string(),
            attributes,
            data: event.data().map(|data| match data {
                Data::Binary(b) => cloud_event::Data::BinaryData(b.clone()),
                Data::Text(t) => cloud_event::Data::TextData(t.to_string()),
                Data::Proto(b) => {
                    cloud_event::Data::ProtoData(prost_types::Any::decode(b.clone()).unwrap_or_default())
                }
            }),
        }
    }
}

fn timestamp_to_wire(time: &Text) -> Attr {
    // The model has checked that it parses.
    let at = parse_rfc3339_nanos(time).unwrap_or_default();
    let seconds = i64::try_from(at.div_euclid(1_000_000_000)).unwrap_or_default();
    let nanos = i32::try_from(at.rem_euclid(1_000_000_000)).unwrap_or_default();
    Attr::CeTimestamp(prost_types::Timestamp { seconds, nanos })
}

fn timestamp_from_wire(name: &str, at: prost_types::Timestamp) -> Result<Text, InvalidEvent> {
    // 0001-01-01 to 9999-12-31, as google.protobuf.Timestamp is defined.
    let in_range =
        (-62_135_596_800..=253_402_300_799).contains(&at.seconds) && (0..1_000_000_000).contains(&at.nanos);
    if !in_range {
        return Err(InvalidEvent::new(name.to_owned(), "is a timestamp out of range"));
    }
    Ok(format_rfc3339_nanos(i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos)).into())
}

impl TryFrom<ce::CloudEvent> for CloudEvent {
    type Error = InvalidEvent;

    fn try_from(wire: ce::CloudEvent) -> Result<Self, InvalidEvent> {
        if wire.spec_version != "1.0" {
            let problem = if wire.spec_version.is_empty() {
                "is required: \"1.0\"".to_owned()
            } else {
                format!("is {:?}; only \"1.0\" is supported", wire.spec_version)
            };
            return Err(InvalidEvent::new("specversion", problem));
        }
        let mut event = Self::builder(wire.id, wire.source, wire.r#type);
        for (name, value) in wire.attributes {
            let attr = value.attr.ok_or_else(|| InvalidEvent::new(name.clone(), "has no value"))?;
            event = attribute_from_wire(event, name, attr)?;
        }
        event = match wire.data {
            None => event,
            Some(cloud_event::Data::BinaryData(b)) => event.data(Data::Binary(b)),
            Some(cloud_event::Data::TextData(t)) => event.data(Data::Text(t.into())),
            Some(cloud_event::Data::ProtoData(any)) => event.data(Data::Proto(any.encode_to_vec().into())),
        };
        event.build()
    }
}

fn attribute_from_wire(
    event: CloudEventBuilder,
    name: String,
    attr: Attr,
) -> Result<CloudEventBuilder, InvalidEvent> {
    let core = |attr: Attr| match attr {
        Attr::CeString(t) | Attr::CeUri(t) | Attr::CeUriRef(t) => Ok(Text::from(t)),
        Attr::CeTimestamp(at) if name == "time" => timestamp_from_wire("time", at),
        _ => Err(InvalidEvent::new(name.clone(), "has a value of the wrong type")),
    };
    Ok(match name.as_str() {
        "subject" => event.subject(core(attr)?),
        "time" => event.time(core(attr)?),
        "datacontenttype" => event.datacontenttype(core(attr)?),
        "dataschema" => event.dataschema(core(attr)?),
        _ => {
            let value = match attr {
                Attr::CeBoolean(b) => AttributeValue::Boolean(b),
                Attr::CeInteger(i) => AttributeValue::Integer(i),
                Attr::CeString(t) => AttributeValue::String(t.into()),
                Attr::CeBytes(b) => AttributeValue::Binary(b),
                Attr::CeUri(t) => AttributeValue::Uri(t.into()),
                Attr::CeUriRef(t) => AttributeValue::UriRef(t.into()),
                Attr::CeTimestamp(at) => AttributeValue::Timestamp(timestamp_from_wire(&name, at)?),
            };
            event.extension(name, value)
        }
    })
}

impl From<&Stamp> for hops::Stamp {
    fn from(stamp: &Stamp) -> Self {
        Self {
            tenant: bytes_of(stamp.tenant.as_text()),
            system: bytes_of(stamp.system.as_text()),
            source: stamp.source.as_ref().map(|s| bytes_of(s.as_text())).unwrap_or_default(),
            received_at_us: stamp.received_at_us,
            traceparent: bytes_of(&stamp.traceparent),
            protocol: bytes_of(&stamp.protocol),
            customer: stamp.customer.as_ref().map(|c| bytes_of(c.as_text())).unwrap_or_default(),
        }
    }
}

impl TryFrom<hops::Stamp> for Stamp {
    type Error = ConvertError;

    fn try_from(wire: hops::Stamp) -> Result<Self, ConvertError> {
        let bad = |field| move |_| ConvertError::NotUtf8(field);
        Ok(Self {
            tenant: TenantId::from_text(text("tenant", wire.tenant)?).map_err(bad("tenant"))?,
            system: SystemId::from_text(text("system", wire.system)?).map_err(bad("system"))?,
            source: present("source", wire.source)?
                .map(SourceId::from_text)
                .transpose()
                .map_err(bad("source"))?,
            customer: present("customer", wire.customer)?
                .map(CustomerId::from_text)
                .transpose()
                .map_err(bad("customer"))?,
            received_at_us: wire.received_at_us,
            traceparent: text("traceparent", wire.traceparent)?,
            protocol: text("protocol", wire.protocol)?,
        })
    }
}

/// An `EventBatch` as the engine works on it. `partition`, `sequence` and `stored_at_us` are the message's own,
/// known to whoever received it.
///
/// # Errors
/// If an event in it is not one: a fault of the fleet's, not of a producer's.
pub fn batch_from_wire(
    wire: hops::EventBatch,
    partition: u32,
    sequence: u64,
    stored_at_us: i64,
) -> Result<Batch, ConvertError> {
    let groups = wire.groups.into_iter().map(|group| {
        let stamp = Stamp::try_from(group.stamp.ok_or(ConvertError::Missing("stamp"))?)?;
        let events = group.events.into_iter().map(CloudEvent::try_from).collect::<Result<_, _>>()?;
        Ok(Group { stamp: stamp.into(), events })
    });
    Ok(Batch {
        partition,
        sequence,
        stored_at_us,
        raw_sequence: wire.raw_sequence,
        raw_stored_at_us: wire.raw_stored_at_us,
        normalized_at_us: wire.normalized_at_us,
        groups: groups.collect::<Result<_, ConvertError>>()?,
        streamed: Vec::new(),
        metered: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rich() -> CloudEvent {
        CloudEvent::builder("1", "/s", "t")
            .subject("sub")
            .time("2026-11-21T10:00:00.000001+02:00")
            .dataschema("https://example.com/s")
            .text("application/json", r#"{"a": 1}"#)
            .extension("b", AttributeValue::Boolean(true))
            .extension("i", AttributeValue::Integer(-7))
            .extension("s", AttributeValue::String("x".into()))
            .extension("y", AttributeValue::Binary(Bytes::from_static(b"\0\xff")))
            .extension("u", AttributeValue::Uri("urn:x".into()))
            .extension("r", AttributeValue::UriRef("/x".into()))
            .extension("t", AttributeValue::Timestamp("2026-11-21T08:00:00Z".into()))
            .build()
            .unwrap()
    }

    #[test]
    fn inner_hops_keep_everything() {
        let event = rich();
        let wire = hops::Event::from(&event).encode_to_vec();
        assert_eq!(CloudEvent::try_from(hops::Event::decode(Bytes::from(wire)).unwrap()).unwrap(), event);
        let none = CloudEvent::builder("1", "/s", "t").build().unwrap();
        let empty = none.clone().with_data(Some(Data::Binary(Bytes::new())));
        for event in [none, empty] {
            assert_eq!(CloudEvent::try_from(hops::Event::from(&event)).unwrap(), event);
        }
    }

    #[test]
    fn public_format_loses_only_the_offset() {
        let event = rich();
        let back = CloudEvent::try_from(ce::CloudEvent::from(&event)).unwrap();
        assert_eq!(back.time().unwrap(), "2026-11-21T08:00:00.000001Z");
        assert_eq!(back.extensions(), event.extensions());
        assert_eq!(back.data(), event.data());
    }

    #[test]
    fn names_what_is_wrong() {
        let mut wire = ce::CloudEvent::from(&rich());
        wire.spec_version = "0.3".into();
        assert_eq!(CloudEvent::try_from(wire.clone()).unwrap_err().attribute, "specversion");
        wire.spec_version = "1.0".into();
        wire.attributes.insert("empty".into(), ce::CloudEventAttributeValue { attr: None });
        assert_eq!(CloudEvent::try_from(wire).unwrap_err().attribute, "empty");
    }
}
