//! The CloudEvent (CloudEvents 1.0.2): attributes decoded, data opaque until someone asks.

use std::fmt;

use bytes::Bytes;

use crate::{Micros, Text, parse_rfc3339};

/// One event. The required attributes are there and not empty, extension names are well-formed, `time` is
/// RFC 3339. Strings and data borrow from the message the event came in.
#[derive(Clone, PartialEq, Debug)]
pub struct CloudEvent {
    id: Text,
    source: Text,
    ty: Text,
    subject: Option<Text>,
    time: Option<Text>,
    datacontenttype: Option<Text>,
    dataschema: Option<Text>,
    /// Sorted by name, each name once.
    extensions: Vec<(Text, AttributeValue)>,
    data: Option<Data>,
}

/// The value of an extension attribute, in its CloudEvents type.
#[derive(Clone, PartialEq, Debug)]
pub enum AttributeValue {
    /// Boolean.
    Boolean(bool),
    /// 32-bit signed integer.
    Integer(i32),
    /// String.
    String(Text),
    /// Binary; base64 where the format has only text.
    Binary(Bytes),
    /// Absolute URI.
    Uri(Text),
    /// URI reference.
    UriRef(Text),
    /// RFC 3339 timestamp, as it came.
    Timestamp(Text),
}

/// The payload, as the bytes that arrived.
#[derive(Clone, PartialEq)]
pub enum Data {
    /// Opaque bytes: an HTTP body, `data_base64`, `binary_data`.
    Binary(Bytes),
    /// UTF-8 text: the JSON text of a `data` member, or the content of a JSON string when
    /// `datacontenttype` is not JSON, or `text_data`.
    Text(Text),
    /// An encoded `google.protobuf.Any` (`proto_data`).
    Proto(Bytes),
}

impl Data {
    /// The payload's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Binary(b) | Self::Proto(b) => b,
            Self::Text(t) => t.as_bytes(),
        }
    }

    /// The payload's bytes, shared: no copy.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Binary(b) | Self::Proto(b) => b.clone(),
            Self::Text(t) => t.as_bytes().clone(),
        }
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are none (which differs from an event without data).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Data {
    /// Never the payload: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Binary(_) => "Binary",
            Self::Text(_) => "Text",
            Self::Proto(_) => "Proto",
        };
        write!(f, "{kind}({} bytes)", self.len())
    }
}

impl CloudEvent {
    /// Starts an event from its three required attributes.
    pub fn builder(id: impl Into<Text>, source: impl Into<Text>, ty: impl Into<Text>) -> CloudEventBuilder {
        CloudEventBuilder {
            event: Self {
                id: id.into(),
                source: source.into(),
                ty: ty.into(),
                subject: None,
                time: None,
                datacontenttype: None,
                dataschema: None,
                extensions: Vec::new(),
                data: None,
            },
        }
    }

    /// Identifies the event together with its source.
    #[must_use]
    pub fn id(&self) -> &Text {
        &self.id
    }

    /// The context it happened in, a URI reference.
    #[must_use]
    pub fn source(&self) -> &Text {
        &self.source
    }

    /// The attribute `type`.
    #[must_use]
    pub fn ty(&self) -> &Text {
        &self.ty
    }

    /// What of the source it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&Text> {
        self.subject.as_ref()
    }

    /// When it happened, as the producer wrote it.
    #[must_use]
    pub fn time(&self) -> Option<&Text> {
        self.time.as_ref()
    }

    /// When it happened, microseconds since the Unix epoch.
    #[must_use]
    pub fn time_us(&self) -> Option<Micros> {
        self.time.as_ref().and_then(|t| parse_rfc3339(t).ok())
    }

    /// The media type of the data.
    #[must_use]
    pub fn datacontenttype(&self) -> Option<&Text> {
        self.datacontenttype.as_ref()
    }

    /// The schema the data follows, a URI.
    #[must_use]
    pub fn dataschema(&self) -> Option<&Text> {
        self.dataschema.as_ref()
    }

    /// Extension attributes in name order.
    #[must_use]
    pub fn extensions(&self) -> &[(Text, AttributeValue)] {
        &self.extensions
    }

    /// One extension attribute.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&AttributeValue> {
        self.extensions
            .binary_search_by(|(n, _)| (**n).cmp(name))
            .ok()
            .and_then(|i| self.extensions.get(i))
            .map(|(_, v)| v)
    }

    /// The `partitionkey` extension (CloudEvents extension "Partitioning"): events of one key keep their order.
    #[must_use]
    pub fn partition_key(&self) -> Option<&str> {
        match self.extension("partitionkey") {
            Some(AttributeValue::String(key)) if !key.is_empty() => Some(key),
            _ => None,
        }
    }

    /// The payload, if the event has one.
    #[must_use]
    pub fn data(&self) -> Option<&Data> {
        self.data.as_ref()
    }

    /// Whether `datacontenttype` says the data is JSON.
    #[must_use]
    pub fn has_json_content_type(&self) -> bool {
        self.datacontenttype.as_deref().is_some_and(is_json_media_type)
    }

    /// The same event with other data, as erasure and schema tools need it.
    #[must_use]
    pub fn with_data(mut self, data: Option<Data>) -> Self {
        self.data = data;
        self
    }

    /// Bytes of attributes and data together: what size limits and the `bytes` meter count.
    #[must_use]
    pub fn size(&self) -> usize {
        let optional = [&self.subject, &self.time, &self.datacontenttype, &self.dataschema];
        self.id.len()
            + self.source.len()
            + self.ty.len()
            + optional.into_iter().flatten().map(|t| t.len()).sum::<usize>()
            + self.extensions.iter().map(|(n, v)| n.len() + v.size()).sum::<usize>()
            + self.data.as_ref().map_or(0, Data::len)
    }
}

