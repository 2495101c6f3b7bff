//! What is to follow on an event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Meta, yes};
use crate::{ActionId, SubscriptionId, SystemId, TenantId};

/// WHEN in that system one of these events happens AND the filter holds, THEN that action is done. Kept; nothing acts on
/// it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system in which the events happen.
    pub system: SystemId,
    /// Its id, unique within the tenant.
    pub id: SubscriptionId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The event types, by their names; none: any of the system.
    #[serde(default)]
    pub event_types: Vec<String>,
    /// A condition on the event, as text; empty: any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub filter: String,
    /// What is done then.
    pub action: ActionId,
    /// Of several on one event those of a lower order come first, those of the same side by side.
    #[serde(default)]
    pub order: u16,
    /// Whether anything follows at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}
