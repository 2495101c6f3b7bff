//! One JSON object as an event. Problems are kept aside while reading goes on, so that broken JSON is told
//! from a broken rule, and a batch can name each bad event.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{AttributeValue, CloudEvent, Data, InvalidEvent, Text, is_json_media_type};

/// The core attributes, in the order their values are held in.
const CORE: [&str; 8] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

/// Reads one event out of `text`, from which its parts borrow.
pub(crate) struct EventSeed<'t> {
    text: &'t Text,
}

impl<'t> EventSeed<'t> {
    pub(crate) fn new(text: &'t Text) -> Self {
        Self { text }
    }

    fn not_an_object<E>(&self) -> Result<Result<CloudEvent, InvalidEvent>, E> {
        Ok(Err(InvalidEvent::new("", "the event must be a JSON object")))
    }
}

impl<'de> DeserializeSeed<'de> for EventSeed<'_> {
    type Value = Result<CloudEvent, InvalidEvent>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_> {
    type Value = Result<CloudEvent, InvalidEvent>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members::new(self.text);
        while let Some(name) = map.next_key_seed(Str)? {
            if &*name == "data" {
                let twice = members.data.replace(map.next_value::<&RawValue>()?.get()).is_some();
                members.check(!twice, "data", "is given twice");
            } else {
                let value = map.next_value_seed(ScalarSeed)?;
                members.set(name, value);
            }
        }
        Ok(members.finish())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.not_an_object()
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.not_an_object()
    }
}

/// What has been read of an event so far.
struct Members<'t, 'de> {
    text: &'t Text,
    core: [Option<Text>; CORE.len()],
    seen: [bool; CORE.len()],
    extensions: Vec<(Text, AttributeValue)>,
    data: Option<&'de str>,
    data_base64: Option<Cow<'de, str>>,
    /// The first broken rule.
    problem: Option<InvalidEvent>,
}

impl<'t, 'de> Members<'t, 'de> {
    fn new(text: &'t Text) -> Self {
        Self {
            text,
            core: Default::default(),
            seen: Default::default(),
            extensions: Vec::new(),
            data: None,
            data_base64: None,
            problem: None,
        }
    }

    fn check(&mut self, good: bool, name: &str, problem: &str) {
        if !good && self.problem.is_none() {
            self.problem = Some(InvalidEvent::new(name, problem));
        }
    }

    fn set(&mut self, name: Cow<'de, str>, value: Scalar<'de>) {
        if let Some(i) = CORE.iter().position(|core| *core == name) {
            self.set_core(i, value);
        } else if name == "data_base64" {
            match value {
                Scalar::Null => {}
                Scalar::String(s) => {
                    let twice = self.data_base64.replace(s).is_some();
                    self.check(!twice, "data_base64", "is given twice");
                }
                _ => self.check(false, "data_base64", "must be a string"),
            }
        } else {
            self.set_extension(name, value);
        }
    }

    fn set_core(&mut self, i: usize, value: Scalar<'de>) {
        let twice = std::mem::replace(&mut self.seen[i], true);
        self.check(!twice, CORE[i], "is given twice");
        match value {
            // Section 2.2: null is the same as leaving it out.
            Scalar::Null => {}
            Scalar::String(s) => self.core[i] = Some(share(self.text, s)),
            _ => self.check(false, CORE[i], "must be a string"),
        }
    }

    fn set_extension(&mut self, name: Cow<'de, str>, value: Scalar<'de>) {
        let name = share(self.text, name);
        let value = match value {
            // A name that is none is refused with any value, null too.
            Scalar::Null if crate::is_extension_name(&name) => return,
            Scalar::Null => AttributeValue::Boolean(false),
            Scalar::Boolean(b) => AttributeValue::Boolean(b),
            Scalar::Integer(i) => match i32::try_from(i) {
                Ok(i) => AttributeValue::Integer(i),
                Err(_) => return self.check(false, &name, "is not a 32-bit signed integer"),
            },
            Scalar::String(s) => AttributeValue::String(share(self.text, s)),
            Scalar::Fraction => return self.check(false, &name, "must be an integer, without a fraction"),
            Scalar::Composite => {
                return self.check(false, &name, "must be a string, an integer or a boolean");
            }
        };
        self.extensions.push((name, value));
    }

