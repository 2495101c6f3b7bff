//! Workflows.

use std::collections::BTreeMap;

use model::{SystemId, resource::Workflow};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// A workflow of a tenant. Kept; nothing runs it yet, and whether it can be run is not looked at.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system it is a part of; none: the tenant's as a whole.
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
    /// Its tasks and flows, in YAML: at most 128 KiB of text.
    definition: String,
    /// Whether it is to be run.
    #[serde(default = "super::yes")]
    enabled: bool,
}

impl Managed for Workflow {
    type Spec = Spec;

    const COLLECTION: &'static str = "workflows";
    const SCHEMA: &'static str = "Workflow";

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, definition, enabled, meta } = self.clone();
        Spec { system, name, description: meta.description, labels: meta.labels, definition, enabled }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, definition, enabled } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        let meta = super::meta(description, labels);
        Ok(Built::new(Self { tenant, system, id, name, definition, enabled, meta }))
    }
}
