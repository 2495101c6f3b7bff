//! Role bindings: who has which role, in a tenant or fleet-wide.

use std::collections::BTreeMap;

use catalog::{Snapshot, tuples};
use model::resource::RoleBinding;
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Built, Gift, Making, Managed},
};

/// A role given to somebody.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// To whom: `user:<id>`, `key:<id>`, `client:<id>`, `service:<name>`, or `role:<id>`: all who have that custom role in the same
    /// place. A user who comes by the token of an issuer that does not speak for the fleet is `user:<issuer>|<subject>`.
    actor: String,
    /// Which role: a built-in one (`superuser`, fleet-wide only, `tenant_admin`, `admin`, `user`, `event_publisher`, `viewer`), the id
    /// of a custom one of the same place, or `fleet/<id>`: one of the fleet's. None that allows what its giver may not do.
    role: String,
}

impl Managed for RoleBinding {
    type Spec = Spec;

    const COLLECTION: &'static str = "role-bindings";
    const SCHEMA: &'static str = "RoleBinding";
    const GIVES: bool = true;

    fn spec(&self) -> Spec {
        let Self { tenant: _, id: _, name, actor, role, meta } = self.clone();
        Spec { name, description: meta.description, labels: meta.labels, actor, role }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels, actor, role } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        Ok(Built::new(Self { tenant, id, name, actor, role, meta: super::meta(description, labels) }))
    }

    fn gives(&self, old: Option<&Self>, snapshot: &Snapshot) -> Vec<Gift> {
        if old.is_some_and(|old| (&old.actor, &old.role) == (&self.actor, &self.role)) {
            return Vec::new();
        }
        let custom = tuples::custom_roles(snapshot, &self.tenant);
        let binding = tuples::binding(self).ok();
        let permissions = binding.and_then(|binding| binding.role.permissions(&custom).ok());
        vec![Gift { pointer: "/role".to_owned(), permissions: permissions.unwrap_or_default() }]
    }

    /// A fleet-wide one may name any tenant's key, so that no reference says whether it is there.
    async fn look(&self, app: &App) -> Result<(), Problem> {
        match self.actor.strip_prefix("key:") {
            Some(key) if app.catalog.snapshot().key(key).is_none() => {
                Err(super::fault("/actor", format!("there is no key {key:?}")))
            }
            _ => Ok(()),
        }
    }
}
