//! To and from the official SDK's `Event` (crate `cloudevents-sdk`), for producers and consumers written
//! in Rust. Not for the fleet's own path. The SDK keeps `time` in UTC, integers in 64 bits, and JSON data as
//! a value: an offset, the spelling of JSON and the types of binary, URI and timestamp extensions do not come back.

use cloudevents::{
    AttributesReader as _, Event, EventBuilder as _, EventBuilderV10, event::ExtensionValue,
    event::SpecVersion,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::{AttributeValue, CloudEvent, Data, InvalidEvent, Text, is_json_media_type};

impl TryFrom<&CloudEvent> for Event {
    type Error = InvalidEvent;

    /// # Errors
    /// If the SDK refuses an attribute that the specification allows.
    fn try_from(event: &CloudEvent) -> Result<Self, InvalidEvent> {
        let refused = |e: cloudevents::event::EventBuilderError| InvalidEvent::new("", e.to_string());
        let mut builder = EventBuilderV10::new()
            .id(event.id().to_string())
            .source(event.source().to_string())
            .ty(event.ty().to_string());
        if let Some(subject) = event.subject() {
            builder = builder.subject(subject.to_string());
        }
        if let Some(time) = event.time() {
            builder = builder.time(time.to_string());
        }
        for (name, value) in event.extensions() {
            let value = match value {
                AttributeValue::Boolean(b) => ExtensionValue::Boolean(*b),
                AttributeValue::Integer(i) => ExtensionValue::Integer(i64::from(*i)),
                AttributeValue::Binary(b) => ExtensionValue::String(BASE64.encode(b)),
                AttributeValue::String(t)
                | AttributeValue::Uri(t)
                | AttributeValue::UriRef(t)
                | AttributeValue::Timestamp(t) => ExtensionValue::String(t.to_string()),
            };
            builder = builder.extension(name, value);
        }
        let media_type = crate::header::media_type(event);
        builder = match (event.data(), event.dataschema()) {
            (Some(data), Some(schema)) => builder.data_with_schema(
                media_type.unwrap_or(OCTETS),
                schema.to_string(),
                data_to_sdk(data, media_type),
            ),
            (Some(data), None) => builder.data(media_type.unwrap_or(OCTETS), data_to_sdk(data, media_type)),
            (None, _) => builder,
        };
        builder.build().map_err(refused)
    }
}

/// The SDK's builder wants a media type wherever there is data.
const OCTETS: &str = "application/octet-stream";

fn data_to_sdk(data: &Data, media_type: Option<&str>) -> cloudevents::Data {
    let json = media_type.is_some_and(is_json_media_type);
    if json && let Ok(value) = serde_json::from_slice(data.as_bytes()) {
        return cloudevents::Data::Json(value);
    }
    match data {
        Data::Text(text) => cloudevents::Data::String(text.to_string()),
        Data::Binary(bytes) | Data::Proto(bytes) => cloudevents::Data::Binary(bytes.to_vec()),
    }
}

impl TryFrom<Event> for CloudEvent {
    type Error = InvalidEvent;

    /// # Errors
    /// If the event is of another version of the specification, or breaks a rule that the SDK does not check.
    fn try_from(mut event: Event) -> Result<Self, InvalidEvent> {
        if event.specversion() != SpecVersion::V10 {
            return Err(InvalidEvent::new("specversion", "only \"1.0\" is supported"));
        }
        let mut builder = Self::builder(event.id(), event.source().as_str(), event.ty());
        if let Some(subject) = event.subject() {
            builder = builder.subject(subject);
        }
        if let Some(time) = event.time() {
            builder = builder.time(time.to_rfc3339());
        }
        for (name, value) in event.iter_extensions() {
            let value = match value {
                ExtensionValue::Boolean(b) => AttributeValue::Boolean(*b),
                ExtensionValue::String(s) => AttributeValue::String(s.as_str().into()),
                ExtensionValue::Integer(i) => AttributeValue::Integer(
                    i32::try_from(*i)
                        .map_err(|_| InvalidEvent::new(name, "is not a 32-bit signed integer"))?,
                ),
            };
            builder = builder.extension(name, value);
        }
        let (media_type, schema, data) = event.take_data();
        if let Some(media_type) = media_type {
            builder = builder.datacontenttype(media_type);
        }
        if let Some(schema) = schema {
            builder = builder.dataschema(schema.to_string());
        }
        builder = match data {
            None => builder,
            Some(cloudevents::Data::Binary(bytes)) => builder.data(Data::Binary(bytes.into())),
            Some(cloudevents::Data::String(text)) => builder.data(Data::Text(text.into())),
            Some(cloudevents::Data::Json(value)) => builder.data(Data::Text(Text::from(value.to_string()))),
        };
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_the_sdk_and_back() {
        let event = CloudEvent::builder("1", "/s", "t")
            .subject("sub")
            .time("2026-11-21T10:00:00.000001+02:00")
            .dataschema("https://example.com/s")
            .text("application/json", r#"{"a":1}"#)
            .extension("b", AttributeValue::Boolean(true))
            .extension("i", AttributeValue::Integer(-7))
            .extension("s", AttributeValue::String("x".into()))
            .build()
            .unwrap();
        let theirs = Event::try_from(&event).unwrap();
        assert_eq!(theirs.ty(), "t");
        assert_eq!(theirs.extension("i"), Some(&ExtensionValue::Integer(-7)));
        let back = CloudEvent::try_from(theirs).unwrap();
        assert_eq!(back.time().unwrap(), "2026-11-21T08:00:00.000001+00:00");
        assert_eq!(back.time_us(), event.time_us());
        assert_eq!(back.extensions(), event.extensions());
        assert_eq!(back.data(), event.data());
        assert_eq!(back.dataschema(), event.dataschema());
        assert_eq!(back.subject(), event.subject());
    }

    #[test]
    fn refuses_what_the_sdk_lets_through() {
        let mut theirs = EventBuilderV10::new().id("1").source("/s").ty("t").build().unwrap();
        theirs.set_extension("big", i64::MAX);
        assert_eq!(CloudEvent::try_from(theirs).unwrap_err().attribute, "big");
    }
}
