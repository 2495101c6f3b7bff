//! Custom roles: a tenant's own, and the fleet's.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Snapshot;
use model::resource::Role;
use relations::Permission;
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Gift, Making, Managed};

/// A role besides the built-in ones.
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
    /// What who has it may do: `read:event`, or with stars `*:source`, `read:*`. Nothing that its maker may not do.
    permissions: Vec<String>,
}

impl Managed for Role {
    type Spec = Spec;

    const COLLECTION: &'static str = "roles";
    const SCHEMA: &'static str = "Role";
    const GIVES: bool = true;

    fn spec(&self) -> Spec {
        let Self { tenant: _, id: _, name, permissions, meta } = self.clone();
        Spec { name, description: meta.description, labels: meta.labels, permissions }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels, permissions } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        Ok(Built::new(Self { tenant, id, name, permissions, meta: super::meta(description, labels) }))
    }

    /// Whoever has it already gets what is new in it.
    fn gives(&self, old: Option<&Self>, _: &Snapshot) -> Vec<Gift> {
        let had: BTreeSet<Permission> = old.into_iter().flat_map(meant).flat_map(|(_, all)| all).collect();
        let gifts = meant(self).map(|(at, all)| Gift {
            pointer: format!("/permissions/{at}"),
            permissions: all.difference(&had).copied().collect(),
        });
        gifts.collect()
    }
}

fn meant(role: &Role) -> impl Iterator<Item = (usize, BTreeSet<Permission>)> {
    let texts = role.permissions.iter().enumerate();
    texts.map(|(at, text)| (at, Permission::meant_by(text).unwrap_or_default()))
}
