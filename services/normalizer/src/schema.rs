//! JSON Schema 2020-12 of event types, compiled once for each version.

use std::{collections::HashMap, sync::Arc};

use jsonschema::{PatternOptions, Validator};
use model::{CloudEvent, Data, TenantId, resource::EventType};

/// Most schemas kept; beyond it all are compiled again.
const KEPT_MAX: usize = 10_000;
/// Faults named in a reason.
const FAULTS_MAX: usize = 3;

/// Whether an event's data follows its type's schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Follows,
    /// What is wrong, for a person.
    Breaks(String),
}

/// A schema that does not compile is kept as the reason.
type Compiled = Result<Validator, String>;

#[derive(Debug, Default)]
pub(crate) struct Schemas {
    compiled: HashMap<(TenantId, String), (Arc<EventType>, Compiled)>,
}

impl Schemas {
    /// Checks an event against its type's schema, if it has one.
    pub(crate) fn check(&mut self, event_type: &Arc<EventType>, event: &CloudEvent) -> Verdict {
        let Some(schema) = &event_type.schema else { return Verdict::Follows };
        let key = (event_type.tenant.clone(), event_type.name.clone());
        let current = self.compiled.get(&key).is_some_and(|(version, _)| Arc::ptr_eq(version, event_type));
        if !current {
            if self.compiled.len() >= KEPT_MAX {
                self.compiled.clear();
            }
            self.compiled.insert(key.clone(), (Arc::clone(event_type), compile(schema)));
        }
        match self.compiled.get(&key) {
            Some((_, Ok(validator))) => check(validator, event_type.version(), event),
            Some((_, Err(reason))) => {
                Verdict::Breaks(format!("the schema of {} does not compile: {reason}", event_type.name))
            }
            None => Verdict::Follows,
        }
    }
}

/// References stay within the schema: nothing is fetched. Patterns run in linear time.
fn compile(schema: &serde_json::Value) -> Compiled {
    jsonschema::draft202012::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|e| e.to_string())
}

fn check(validator: &Validator, version: u32, event: &CloudEvent) -> Verdict {
    let json = event.has_json_content_type() || event.datacontenttype().is_none();
    let Some(data) = event.data().filter(|d| json && !matches!(d, Data::Proto(_))) else {
        return Verdict::Breaks("the event's type has a schema and the event has no JSON data".into());
    };
    let value: serde_json::Value = match serde_json::from_slice(data.as_bytes()) {
        Ok(value) => value,
        Err(error) => return Verdict::Breaks(format!("the data is not JSON: {error}")),
    };
    // The message of a fault may quote the data, which may be secret: only where and which rule.
    let faults: Vec<String> = validator
        .iter_errors(&value)
        .take(FAULTS_MAX)
        .map(|e| format!("data{}: breaks the schema's {}", e.instance_path(), e.schema_path()))
        .collect();
    if faults.is_empty() {
        return Verdict::Follows;
    }
    Verdict::Breaks(format!("{} (version {version})", faults.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_type(schema: serde_json::Value) -> Arc<EventType> {
        let (tenant, system) = ("acme".parse().unwrap(), "shop".parse().unwrap());
        Arc::new(EventType::new(tenant, system, "t".into(), Some(schema), Default::default()))
    }

    #[test]
    fn data_is_checked_against_the_schema_of_its_version() {
        let mut schemas = Schemas::default();
        let strict = event_type(serde_json::json!({"type": "object", "required": ["amount"]}));
        let with =
            |json: &str| CloudEvent::builder("1", "/s", "t").text("application/json", json).build().unwrap();
        assert_eq!(schemas.check(&strict, &with(r#"{"amount": 1}"#)), Verdict::Follows);
        let Verdict::Breaks(reason) = schemas.check(&strict, &with(r#"{"secret": 1}"#)) else { panic!() };
        assert!(reason.contains("/required") && !reason.contains("secret"), "{reason}");
        assert!(reason.ends_with("(version 1)"), "{reason}");
        let mut looser = EventType::clone(&event_type(serde_json::json!({})));
        looser.succeed(&strict);
        let looser = Arc::new(looser);
        assert_eq!(schemas.check(&looser, &with(r#"{"secret": 1}"#)), Verdict::Follows);
    }

    #[test]
    fn what_cannot_be_checked_breaks() {
        let mut schemas = Schemas::default();
        let plain = CloudEvent::builder("1", "/s", "t").build().unwrap();
        assert!(matches!(schemas.check(&event_type(serde_json::json!({})), &plain), Verdict::Breaks(_)));
        let remote = event_type(serde_json::json!({"$ref": "https://example.com/s.json"}));
        let json = CloudEvent::builder("1", "/s", "t").text("application/json", "{}").build().unwrap();
        let Verdict::Breaks(reason) = schemas.check(&remote, &json) else { panic!() };
        assert!(reason.contains("does not compile"), "{reason}");
    }
}
