//! The NATS protocol binding (CloudEvents NATS protocol binding 1.0.2). Unlike HTTP, `datacontenttype` is
//! `ce-datacontenttype`; there is no batch mode.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{CloudEvent, Data, DecodeError, InvalidEvent, header, http, json};

/// A value as a header of this binding carries it: what a header line cannot hold is percent-encoded.
#[must_use]
pub fn encode_value(value: &str) -> Cow<'_, str> {
    header::encode_value(value)
}

/// The headers of an event in binary mode, names in lower case, values percent-encoded.
pub fn headers(event: &CloudEvent) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let media_type = header::media_type(event);
    header::attributes(event)
        .chain(media_type.map(|m| (Cow::Borrowed("ce-datacontenttype"), header::encode_value(m))))
}

/// The payload of an event in binary mode, shared.
#[must_use]
pub fn payload(event: &CloudEvent) -> Bytes {
    event.data().map(Data::to_bytes).unwrap_or_default()
}

/// Reads a message in binary or structured mode. Header names are matched in any case, because a NATS
/// server keeps the case they were sent in. An empty payload is no data.
///
/// # Errors
/// If the message is no event.
pub fn decode<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    payload: &Bytes,
) -> Result<CloudEvent, DecodeError> {
    let mut gathered = header::Gathered::new();
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("content-type") {
            match http::structured_mode(value.as_bytes()) {
                Some(http::Mode::Structured(http::Format::Json)) => return json::decode(payload),
                Some(_) => {
                    return Err(DecodeError::Malformed(format!("no events are read from {value:?} here")));
                }
                None => {}
            }
        }
        let Some((prefix, attribute)) = name.split_at_checked(3) else { continue };
        if prefix.eq_ignore_ascii_case("ce-") {
            let attribute = if attribute.bytes().any(|b| b.is_ascii_uppercase()) {
                Cow::Owned(attribute.to_ascii_lowercase())
            } else {
                Cow::Borrowed(attribute)
            };
            gathered.encoded(&attribute, value.as_bytes())?;
        }
    }
    let data = if payload.is_empty() { None } else { Some(Data::Binary(payload.clone())) };
    gathered.build(data).map_err(|e: InvalidEvent| e.into())
}
