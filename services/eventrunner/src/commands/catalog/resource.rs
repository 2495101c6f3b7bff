//! How resources are shown, and the rules that need crates the catalog does not know.

use catalog::{Check, FieldError, Kind, Resource};
use model::{
    TenantId,
    resource::{ApiKey, EventType, Source, System, Tenant},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    context::Context,
    exit::{Failure, Result},
    output::{Column, Item, item},
};

/// A resource as people see it.
pub(super) trait Shown: Resource {
    const COLUMNS: &[Column];

    /// Without what nobody should copy from a terminal.
    fn shown(&self) -> Result<Item> {
        item(self)
    }

    /// Whose the one of that id is.
    fn tenant_of(id: &str, context: &Context) -> Result<TenantId> {
        if Self::KIND == Kind::Tenant {
            return id.parse().map_err(|e: model::InvalidId| Failure::usage(e.to_string()));
        }
        context.tenant()
    }
}

impl Shown for Tenant {
    const COLUMNS: &[Column] = &[
        Column("id", "/id"),
        Column("name", "/name"),
        Column("disabled", "/disabled"),
        Column("placement", "/placement"),
        Column("events/s", "/limits/events_per_second"),
        Column("retention days", "/retention_days"),
        Column("stream", "/tenant_stream"),
        Column("created", "/created_at"),
    ];
}

impl Shown for System {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("id", "/id"),
        Column("name", "/name"),
        Column("created", "/created_at"),
    ];
}

impl Shown for Source {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("system", "/system"),
        Column("id", "/id"),
        Column("preset", "/preset"),
        Column("scheme", "/verification/scheme/type"),
        Column("created", "/created_at"),
    ];

    fn shown(&self) -> Result<Item> {
        let mut shown = self.clone();
        if let Some(verification) = &mut shown.verification {
            for secret in &mut verification.sealed_secrets {
                // `v1.<sealing key id>.<sealed>`: which key opens it is worth knowing.
                let end = secret.match_indices('.').nth(1).map_or(0, |(at, _)| at);
                secret.truncate(end);
                secret.push_str(".[sealed]");
            }
        }
        item(&shown)
    }
}

impl Shown for EventType {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("system", "/system"),
        Column("name", "/name"),
        Column("description", "/description"),
        Column("created", "/created_at"),
    ];
}

impl Shown for ApiKey {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("system", "/system"),
        Column("id", "/id"),
        Column("name", "/name"),
        Column("scopes", "/scopes"),
        Column("created", "/created_at"),
    ];

    fn shown(&self) -> Result<Item> {
        #[derive(Serialize)]
        struct Key<'a> {
            tenant: &'a TenantId,
            system: &'a model::SystemId,
            id: &'a model::KeyId,
            name: &'a str,
            scopes: &'a [model::resource::Scope],
            created_at: &'a str,
            labels: &'a std::collections::BTreeMap<String, String>,
        }
        let Self { tenant, system, id, name, scopes, created_at, labels, .. } = self;
        item(&Key { tenant, system, id, name, scopes, created_at, labels })
    }
}

/// That a mapping compiles and a schema is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules;

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
    fn secrets_and_hashes_are_not_shown() {
        let source: Source = serde_json::from_value(json!({
            "tenant": "a", "system": "b", "id": "c",
            "verification": {"scheme": {"type": "github"}, "sealed_secrets": ["v1.k1.AAAA", "odd"]},
        }))
        .unwrap();
        let shown = source.shown().unwrap();
        assert!(shown.get().contains(r#"["v1.k1.[sealed]",".[sealed]"]"#), "{shown}");
        let key: ApiKey = serde_json::from_value(json!({
            "tenant": "a", "system": "b", "id": "c", "hash": "5e17", "scopes": ["read"],
        }))
        .unwrap();
        assert!(!key.shown().unwrap().get().contains("5e17"));
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
