//! Rule sets.

use std::collections::BTreeMap;

use model::{SystemId, resource::RuleSet};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// Rules of a tenant. Kept; nothing runs them yet, and whether they are GRL is not looked at.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system whose events it is for; none: those of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    system: Option<SystemId>,
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The rules, in GRL: at most 128 KiB of text.
    rules: String,
    /// Whether it is to be run.
    #[serde(default = "super::yes")]
    enabled: bool,
}

impl Managed for RuleSet {
    type Spec = Spec;

    const COLLECTION: &'static str = "rule-sets";
    const SCHEMA: &'static str = "RuleSet";

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, rules, enabled, meta } = self.clone();
        Spec { system, name, description: meta.description, labels: meta.labels, rules, enabled }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, rules, enabled } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        let meta = super::meta(description, labels);
        Ok(Built::new(Self { tenant, system, id, name, rules, enabled, meta }))
    }
}
