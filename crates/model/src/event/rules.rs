//! What CloudEvents 1.0 asks of attributes.

use super::AttributeValue;
use crate::{Text, parse_rfc3339};

/// Which rule of CloudEvents 1.0 an event breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{attribute}: {problem}")]
pub struct InvalidEvent {
    /// The attribute at fault, or `data`, or empty when the event as a whole is at fault.
    pub attribute: Text,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl InvalidEvent {
    /// An error of one attribute.
    pub fn new(attribute: impl Into<Text>, problem: impl Into<String>) -> Self {
        Self { attribute: attribute.into(), problem: problem.into() }
    }
}

/// Whether a name may be an attribute: lower-case letters and digits (CloudEvents 1.0, "Naming Conventions").
#[must_use]
pub fn is_extension_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Whether a media type is JSON: `*/json`, or with the suffix `+json` (CloudEvents JSON format, section 3.1).
#[must_use]
pub fn is_json_media_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let ends = |suffix: &str| {
        essence.len() >= suffix.len()
            && essence.as_bytes()[essence.len() - suffix.len()..].eq_ignore_ascii_case(suffix.as_bytes())
    };
    ends("/json") || ends("+json")
}

const RESERVED: [&str; 9] =
    ["data", "datacontenttype", "dataschema", "id", "source", "specversion", "subject", "time", "type"];

pub(super) fn check_extension(name: &Text, value: &AttributeValue) -> Result<(), InvalidEvent> {
    if !is_extension_name(name) {
        return Err(InvalidEvent::new(name.clone(), "is no attribute name: use a-z and 0-9 only"));
    }
    if RESERVED.contains(&&**name) {
        return Err(InvalidEvent::new(name.clone(), "is a core attribute, not an extension"));
    }
    match value {
        AttributeValue::String(text) => check_string(name, text),
        AttributeValue::Uri(text) => check_absolute_uri(name, text),
        AttributeValue::UriRef(text) => check_uri_reference(name, text),
        AttributeValue::Timestamp(text) => {
            parse_rfc3339(text).map(drop).map_err(|e| InvalidEvent::new(name.clone(), e.to_string()))
        }
        AttributeValue::Boolean(_) | AttributeValue::Integer(_) | AttributeValue::Binary(_) => Ok(()),
    }
}

/// CloudEvents 1.0, "Type System": no control characters, no noncharacters.
pub(super) fn check_string(name: &str, value: &str) -> Result<(), InvalidEvent> {
    if value.is_ascii() && !value.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Ok(());
    }
    let bad = |c: char| {
        let u = u32::from(c);
        c.is_control() || (0xFDD0..=0xFDEF).contains(&u) || u & 0xFFFE == 0xFFFE
    };
    match value.chars().find(|c| bad(*c)) {
        Some(c) => Err(InvalidEvent::new(
            name.to_owned(),
            format!("contains the character U+{:04X}, which no attribute may", u32::from(c)),
        )),
        None => Ok(()),
    }
}

/// RFC 3986, section 4.1, as far as a receiver must care: no white space, no `<>"{}|\^` and backtick, whole percent triplets.
pub(super) fn check_uri_reference(name: &str, value: &str) -> Result<(), InvalidEvent> {
    let bytes = value.as_bytes();
    let refused = |b: u8| {
        b <= b' ' || b == 0x7f || matches!(b, b'<' | b'>' | b'"' | b'{' | b'}' | b'|' | b'\\' | b'^' | b'`')
    };
    if let Some(&b) = bytes.iter().find(|b| refused(**b)) {
        return Err(InvalidEvent::new(
            name.to_owned(),
            format!("is no URI reference: it contains {:?}", char::from(b)),
        ));
    }
    for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'%') {
        if !matches!(bytes.get(i + 1..i + 3), Some(hex) if hex.iter().all(u8::is_ascii_hexdigit)) {
            return Err(InvalidEvent::new(
                name.to_owned(),
                "is no URI reference: '%' must be followed by two hexadecimal digits",
            ));
        }
    }
    Ok(())
}

/// RFC 3986, section 4.3: a scheme, then a colon.
pub(super) fn check_absolute_uri(name: &str, value: &str) -> Result<(), InvalidEvent> {
    check_uri_reference(name, value)?;
    let scheme_ok = value.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    });
    if scheme_ok {
        Ok(())
    } else {
        Err(InvalidEvent::new(name.to_owned(), "must be an absolute URI, with a scheme"))
    }
}

/// RFC 2046: `type/subtype`, then parameters.
pub(super) fn check_media_type(value: &str) -> Result<(), InvalidEvent> {
    let token = |s: &str| {
        !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((ty, subtype)) if token(ty) && token(subtype) => Ok(()),
        _ => Err(InvalidEvent::new("datacontenttype", "must be a media type such as application/json")),
    }
}
