//! The stores, as the configuration names them.

use std::sync::{Arc, OnceLock};

use catalog::Catalog;
use secrecy::SecretString;
use serde_json::{Value, json};
use store::{
    EraseAll, Error, Retention, Stores,
    clickhouse::ClickHouse,
    cql::Cql,
    embedded::Embedded,
    migration::{Mode, Report},
};

use crate::{
    config::{Config, StoreKind},
    exit::{Code, Failure, Result},
};

/// The stores of a process, open.
#[derive(Debug, Clone)]
pub(crate) enum OpenStores {
    /// Of this process alone.
    Embedded(Embedded),
    /// Shared by any number of processes.
    External(Stores),
}

/// The catalog, as soon as there is one: stores open before it, and write after.
pub(crate) type LateCatalog = Arc<OnceLock<Catalog>>;

impl OpenStores {
    /// Opens them. External ones are waited for as long as their options say.
    pub(crate) async fn open(config: &Config, catalog: &LateCatalog) -> Result<Self> {
        match config.store.kind {
            StoreKind::Embedded => open_embedded(config).await.map(Self::Embedded),
            StoreKind::External => {
                let retention = retention(catalog);
                let opening = async {
                    tokio::try_join!(
                        Cql::open(cql_options(config), retention),
                        ClickHouse::open(clickhouse_options(config))
                    )
                };
                let (events, usage) = opening.await.map_err(|error| not_open(&error))?;
                let (events, usage) = (Arc::new(events), Arc::new(usage));
                let erasure = EraseAll::new([Arc::clone(&events) as _, Arc::clone(&usage) as _]);
                Ok(Self::External(Stores::separate(events, usage, Arc::new(erasure))))
            }
        }
    }

    /// The ports.
    pub(crate) fn stores(&self) -> Stores {
        match self {
            Self::Embedded(embedded) => embedded.stores(),
            Self::External(stores) => stores.clone(),
        }
    }

    /// Finishes what is queued.
    pub(crate) async fn close(&self) {
        if let Self::Embedded(embedded) = self {
            embedded.close().await;
        }
    }
}

/// How long each tenant's events are kept. What is not known yet is kept.
fn retention(catalog: &LateCatalog) -> Retention {
    let catalog = Arc::clone(catalog);
    Arc::new(move |tenant| catalog.get()?.snapshot().tenant(tenant)?.retention())
}

fn cql_options(config: &Config) -> store::cql::Options {
    let password = config.store.cql_password.expose().map(SecretString::from);
    store::cql::Options { password, ..config.store.cql.clone() }
}

fn clickhouse_options(config: &Config) -> store::clickhouse::Options {
    let password = config.store.clickhouse_password.expose().map(SecretString::from);
    store::clickhouse::Options { password, ..config.store.clickhouse.clone() }
}

fn not_open(error: &Error) -> Failure {
    match error {
        Error::Unavailable(_) => Failure::unavailable(error.to_string()),
        _ => Failure::failed(error.to_string()),
    }
    .hint("the stores are named in the section store of the configuration; check with: eventrunner config print")
}

async fn open_embedded(config: &Config) -> Result<Embedded> {
    let folder = config.store_folder()?;
    let options = config.store.embedded.clone();
    Embedded::open(folder.clone(), config.topology.durability, options).await.map_err(|error| {
        let message = error.to_string();
        let code = if message.contains("in use") { Code::CannotTake } else { Code::Failed };
        let failure = Failure::new(code, message);
        match code {
            Code::CannotTake => failure.hint(
                "the embedded store belongs to one process: engine and api share it in `eventrunner up`;\n\
                 as processes of their own they need stores that can be shared (store.kind = \"external\")",
            ),
            _ => failure,
        }
    })
}

/// Brings the schemas of external stores to the version this program works with, or says what is missing. The embedded store
/// looks after itself when it is opened.
pub(crate) async fn migrate(config: &Config, mode: Mode) -> Result<Vec<(&'static str, Report)>> {
    if config.store.kind == StoreKind::Embedded {
        return Ok(Vec::new());
    }
    let failed = |error: Error| not_open(&error);
    let cql = store::cql::migrations::migrate(&cql_options(config), mode).await.map_err(failed)?;
    let options = clickhouse_options(config);
    let clickhouse = store::clickhouse::migrations::migrate(&options, mode).await.map_err(failed)?;
    Ok(vec![("cql", cql), ("clickhouse", clickhouse)])
}

/// A report for people and programs.
pub(crate) fn report_json(name: &str, report: &Report) -> Value {
    let pending: Vec<Value> = report
        .pending
        .iter()
        .map(|p| json!({"version": p.version, "name": p.name, "statements": p.statements}))
        .collect();
    json!({"store": name, "current": report.current, "target": report.target, "pending": pending})
}
