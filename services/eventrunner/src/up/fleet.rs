//! Every service of a fleet in this process: started front to back once the broker is there, stopped in the order
//! in which events flow, so that what was accepted is worked off as far as the time allows.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bus::Bus;
use catalog::Catalog;
use futures::{FutureExt as _, future::select_all};
use runtime::{
    health::Health,
    lifecycle::{Context, Failure as TaskFailure, Shutdown, StopOptions},
};
use store::{Stores, embedded::Embedded, migration::Mode};

use crate::{
    config::Config,
    durability,
    exit::Result,
    presence,
    services::{self, Ground},
    stores::{self, LateCatalog, OpenStores},
    up::interior::Interior,
};

/// How long each part may take to finish what is in flight.
const PART_DRAIN: Duration = Duration::from_secs(8);
const PART_ABORT: Duration = Duration::from_secs(2);

/// The running services.
pub(crate) struct Fleet {
    /// Doors with billing, which goes through one, normalizer, engine, API: in the order in which they stop.
    parts: [Context; 4],
    store: OpenStores,
    pub(crate) catalog: Catalog,
    pub(crate) bus: Bus,
    interior: Interior,
    pub(crate) partitions: u32,
    pub(crate) addresses: Addresses,
}

/// Where the services listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) api: SocketAddr,
}

impl Addresses {
    /// Starts the services, back to front: when a door opens, what comes through finds everything there.
    async fn of_started(
        ground: &Ground,
        interior: &Interior,
        stores: &Stores,
        parts: &[Context; 4],
    ) -> Result<Self> {
        let [doors, normalizer, engine, api] = parts;
        let sealer = Arc::new(ground.config.sealer()?);
        // It stops last.
        presence::start(ground, "up", api);
        let api = services::start_api(ground, stores, Arc::clone(&sealer), api).await?;
        let inner = Ground { bus: interior.bus.clone(), ..ground.clone() };
        let billed = stores;
        let (stores, engine, normalizer) = (stores.clone(), engine.clone(), normalizer.clone());
        let starting = async move {
            services::start_engine(&inner, &stores, &engine).await?;
            services::start_normalizer(&inner, &normalizer).await
        };
        interior.run(starting).await?;
        let door = services::start_door(ground);
        let grpc = services::start_ingest_grpc(ground, &door, doors).await?;
        services::start_billing(ground, billed, &door, doors)?;
        let http = services::start_ingest_http(ground, &door, sealer, doors).await?;
        Ok(Self { http, grpc, api })
    }
}

impl Fleet {
    /// Makes the streams and the catalog, opens the store, starts the services.
    pub(crate) async fn start(config: Config, health: &Health) -> Result<Self> {
        let bus = services::connect(&config.nats).await?;
        durability::check(&config).await?;
        let topology = services::make_streams(&bus, &config).await?;
        let catalog = services::open_catalog(&bus, &config).await;
        stores::migrate(&config, Mode::Apply).await?;
        let interior = Interior::start(&config.nats).await?;
        let (settings, late) = (config.clone(), LateCatalog::new(catalog.clone().into()));
        let store = interior.run(async move { OpenStores::open(&settings, &late).await }).await?;
        let ground = Ground::new(config, bus.clone(), topology, catalog.clone());
        let parts = std::array::from_fn(|_| Context::new(health.clone()));
        match Addresses::of_started(&ground, &interior, &store.stores(), &parts).await {
            Ok(addresses) => {
                let partitions = topology.partitions;
                Ok(Self { parts, store, catalog, bus, interior, partitions, addresses })
            }
            Err(failure) => {
                stop_parts(&parts).await;
                store.close().await;
                interior.close().await;
                bus.close().await;
                Err(failure)
            }
        }
    }

    /// The store, if it is this process's own.
    pub(crate) fn embedded(&self) -> Option<Embedded> {
        match &self.store {
            OpenStores::Embedded(embedded) => Some(embedded.clone()),
            OpenStores::External(_) => None,
        }
    }

    /// Runs until `shutdown` drains or a service fails, then stops all.
    ///
    /// # Errors
    /// The first service that failed.
    pub(crate) async fn run(self, shutdown: Shutdown) -> std::result::Result<(), TaskFailure> {
        let failure = run_parts(&self.parts, &shutdown).await;
        self.store.close().await;
        self.interior.close().await;
        self.bus.close().await;
        failure.map_or(Ok(()), Err)
    }
}

/// Waits for the end, then stops one part after the other. Gives the first failure.
async fn run_parts(parts: &[Context], shutdown: &Shutdown) -> Option<TaskFailure> {
    let failure = {
        let failed = select_all(parts.iter().map(|part| Box::pin(part.failed())));
        tokio::select! {
            () = shutdown.draining.cancelled() => None,
            (failure, ..) = failed => Some(failure),
        }
    };
    tokio::select! {
        () = stop_parts(parts) => {}
        () = shutdown.aborting.cancelled() => parts.iter().for_each(|part| part.shutdown().abort()),
    }
    // A part may also fail on its way out.
    failure.or_else(|| parts.iter().find_map(|part| part.failed().now_or_never()))
}

async fn stop_parts(parts: &[Context]) {
    let options = StopOptions { drain_timeout: PART_DRAIN, abort_timeout: PART_ABORT };
    for part in parts {
        part.stop(&options).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A part that notes when it has ended.
    fn part(name: &'static str, ended: &Arc<Mutex<Vec<&'static str>>>) -> Context {
        let part = Context::new(Health::default());
        let (draining, ended) = (part.shutdown().draining.clone(), Arc::clone(ended));
        part.spawn_critical(name, async move {
            draining.cancelled().await;
            tokio::task::yield_now().await;
            ended.lock().unwrap().push(name);
            Ok::<(), String>(())
        });
        part
    }

    #[tokio::test]
    async fn parts_stop_in_the_order_in_which_events_flow() {
        let ended = Arc::default();
        let parts = ["doors", "normalizer", "engine", "api"].map(|name| part(name, &ended));
        let shutdown = Shutdown::new();
        shutdown.drain();
        assert_eq!(run_parts(&parts, &shutdown).await, None);
        assert_eq!(*ended.lock().unwrap(), ["doors", "normalizer", "engine", "api"]);
    }

    #[tokio::test]
    async fn a_part_that_fails_stops_all_and_is_named() {
        let ended = Arc::default();
        let parts = ["doors", "engine"].map(|name| part(name, &ended));
        parts[1].spawn_critical("broken", async { Err("it broke") });
        let failure = run_parts(&parts, &Shutdown::new()).await.unwrap();
        assert_eq!((failure.task.as_str(), failure.reason.as_str()), ("broken", "it broke"));
        assert_eq!(*ended.lock().unwrap(), ["doors", "engine"]);
    }

    #[tokio::test]
    async fn an_abort_waits_for_nobody() {
        let stuck = Context::new(Health::default());
        stuck.spawn_critical("stuck", std::future::pending::<std::result::Result<(), String>>());
        let shutdown = Shutdown::new();
        shutdown.abort();
        assert_eq!(run_parts(&[stuck], &shutdown).await, None);
    }
}