impl CloudEvent {
    /// Each attribute that is there, with the bytes of its value.
    pub(crate) fn attribute_sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        let core = [
            ("id", Some(&self.id)),
            ("source", Some(&self.source)),
            ("type", Some(&self.ty)),
            ("subject", self.subject.as_ref()),
            ("time", self.time.as_ref()),
            ("datacontenttype", self.datacontenttype.as_ref()),
            ("dataschema", self.dataschema.as_ref()),
        ];
        core.into_iter()
            .filter_map(|(name, value)| value.map(|v| (name, v.len())))
            .chain(self.extensions.iter().map(|(name, value)| (&**name, value.size())))
    }
}

impl AttributeValue {
    fn size(&self) -> usize {
        match self {
            Self::Boolean(_) => 1,
            Self::Integer(_) => 4,
            Self::String(t) | Self::Uri(t) | Self::UriRef(t) | Self::Timestamp(t) => t.len(),
            Self::Binary(b) => b.len(),
        }
    }
}

/// Builds a [`CloudEvent`] and checks it once, at the end.
#[derive(Clone, Debug)]
pub struct CloudEventBuilder {
    event: CloudEvent,
}

impl CloudEventBuilder {
    /// Sets `subject`.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<Text>) -> Self {
        self.event.subject = Some(subject.into());
        self
    }

    /// Sets `time`, RFC 3339.
    #[must_use]
    pub fn time(mut self, time: impl Into<Text>) -> Self {
        self.event.time = Some(time.into());
        self
    }

    /// Sets `datacontenttype`.
    #[must_use]
    pub fn datacontenttype(mut self, media_type: impl Into<Text>) -> Self {
        self.event.datacontenttype = Some(media_type.into());
        self
    }

    /// Sets `dataschema`.
    #[must_use]
    pub fn dataschema(mut self, uri: impl Into<Text>) -> Self {
        self.event.dataschema = Some(uri.into());
        self
    }

    /// Adds an extension attribute.
    #[must_use]
    pub fn extension(mut self, name: impl Into<Text>, value: AttributeValue) -> Self {
        self.event.extensions.push((name.into(), value));
        self
    }

    /// Sets all extension attributes at once.
    #[must_use]
    pub fn extensions(mut self, extensions: Vec<(Text, AttributeValue)>) -> Self {
        self.event.extensions = extensions;
        self
    }

    /// Sets the optional attributes and the data that were found, from a decoder.
    pub(crate) fn found(
        mut self,
        [subject, time, datacontenttype, dataschema]: [Option<Text>; 4],
        data: Option<Data>,
    ) -> Self {
        self.event.subject = subject;
        self.event.time = time;
        self.event.datacontenttype = datacontenttype;
        self.event.dataschema = dataschema;
        self.event.data = data;
        self
    }

    /// Sets the data.
    #[must_use]
    pub fn data(mut self, data: Data) -> Self {
        self.event.data = Some(data);
        self
    }

    /// Sets text data and its media type.
    #[must_use]
    pub fn text(self, media_type: impl Into<Text>, text: impl Into<Text>) -> Self {
        self.datacontenttype(media_type).data(Data::Text(text.into()))
    }

    /// Sets an attribute by its name, from a string as HTTP and NATS headers carry it: the core attributes
    /// go to their fields, anything else becomes a string extension.
    ///
    /// # Errors
    /// If the name is `data`, `data_base64`, `specversion` other than 1.0, or given twice.
    pub fn attribute(mut self, name: &str, value: Text) -> Result<Self, InvalidEvent> {
        let event = &mut self.event;
        match name {
            "id" => event.id = value,
            "source" => event.source = value,
            "type" => event.ty = value,
            "specversion" if &*value == "1.0" => {}
            "specversion" => {
                return Err(InvalidEvent::new(
                    "specversion",
                    format!("is {value:?}; only \"1.0\" is supported"),
                ));
            }
            "subject" => event.subject = Some(value),
            "time" => event.time = Some(value),
            "datacontenttype" => event.datacontenttype = Some(value),
            "dataschema" => event.dataschema = Some(value),
            _ => event.extensions.push((name.into(), AttributeValue::String(value))),
        }
        Ok(self)
    }

    /// Checks the whole and gives the event.
    ///
    /// # Errors
    /// The first rule of the specification that is broken, with the attribute's name.
    pub fn build(mut self) -> Result<CloudEvent, InvalidEvent> {
        let event = &mut self.event;
        for (name, value) in [("id", &event.id), ("source", &event.source), ("type", &event.ty)] {
            if value.is_empty() {
                return Err(InvalidEvent::new(name, "is required and must not be empty"));
            }
            check_string(name, value)?;
        }
        let optional = [
            ("subject", &event.subject),
            ("time", &event.time),
            ("datacontenttype", &event.datacontenttype),
            ("dataschema", &event.dataschema),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                if value.is_empty() {
                    return Err(InvalidEvent::new(name, "must not be empty when present"));
                }
                check_string(name, value)?;
            }
        }
        check_uri_reference("source", &event.source)?;
        if let Some(uri) = &event.dataschema {
            check_absolute_uri("dataschema", uri)?;
        }
        if let Some(media_type) = &event.datacontenttype {
            check_media_type(media_type)?;
        }
        if let Some(time) = &event.time {
            parse_rfc3339(time).map_err(|e| InvalidEvent::new("time", e.to_string()))?;
        }
        event.extensions.sort_by(|(a, _), (b, _)| a.cmp(b));
        for pair in event.extensions.windows(2) {
            if let [(a, _), (b, _)] = pair
                && a == b
            {
                return Err(InvalidEvent::new(a.clone(), "is given twice"));
            }
        }
        for (name, value) in &event.extensions {
            check_extension(name, value)?;
        }
        Ok(self.event)
    }
}

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

