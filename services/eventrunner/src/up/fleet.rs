//! Every service of a fleet in this process: started front to back once the broker is there, stopped in the order
//! in which events flow, so that what was accepted is worked off as far as the time allows.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bus::Bus;
use catalog::Catalog;
use futures::future::select_all;
use runtime::{
    health::Health,
    lifecycle::{Context, Failure as TaskFailure, Shutdown, StopOptions},
};
use store::embedded::Embedded;

use crate::{
    config::Config,
    durability,
    exit::Result,
    services::{self, Ground},
};

/// How long each part may take to finish what is in flight.
const PART_DRAIN: Duration = Duration::from_secs(8);
const PART_ABORT: Duration = Duration::from_secs(2);

/// The running services.
pub(crate) struct Fleet {
    /// In the order in which they stop.
    parts: Vec<Context>,
    store: Embedded,
    pub(crate) catalog: Catalog,
    pub(crate) bus: Bus,
    pub(crate) partitions: u32,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) api: SocketAddr,
}

impl Fleet {
    /// Makes the streams and the catalog, opens the store, starts the services.
    pub(crate) async fn start(config: Config, health: &Health) -> Result<Self> {
        let bus = services::connect(&config.nats).await;
        durability::check(&config).await?;
        let topology = services::make_streams(&bus, &config).await?;
        let catalog = Catalog::open(bus.jetstream().clone(), config.catalog.clone()).await;
        let sealer = Arc::new(config.sealer()?);
        let store = services::open_store(&config).await?;
        let stores = store.stores();
        let ground = Ground::new(config, bus, topology, catalog);

        let [doors, normalizer, engine, api] = std::array::from_fn(|_| Context::new(health.clone()));
        // Back to front: when a door opens, what comes through finds everything there.
        let api_address = services::start_api(&ground, &stores, &api).await?;
        services::start_engine(&ground, &stores, &engine).await?;
        services::start_normalizer(&ground, &normalizer).await?;
        let door = services::start_door(&ground);
        let grpc = services::start_ingest_grpc(&ground, &door, &doors).await?;
        let http = services::start_ingest_http(&ground, &door, sealer, &doors).await?;
        Ok(Self {
            parts: vec![doors, normalizer, engine, api],
            store,
            catalog: ground.catalog,
            bus: ground.bus,
            partitions: topology.partitions,
            http,
            grpc,
            api: api_address,
        })
    }

    /// Runs until `shutdown` drains or a service fails, then stops all.
    ///
    /// # Errors
    /// The first service that failed.
    pub(crate) async fn run(self, shutdown: Shutdown) -> std::result::Result<(), TaskFailure> {
        let failure = {
            let failed = select_all(self.parts.iter().map(|part| Box::pin(part.failed())));
            tokio::select! {
                () = shutdown.draining.cancelled() => None,
                (failure, ..) = failed => Some(failure),
            }
        };
        let options = StopOptions { drain_timeout: PART_DRAIN, abort_timeout: PART_ABORT };
        let drain = async {
            for part in &self.parts {
                part.stop(&options).await;
            }
        };
        tokio::select! {
            () = drain => {}
            () = shutdown.aborting.cancelled() => self.parts.iter().for_each(|part| part.shutdown().abort()),
        }
        self.store.close().await;
        self.bus.close().await;
        failure.map_or(Ok(()), Err)
    }
}
