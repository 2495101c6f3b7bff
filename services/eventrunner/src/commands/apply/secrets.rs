//! Secrets of documents: by reference to the environment or to a file, and sent only where they are needed.

use std::{fs, path::Path};

use serde_json::{Map, Value};

use super::facts;

/// What there is, as far as secrets go.
enum Kept {
    /// So many, without names.
    Count(u64),
    /// With these names.
    Names(Vec<String>),
}

/// Whether what there is has as many secrets as the document, or those of the same names: then they stay as they are, for nobody can
/// tell whether they are the same.
pub(super) fn stay(wanted: &Value, current: &Map<String, Value>, pointer: &str) -> bool {
    let parent = pointer.rsplit_once('/').map(|(parent, _)| parent).unwrap_or_default();
    let Some(beside) = Value::Object(current.clone()).pointer(parent).cloned() else { return false };
    let Some(beside) = beside.as_object() else { return false };
    let kept = beside.iter().find_map(|(name, value)| match value {
        Value::Number(number) if name.ends_with("_count") => number.as_u64().map(Kept::Count),
        Value::Array(names) if name.ends_with("_names") => {
            Some(Kept::Names(names.iter().filter_map(Value::as_str).map(str::to_owned).collect()))
        }
        _ => None,
    });
    match (wanted, kept) {
        (Value::Array(wanted), Some(Kept::Count(count))) => u64::try_from(wanted.len()) == Ok(count),
        (Value::Object(wanted), Some(Kept::Names(names))) => {
            wanted.len() == names.len() && names.iter().all(|name| wanted.contains_key(name))
        }
        _ => false,
    }
}

/// Puts what is referred to in place of references. Gives those that lead nowhere.
pub(super) fn resolve(body: &mut Map<String, Value>, pointers: &[String], folder: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    for pointer in pointers {
        let Some(mut secrets) = facts::take(body, pointer) else { continue };
        let each: Vec<&mut Value> = match &mut secrets {
            Value::Array(secrets) => secrets.iter_mut().collect(),
            Value::Object(secrets) => secrets.values_mut().collect(),
            other => vec![other],
        };
        for secret in each {
            let Some(text) = secret.as_str() else { continue };
            match resolved(text, folder) {
                Ok(found) => *secret = found.into(),
                Err(reference) => missing.push(reference),
            }
        }
        crate::commands::resources::put(body, pointer, secrets);
    }
    missing
}

/// `${NAME}`: a variable of the environment. `${file:PATH}`: what a file holds, from the document's folder on. Anything else is meant
/// as it stands.
fn resolved(text: &str, folder: &Path) -> Result<String, String> {
    let Some(reference) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return Ok(text.to_owned());
    };
    match reference.strip_prefix("file:") {
        Some(path) => {
            let path = folder.join(path);
            let read = fs::read_to_string(&path).map_err(|e| format!("{} ({e})", path.display()))?;
            Ok(read.trim_end_matches(['\r', '\n']).to_owned())
        }
        None => std::env::var(reference).map_err(|_| format!("the variable {reference}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn secrets_stay_where_as_many_are_kept() {
        let source = map(&json!({"verification": {"secret_count": 2}}));
        let action = map(&json!({"target": {"secret_header_names": ["a", "b"]}}));
        let (secrets, headers) = ("/verification/secrets", "/target/secret_headers");
        for (wanted, current, pointer, expected) in [
            (json!(["x", "y"]), &source, secrets, true),
            (json!(["x"]), &source, secrets, false),
            (json!({"a": "x", "b": "y"}), &action, headers, true),
            (json!({"a": "x", "c": "y"}), &action, headers, false),
            (json!(["x", "y"]), &Map::new(), secrets, false),
        ] {
            assert_eq!(stay(&wanted, current, pointer), expected, "{wanted}");
        }
    }

    #[test]
    fn references_are_followed_and_missing_ones_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), "from a file\n").unwrap();
        let mut body = map(
            &json!({"v": {"secrets": ["plain ${HOME}", "${file:key}", "${EVENTRUNNER_NO_SUCH}", "${file:gone}"]}}),
        );
        let missing = resolve(&mut body, &["/v/secrets".to_owned()], folder.path());
        assert_eq!(body["v"]["secrets"][0], "plain ${HOME}");
        assert_eq!(body["v"]["secrets"][1], "from a file");
        assert_eq!(missing.len(), 2);
        assert!(missing[0].contains("EVENTRUNNER_NO_SUCH") && missing[1].contains("gone"), "{missing:?}");
    }
}
