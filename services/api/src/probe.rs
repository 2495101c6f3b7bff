//! Whether what the service depends on answers.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use model::TenantId;
use serde::Serialize;
use store::{EventQuery, UsageQuery};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::app::App;

/// How long a dependency may take to be up.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer is given again: nobody needs a key to ask.
const FRESH: Duration = Duration::from_secs(1);
/// How old the news of tenants and keys may be: a revoked key is believed as long.
const CATALOG_AGE: Duration = Duration::from_secs(30);
/// The tenant asked for. Any does: the question selects nothing.
const NOBODY: &str = "health-probe";

/// The last answers, and since when they hold.
#[derive(Debug, Default)]
pub(crate) struct Probes(Mutex<Option<(Instant, Vec<Dependency>)>>);

/// One thing the service depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Dependency {
    /// `broker`, `catalog`, `event_store`, `usage_store`, `authorizer`.
    pub(crate) name: &'static str,
    /// Which one, of those there may be: of the authorizer `embedded` or `keto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) kind: Option<&'static str>,
    /// `UP` or `DOWN`.
    pub(crate) status: &'static str,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reason: Option<String>,
    /// How long it took to answer.
    pub(crate) latency_ms: u64,
}

impl Dependency {
    pub(crate) fn is_up(&self) -> bool {
        self.status == "UP"
    }
}

/// Asks each dependency, at most once a second however many ask.
pub(crate) async fn dependencies(app: &App) -> Vec<Dependency> {
    let mut last = app.probes.0.lock().await;
    if let Some((at, answers)) = &*last
        && at.elapsed() < FRESH
    {
        return answers.clone();
    }
    let answers = ask(app).await;
    *last = Some((Instant::now(), answers.clone()));
    answers
}

async fn ask(app: &App) -> Vec<Dependency> {
    let broker = probe("broker", async {
        if !app.bus.is_connected() {
            return Err("not connected");
        }
        app.bus.jetstream().query_account().await.map(drop).map_err(|_| "does not answer")
    });
    let Ok(nobody) = NOBODY.parse::<TenantId>() else { return vec![broker.await] };
    let events = probe("event_store", async {
        let query = EventQuery { since_us: Some(0), until_us: Some(0), limit: 1, ..Default::default() };
        app.stores.events.page(&nobody, &query).await.map(drop).map_err(|e| reason(&e))
    });
    let usage = probe("usage_store", async {
        let query = UsageQuery { since_us: Some(0), until_us: Some(0), limit: 1, ..Default::default() };
        app.stores.usage.list(&nobody, &query).await.map(drop).map_err(|e| reason(&e))
    });
    let catalog =
        probe("catalog", async { app.catalog.fresh(CATALOG_AGE).map_err(|_| "has not heard of changes") });
    let authorizer =
        probe("authorizer", async { app.authority.probe().await.map_err(|_| "does not answer") });
    let (broker, catalog, events, usage, authorizer) =
        tokio::join!(broker, catalog, events, usage, authorizer);
    let authorizer = Dependency { kind: Some(app.authority.kind().as_str()), ..authorizer };
    vec![broker, catalog, events, usage, authorizer]
}

/// Without what the error says of hosts and folders: anyone may read it.
fn reason(error: &store::Error) -> &'static str {
    match error {
        store::Error::Full(_) => "its disk is full",
        store::Error::Corrupt(_) => "holds something unreadable",
        store::Error::Unavailable(_)
        | store::Error::Open(_)
        | store::Error::BadCursor(_)
        | store::Error::Invalid(_) => "does not answer",
    }
}

async fn probe(name: &'static str, answer: impl Future<Output = Result<(), &'static str>>) -> Dependency {
    let asked = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, answer).await.unwrap_or(Err("does not answer in time"));
    Dependency {
        name,
        kind: None,
        status: if outcome.is_ok() { "UP" } else { "DOWN" },
        reason: outcome.err().map(str::to_owned),
        latency_ms: u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
