//! A mapping as people write it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{InvalidMapping, Problem};

/// How raw requests of a source become CloudEvents (`mapping` of a source). Every field may be left out: then the
/// source's preset decides, and without one the default given at each field.
///
/// Each value is a template (`docs/mappings.md`): text with `${…}` in it. A template that gives nothing, or an
/// empty string, counts as left out for that request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MappingSpec {
    /// Where the id comes from, tried in order; a new id ends every list. Default: `idempotency-key`,
    /// `delivery-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<IdSpec>,
    /// What `delivery-id` stands for in `id`: the id by which the provider names a delivery on each retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// The attribute `type`. Default: `default_type`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// The `type` of events for which `type` gives nothing; no template. Default: `<system>.<source>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_type: Option<String>,
    /// The attribute `source`; what a URI reference cannot hold is percent-encoded. Default:
    /// `/<system>/<source>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The attribute `subject`. Default: absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The attribute `time`, RFC 3339. Default: when the door had the whole request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Events of one partition key keep their order; becomes the extension `partitionkey`. Default: absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_key: Option<String>,
    /// The attribute `dataschema`, an absolute URI. Default: absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// Extension attributes by name (`a-z`, `0-9`), as strings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
}

/// One rule for the id, or several in order. A rule is `idempotency-key` (the header `Idempotency-Key`),
/// `delivery-id`, `body-hash` (SHA-256 of the body in hexadecimal), `new`, or a template with at least one `${…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IdSpec {
    /// One rule.
    One(String),
    /// Rules in order; the first that gives a value wins.
    Many(Vec<String>),
}

impl IdSpec {
    /// The rules, each with the tail of its JSON pointer.
    pub(crate) fn rules(&self) -> Vec<(String, &str)> {
        match self {
            Self::One(rule) => vec![(String::new(), rule)],
            Self::Many(rules) => rules.iter().enumerate().map(|(i, r)| (format!("/{i}"), &**r)).collect(),
        }
    }
}

impl MappingSpec {
    /// Reads `Source.mapping`.
    ///
    /// # Errors
    /// Every unknown field and every value of a wrong type, by JSON pointer.
    pub fn from_value(value: &Value) -> Result<Self, InvalidMapping> {
        if value.is_null() {
            return Ok(Self::default());
        }
        if !value.is_object() {
            // serde would read an array as the fields in order.
            return Err(InvalidMapping { problems: vec![Problem::new("/mapping", "must be an object")] });
        }
        Self::deserialize(value).map_err(|whole| {
            let mut problems = locate(value);
            if problems.is_empty() {
                problems.push(Problem::new("/mapping", whole.to_string()));
            }
            InvalidMapping { problems }
        })
    }

    /// This mapping where it says something, `base` elsewhere; extensions name by name.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let pick = |a: &Option<String>, b: &Option<String>| a.as_ref().or(b.as_ref()).cloned();
        let mut extensions = base.extensions.clone();
        extensions.extend(self.extensions.iter().map(|(n, v)| (n.clone(), v.clone())));
        Self {
            id: self.id.as_ref().or(base.id.as_ref()).cloned(),
            delivery_id: pick(&self.delivery_id, &base.delivery_id),
            ty: pick(&self.ty, &base.ty),
            default_type: pick(&self.default_type, &base.default_type),
            source: pick(&self.source, &base.source),
            subject: pick(&self.subject, &base.subject),
            time: pick(&self.time, &base.time),
            partition_key: pick(&self.partition_key, &base.partition_key),
            dataschema: pick(&self.dataschema, &base.dataschema),
            extensions,
        }
    }
}

/// Which fields are at fault. Every field is optional, so each can be tried by itself.
fn locate(value: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, field) in value.as_object().into_iter().flatten() {
        let pointer = format!("/mapping/{}", escape(name));
        let alone = Value::Object([(name.clone(), field.clone())].into_iter().collect());
        let Err(error) = MappingSpec::deserialize(&alone) else { continue };
        let strings_in = |items: Vec<(String, &Value)>| {
            items
                .into_iter()
                .filter(|(_, item)| !item.is_string())
                .map(|(key, _)| Problem::new(format!("{pointer}/{key}"), "must be a string"))
                .collect::<Vec<_>>()
        };
        problems.extend(match (&**name, field) {
            ("id", Value::Array(rules)) => {
                strings_in(rules.iter().enumerate().map(|(i, r)| (i.to_string(), r)).collect())
            }
            ("id", _) => vec![Problem::new(pointer, "must be a string or a list of strings")],
            ("extensions", Value::Object(map)) => {
                strings_in(map.iter().map(|(n, v)| (escape(n), v)).collect())
            }
            _ => vec![Problem::new(pointer, error.to_string())],
        });
    }
    problems
}

/// RFC 6901, section 3.
pub(crate) fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
