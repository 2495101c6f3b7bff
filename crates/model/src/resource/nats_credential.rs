//! What a tenant's NATS clients log in to the broker with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Meta;
use crate::{NatsCredentialId, TenantId};

/// A credentials file with which a tenant's NATS clients read its stream, by a consumer of their own. The file is shown once and
/// not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NatsCredential {
    /// The tenant whose stream it reads.
    pub tenant: TenantId,
    /// Its id, which is part of its consumer's name.
    pub id: NatsCredentialId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// Where its consumer begins.
    #[serde(default)]
    pub begin: Begin,
    /// The public half of the key that vouches for the file. Nobody has the other half any more.
    pub signing_key: String,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Begin {
    /// With the oldest that the stream holds.
    #[default]
    Start,
    /// With what comes from now on.
    New,
}
