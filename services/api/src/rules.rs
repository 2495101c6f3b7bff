//! The rules of crates that the catalog does not know.

use catalog::{Check, FieldError};
use model::resource::{EventType, Source};
use serde_json::Value;

/// That a mapping compiles and a schema is one. For [`catalog::Catalog::open_checked`].
#[derive(Debug, Clone, Copy)]
pub struct Rules;

impl Check for Rules {
    fn source(&self, source: &Source) -> Vec<FieldError> {
        match mapping::Mapping::compile(source) {
            Ok(_) => Vec::new(),
            Err(invalid) => {
                invalid.problems.into_iter().map(|p| FieldError::new(p.pointer, p.detail)).collect()
            }
        }
    }

    fn event_type(&self, event_type: &EventType) -> Vec<FieldError> {
        event_type.schema.as_ref().map(schema_faults).unwrap_or_default()
    }
}

fn schema_faults(schema: &Value) -> Vec<FieldError> {
    match jsonschema::draft202012::new(schema) {
        Ok(_) => Vec::new(),
        Err(error) => vec![FieldError::new(format!("/schema{}", error.instance_path()), error.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mappings_and_schemas_are_checked() {
        let source = |preset: &str| -> Source {
            serde_json::from_value(json!({"tenant": "a", "system": "b", "id": "c", "preset": preset}))
                .unwrap()
        };
        assert!(Rules.source(&source("github")).is_empty());
        assert_eq!(Rules.source(&source("gitbub"))[0].pointer, "/preset");
        assert!(schema_faults(&json!({"type": "object"})).is_empty());
        assert!(schema_faults(&json!({"type": "objekt"}))[0].pointer.starts_with("/schema"));
    }
}
