//! Ids and sources that are valid whatever the request says.

use std::{borrow::Cow, fmt::Write as _};

use model::{CloudEvent, Text};
use sha2::{Digest as _, Sha256};

use crate::{Raw, expression::Expression, limits::VALUE_BYTES_MAX};

/// Where an id may come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IdRule {
    IdempotencyKey,
    BodyHash,
    New,
    Template(Expression),
}

/// The header `Idempotency-Key`: a structured-field String (RFC 8941, section 3.3.3), or the bare text that
/// many clients send.
pub(crate) fn idempotency_key(raw: &Raw<'_>) -> Option<Text> {
    let value = raw.header("idempotency-key").filter(|v| v.len() <= VALUE_BYTES_MAX)?;
    let key = unquote(value).unwrap_or(Cow::Borrowed(value));
    (!key.is_empty()).then(|| key.as_ref().into())
}

fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?;
    let mut key = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            plain @ ' '..='~' => key.push(plain),
            _ => return None,
        }
    }
    // Parameters may follow (section 3.1.2) and mean nothing here.
    let rest = characters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with(';')).then_some(Cow::Owned(key))
}

/// SHA-256 of the body, hexadecimal.
pub(crate) fn body_hash(raw: &Raw<'_>) -> Text {
    hex::encode(Sha256::digest(raw.body)).into()
}

/// Whether a value may be an id or a partition key. The rules are the event's own, asked of a probe.
pub(crate) fn is_attribute(value: &Text) -> bool {
    probe(value.clone(), Text::from_static("/"))
}

/// A value as a `source`: as it is, or with what a URI reference cannot hold percent-encoded.
pub(crate) fn as_source(value: Text) -> Option<Text> {
    if probe(Text::from_static("1"), value.clone()) {
        return Some(value);
    }
    let bytes = value.as_bytes();
    let mut encoded = String::with_capacity(bytes.len() + 8);
    for (i, &b) in bytes.iter().enumerate() {
        let triplet =
            b == b'%' && bytes.get(i + 1..i + 3).is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit));
        let refused = !b.is_ascii_graphic() || b"<>\"{}|\\^`%".contains(&b);
        if triplet || !refused {
            encoded.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{b:02X}");
        }
    }
    let encoded = Text::from(encoded);
    probe(Text::from_static("1"), encoded.clone()).then_some(encoded)
}

fn probe(id: Text, source: Text) -> bool {
    CloudEvent::builder(id, source, Text::from_static("t")).build().is_ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Pairs;

    #[test]
    fn idempotency_keys() {
        let cases = [
            ("bare-key", Some("bare-key")),
            ("\"8e03978e-40d5\"", Some("8e03978e-40d5")),
            (r#""a \"quoted\" \\ one""#, Some(r#"a "quoted" \ one"#)),
            ("\"a\"; v=1", Some("a")),
            ("\"\"", None),
            ("  ", None),
            // Not a structured String: taken bare.
            ("\"a", Some("\"a")),
            (r#""a\n""#, Some(r#""a\n""#)),
            ("\"a\" b", Some("\"a\" b")),
        ];
        for (value, key) in cases {
            let headers = [("Idempotency-Key", value)];
            let headers = Pairs::new(&headers, |(n, v)| (n.as_bytes(), v.as_bytes()));
            let body = Bytes::new();
            let raw = Raw::new(&headers, "", &body);
            assert_eq!(idempotency_key(&raw).as_deref(), key, "{value}");
        }
    }

    #[test]
    fn sources_are_made_uri_references() {
        let cases = [
            ("https://github.com/a/b", Some("https://github.com/a/b")),
            ("a b", Some("a%20b")),
            ("50%", Some("50%25")),
            ("a%20b c", Some("a%20b%20c")),
            ("a\u{7}", Some("a%07")),
            ("é x", Some("%C3%A9%20x")),
            ("", None),
        ];
        for (value, source) in cases {
            assert_eq!(as_source(value.into()).as_deref(), source, "{value}");
        }
    }
}
