//! The bytes of an entry: a resource, or one that was deleted.

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use crate::{Error, FieldError, Resource, resource::Deleted};

/// What an entry holds.
#[derive(Debug)]
pub(crate) enum Read<R> {
    Live(R),
    Deleted(Deleted<R>),
}

/// Reads an entry.
pub(crate) fn read<R: Resource>(value: &[u8]) -> Result<Read<R>, serde_json::Error> {
    // A deleted one lacks what every resource must have, so it cannot be read as one.
    match serde_json::from_slice(value) {
        Ok(resource) => Ok(Read::Live(resource)),
        Err(error) => serde_json::from_slice(value).map(Read::Deleted).map_err(|_| error),
    }
}

/// Reads an entry, if it holds something that is not deleted.
pub(crate) fn read_live<R: Resource>(value: &[u8]) -> Option<R> {
    serde_json::from_slice(value).ok()
}

/// Whether an entry of whatever kind holds something that is not deleted.
pub(crate) fn is_live(value: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        deleted: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Probe>(value).is_ok_and(|probe| probe.deleted.is_none())
}

/// Writes an entry.
pub(crate) fn write(value: &impl Serialize) -> Result<bytes::Bytes, Error> {
    serde_json::to_vec(value).map(Into::into).map_err(unwritable)
}

/// Writes an entry over the one there is, deleted or not. What a newer version wrote there and is not known here stays as it is:
/// while a fleet is upgraded, replicas of both versions write the same entries.
pub(crate) fn write_over<R: Resource>(value: &R, before: &[u8]) -> Result<bytes::Bytes, Error> {
    let mut written = serde_json::to_value(value).map_err(unwritable)?;
    if let Some(unknown) = unknown::<R>(before) {
        fill(&mut written, unknown);
    }
    write(&written)
}

/// Writes that what there is was deleted.
pub(crate) fn write_deleted(deleted_at: &str, before: &[u8]) -> Result<bytes::Bytes, Error> {
    let resource: &RawValue = serde_json::from_slice(before).map_err(unwritable)?;
    write(&Deleted { deleted_at: deleted_at.to_owned(), resource })
}

fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Invalid(vec![FieldError::new("", format!("cannot be written as JSON: {error}"))])
}

/// The members of an entry that are lost when it is read as what it is.
fn unknown<R: Resource>(before: &[u8]) -> Option<Value> {
    let mut raw: Value = serde_json::from_slice(before).ok()?;
    if raw.get("deleted_at").is_some() {
        raw = raw.get_mut("deleted")?.take();
    }
    let known = serde_json::to_value(serde_json::from_value::<R>(raw.clone()).ok()?).ok()?;
    strip(&mut raw, &known);
    Some(raw)
}

/// Takes away what is known, and objects in which nothing is left.
fn strip(raw: &mut Value, known: &Value) {
    let (Value::Object(raw), Value::Object(known)) = (raw, known) else { return };
    raw.retain(|name, value| match known.get(name) {
        None => true,
        Some(known) if value.is_object() && known.is_object() => {
            strip(value, known);
            value.as_object().is_some_and(|left| !left.is_empty())
        }
        Some(_) => false,
    });
}

/// Puts in what is not there.
fn fill(into: &mut Value, from: Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (name, value) in from {
        match into.get_mut(&name) {
            Some(there) => fill(there, value),
            None => {
                into.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::resource::{Source, Tenant};
    use serde_json::json;

    use super::*;

    fn over<R: Resource>(value: Value, before: &Value) -> Value {
        let value: R = serde_json::from_value(value).unwrap();
        let written = write_over(&value, before.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&written).unwrap()
    }

    #[test]
    fn what_a_newer_version_wrote_is_kept() {
        let before = json!({
            "id": "a", "plan": "gold", "later": [1], "limits": {"events_burst": 1, "later": 2}, "labels": {"x": "y"},
        });
        let written = over::<Tenant>(json!({"id": "a", "limits": {"bytes_burst": 3}}), &before);
        assert_eq!(written["later"], json!([1]));
        assert_eq!(written["limits"], json!({"bytes_burst": 3, "later": 2}), "what is known was taken away");
        assert!(written.get("plan").is_none() && written.get("labels").is_none(), "{written}");
        let deleted = json!({"deleted_at": "2026-11-21T10:00:00Z", "deleted": before});
        assert_eq!(over::<Tenant>(json!({"id": "a"}), &deleted)["limits"], json!({"later": 2}));
        let source = |mapping: Value| json!({"tenant": "a", "system": "b", "id": "c", "mapping": mapping});
        let written = over::<Source>(source(json!({"type": "t"})), &source(json!({"subject": "s"})));
        assert_eq!(written["mapping"], json!({"type": "t"}), "a text of the caller's is all known");
        assert_eq!(over::<Tenant>(json!({"id": "a"}), &json!("what nobody reads"))["id"], "a");
    }
}
