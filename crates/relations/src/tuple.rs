//! Relation tuples, in the notation of Zanzibar as Ory Keto writes it:
//!
//! ```text
//! tuple   = object "#" relation "@" subject
//! object  = namespace ":" id
//! subject = id                         somebody with a bare name
//!         | object                     an object as itself, such as user:alice@example.com
//!         | object "#" relation        everybody who has that relation to that object
//! ```
//!
//! A namespace ends at the first `:` and a relation at the first `@`, so ids may hold both. They may not hold `#`.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name of a namespace or relation, in bytes. Keto's database holds no longer relation.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest id of an object or subject, in bytes. An e-mail address has at most 254 (RFC 5321, errata 1690).
pub const ID_BYTES_MAX: usize = 512;

/// Why a text is no tuple, or no part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTuple {
    /// A namespace or relation that is not an identifier.
    #[error(
        "{0:?} must be 1 to {NAME_BYTES_MAX} characters of A-Z, a-z, 0-9 and '_', the first no digit, to name a \
         namespace or relation"
    )]
    Name(String),
    /// An id that is empty, too long, or holds what the notation needs.
    #[error(
        "{0:?} must be 1 to {ID_BYTES_MAX} bytes without '#', spaces and control characters, not beginning with '(' \
         nor ending with ')', to be an id"
    )]
    Id(String),
    /// A bare subject with a `:`, which would read as an object.
    #[error("the subject {0:?} holds a ':', which would make its first part a namespace")]
    BareWithColon(String),
    /// A part is missing.
    #[error("{text:?} has no {mark:?}: {form}")]
    Lacks {
        /// What was given.
        text: String,
        /// What it lacks.
        mark: char,
        /// What it should look like.
        form: &'static str,
    },
}

const TUPLE_FORM: &str = "a tuple is written namespace:object#relation@subject";
const OBJECT_FORM: &str = "an object is written namespace:id";

/// At most this much of a wrong text is repeated to whoever sent it.
const SHOWN_CHARS: usize = 80;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// The name of a namespace or a relation: an identifier, as Keto's permission language has them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidTuple;

    fn from_str(text: &str) -> Result<Self, InvalidTuple> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(word)
            && !text.starts_with(|c: char| c.is_ascii_digit());
        if good { Ok(Self(text.into())) } else { Err(InvalidTuple::Name(shown(text))) }
    }
}

/// An object's id, or that of a subject without a namespace.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

impl Id {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Id {
    type Err = InvalidTuple;

    fn from_str(text: &str) -> Result<Self, InvalidTuple> {
        let bad = |c: char| c == '#' || c.is_whitespace() || c.is_control();
        // Keto takes parentheses at the ends of a subject for brackets around it.
        let good = (1..=ID_BYTES_MAX).contains(&text.len())
            && !text.contains(bad)
            && !text.starts_with('(')
            && !text.ends_with(')');
        if good { Ok(Self(text.into())) } else { Err(InvalidTuple::Id(shown(text))) }
    }
}

/// Something that relations lead to: `resource:usage`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// What kind of thing it is.
    pub namespace: Name,
    /// Which of them.
    pub id: Id,
}

impl Object {
    /// Puts one together.
    ///
    /// # Errors
    /// If the namespace is no name or the id no id.
    pub fn new(namespace: &str, id: &str) -> Result<Self, InvalidTuple> {
        Ok(Self { namespace: namespace.parse()?, id: id.parse()? })
    }
}

impl FromStr for Object {
    type Err = InvalidTuple;

    fn from_str(text: &str) -> Result<Self, InvalidTuple> {
        let (namespace, id) = cut(text, ':', OBJECT_FORM)?;
        Self::new(namespace, id)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.id)
    }
}

/// Everybody who has a relation to an object: `group:staff#member`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectSet {
    /// To what.
    pub object: Object,
    /// Which relation.
    pub relation: Name,
}

impl FromStr for SubjectSet {
    type Err = InvalidTuple;

    fn from_str(text: &str) -> Result<Self, InvalidTuple> {
        let (object, relation) = cut(text, '#', "a subject set is written namespace:id#relation")?;
        Ok(Self { object: object.parse()?, relation: relation.parse()? })
    }
}

impl fmt::Display for SubjectSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.object, self.relation)
    }
}

/// Who has a relation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Somebody with a bare name, without a `:`.
    Id(Id),
    /// An object as itself, such as a user. Keto keeps it as a subject set without a relation.
    Object(Object),
    /// Everybody in a set.
    Set(SubjectSet),
}

impl Subject {
    /// A bare name as a subject.
    ///
    /// # Errors
    /// If it is no id, or holds a `:`.
    pub fn bare(id: &str) -> Result<Self, InvalidTuple> {
        if id.contains(':') {
            return Err(InvalidTuple::BareWithColon(shown(id)));
        }
        Ok(Self::Id(id.parse()?))
    }

    /// The object that the subject names, alone or as a set.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        match self {
            Self::Id(_) => None,
            Self::Object(object) | Self::Set(SubjectSet { object, .. }) => Some(object),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidTuple;

    fn from_str(text: &str) -> Result<Self, InvalidTuple> {
        // Keto's notation lets brackets stand around a subject set.
        let text = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
        if text.contains('#') {
            Ok(Self::Set(text.parse()?))
        } else if text.contains(':') {
            Ok(Self::Object(text.parse()?))
        } else {
            Self::bare(text)
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Object(object) => object.fmt(f),
            Self::Set(set) => set.fmt(f),
        }
    }
}

