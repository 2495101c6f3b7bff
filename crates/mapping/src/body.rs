//! Reading paths out of a body without building values: one pass that skips what no path names.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;
use serde::{
    Deserializer as _,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{Raw, limits::VALUE_BYTES_MAX};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member of an object, or a form field.
    Key(Box<str>),
    /// An element of an array, from 0.
    Index(usize),
}

/// The paths a step of the work reads, as a tree, so that one pass finds them all. Each has a slot.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    root: Node,
    slots: usize,
}

#[derive(Debug, Default)]
struct Node {
    slot: Option<usize>,
    keys: Vec<(Box<str>, Node)>,
    indexes: Vec<(usize, Node)>,
}

impl Paths {
    /// The slot of a path; the same path has one slot.
    pub(crate) fn slot(&mut self, steps: Vec<Step>) -> usize {
        let node = steps.into_iter().fold(&mut self.root, |node, step| match step {
            Step::Key(key) => child(&mut node.keys, key),
            Step::Index(index) => child(&mut node.indexes, index),
        });
        *node.slot.get_or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// What each slot's path leads to.
    pub(crate) fn read<'b>(&self, body: &'b Body<'_>) -> Vec<Option<Found<'b>>> {
        let mut found = vec![None; self.slots];
        match body {
            Body::Json(json) => {
                if walk_root(&self.root, json, &mut found).is_err() {
                    // Half of a body that is not JSON after all is no better than none.
                    found.fill(None);
                }
            }
            Body::Form(form) => {
                for (name, value) in pairs(form) {
                    let slot =
                        self.root.keys.iter().find(|(key, _)| **key == *name).and_then(|(_, n)| n.slot);
                    if let Some(place) = slot.and_then(|slot| found.get_mut(slot)).filter(|p| p.is_none()) {
                        *place = Some(Found::Field(value));
                    }
                }
            }
            Body::Opaque => {}
        }
        found
    }
}

fn child<K: PartialEq>(children: &mut Vec<(K, Node)>, key: K) -> &mut Node {
    let at = children.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
        children.push((key, Node::default()));
        children.len() - 1
    });
    &mut children[at].1
}

/// What a path led to.
#[derive(Debug, Clone)]
pub(crate) enum Found<'b> {
    /// The JSON text of a value.
    Json(&'b str),
    /// A form field, still encoded.
    Field(&'b str),
}

impl<'b> Found<'b> {
    /// As a string: strings unescaped, numbers and booleans as written; nothing for `null`, objects, arrays and
    /// what is too long.
    pub(crate) fn text(&self) -> Option<Cow<'b, str>> {
        let text = match self {
            Self::Json(json) => scalar(json)?,
            Self::Field(field) => decode(field)?,
        };
        (!text.is_empty() && text.len() <= VALUE_BYTES_MAX).then_some(text)
    }
}

fn scalar(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => {
            // An escape takes at most six bytes for each byte it stands for.
            let inner = json.get(1..json.len() - 1).filter(|s| s.len() <= 6 * VALUE_BYTES_MAX)?;
            if inner.as_bytes().contains(&b'\\') {
                serde_json::from_str(json).ok().map(Cow::Owned)
            } else {
                Some(Cow::Borrowed(inner))
            }
        }
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// A body as paths see it.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// Perhaps JSON; only the walk knows.
    Json(Cow<'a, str>),
    /// `application/x-www-form-urlencoded`.
    Form(&'a str),
    /// Nothing a path can lead into.
    Opaque,
}

impl<'a> Body<'a> {
    /// A form when the content type says so and the body does not look like JSON (`curl -d` calls everything
    /// a form), JSON otherwise. A form with a field `payload` that holds a JSON object is that object: GitHub
    /// and Slack wrap JSON so.
    pub(crate) fn of(raw: &Raw<'a>) -> Self {
        let Ok(text) = std::str::from_utf8(raw.body) else { return Self::Opaque };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let form =
            raw.header("content-type").is_some_and(|t| is_media_type(t, "application/x-www-form-urlencoded"));
        if !form || text.trim_start().starts_with(['{', '[']) {
            return Self::Json(Cow::Borrowed(text));
        }
        let payload = pairs(text).find(|(name, _)| name == "payload").and_then(|(_, value)| decode(value));
        match payload.filter(|p| p.trim_start().starts_with('{')) {
            Some(payload) => Self::Json(payload),
            None => Self::Form(text),
        }
    }
}

/// Whether a `Content-Type` value names that media type, parameters aside.
pub(crate) fn is_media_type(value: &str, media_type: &str) -> bool {
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}

/// Pairs of a form or query: decoded name, encoded value.
fn pairs(form: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    form.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, value))
    })
}

