//! Event types, known by their CloudEvents `type`.

use std::collections::BTreeMap;

use model::{
    SystemId,
    resource::{Compatibility, EventType},
};
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
    /// What another schema must be to take the place of this one: `none` (anything), `backward` (it takes all that the one before
    /// takes), `forward` (the one before takes all that it takes), or `full` (both). What cannot be proved is refused.
    #[serde(default)]
    #[schema(value_type = String)]
    compatibility: Compatibility,
    /// Which schema it has: the how-many-eth; absent if it never had one. The others are at `…/versions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    version: Option<u32>,
}

impl Managed for EventType {
    type Spec = Spec;

    const COLLECTION: &'static str = "event-types";
    const SCHEMA: &'static str = "EventType";
    const ID: &'static str = "name";
    const READ_ONLY: &'static [&'static str] = &["/version"];

    fn spec(&self) -> Spec {
        let version = Some(self.version()).filter(|version| *version > 0);
        let Self { system, schema, compatibility, meta, .. } = self.clone();
        let (description, labels) = (meta.description, meta.labels);
        Spec { system, description, labels, schema, compatibility, version }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, description, labels, schema, compatibility, version: _ } = spec;
        let (tenant, name) = (making.tenant.clone(), making.id.to_owned());
        let mut made = Self::new(tenant, system, name, schema, super::meta(description, labels));
        made.compatibility = compatibility;
        if let Some(old) = making.old {
            made.succeed(old);
        }
        Ok(Built::new(made))
    }
}
