//! Where a fleet is, and who asks.

use std::{fmt, path::PathBuf};

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions, ServerAddr};
use serde::{Deserialize, Serialize};

/// How to reach a fleet as one of its tenants: what the context file of `eventrunner up` says.
#[derive(Clone, Serialize, Deserialize)]
pub struct Access {
    /// Where events are sent.
    pub url: String,
    /// Where they are read.
    pub api_url: String,
    /// The broker: one address or several, separated by commas.
    pub nats_url: String,
    /// What the broker is shown, where it wants to see something.
    #[serde(default)]
    pub nats_credentials_file: Option<PathBuf>,
    /// Who vouches for the broker, where it speaks TLS.
    #[serde(default)]
    pub nats_ca_file: Option<PathBuf>,
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
    /// A connection to the broker, as the fleet itself has one.
    ///
    /// # Errors
    /// If there is no broker, or it refuses.
    pub async fn broker(&self, options: ConnectOptions) -> anyhow::Result<Client> {
        let nodes = self.nats_url.split(',').map(|url| url.trim().parse::<ServerAddr>());
        let nodes = nodes.collect::<Result<Vec<_>, _>>().context("the broker's address is none")?;
        let mut options = options;
        if let Some(file) = &self.nats_credentials_file {
            options = options.credentials_file(file).await?;
        }
        if let Some(file) = &self.nats_ca_file {
            options = options.require_tls(true).add_root_certificates(file.clone());
        }
        if let Some((user, password)) = nodes.iter().find_map(|node| node.username().zip(node.password())) {
            options = options.user_and_password(user.to_owned(), password.to_owned());
        }
        options.connect(nodes).await.context("no broker where it should be")
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("url", &self.url).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
