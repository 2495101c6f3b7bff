//! How resources are shown.

use catalog::{Kind, Resource};
use model::{
    FLEET, TenantId,
    resource::{ApiKey, Customer, EventType, Role, RoleBinding, Source, System, Tenant},
};
use serde::Serialize;

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

    /// Its id among those of its tenant.
    fn own_id(id: &str) -> &str {
        id
    }
}

/// Whose a role or binding of that id is: the fleet's are written `fleet/<id>`.
pub(super) fn owner(id: &str, context: &Context) -> Result<TenantId> {
    if id.starts_with(relations::FLEETS) { Ok(FLEET.clone()) } else { context.tenant() }
}

/// What it is called there.
pub(super) fn without_owner(id: &str) -> &str {
    id.strip_prefix(relations::FLEETS).unwrap_or(id)
}

impl Shown for Role {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("id", "/id"),
        Column("name", "/name"),
        Column("permissions", "/permissions"),
        Column("labels", "/labels"),
        Column("created", "/created_at"),
    ];

    fn tenant_of(id: &str, context: &Context) -> Result<TenantId> {
        owner(id, context)
    }

    fn own_id(id: &str) -> &str {
        without_owner(id)
    }
}

impl Shown for RoleBinding {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("id", "/id"),
        Column("actor", "/actor"),
        Column("role", "/role"),
        Column("labels", "/labels"),
        Column("created", "/created_at"),
    ];

    fn tenant_of(id: &str, context: &Context) -> Result<TenantId> {
        owner(id, context)
    }

    fn own_id(id: &str) -> &str {
        without_owner(id)
    }
}

impl Shown for Tenant {
    const COLUMNS: &[Column] = &[
        Column("id", "/id"),
        Column("name", "/name"),
        Column("disabled", "/disabled"),
        Column("placement", "/placement"),
        Column("plan", "/plan"),
        Column("events/s", "/limits/events_per_second"),
        Column("retention days", "/retention_days"),
        Column("stream", "/tenant_stream"),
        Column("labels", "/labels"),
        Column("created", "/created_at"),
    ];
}

impl Shown for System {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("id", "/id"),
        Column("name", "/name"),
        Column("labels", "/labels"),
        Column("created", "/created_at"),
    ];
}

impl Shown for Customer {
    const COLUMNS: &[Column] = &[
        Column("tenant", "/tenant"),
        Column("id", "/id"),
        Column("name", "/name"),
        Column("labels", "/labels"),
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
        Column("labels", "/labels"),
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
        Column("labels", "/labels"),
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
        Column("labels", "/labels"),
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
            #[serde(skip_serializing_if = "Option::is_none")]
            customer: Option<&'a model::CustomerId>,
            #[serde(flatten)]
            meta: &'a model::resource::Meta,
        }
        let Self { tenant, system, id, name, hash: _, scopes, customer, meta } = self;
        item(&Key { tenant, system, id, name, scopes, customer: customer.as_ref(), meta })
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
}
