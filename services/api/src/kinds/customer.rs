//! Customers.

use std::collections::BTreeMap;

use model::{PlanId, resource::Customer};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// One of a tenant's own customers, on whose behalf keys are used.
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
    /// The plan it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    plan: Option<PlanId>,
}

impl Managed for Customer {
    type Spec = Spec;

    const COLLECTION: &'static str = "customers";
    const SCHEMA: &'static str = "Customer";

    fn spec(&self) -> Spec {
        let Self { tenant: _, id: _, name, plan, meta } = self.clone();
        Spec { name, description: meta.description, labels: meta.labels, plan }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels, plan } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        Ok(Built::new(Self { tenant, id, name, plan, meta: super::meta(description, labels) }))
    }
}
