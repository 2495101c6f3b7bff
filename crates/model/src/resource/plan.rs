//! What tenants are sold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Meta, Prices, TenantLimits};
use crate::PlanId;

/// What a tenant may be given as a whole. The fleet's: it belongs to no tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Its id, unique within the fleet.
    pub id: PlanId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What a tenant that is on it may use; what is left out is as everybody has it.
    #[serde(default)]
    pub limits: TenantLimits,
    /// What it costs: versions, ascending by the day they begin; none: it is not charged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Prices>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}
