//! The CloudEvent (CloudEvents 1.0.2): attributes decoded, data opaque until someone asks.

mod builder;
mod rules;

use std::fmt;

use bytes::Bytes;

pub use self::{
    builder::CloudEventBuilder,
    rules::{InvalidEvent, is_extension_name, is_json_media_type},
};
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
