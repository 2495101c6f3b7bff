//! Where events are fetched from, instead of being sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Meta, yes};
use crate::{FeedId, SourceId, SystemId, TenantId};

/// Where events of a system are fetched from. Kept; nothing follows it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Feed {
    /// Whose it is.
    pub tenant: TenantId,
    /// The system whose events they are.
    pub system: SystemId,
    /// Its id, unique within the tenant.
    pub id: FeedId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// What is at the other end.
    #[serde(rename = "type")]
    pub kind: FeedKind,
    /// The other end's address.
    pub endpoint: String,
    /// The source whose mapping makes events of what comes; none: it is taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceId>,
    /// Whether it is to be followed.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// What is at the other end of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// A node of a Substrate chain: `ws` or `wss`.
    Substrate,
    /// A node of an Ethereum chain: `ws` or `wss`.
    Ethereum,
    /// A broker that speaks MQTT: `mqtt` or `mqtts`.
    Mqtt,
}

impl FeedKind {
    /// The schemes its address may have.
    #[must_use]
    pub const fn schemes(self) -> [&'static str; 2] {
        match self {
            Self::Substrate | Self::Ethereum => ["ws", "wss"],
            Self::Mqtt => ["mqtt", "mqtts"],
        }
    }
}