/// The first parameter of that name.
pub(crate) fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let value = pairs(query).find(|(n, _)| n == name).and_then(|(_, value)| decode(value))?;
    (!value.is_empty() && value.len() <= VALUE_BYTES_MAX).then_some(value)
}

/// `application/x-www-form-urlencoded` decoding; nothing when the result is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if text.bytes().any(|b| b == b'+') {
        let spaced = text.replace('+', " ");
        return Some(Cow::Owned(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned()));
    }
    percent_decode_str(text).decode_utf8().ok()
}

fn walk_root<'b>(node: &Node, json: &'b str, found: &mut [Option<Found<'b>>]) -> serde_json::Result<()> {
    let json = json.trim_matches([' ', '\t', '\r', '\n']);
    // An object or array is checked by walking it; anything else here.
    if node.slot.is_some() || !json.starts_with(['{', '[']) {
        serde_json::from_str::<&RawValue>(json)?;
    }
    walk(node, json, found)
}

/// Recursion ends with the tree, which is at most `PATH_STEPS_MAX` deep; serde_json skips values without recursion.
fn walk<'b>(node: &Node, json: &'b str, found: &mut [Option<Found<'b>>]) -> serde_json::Result<()> {
    if let Some(place) = node.slot.and_then(|slot| found.get_mut(slot)) {
        *place = Some(Found::Json(json));
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match json.as_bytes().first() {
        Some(b'{') if !node.keys.is_empty() => deserializer.deserialize_map(Members { node, found })?,
        Some(b'[') if !node.indexes.is_empty() => deserializer.deserialize_seq(Elements { node, found })?,
        _ => return Ok(()),
    }
    deserializer.end()
}

/// Takes back what an earlier member of the same name gave: of duplicates the last counts, as in most parsers.
fn forget(node: &Node, found: &mut [Option<Found<'_>>]) {
    if let Some(place) = node.slot.and_then(|slot| found.get_mut(slot)) {
        *place = None;
    }
    let children = node.keys.iter().map(|(_, n)| n).chain(node.indexes.iter().map(|(_, n)| n));
    children.for_each(|child| forget(child, found));
}

struct Members<'n, 'f, 'b> {
    node: &'n Node,
    found: &'f mut [Option<Found<'b>>],
}

impl<'b> Visitor<'b> for Members<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(known) = map.next_key_seed(KeyOf(self.node))? {
            let Some(child) = known else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let raw: &'b RawValue = map.next_value()?;
            forget(child, self.found);
            walk(child, raw.get(), self.found).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A member's name → the node that waits for it, without copying the name.
struct KeyOf<'n>(&'n Node);

impl<'b, 'n> DeserializeSeed<'b> for KeyOf<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: serde::Deserializer<'b>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for KeyOf<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.keys.iter().find(|(key, _)| **key == *name).map(|(_, node)| node))
    }
}

struct Elements<'n, 'f, 'b> {
    node: &'n Node,
    found: &'f mut [Option<Found<'b>>],
}

impl<'b> Visitor<'b> for Elements<'_, '_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut seq: A) -> Result<(), A::Error> {
        for at in 0.. {
            let Some((_, child)) = self.node.indexes.iter().find(|(index, _)| *index == at) else {
                match seq.next_element::<IgnoredAny>()? {
                    Some(_) => continue,
                    None => break,
                }
            };
            let Some(raw) = seq.next_element::<&'b RawValue>()? else { break };
            walk(child, raw.get(), self.found).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}