/// A fact, or a question whether it follows from the facts: `resource:usage#access@user:alice@example.com`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// To what.
    pub object: Object,
    /// Which relation.
    pub relation: Name,
    /// Who has it.
    pub subject: Subject,
}

impl Tuple {
    /// The set that its subject is put into.
    #[must_use]
    pub fn set(&self) -> SubjectSet {
        SubjectSet { object: self.object.clone(), relation: self.relation.clone() }
    }
}

impl FromStr for Tuple {
    type Err = InvalidTuple;

    fn from_str(text: &str) -> Result<Self, InvalidTuple> {
        let (object, rest) = cut(text, '#', TUPLE_FORM)?;
        let (relation, subject) = cut(rest, '@', TUPLE_FORM)?;
        Ok(Self { object: object.parse()?, relation: relation.parse()?, subject: subject.parse()? })
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.object, self.relation, self.subject)
    }
}

fn cut<'t>(text: &'t str, mark: char, form: &'static str) -> Result<(&'t str, &'t str), InvalidTuple> {
    text.split_once(mark).ok_or_else(|| InvalidTuple::Lacks { text: shown(text), mark, form })
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Debug as the notation, and JSON as a string of it.
macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(Name Id Object SubjectSet Subject Tuple);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let cases = [
            ("resource:usage#access@user:alice@example.com", "user", "alice@example.com", ""),
            ("api:resource:usage#access@user:alice@example.com", "user", "alice@example.com", ""),
            ("doc:a@b:c#read@group:x@y#member", "group", "x@y", "member"),
            ("d:1#r@u:urn:example:a:b", "u", "urn:example:a:b", ""),
        ];
        for (text, namespace, id, relation) in cases {
            let tuple: Tuple = text.parse().unwrap();
            assert_eq!(tuple.to_string(), text);
            let expected = Object::new(namespace, id).unwrap();
            match &tuple.subject {
                Subject::Object(object) => assert_eq!((object, relation), (&expected, "")),
                Subject::Set(set) => {
                    assert_eq!((&set.object, set.relation.as_str()), (&expected, relation));
                }
                Subject::Id(id) => panic!("{id}"),
            }
            let json = serde_json::to_string(&tuple).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Tuple>(&json).unwrap(), tuple);
        }
        let colons: Tuple = "api:resource:usage#access@alice@example.com".parse().unwrap();
        assert_eq!((colons.object.namespace.as_str(), colons.object.id.as_str()), ("api", "resource:usage"));
        assert_eq!(colons.subject, Subject::bare("alice@example.com").unwrap());
        let bracketed: Tuple = "d:1#r@(g:1#m)".parse().unwrap();
        assert_eq!(bracketed.to_string(), "d:1#r@g:1#m");
        for longest in
            [format!("{}:1#r@u", "n".repeat(64)), format!("n:{}#r@{}", "x".repeat(512), "y".repeat(512))]
        {
            assert_eq!(longest.parse::<Tuple>().unwrap().to_string(), longest);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("", "has no '#'"),
            ("resource", "has no '#'"),
            ("resource:usage", "has no '#'"),
            ("resource:usage#access", "has no '@'"),
            ("usage#access@alice", "has no ':'"),
            (":usage#access@alice", "namespace or relation"),
            ("1a:usage#access@alice", "namespace or relation"),
            ("re source:usage#access@alice", "namespace or relation"),
            ("résource:usage#access@alice", "namespace or relation"),
            ("re-source:usage#access@alice", "namespace or relation"),
            ("resource:#access@alice", "to be an id"),
            ("resource:usage#@alice", "namespace or relation"),
            ("resource:usage#ac:cess@alice", "namespace or relation"),
            ("resource:usage#access@", "to be an id"),
            ("resource:usage#access@a b", "to be an id"),
            ("resource:usage#access@a\u{0}b", "to be an id"),
            ("resource:usage#access@a\nb", "to be an id"),
            ("resource:usage#access@user:", "to be an id"),
            ("resource:usage#access@:alice", "namespace or relation"),
            ("resource:usage#access@alice)", "to be an id"),
            ("resource:usage#access@user:(alice", "to be an id"),
            ("resource:usage#access@group:a#", "namespace or relation"),
            ("resource:usage#access@group:a#b#c", "namespace or relation"),
            ("resource:usage#access@group#member", "has no ':'"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Tuple>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        for (part, length) in [("namespace", NAME_BYTES_MAX + 1), ("id", ID_BYTES_MAX + 1), ("id", 1 << 20)] {
            let long = "x".repeat(length);
            let text = if part == "id" { format!("n:{long}#r@u") } else { format!("{long}:1#r@u") };
            let error = text.parse::<Tuple>().unwrap_err().to_string();
            assert!(error.len() < 400, "what is repeated of it is bounded: {error}");
        }
        assert!(matches!(Subject::bare("user:a"), Err(InvalidTuple::BareWithColon(_))));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_as_it_was(
            any in ".{0,40}",
            alike in "[a-z]{1,3}:[a-z:@(]{0,5}#[a-z]{0,3}@[(]?[a-z:@#]{0,8}[)]?",
        ) {
            for text in [any, alike] {
                if let Ok(tuple) = text.parse::<Tuple>() {
                    let written = tuple.to_string();
                    // But for brackets around the subject.
                    prop_assert_eq!(written.replace(['(', ')'], ""), text.replace(['(', ')'], ""));
                    prop_assert_eq!(written.parse(), Ok(tuple));
                }
            }
        }
    }
}
