//! Plans, which are the fleet's.

use std::collections::BTreeMap;

use model::resource::{Plan, Prices};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limits::Limits;
use crate::control::{Built, Making, Managed};

/// What a tenant may be given as a whole. The fleet's: whoever may read plans reads all of them, operators change them.
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
    /// What a tenant that is on it may use; what is left out is as everybody has it.
    #[serde(default)]
    limits: Limits,
    /// What it costs: versions, ascending, all in one currency. Accounts that are on it pay by the one that holds on each day.
    #[serde(default)]
    #[schema(schema_with = super::money::schema::<Vec<Prices>>)]
    prices: Vec<Prices>,
}

impl Managed for Plan {
    type Spec = Spec;

    const COLLECTION: &'static str = "plans";
    const SCHEMA: &'static str = "Plan";

    fn spec(&self) -> Spec {
        let Self { id: _, name, limits, prices, meta } = self.clone();
        Spec { name, description: meta.description, labels: meta.labels, limits: limits.into(), prices }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels, limits, prices } = spec;
        let (id, meta) = (super::id(making.id)?, super::meta(description, labels));
        Ok(Built::new(Self { id, name, limits: limits.into(), prices, meta }))
    }
}
