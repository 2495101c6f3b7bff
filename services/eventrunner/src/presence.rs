//! Every process of a fleet says on the broker that it is there, and how it is, when `eventrunner doctor` asks: so a cluster needs
//! no list of its pods, and what answers is what runs.

use std::time::Duration;

use bus::Bus;
use futures::StreamExt as _;
use model::{Clock as _, Micros, SystemClock};
use runtime::{health::Health, lifecycle::Context};
use serde::{Deserialize, Serialize};
use store::migration::Mode;

use crate::{
    config::{Config, StoreKind},
    services::Ground,
    stores,
    up::folder,
};

/// Where it is asked, in the fleet's own account.
pub(crate) const SUBJECT: &str = "eventrunner.internal.presence";
/// How long the stores may take to tell the version of their schemas.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(4);

/// What is asked.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// Whether whoever knows the stores looks at their schemas, too.
    pub(crate) schemas: bool,
}

/// A process of the fleet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Presence {
    /// The subcommand; `up` where it is all of them.
    pub(crate) service: String,
    pub(crate) version: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) ready: bool,
    /// Why not.
    pub(crate) hindrances: Vec<String>,
    /// Age of the oldest work that waits.
    pub(crate) oldest_work_age_ms: i64,
    /// By its clock.
    pub(crate) now_us: Micros,
    /// Room for the embedded store, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) free_bytes: Option<u64>,
    /// How the schemas of external stores are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) schemas: Vec<Schema>,
}

/// The schema of a store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub(crate) store: String,
    /// Versions that are missing; none: it is as that process needs it.
    pub(crate) pending: usize,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Answers until the process drains.
pub(crate) fn start(ground: &Ground, service: &'static str, context: &Context) {
    let (bus, config) = (ground.bus.clone(), ground.config.clone());
    let (health, draining) = (context.health().clone(), context.shutdown().draining.clone());
    context.spawn(async move {
        let mut asked = match bus.client().subscribe(SUBJECT).await {
            Ok(asked) => asked,
            Err(error) => return tracing::warn!(%error, "the doctor will not see this process"),
        };
        loop {
            let message = tokio::select! {
                () = draining.cancelled() => return,
                message = asked.next() => message,
            };
            let Some(message) = message else { return };
            let Some(to) = message.reply else { continue };
            let ask: Ask = serde_json::from_slice(&message.payload).unwrap_or_default();
            answer(&bus, to, presence(service, &config, &health, ask).await).await;
        }
    });
}

async fn answer(bus: &Bus, to: async_nats::Subject, presence: Presence) {
    let Ok(body) = serde_json::to_vec(&presence) else { return };
    if let Err(error) = bus.client().publish(to, body.into()).await {
        tracing::debug!(%error, "could not say that this process is there");
    }
}

async fn presence(service: &str, config: &Config, health: &Health, ask: Ask) -> Presence {
    let report = health.ready();
    let knows_stores = ["api", "up"].contains(&service);
    let schemas = if ask.schemas && knows_stores { schemas(config).await } else { Vec::new() };
    let is_embedded = knows_stores && config.store.kind == StoreKind::Embedded;
    let hindrances = report.components.iter().filter(|c| !c.ok);
    Presence {
        service: service.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default(),
        pid: std::process::id(),
        ready: report.ok,
        hindrances: hindrances
            .map(|c| format!("{}: {}", c.name, c.reason.as_deref().unwrap_or("not ready")))
            .collect(),
        oldest_work_age_ms: report.components.iter().filter_map(|c| c.oldest_work_age_ms).max().unwrap_or(0),
        free_bytes: is_embedded
            .then(|| config.store_folder().and_then(|folder| folder::free_bytes(&folder)).ok())
            .flatten(),
        schemas,
        // Last: what came before took its time.
        now_us: SystemClock.now(),
    }
}

async fn schemas(config: &Config) -> Vec<Schema> {
    let unknown = |error: String| vec![Schema { store: "stores".to_owned(), pending: 0, error: Some(error) }];
    match tokio::time::timeout(SCHEMA_TIMEOUT, stores::migrate(config, Mode::Check)).await {
        Err(_) => unknown("they do not answer".to_owned()),
        Ok(Err(failure)) => unknown(failure.message),
        Ok(Ok(reports)) => reports
            .into_iter()
            .map(|(store, report)| Schema {
                store: store.to_owned(),
                pending: report.pending.len(),
                error: None,
            })
            .collect(),
    }
}
