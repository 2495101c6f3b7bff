//! Which members of a kind only the fleet sets, and which it never tells: as the API's own document has them.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::{
    commands::resources::{KINDS, Kind},
    exit::{Failure, Result},
};

/// How deep members of members are looked at.
const DEPTH_MAX: usize = 4;

/// Pointers into resources of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// What only the fleet sets.
    pub(super) read_only: Vec<String>,
    /// What is never told.
    pub(super) secrets: Vec<String>,
}

static ALL: OnceLock<std::result::Result<Vec<Facts>, String>> = OnceLock::new();

/// Those of a kind.
pub(super) fn of(kind: &Kind) -> Result<&'static Facts> {
    let all = ALL.get_or_init(|| {
        let document = serde_json::to_value(api::openapi()).map_err(|e| e.to_string())?;
        KINDS.iter().map(|kind| read(&document, kind)).collect()
    });
    let all = all.as_ref().map_err(|e| Failure::failed(e.clone()))?;
    let at = KINDS.iter().position(|other| other.noun == kind.noun);
    at.and_then(|at| all.get(at)).ok_or_else(|| Failure::failed("a kind that is in no table"))
}

fn read(document: &Value, kind: &Kind) -> std::result::Result<Facts, String> {
    let path = kind.list_path(Some("{tenant}")).replace("%7Btenant%7D", "{tenant}");
    let body = &document["paths"][&path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let schema = resolved(document, body).ok_or_else(|| format!("the API has no {path}"))?;
    let mut facts = Facts::default();
    walk(document, schema, "", DEPTH_MAX, &mut facts);
    Ok(facts)
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let references = [schema, &schema["oneOf"][0], &schema["oneOf"][1], &schema["allOf"][0]];
    match references.into_iter().find_map(|schema| schema["$ref"].as_str()) {
        Some(reference) => document.pointer(reference.strip_prefix('#')?),
        None => schema.is_object().then_some(schema),
    }
}

fn walk(document: &Value, schema: &Value, at: &str, depth: usize, facts: &mut Facts) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{at}/{name}");
        if is_said(property, "readOnly") {
            facts.read_only.push(pointer);
        } else if is_said(property, "writeOnly") {
            facts.secrets.push(pointer);
        } else if depth > 0
            && let Some(inner) = resolved(document, property)
        {
            walk(document, inner, &pointer, depth - 1, facts);
        }
    }
}

/// Of lists and maps it is said of each one in them.
fn is_said(property: &Value, what: &str) -> bool {
    [property, &property["items"], &property["additionalProperties"]].iter().any(|p| p[what] == true)
}

/// Takes members out of a resource.
pub(super) fn strip(resource: &mut Map<String, Value>, pointers: &[String]) {
    for pointer in pointers {
        take(resource, pointer);
    }
}

/// Takes a member out, if it is there.
pub(super) fn take(resource: &mut Map<String, Value>, pointer: &str) -> Option<Value> {
    let mut names = pointer.strip_prefix('/')?.split('/').peekable();
    let mut at = resource;
    loop {
        let name = names.next()?;
        if names.peek().is_none() {
            return at.remove(name);
        }
        at = at.get_mut(name)?.as_object_mut()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_in_the_document() {
        for kind in KINDS {
            let facts = of(kind).unwrap();
            for common in ["/revision", "/created_at", "/updated_at", "/deleted_at"] {
                assert!(facts.read_only.iter().any(|p| p == common), "{} {common}", kind.noun);
            }
        }
        let secrets = |noun: &str| {
            let kind = KINDS.iter().find(|kind| kind.noun == noun).unwrap();
            of(kind).unwrap().clone()
        };
        assert_eq!(secrets("sources").secrets, ["/verification/secrets"]);
        assert!(secrets("sources").read_only.contains(&"/verification/secret_count".to_owned()));
        assert_eq!(secrets("actions").secrets, ["/target/secret_headers"]);
        assert!(secrets("actions").read_only.contains(&"/target/secret_header_names".to_owned()));
        assert!(secrets("event-types").read_only.contains(&"/version".to_owned()));
        assert!(secrets("keys").read_only.contains(&"/id".to_owned()));
    }

    #[test]
    fn members_are_taken_out_wherever_they_are() {
        let mut resource = serde_json::json!({"a": {"b": 1, "c": 2}, "d": 3}).as_object().cloned().unwrap();
        let pointers = ["/a/b", "/d", "/a/x/y", "/z"].map(str::to_owned);
        strip(&mut resource, &pointers);
        assert_eq!(Value::Object(resource), serde_json::json!({"a": {"c": 2}}));
    }
}
