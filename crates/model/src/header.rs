//! Attributes as header values: what the HTTP and the NATS binding have in common
//! (HTTP protocol binding 1.0.2, section 3.1.3.2).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{AttributeValue, CloudEvent, Data, InvalidEvent, Text, json_members::check_specversion};

/// What must be percent-encoded besides everything outside ASCII.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// An attribute's value as it stands in a header.
pub(crate) fn encode_value(value: &str) -> Cow<'_, str> {
    utf8_percent_encode(value, ESCAPED).into()
}

/// Each attribute but `datacontenttype`, by its header name, with its value encoded.
pub(crate) fn attributes(event: &CloudEvent) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let required = [
        ("ce-specversion", Some("1.0")),
        ("ce-id", Some(&**event.id())),
        ("ce-source", Some(&**event.source())),
        ("ce-type", Some(&**event.ty())),
        ("ce-subject", event.subject().map(|t| &**t)),
        ("ce-time", event.time().map(|t| &**t)),
        ("ce-dataschema", event.dataschema().map(|t| &**t)),
    ];
    let core = required
        .into_iter()
        .filter_map(|(name, value)| value.map(|v| (Cow::Borrowed(name), encode_value(v))));
    let extensions = event.extensions().iter().map(|(name, value)| {
        let value = match value {
            AttributeValue::Boolean(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            AttributeValue::Integer(i) => Cow::Owned(i.to_string()),
            AttributeValue::Binary(b) => Cow::Owned(BASE64.encode(b)),
            AttributeValue::String(t)
            | AttributeValue::Uri(t)
            | AttributeValue::UriRef(t)
            | AttributeValue::Timestamp(t) => encode_value(t),
        };
        (Cow::Owned(format!("ce-{name}")), value)
    });
    core.chain(extensions)
}

/// The media type to write beside the data. JSON of an event that names none is said to be JSON, because
/// only the JSON format implies it (JSON format 1.0.2, section 3.1.2).
pub(crate) fn media_type(event: &CloudEvent) -> Option<&str> {
    match (event.datacontenttype(), event.data()) {
        (Some(media_type), _) => Some(media_type),
        (None, Some(Data::Text(_))) => Some("application/json"),
        (None, _) => None,
    }
}

/// Gathers the attributes of one event in one buffer: a single allocation, from which each value is a slice.
pub(crate) struct Gathered {
    buffer: Vec<u8>,
    /// Name, and where its value ends in the buffer.
    ends: Vec<(Text, usize)>,
}

impl Gathered {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::with_capacity(256), ends: Vec::with_capacity(8) }
    }

    /// Takes a header's value, percent-encoded.
    pub(crate) fn encoded(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidEvent> {
        let start = self.buffer.len();
        decode_value(value, &mut self.buffer).map_err(|problem| InvalidEvent::new(shown(name), problem))?;
        if std::str::from_utf8(&self.buffer[start..]).is_err() {
            return Err(InvalidEvent::new(shown(name), "is not UTF-8 when percent-decoded"));
        }
        self.end(name);
        Ok(())
    }

    /// Takes a value that is not encoded.
    pub(crate) fn plain(&mut self, name: &str, value: &str) {
        self.buffer.extend_from_slice(value.as_bytes());
        self.end(name);
    }

    fn end(&mut self, name: &str) {
        self.ends.push((shared_name(name), self.buffer.len()));
    }

    /// Builds the event. Extensions are strings: headers have no other type.
    pub(crate) fn build(self, data: Option<Data>) -> Result<CloudEvent, InvalidEvent> {
        let all = Bytes::from(self.buffer);
        let mut core: [Option<Text>; 8] = Default::default();
        let mut extensions = Vec::new();
        let mut start = 0;
        for (name, end) in self.ends {
            let value = Text::try_from(all.slice(start..end))
                .map_err(|_| InvalidEvent::new(name.clone(), "is not UTF-8"))?;
            start = end;
            let slot = match &*name {
                "specversion" => 0,
                "id" => 1,
                "source" => 2,
                "type" => 3,
                "subject" => 4,
                "time" => 5,
                "datacontenttype" => 6,
                "dataschema" => 7,
                _ => {
                    extensions.push((name, AttributeValue::String(value)));
                    continue;
                }
            };
            if core[slot].replace(value).is_some() {
                return Err(InvalidEvent::new(name, "is given twice"));
            }
        }
        let [specversion, id, source, ty, subject, time, datacontenttype, dataschema] = core;
        check_specversion(specversion.as_deref())?;
        CloudEvent::builder(id.unwrap_or_default(), source.unwrap_or_default(), ty.unwrap_or_default())
            .found([subject, time, datacontenttype, dataschema], data)
            .extensions(extensions)
            .build()
    }
}

/// Names of core attributes and well-known extensions cost nothing.
fn shared_name(name: &str) -> Text {
    const KNOWN: [&str; 11] = [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "partitionkey",
        "traceparent",
        "tracestate",
    ];
    KNOWN.iter().find(|k| **k == name).map_or_else(|| name.into(), |known| Text::from_static(known))
}

fn shown(name: &str) -> Text {
    name.into()
}

/// Unquotes, then percent-decodes once.
fn decode_value(value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let unquoted = match value {
        [b'"', ..] => Cow::Owned(unquote(value)?),
        _ => Cow::Borrowed(value),
    };
    let mut rest = &*unquoted;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (Some(high), Some(low)) = (hex(tail.first()), hex(tail.get(1))) else {
                    return Err("has a '%' without two hexadecimal digits; write it as %25");
                };
                out.push(high << 4 | low);
                rest = &tail[2..];
            }
            0x80.. => return Err("has a character outside ASCII that is not percent-encoded"),
            _ => out.push(first),
        }
    }
    Ok(())
}

/// A whole quoted-string (RFC 9110, section 5.6.4).
fn unquote(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    const BROKEN: &str = "begins with a quote that does not end where the value ends";
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value[1..].iter();
    while let Some(&b) = bytes.next() {
        match b {
            b'"' if bytes.len() == 0 => return Ok(out),
            b'"' => return Err(BROKEN),
            b'\\' => out.push(*bytes.next().ok_or(BROKEN)?),
            _ => out.push(b),
        }
    }
    Err(BROKEN)
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: &[u8]) -> Result<String, &'static str> {
        let mut out = Vec::new();
        decode_value(value, &mut out)?;
        String::from_utf8(out).map_err(|_| "not UTF-8")
    }

    #[test]
    fn values_are_encoded_as_the_binding_says() {
        assert_eq!(encode_value("Euro € 😀"), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encode_value("a\"b%c~!"), "a%22b%25c~!");
    }

    #[test]
    fn values_are_unquoted_then_decoded_once() {
        let good: [(&[u8], &str); 9] = [
            (b"plain", "plain"),
            (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            (b"%e2%82%ac", "€"),
            (b"%61", "a"),
            (b"%2561", "%61"),
            (b"two words", "two words"),
            (br#""two words""#, "two words"),
            (br#""a \"b\" \\ %41""#, r#"a "b" \ A"#),
            (br#"a"b"#, r#"a"b"#),
        ];
        for (value, expected) in good {
            assert_eq!(decoded(value).as_deref(), Ok(expected), "{value:?}");
        }
        let bad: [&[u8]; 9] =
            [b"%C0%A0", b"%ff", b"100%", b"%zz", b"%4", b"\xe2\x82\xac", b"\"open", b"\"a\"b\"", b"\"a\\"];
        for value in bad {
            assert!(decoded(value).is_err(), "{value:?}");
        }
    }
}
