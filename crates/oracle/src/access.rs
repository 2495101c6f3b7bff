//! Where a fleet is, and who asks.

use std::fmt;

use serde::Deserialize;

/// How to reach a fleet as one of its tenants: what the context file of `eventrunner up` says.
#[derive(Clone, Deserialize)]
pub struct Access {
    /// Where events are sent.
    pub url: String,
    /// Where they are read.
    pub api_url: String,
    /// The broker: one address or several, separated by commas.
    pub nats_url: String,
    /// Whose events they are.
    pub tenant: String,
    /// A key of that tenant's that may publish and read.
    pub key: String,
    /// Metrics and health of the process that was started first; empty where nobody said it.
    #[serde(default)]
    pub admin_url: String,
    /// The gRPC door, where somebody said it.
    #[serde(skip)]
    pub grpc_url: Option<String>,
}

impl Access {
    /// The broker's nodes.
    #[must_use]
    pub fn brokers(&self) -> Vec<String> {
        self.nats_url.split(',').map(|url| url.trim().to_owned()).collect()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("url", &self.url).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
