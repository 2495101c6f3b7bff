//! Event types, known by their CloudEvents `type`.

use std::collections::BTreeMap;

use model::{SystemId, resource::EventType};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// What may happen in a system.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system it happens in.
    #[schema(value_type = String)]
    system: SystemId,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// JSON Schema 2020-12 of the data: an object, `true` or `false`. Events that break it are dead-lettered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    schema: Option<Value>,
}

impl Managed for EventType {
    type Spec = Spec;

    const COLLECTION: &'static str = "event-types";
    const SCHEMA: &'static str = "EventType";
    const ID: &'static str = "name";

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, name: _, schema, meta } = self.clone();
        Spec { system, description: meta.description, labels: meta.labels, schema }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, description, labels, schema } = spec;
        let (tenant, name) = (making.tenant.clone(), making.id.to_owned());
        Ok(Built::new(Self { tenant, system, name, schema, meta: super::meta(description, labels) }))
    }
}