fn check_extension(name: &Text, value: &AttributeValue) -> Result<(), InvalidEvent> {
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
fn check_string(name: &str, value: &str) -> Result<(), InvalidEvent> {
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
fn check_uri_reference(name: &str, value: &str) -> Result<(), InvalidEvent> {
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
fn check_absolute_uri(name: &str, value: &str) -> Result<(), InvalidEvent> {
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
fn check_media_type(value: &str) -> Result<(), InvalidEvent> {
    let token = |s: &str| {
        !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence.split_once('/') {
        Some((ty, subtype)) if token(ty) && token(subtype) => Ok(()),
        _ => Err(InvalidEvent::new("datacontenttype", "must be a media type such as application/json")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> CloudEventBuilder {
        CloudEvent::builder("1", "/s", "t")
    }

    #[test]
    fn builds_and_reads_back() {
        let e = event()
            .subject("x")
            .time("2026-11-21T10:00:00+02:00")
            .text("application/json; charset=utf-8", "{}")
            .extension("zeta", AttributeValue::Integer(1))
            .extension("partitionkey", AttributeValue::String("k".into()))
            .build()
            .unwrap();
        assert_eq!(e.partition_key(), Some("k"));
        assert_eq!(e.extension("zeta"), Some(&AttributeValue::Integer(1)));
        assert!(e.has_json_content_type());
        assert_eq!(e.time().unwrap(), "2026-11-21T10:00:00+02:00");
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        let cases: Vec<(&str, CloudEventBuilder)> = vec![
            ("id", CloudEvent::builder("", "/s", "t")),
            ("source", CloudEvent::builder("1", "", "t")),
            ("type", CloudEvent::builder("1", "/s", "")),
            ("source", CloudEvent::builder("1", "a b", "t")),
            ("source", CloudEvent::builder("1", "a%2", "t")),
            ("id", CloudEvent::builder("a\u{7}", "/s", "t")),
            ("id", CloudEvent::builder("a\u{FFFF}", "/s", "t")),
            ("subject", event().subject("")),
            ("time", event().time("yesterday")),
            ("dataschema", event().dataschema("no-scheme")),
            ("datacontenttype", event().datacontenttype("json")),
            ("bad_name", event().extension("bad_name", AttributeValue::Boolean(true))),
            ("time", event().extension("time", AttributeValue::Boolean(true))),
            (
                "a",
                event()
                    .extension("a", AttributeValue::Boolean(true))
                    .extension("a", AttributeValue::Integer(1)),
            ),
        ];
        for (attribute, builder) in cases {
            assert_eq!(builder.build().unwrap_err().attribute, attribute);
        }
        assert!(event().attribute("specversion", "0.3".into()).is_err());
    }

    #[test]
    fn json_media_types() {
        for yes in
            ["application/json", "text/json", "application/vnd.x+json; charset=utf-8", "APPLICATION/JSON"]
        {
            assert!(is_json_media_type(yes), "{yes}");
        }
        for no in ["application/xml", "json", "", "application/jsonp"] {
            assert!(!is_json_media_type(no), "{no}");
        }
    }
}
