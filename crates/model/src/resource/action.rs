//! What is to be done in a system.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Meta;
use crate::{ActionId, SystemId, TenantId};

/// What is to be done in a system. Kept; nothing acts on it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system it is done in.
    pub system: SystemId,
    /// Its id, unique within the tenant.
    pub id: ActionId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// How it is done.
    pub target: Target,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// How an action is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Target {
    /// By an HTTP request.
    Webhook(Webhook),
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    /// Where to, `http` or `https`.
    pub url: String,
    /// How.
    #[serde(default)]
    pub method: WebhookMethod,
    /// Headers, by their names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Headers whose values nobody may read: they are sealed (`catalog::Sealer`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<String, String>,
}

/// The method of a webhook's request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum WebhookMethod {
    /// `GET`.
    Get,
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}
