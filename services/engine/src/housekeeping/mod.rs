//! What is done for tenants beside the events: applying retention, and erasing a tenant when asked.
//!
//! One engine at a time keeps house, by a lease in the broker. All of it may be repeated and stopped anywhere, so two at
//! once, which a lease cannot wholly exclude, do no harm.

mod erase;
mod lease;
pub mod order;
mod retention;

use std::{convert::Infallible, time::Duration};

use async_nats::jetstream::kv::Operation;
use bus::{Backoff, Bus, topology::ERASURES};
use catalog::Catalog;
use futures::StreamExt as _;
use runtime::{lifecycle::Shutdown, metrics::Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Stores;

use self::{lease::Lease, order::Order};

/// How house is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HousekeepingOptions {
    /// How often tenants' retention is applied, in seconds; 0: never.
    pub retention_interval_seconds: u64,
    /// How long the doors have to hear that a tenant is disabled, and to finish the requests they are at, before its
    /// erasure begins, in milliseconds.
    pub erasure_settle_ms: u64,
}

impl Default for HousekeepingOptions {
    fn default() -> Self {
        Self { retention_interval_seconds: 3_600, erasure_settle_ms: 5_000 }
    }
}

/// Something does not answer; trying again is right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Broker(String),
    #[error(transparent)]
    Bus(#[from] bus::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
}

impl Error {
    fn broker(error: impl std::fmt::Display) -> Self {
        Self::Broker(format!("the broker does not answer: {error}"))
    }
}

/// Keeps house while it holds the lease. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Housekeeper {
    pub(crate) options: HousekeepingOptions,
    pub(crate) bus: Bus,
    pub(crate) catalog: Catalog,
    pub(crate) stores: Stores,
}

impl Housekeeper {
    pub(crate) fn new(options: HousekeepingOptions, bus: Bus, catalog: Catalog, stores: Stores) -> Self {
        // They are seen at 0 from the start.
        for result in ["done", "failed"] {
            drop(runtime::metrics::counter(Metric::HousekeepingExpirations, &[result]));
            drop(runtime::metrics::counter(Metric::HousekeepingErasures, &[result]));
        }
        Self { options, bus, catalog, stores }
    }

    /// Until it is told to stop.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        loop {
            let ended = tokio::select! {
                () = shutdown.draining.cancelled() => return,
                Err(ended) = self.keep_house() => ended,
            };
            tracing::debug!(reason = %ended, "housekeeping interrupted, beginning anew");
            tokio::select! {
                () = shutdown.draining.cancelled() => return,
                () = backoff.wait() => {}
            }
        }
    }

    async fn keep_house(&self) -> Result<Infallible, Error> {
        let lease = Lease::take(&self.bus).await?;
        tokio::select! {
            lost = lease.keep() => lost,
            failed = self.work() => failed,
        }
    }

    async fn work(&self) -> Result<Infallible, Error> {
        let store = self.bus.jetstream().get_key_value(ERASURES).await.map_err(Error::broker)?;
        let mut orders = store.watch_with_history(">").await.map_err(Error::broker)?;
        let seconds = self.options.retention_interval_seconds;
        // A century is never.
        let every = Duration::from_secs(if seconds == 0 { 100 * 365 * 86_400 } else { seconds });
        let mut retention = tokio::time::interval(every);
        retention.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if seconds == 0 {
            retention.reset();
        }
        loop {
            tokio::select! {
                _ = retention.tick() => {
                    self.apply_retention().await;
                    self.purge_deleted().await;
                }
                entry = orders.next() => match entry {
                    Some(Ok(entry)) if entry.operation == Operation::Put => {
                        match Order::read(&entry.value) {
                            Ok(order) if !order.step.is_final() => {
                                // Each step that is written down comes back here. Taken for an order, it would be carried
                                // out again, also on a tenant of that name that was made since.
                                if order::last_revision(&store, &entry.key).await? == entry.revision {
                                    self.erase(&store, order).await?;
                                }
                            }
                            Ok(_) => {}
                            Err(error) => tracing::error!(key = entry.key, %error, "unreadable order to erase a tenant"),
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(Error::broker(error)),
                    None => return Err(Error::broker("the watch of orders ended")),
                },
            }
        }
    }
}
