//! Subscriptions.

use std::collections::BTreeMap;

use model::{ActionId, SystemId, resource::Subscription};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// WHEN in that system one of these events happens AND the filter holds, THEN that action is done. Kept; nothing acts on it
/// yet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system in which the events happen.
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
    /// The event types, by their names; none: any of the system.
    #[serde(default)]
    event_types: Vec<String>,
    /// A condition on the event, at most 16 KiB of text; empty: any. Kept as it is; whether it can be evaluated is not looked at
    /// yet.
    #[serde(default)]
    filter: String,
    /// What is done then.
    #[schema(value_type = String)]
    action: ActionId,
    /// Of several on one event those of a lower order come first, those of the same side by side.
    #[serde(default)]
    order: u16,
    /// Whether anything follows at all.
    #[serde(default = "super::yes")]
    enabled: bool,
}

impl Managed for Subscription {
    type Spec = Spec;

    const COLLECTION: &'static str = "subscriptions";
    const SCHEMA: &'static str = "Subscription";

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, event_types, filter, action, order, enabled, meta } =
            self.clone();
        let (description, labels) = (meta.description, meta.labels);
        Spec { system, name, description, labels, event_types, filter, action, order, enabled }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, event_types, filter, action, order, enabled } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        let meta = super::meta(description, labels);
        Ok(Built::new(Self { tenant, system, id, name, event_types, filter, action, order, enabled, meta }))
    }
}