    fn finish(mut self) -> Result<CloudEvent, InvalidEvent> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let data = self.take_data()?;
        let [specversion, id, source, ty, subject, time, datacontenttype, dataschema] = self.core;
        check_specversion(specversion.as_deref())?;
        CloudEvent::builder(id.unwrap_or_default(), source.unwrap_or_default(), ty.unwrap_or_default())
            .found([subject, time, datacontenttype, dataschema], data)
            .extensions(self.extensions)
            .build()
    }

    /// Section 3.1.2. JSON stays the text it is; a string of another media type becomes its content.
    fn take_data(&mut self) -> Result<Option<Data>, InvalidEvent> {
        let json = self.core[6].as_deref().is_none_or(is_json_media_type);
        match (self.data, self.data_base64.take()) {
            (Some(_), Some(_)) => {
                Err(InvalidEvent::new("data_base64", "excludes `data`: give one of the two"))
            }
            (None, None) => Ok(None),
            (None, Some(base64)) => match BASE64.decode(base64.as_bytes()) {
                Ok(bytes) => Ok(Some(Data::Binary(bytes.into()))),
                Err(e) => Err(InvalidEvent::new("data_base64", format!("is not base64: {e}"))),
            },
            (Some(raw), None) if json => Ok(Some(Data::Text(self.text.slice_ref(raw)))),
            (Some("null"), None) => Ok(None),
            (Some(raw), None) if raw.starts_with('"') => {
                let content = DeserializeSeed::deserialize(Str, &mut serde_json::Deserializer::from_str(raw))
                    .map_err(|e| InvalidEvent::new("data", format!("is no string: {e}")))?;
                Ok(Some(Data::Text(share(self.text, content))))
            }
            (Some(_), None) => {
                Err(InvalidEvent::new("data", "must be a string, because datacontenttype is not JSON"))
            }
        }
    }
}

pub(crate) fn check_specversion(version: Option<&str>) -> Result<(), InvalidEvent> {
    match version {
        Some("1.0") => Ok(()),
        None => Err(InvalidEvent::new("specversion", "is required: \"1.0\"")),
        Some(other) => {
            let shown: String = other.chars().take(16).collect();
            Err(InvalidEvent::new("specversion", format!("is {shown:?}; only \"1.0\" is supported")))
        }
    }
}

/// `text` is the whole that `slice` was read from: no copy unless it had escapes.
fn share(text: &Text, slice: Cow<'_, str>) -> Text {
    match slice {
        Cow::Borrowed(slice) => text.slice_ref(slice),
        Cow::Owned(string) => string.into(),
    }
}

/// A string, borrowed where it has no escapes.
struct Str;

impl<'de> DeserializeSeed<'de> for Str {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Str {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(s))
    }

    fn visit_str<E>(self, s: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(s.to_owned()))
    }
}

/// What an attribute may be, and what it may not.
enum Scalar<'de> {
    Null,
    Boolean(bool),
    Integer(i64),
    Fraction,
    String(Cow<'de, str>),
    Composite,
}

struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Boolean(b))
    }

    fn visit_i64<E>(self, i: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(i))
    }

    fn visit_u64<E>(self, u: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(i64::try_from(u).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Fraction)
    }

    fn visit_borrowed_str<E>(self, s: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::String(Cow::Borrowed(s)))
    }

    fn visit_str<E>(self, s: &str) -> Result<Self::Value, E> {
        Ok(Scalar::String(Cow::Owned(s.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Composite)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Composite)
    }
}
