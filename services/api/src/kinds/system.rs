//! Systems.

use std::collections::BTreeMap;

use model::resource::System;
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// Something of a tenant's that produces or consumes events.
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
}

impl Managed for System {
    type Spec = Spec;

    const COLLECTION: &'static str = "systems";
    const SCHEMA: &'static str = "System";

    fn spec(&self) -> Spec {
        let Self { tenant: _, id: _, name, meta } = self.clone();
        Spec { name, description: meta.description, labels: meta.labels }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        Ok(Built::new(Self { tenant, id, name, meta: super::meta(description, labels) }))
    }
}
