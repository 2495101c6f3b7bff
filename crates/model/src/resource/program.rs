//! What a tenant wrote to be run: rules, Wasm components, workflows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Meta, yes};
use crate::{ComponentId, RuleSetId, SystemId, TenantId, WorkflowId};

/// Rules of a tenant. Kept; nothing runs them yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleSet {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system whose events it is for; none: those of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemId>,
    /// Its id, unique within the tenant.
    pub id: RuleSetId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The rules, in GRL.
    pub rules: String,
    /// Whether they are to be run.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// A Wasm component of a tenant. Kept; nothing runs it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Component {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system it is a part of.
    pub system: SystemId,
    /// Its id, unique within the tenant.
    pub id: ComponentId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What it is made of: `sha256:` and the digest of the module in hexadecimal.
    pub digest: String,
    /// Whether it is to be run.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// A workflow of a tenant. Kept; nothing runs it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workflow {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system it is a part of; none: the tenant's as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemId>,
    /// Its id, unique within the tenant.
    pub id: WorkflowId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// Its tasks and flows, in YAML.
    pub definition: String,
    /// Whether it is to be run.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}
