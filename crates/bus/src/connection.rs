//! The connection to the broker.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{ConnectErrorKind, ServerAddr, jetstream};
use runtime::{
    config::{Secret, without_passwords},
    lifecycle::Context,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};

use crate::{Error, chain, login::Login, tls::Tls};

/// Where the broker is and how to talk to it. At most one login: `user`, `token`, `nkey_seed`, `credentials_file`, or one in `url`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Comma-separated `nats://` or `tls://` addresses of one cluster. `tls://` refuses a broker without TLS.
    pub url: String,
    /// The user; empty where the broker asks for none.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// A token, where the broker wants one instead of a user.
    pub token: Secret,
    /// The seed of an nkey (`SU…`), where the broker knows the fleet by its public half.
    pub nkey_seed: Secret,
    /// A NATS credentials file, where the broker wants a JWT. Read again for each connection.
    pub credentials_file: Option<PathBuf>,
    /// PEM file of the certificate authorities to trust, the machine's own when absent. With it a broker without TLS is refused.
    pub tls_ca_file: Option<PathBuf>,
    /// PEM file of the certificate to show, where the broker wants one, with those that vouch for it.
    pub tls_certificate_file: Option<PathBuf>,
    /// PEM file of its private key.
    pub tls_key_file: Option<PathBuf>,
    /// How long a request to the broker, and an acknowledgement by it, may take before it counts as away.
    pub request_timeout_ms: u64,
    /// Publishes that may await their acknowledgement on this connection.
    pub unacknowledged_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            user: String::new(),
            password: Secret::default(),
            token: Secret::default(),
            nkey_seed: Secret::default(),
            credentials_file: None,
            tls_ca_file: None,
            tls_certificate_file: None,
            tls_key_file: None,
            request_timeout_ms: 5_000,
            unacknowledged_max: 65_536,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("url", &self.shown_url()).finish_non_exhaustive()
    }
}

impl Options {
    /// The addresses without a login that may be in them.
    #[must_use]
    pub fn shown_url(&self) -> String {
        without_passwords(&self.url)
    }

    /// Each address.
    pub(crate) fn servers(&self) -> Result<Vec<ServerAddr>, Error> {
        let parse = |address: &str| {
            address.trim().parse().map_err(|e| Error::Login(format!("nats.url is no address: {e}")))
        };
        self.url.split(',').map(parse).collect()
    }

    /// Whether a broker without TLS is refused.
    pub(crate) fn tls_required(&self) -> bool {
        self.url.contains("tls://") || self.tls_ca_file.is_some() || self.tls_certificate_file.is_some()
    }
}

/// How the broker is reached, for each connection to it.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) servers: Vec<ServerAddr>,
    pub(crate) login: Login,
    pub(crate) tls: Tls,
}

/// The state of the connection.
#[derive(Debug, Clone, Copy)]
struct Link {
    up: bool,
    /// How often it has been lost.
    losses: u64,
    /// When it was lost last.
    lost_at: Instant,
}

/// A connection that heals itself: when the broker goes away, it is looked for without end. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    client: async_nats::Client,
    jetstream: jetstream::Context,
    request_timeout: Duration,
    link: watch::Receiver<Link>,
    way: Arc<Way>,
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
    /// If there is no broker at the address now, it refuses the login, or what is to be shown or trusted cannot be read.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let servers = options.servers()?;
        let way = Way { login: Login::new(options, &servers)?, tls: Tls::new(options)?, servers };
        let (state, link) = watch::channel(Link { up: true, losses: 0, lost_at: Instant::now() });
        let connect = Tls::apply(options, way.login.connect_options())
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
                        state.send_modify(|link| {
                            // It may be told again while it is away.
                            let lost_at = if link.up { Instant::now() } else { link.lost_at };
                            *link = Link { up: false, losses: link.losses + 1, lost_at };
                        });
                    }
                    other => tracing::debug!(event = %other, "broker event"),
                }
                std::future::ready(())
            });
        let client = connect.connect(&way.servers[..]).await.map_err(|e| refusal(options, &e))?;
        let request_timeout = Duration::from_millis(options.request_timeout_ms);
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(request_timeout)
            .ack_timeout(request_timeout)
            .max_ack_inflight(options.unacknowledged_max)
            .build(client.clone());
        Ok(Self { client, jetstream, request_timeout, link, way: Arc::new(way) })
    }

    /// How it was reached.
    pub(crate) fn way(&self) -> &Arc<Way> {
        &self.way
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

    /// Whether the broker is connected, or is again within `patience` of having been lost: if only the node ended that this
    /// process was connected to, another answers in a moment.
    pub async fn is_back(&self, patience: Duration) -> bool {
        if self.is_connected() {
            return true;
        }
        let mut link = self.link.clone();
        let until = link.borrow().lost_at + patience;
        tokio::time::timeout_at(until, link.wait_for(|now| now.up)).await.is_ok_and(|up| up.is_ok())
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
        self.client.max_payload()
    }

    /// Sends what is buffered and closes.
    pub async fn close(&self) {
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "broker connection was closed already");
        }
    }
}

/// Why there is no connection. A login that is refused is refused again tomorrow: it is told apart from a broker that is away.
fn refusal(options: &Options, error: &async_nats::ConnectError) -> Error {
    let url = options.shown_url();
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => Error::Login(format!(
            "the broker at {url} refuses the login; see nats.user, nats.token, nats.nkey_seed and nats.credentials_file"
        )),
        _ => Error::Connect { url, reason: chain(error) },
    }
}
