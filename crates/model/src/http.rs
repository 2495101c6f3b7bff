//! The HTTP protocol binding (CloudEvents HTTP protocol binding 1.0.2).

use ::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_TYPE, GetAll},
};
use bytes::Bytes;

use crate::{CloudEvent, Data, InvalidEvent, header};

/// How an event travels in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Several events, in a batch format.
    Batch(Format),
    /// One event, in an event format.
    Structured(Format),
    /// Attributes are headers, data is the body.
    Binary,
    /// No CloudEvent.
    None,
}

/// An event format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON, in UTF-8.
    Json,
    /// Protobuf.
    Protobuf,
    /// One that is not read here, or JSON in another character set.
    Unknown,
}

/// The media type of one event in protobuf.
pub const PROTOBUF_MEDIA_TYPE: &str = "application/cloudevents+protobuf";
/// The media type of a batch in protobuf.
pub const PROTOBUF_BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+protobuf";

/// Which mode a request is in. The media type decides (section 3), case-insensitively, the batch's prefix
/// first because the other is a prefix of it; then a header that begins with `ce-`.
#[must_use]
pub fn mode(headers: &HeaderMap) -> Mode {
    if let Some(mode) = headers.get(CONTENT_TYPE).and_then(|v| structured_mode(v.as_bytes())) {
        return mode;
    }
    if headers.keys().any(|name| name.as_str().starts_with("ce-")) { Mode::Binary } else { Mode::None }
}

pub(crate) fn structured_mode(media_type: &[u8]) -> Option<Mode> {
    const BATCH: &[u8] = b"application/cloudevents-batch";
    const SINGLE: &[u8] = b"application/cloudevents";
    let after = |prefix: &[u8]| {
        let (head, tail) = media_type.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(tail)
    };
    after(BATCH)
        .map(|tail| Mode::Batch(format(tail)))
        .or_else(|| after(SINGLE).map(|tail| Mode::Structured(format(tail))))
}

/// What follows `application/cloudevents` or `application/cloudevents-batch`.
fn format(tail: &[u8]) -> Format {
    let mut parts = tail.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let suffix = parts.next().unwrap_or_default();
    let is = |name: &[u8]| suffix.eq_ignore_ascii_case(name);
    // JSON is the format every receiver has; a sender that names none means it.
    if is(b"+json") || is(b"") {
        if parts.all(utf8_or_no_charset) { Format::Json } else { Format::Unknown }
    } else if is(b"+protobuf") {
        Format::Protobuf
    } else {
        Format::Unknown
    }
}

fn utf8_or_no_charset(parameter: &[u8]) -> bool {
    let mut halves = parameter.splitn(2, |b| *b == b'=');
    let name = halves.next().unwrap_or_default().trim_ascii();
    let value = halves.next().unwrap_or_default().trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    !name.eq_ignore_ascii_case(b"charset")
        || value.eq_ignore_ascii_case(b"utf-8")
        || value.eq_ignore_ascii_case(b"us-ascii")
}

/// Reads an event in binary mode. The body is the data as it is; an empty one is no data.
///
/// # Errors
/// The first rule that is broken: a header twice, `ce-datacontenttype`, a value that cannot be decoded, or
/// one of the event itself.
pub fn decode_binary(headers: &HeaderMap, body: Bytes) -> Result<CloudEvent, InvalidEvent> {
    let mut gathered = header::Gathered::new();
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        if attribute == "datacontenttype" {
            return Err(InvalidEvent::new(
                "datacontenttype",
                "must be the Content-Type header, not ce-datacontenttype",
            ));
        }
        let value = only(attribute, &headers.get_all(name))?;
        gathered.encoded(attribute, value.map(HeaderValue::as_bytes).unwrap_or_default())?;
    }
    if let Some(value) = only("datacontenttype", &headers.get_all(CONTENT_TYPE))? {
        let text = value.to_str().map_err(|_| InvalidEvent::new("datacontenttype", "is not ASCII"))?;
        gathered.plain("datacontenttype", text);
    }
    gathered.build(if body.is_empty() { None } else { Some(Data::Binary(body)) })
}

fn only<'a>(
    attribute: &str,
    values: &GetAll<'a, HeaderValue>,
) -> Result<Option<&'a HeaderValue>, InvalidEvent> {
    let mut values = values.iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(InvalidEvent::new(attribute, "is given twice"));
    }
    Ok(first)
}

/// Writes an event in binary mode: puts its attributes among `headers`, gives the body.
pub fn encode_binary(event: &CloudEvent, headers: &mut HeaderMap) -> Bytes {
    for (name, value) in header::attributes(event) {
        put(headers, &name, &value);
    }
    if let Some(media_type) = header::media_type(event)
        && let Ok(value) = HeaderValue::from_str(media_type)
    {
        headers.insert(CONTENT_TYPE, value);
    }
    event.data().map(Data::to_bytes).unwrap_or_default()
}

fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    // Attribute names are [a-z0-9]+ and encoded values printable ASCII: both always hold.
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
