//! The connection to the broker.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{ServerAddr, jetstream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use runtime::lifecycle::Context;
use tokio::sync::watch;

use crate::{Error, chain};

/// Where the broker is and how to talk to it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Comma-separated `nats://` or `tls://` addresses of one cluster.
    pub url: String,
    /// A NATS credentials file, if the broker wants one.
    pub credentials_file: Option<PathBuf>,
    /// How long a request to the broker, and an acknowledgement by it, may take before it counts as away.
    pub request_timeout_ms: u64,
    /// Publishes that may await their acknowledgement on this connection.
    pub unacknowledged_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials_file: None,
            request_timeout_ms: 5_000,
            unacknowledged_max: 65_536,
        }
    }
}

impl Options {
    /// Each address.
    fn addresses(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(str::trim)
    }

    /// Each address, if all are such.
    pub(crate) fn servers(&self) -> Option<Vec<ServerAddr>> {
        self.addresses().map(|address| address.parse().ok()).collect()
    }
}

/// The state of the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Link {
    up: bool,
    /// How often it has been lost.
    losses: u64,
}

/// A connection that heals itself: when the broker goes away, it is looked for without end. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    jetstream: jetstream::Context,
    request_timeout: Duration,
    link: watch::Receiver<Link>,
    options: Arc<Options>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl Bus {
    /// Connects once; afterwards the connection is kept up by itself.
    ///
    /// # Errors
    /// If there is no broker at the address now, or the credentials file cannot be read.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let failed = |reason: String| Error::Connect { url: options.url.clone(), reason };
        let (state, link) = watch::channel(Link { up: true, losses: 0 });
        let mut connect = async_nats::ConnectOptions::new()
            .name("eventrunner")
            .client_capacity(4_096)
            .subscription_capacity(65_536)
            .ping_interval(Duration::from_secs(10))
            .reconnect_delay_callback(|attempt| {
                let doubled = 50_u64.saturating_mul(1 << attempt.min(6));
                Duration::from_millis(doubled.min(2_000))
            })
            .event_callback(move |event| {
                match event {
                    async_nats::Event::Connected => {
                        tracing::info!("broker connected");
                        state.send_modify(|link| link.up = true);
                    }
                    async_nats::Event::Disconnected => {
                        tracing::warn!("broker disconnected");
                        state.send_modify(|link| *link = Link { up: false, losses: link.losses + 1 });
                    }
                    other => tracing::debug!(event = %other, "broker event"),
                }
                std::future::ready(())
            });
        if let Some(file) = &options.credentials_file {
            connect = connect.credentials_file(file).await.map_err(|e| {
                failed(format!("the credentials file {} cannot be used: {e}", file.display()))
            })?;
        }
        let servers: Vec<&str> = options.addresses().collect();
        let client = connect.connect(servers).await.map_err(|e| failed(chain(&e)))?;
        let request_timeout = Duration::from_millis(options.request_timeout_ms);
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(request_timeout)
            .ack_timeout(request_timeout)
            .max_ack_inflight(options.unacknowledged_max)
            .build(client.clone());
        Ok(Self { client, jetstream, request_timeout, link, options: Arc::new(options.clone()) })
    }

    /// What it was connected with.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The NATS client.
    #[must_use]
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// The JetStream context.
    #[must_use]
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// How long the broker may take to answer.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Whether the broker is connected at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Makes the broker a component of the process's health: not ready while it is away.
    pub fn report_health(&self, context: &Context) {
        let health = context.health().component("broker");
        let mut link = self.link.clone();
        let draining = context.shutdown().draining.clone();
        health.started();
        context.spawn(async move {
            loop {
                let up = link.borrow_and_update().up;
                health.ready(up, "the broker is away");
                tokio::select! {
                    changed = link.changed() => if changed.is_err() { return },
                    () = draining.cancelled() => return,
                }
            }
        });
    }

    /// Ends when the connection that is up now is lost, however short the loss. Call it when the work that depends on
    /// the connection begins, and await what it returns.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut link = self.link.clone();
        let losses = link.borrow_and_update().losses;
        async move {
            // An error means that the client itself is gone.
            let _ = link.wait_for(|now| now.losses != losses).await;
        }
    }

    /// The largest message the broker takes, in bytes.
    #[must_use]
    pub fn message_bytes_max(&self) -> usize {
        self.client.server_info().max_payload
    }

    /// Sends what is buffered and closes.
    pub async fn close(&self) {
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "broker connection was closed already");
        }
    }
}
