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

    fn succession(&self, new: &EventType, old: &EventType) -> Vec<FieldError> {
        // Before the first schema there was none to be compatible with.
        if new.schema == old.schema || old.version() == 0 {
            return Vec::new();
        }
        let anything = Value::Bool(true);
        let [new_schema, old_schema] =
            [&new.schema, &old.schema].map(|schema| schema.as_ref().unwrap_or(&anything));
        let (rule, before) = (new.compatibility, old.version());
        let mut faults = Vec::new();
        if rule.is_backward()
            && let Err(fault) = compat::takes_all(new_schema, old_schema)
        {
            let detail = format!("{}; the other side is version {before}", fault.reason);
            faults.push(FieldError::new(
                format!("/schema{}", fault.pointer),
                format!("is not backward compatible: {detail}"),
            ));
        }
        if rule.is_forward()
            && let Err(fault) = compat::takes_all(old_schema, new_schema)
        {
            let (pointer, reason) = (fault.pointer, fault.reason);
            let detail = format!("in version {before}, {pointer:?} {reason}; the other side is this one");
            faults.push(FieldError::new("/schema", format!("is not forward compatible: {detail}")));
        }
        faults
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
    fn a_schema_takes_the_place_of_another_by_the_rule() {
        let of = |rule: &str, schema: Value| -> EventType {
            let body =
                json!({"tenant": "a", "system": "b", "name": "t", "compatibility": rule, "schema": schema});
            serde_json::from_value(body).unwrap()
        };
        let narrow = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
        let wide = json!({"type": "object", "properties": {"a": {"type": "number"}}});
        for (rule, old, new, expected) in [
            ("none", &narrow, &json!(false), &[][..]),
            ("backward", &narrow, &wide, &[]),
            ("backward", &wide, &narrow, &["/schema/properties/a/type"]),
            ("forward", &wide, &narrow, &[]),
            ("forward", &narrow, &wide, &["/schema"]),
            ("full", &narrow, &wide, &["/schema"]),
            ("full", &narrow, &narrow, &[]),
            ("backward", &Value::Null, &narrow, &[]),
            ("backward", &narrow, &Value::Null, &[]),
            ("forward", &narrow, &Value::Null, &["/schema"]),
        ] {
            let faults = Rules.succession(&of(rule, new.clone()), &of(rule, old.clone()));
            let pointers: Vec<_> = faults.iter().map(|fault| &*fault.pointer).collect();
            assert_eq!(pointers, expected, "{rule}: {old} to {new}: {faults:?}");
        }
    }

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
