//! One of the two schemas, with its references.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{Fault, Place};

/// References followed one after the other at most.
const REFERENCES_MAX: usize = 16;
/// Alternatives that are looked at one by one at most.
const ALTERNATIVES_MAX: usize = 32;

/// A whole schema, in which references are looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) root: &'a Value,
    /// No part of it has a base of its own, so that references begin at the root.
    is_one_resource: bool,
}

impl<'a> Side<'a> {
    pub(crate) fn new(root: &'a Value) -> Self {
        let parts = match root {
            Value::Object(object) => object.values().collect(),
            _ => Vec::new(),
        };
        Self { root, is_one_resource: !parts.into_iter().any(has_base) }
    }

    /// What a reference within the document names; none where that cannot be told for certain.
    pub(crate) fn find(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#').filter(|_| self.is_one_resource)?;
        if pointer.contains('%') { None } else { self.root.pointer(pointer) }
    }

    /// All that is known of a value that every one of these schemas takes: what they say themselves, and what those say that
    /// they stand on.
    pub(crate) fn given(&self, schemas: &[&'a Value], place: &Place) -> Result<Given<'a>, Fault> {
        let mut given = Given::default();
        for schema in schemas {
            self.gather(schema, &mut given, 0, place)?;
        }
        Ok(given)
    }

    pub(crate) fn gather(
        &self,
        schema: &'a Value,
        given: &mut Given<'a>,
        depth: usize,
        place: &Place,
    ) -> Result<(), Fault> {
        if depth > REFERENCES_MAX {
            return Err(place.fault("is compared to references that are too many, or a circle"));
        }
        let object = match schema {
            Value::Object(object) => object,
            Value::Bool(false) => {
                given.nothing = true;
                return Ok(());
            }
            // True, or no schema, which is not looked into.
            _ => return Ok(()),
        };
        if object.contains_key("$id") && !std::ptr::eq(schema, self.root) {
            // It has a base, and perhaps a dialect, of its own: nothing is known of it.
            return Ok(());
        }
        given.conjuncts.push(object);
        for one in object.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.gather(one, given, depth + 1, place)?;
        }
        // One that is not found says nothing, which is safe on this side.
        if let Some(found) = object.get("$ref").and_then(Value::as_str).and_then(|name| self.find(name)) {
            self.gather(found, given, depth + 1, place)?;
        }
        Ok(())
    }

    /// Whether both have the same definitions, which refer to nothing else.
    pub(crate) fn has_definitions_of(&self, other: &Side<'_>) -> bool {
        self.is_one_resource
            && other.is_one_resource
            && ["$defs", "definitions"].into_iter().all(|name| {
                let (ours, theirs) = (self.root.get(name), other.root.get(name));
                ours == theirs && ours.is_none_or(refers_only_to_definitions)
            })
    }
}

fn has_base(part: &Value) -> bool {
    match part {
        Value::Object(object) => object.contains_key("$id") || object.values().any(has_base),
        Value::Array(items) => items.iter().any(has_base),
        _ => false,
    }
}

const REFERENCES: [&str; 4] = ["$ref", "$dynamicRef", "$recursiveRef", "$id"];

/// Whether it refers to anything.
pub(crate) fn refers(part: &Value) -> bool {
    match part {
        Value::Object(object) => {
            REFERENCES.iter().any(|name| object.contains_key(*name)) || object.values().any(refers)
        }
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

/// Whether it refers to nothing but definitions at the root.
pub(crate) fn refers_only_to_definitions(part: &Value) -> bool {
    match part {
        Value::Object(object) => {
            let good = |(name, value): (&String, &Value)| match name.as_str() {
                "$ref" => value
                    .as_str()
                    .is_some_and(|to| to.starts_with("#/$defs/") || to.starts_with("#/definitions/")),
                "$dynamicRef" | "$recursiveRef" | "$id" => false,
                _ => refers_only_to_definitions(value),
            };
            object.iter().all(good)
        }
        Value::Array(items) => items.iter().all(refers_only_to_definitions),
        _ => true,
    }
}

/// What is known of a value: it follows every one of these.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given<'a> {
    pub(crate) conjuncts: Vec<&'a Map<String, Value>>,
    nothing: bool,
    /// Those whose alternatives were looked at.
    split: BTreeSet<usize>,
}

/// The types of JSON values, as schemas call them; every integer is a number.
const TYPES: [&str; 6] = ["null", "boolean", "object", "array", "number", "string"];

impl<'a> Given<'a> {
    /// Whether no value is so.
    pub(crate) fn is_nothing(&self) -> bool {
        self.nothing || self.types().is_empty()
    }

    /// What each says under a keyword.
    pub(crate) fn say(&self, keyword: &str) -> impl Iterator<Item = &'a Value> {
        self.conjuncts.iter().filter_map(move |one| one.get(keyword))
    }

    /// Which types a value may have. `integer` stands beside the others where numbers may only be integers.
    pub(crate) fn types(&self) -> Vec<&'static str> {
        let mut types: Vec<&'static str> = TYPES.to_vec();
        let mut whole = false;
        for conjunct in &self.conjuncts {
            if let Some(named) = conjunct.get("type") {
                let named = named_types(named);
                if named.is_empty() {
                    continue;
                }
                let integer = named.contains(&"integer");
                whole |= integer && !named.contains(&"number");
                types.retain(|ty| named.contains(ty) || (*ty == "number" && integer));
            }
            if let Some(values) = values(conjunct) {
                whole |= values.iter().filter(|v| v.is_number()).all(|v| v.is_i64() || v.is_u64());
                types.retain(|ty| values.iter().any(|value| type_of(value) == *ty));
            }
        }
        types.iter().map(|ty| if *ty == "number" && whole { "integer" } else { ty }).collect()
    }

    /// Whether a value may have that type.
    pub(crate) fn may_be(&self, ty: &str) -> bool {
        self.types().iter().any(|one| *one == ty || (ty == "number" && *one == "integer"))
    }

    /// The only values there may be, where that is said.
    pub(crate) fn values(&self) -> Option<Vec<&'a Value>> {
        self.conjuncts.iter().find_map(|one| values(one))
    }

    /// Alternatives of which one holds at least, and which of the conjuncts has them; none that were looked at already.
    pub(crate) fn split(&self) -> Option<(usize, &'a [Value])> {
        self.conjuncts.iter().enumerate().filter(|(at, _)| !self.split.contains(at)).find_map(|(at, one)| {
            let keyword = ["anyOf", "oneOf"].into_iter().find(|keyword| one.contains_key(*keyword))?;
            let alternatives = one.get(keyword)?.as_array()?;
            (alternatives.len() <= ALTERNATIVES_MAX).then_some((at, alternatives.as_slice()))
        })
    }

    /// The same, without looking at the alternatives of that conjunct again.
    pub(crate) fn without_split(&self, at: usize) -> Self {
        let mut given = self.clone();
        given.split.insert(at);
        given
    }
}

/// The values a schema allows by `enum` or `const`.
fn values(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

pub(crate) fn named_types(named: &Value) -> Vec<&str> {
    match named {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
