//! Wasm components.

use std::collections::BTreeMap;

use model::{SystemId, resource::Component};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// A Wasm component of a tenant. Kept; nothing runs it yet, and no module is kept with it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system it is a part of.
    #[schema(value_type = String)]
    system: SystemId,
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// What it is made of: `sha256:` and the digest of the module in hexadecimal.
    digest: String,
    /// Whether it is to be run.
    #[serde(default = "super::yes")]
    enabled: bool,
}

impl Managed for Component {
    type Spec = Spec;

    const COLLECTION: &'static str = "components";
    const SCHEMA: &'static str = "Component";

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, digest, enabled, meta } = self.clone();
        Spec { system, name, description: meta.description, labels: meta.labels, digest, enabled }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, digest, enabled } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        let meta = super::meta(description, labels);
        Ok(Built::new(Self { tenant, system, id, name, digest, enabled, meta }))
    }
}
