//! The services, put together: what each is given, and what it runs in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use auth::{Authority, Publishers, Tokens, quota::Quotas};
use bus::{Accept, Backoff, Bus, Door, topology::Topology};
use catalog::{Catalog, Sealer};
use runtime::{health::Component, lifecycle::Context};
use store::Stores;
use tokio::sync::watch;

use crate::{
    config::{Config, StoreKind},
    durability,
    exit::{Code, Failure, Result},
    store_reader,
};

/// How often readiness looks at the broker.
const LOOK: Duration = Duration::from_secs(1);
/// How old the news of the catalog may be: a revoked key is believed as long.
const CATALOG_AGE: Duration = Duration::from_secs(30);

/// What services stand on.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) config: Config,
    pub(crate) bus: Bus,
    pub(crate) topology: Topology,
    pub(crate) catalog: Catalog,
    /// A tenant's quota is one, whichever door its events come through.
    pub(crate) quotas: Arc<Quotas>,
}

impl Ground {
    pub(crate) fn new(config: Config, bus: Bus, topology: Topology, catalog: Catalog) -> Self {
        let quotas = Arc::new(Quotas::new(config.ingest_http.quota()));
        Self { config, bus, topology, catalog, quotas }
    }

    /// Whose signed tokens are believed.
    pub(crate) fn tokens(&self) -> Result<Arc<Tokens>> {
        let tokens = Tokens::new(self.config.tokens.clone(), Arc::new(model::SystemClock));
        let tokens = tokens.map_err(|e| Failure::config(e.to_string()))?;
        let own = match self.config.sealer() {
            Ok(sealer) => self.config.tokens.own.tokens(&sealer).map_err(|e| e.to_string()),
            Err(failure) => Err(failure.message),
        };
        match own {
            Ok(own) => Ok(Arc::new(tokens.with_own(Arc::new(own)))),
            // Whoever cannot do without says so itself.
            Err(reason) => {
                tracing::warn!(reason, "without a sealing key nobody who logged in is known here");
                Ok(Arc::new(tokens))
            }
        }
    }

    /// Who decides what callers may do. Each service of a process asks for itself.
    pub(crate) fn authority(&self) -> Result<Authority> {
        let catalog = self.catalog.clone();
        let authority = Authority::open(&self.config.authorizer, Arc::new(move || catalog.snapshot()));
        authority.map_err(|e| Failure::config(format!("authorizer: {e}")))
    }

    fn publishers(&self) -> Result<Publishers> {
        Ok(Publishers::new(self.tokens()?, self.authority()?))
    }

    /// Connects to a fleet's broker and waits, for as long as it takes, until the streams and the catalog are there.
    pub(crate) async fn wait_for(config: Config) -> Result<Self> {
        let bus = connect(&config.nats).await?;
        durability::check(&config).await?;
        let topology = wait_for_streams(&bus).await?;
        let catalog = open_catalog(&bus, &config).await;
        Ok(Self::new(config, bus, topology, catalog))
    }
}

/// The catalog, with the rules of what may be written to it.
pub(crate) async fn open_catalog(bus: &Bus, config: &Config) -> Catalog {
    Catalog::open_checked(bus.jetstream().clone(), config.catalog.clone(), Some(Arc::new(api::Rules))).await
}

/// Looks for the broker until it is there: it may start after us, and may be away for any length of time.
///
/// # Errors
/// If it refuses the login, or what is configured for it cannot be used.
pub(crate) async fn connect(options: &bus::Options) -> Result<Bus> {
    let mut backoff = Backoff::default();
    let mut told = false;
    loop {
        match Bus::connect(options).await {
            Ok(bus) => return Ok(bus),
            Err(error @ bus::Error::Login(_)) => return Err(error.into()),
            Err(error) if !told => tracing::warn!(%error, "broker not reached yet, trying again"),
            Err(_) => {}
        }
        told = true;
        backoff.wait().await;
    }
}

/// Makes the streams and the catalog's bucket; waits while the broker recovers or chooses a leader.
///
/// # Errors
/// If it holds a layout that the configuration contradicts.
pub(crate) async fn make_streams(bus: &Bus, config: &Config) -> Result<Topology> {
    let mut backoff = Backoff::default();
    let mut told = false;
    loop {
        let made = async {
            let topology = bus::topology::ensure(bus, &config.topology).await?;
            if config.store.kind == StoreKind::External {
                bus::topology::ensure_usage(bus, &config.topology, topology).await?;
            }
            catalog::ensure_bucket(bus.jetstream(), &config.catalog, config.topology.replicas).await?;
            Ok::<_, Failure>(topology)
        };
        match made.await {
            Ok(topology) => return Ok(topology),
            Err(failure) if failure.code != Code::Unavailable => return Err(failure),
            Err(failure) if !told => {
                tracing::warn!(reason = failure.message, "streams not made yet, trying again");
            }
            Err(_) => {}
        }
        told = true;
        backoff.wait().await;
    }
}

async fn wait_for_streams(bus: &Bus) -> Result<Topology> {
    let mut backoff = Backoff::default();
    let mut told = false;
    loop {
        match bus::topology::existing(bus).await {
            Ok(Some(topology)) => return Ok(topology),
            Ok(None) if !told => {
                tracing::warn!("the streams are not made yet, waiting for `eventrunner migrate`");
            }
            Err(error @ bus::Error::Mismatch(_)) => return Err(error.into()),
            Err(error) if !told => tracing::warn!(%error, "streams not seen yet, trying again"),
            _ => {}
        }
        told = true;
        backoff.wait().await;
    }
}

/// The HTTP door.
pub(crate) async fn start_ingest_http(
    ground: &Ground,
    door: &Door,
    sealer: Arc<Sealer>,
    context: &Context,
) -> Result<SocketAddr> {
    let component = context.health().component("ingest-http");
    let catalog = ground.catalog.clone();
    let snapshots: ingest_http::Snapshots = Arc::new(move || catalog.snapshot());
    let dependencies = ingest_http::Dependencies {
        quotas: Some(Arc::clone(&ground.quotas)),
        publishers: ground.publishers()?,
        ..ingest_http::Dependencies::new(Arc::new(door.clone()), snapshots, sealer)
    };
    let service = ingest_http::Service::build(ground.config.ingest_http.clone(), dependencies)
        .await
        .map_err(|e| cannot_listen(&e))?;
    let address = service.local_addr();
    follow(ground, door, component, None, context);
    let shutdown = context.shutdown().clone();
    context.spawn_critical("ingest-http", service.run(shutdown));
    Ok(address)
}

/// The gRPC door.
pub(crate) async fn start_ingest_grpc(ground: &Ground, door: &Door, context: &Context) -> Result<SocketAddr> {
    let component = context.health().component("ingest-grpc");
    let catalog = ground.catalog.clone();
    let snapshots: ingest_grpc::Snapshots = Arc::new(move || catalog.snapshot());
    let (ready, readiness) = watch::channel(false);
    let dependencies = ingest_grpc::Dependencies {
        ready: readiness,
        quotas: Some(Arc::clone(&ground.quotas)),
        publishers: ground.publishers()?,
        ..ingest_grpc::Dependencies::new(Arc::new(door.clone()), snapshots)
    };
    let service = ingest_grpc::Service::build(ground.config.ingest_grpc.clone(), dependencies)
        .await
        .map_err(|e| cannot_listen(&e))?;
    let address = service.local_addr();
    follow(ground, door, component, Some(ready), context);
    let shutdown = context.shutdown().clone();
    context.spawn_critical("ingest-grpc", service.run(shutdown));
    Ok(address)
}

/// Raw events to CloudEvents.
pub(crate) async fn start_normalizer(ground: &Ground, context: &Context) -> Result<()> {
    let Ground { config, bus, topology, catalog, .. } = ground.clone();
    let service = normalizer::Service::new(config.normalizer, bus, catalog, topology.partitions);
    Ok(service.start(context).await?)
}

/// Storing, metering, tenant streams.
pub(crate) async fn start_engine(ground: &Ground, stores: &Stores, context: &Context) -> Result<()> {
    let Ground { config, bus, topology, catalog, .. } = ground.clone();
    let service = engine::Service::new(config.engine, bus, catalog, stores.clone(), topology.partitions);
    let service = if config.store.kind == StoreKind::External { service.queueing_usage() } else { service };
    Ok(service.start(context).await?)
}

/// Reading back.
pub(crate) async fn start_api(
    ground: &Ground,
    stores: &Stores,
    sealer: Arc<Sealer>,
    context: &Context,
) -> Result<SocketAddr> {
    let Ground { config, bus, topology, catalog, .. } = ground.clone();
    let (stores, health) = (stores.clone(), context.health().clone());
    let (tokens, authority) = (ground.tokens()?, ground.authority()?);
    let accounts = bus::accounts::Accounts::new(&bus, &config.accounts)?;
    store_reader::start(&bus, stores.clone(), context);
    let deps = api::Deps { bus, topology, catalog, stores, sealer, tokens, authority, accounts, health };
    let service = api::Service::build(config.api, deps).await.map_err(|e| cannot_listen(&e))?;
    let address = service.local_addr().map_err(|e| cannot_listen(&e))?;
    let shutdown = context.shutdown().clone();
    context.spawn_critical("api", service.run(shutdown));
    Ok(address)
}

/// What time does to bills.
pub(crate) fn start_billing(ground: &Ground, stores: &Stores, door: &Door, context: &Context) -> Result<()> {
    let Ground { config, bus, catalog, .. } = ground.clone();
    let door = Arc::new(door.clone());
    let service = billing_service::Service::new(config.billing, bus, catalog, stores, door);
    service.map_err(Failure::config)?.start(context);
    Ok(())
}

/// The packing publisher that the doors of a process share.
pub(crate) fn start_door(ground: &Ground) -> Door {
    let door = Door::start(&ground.bus, ground.topology.partitions, &ground.config.door);
    // Doors are given what accepts events, whatever it is.
    let _: &dyn Accept = &door;
    door
}

fn cannot_listen(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::CannotTake, error.to_string())
}

/// A door is ready while the broker takes messages and what it knows of tenants and keys is fresh.
fn follow(
    ground: &Ground,
    door: &Door,
    component: Component,
    tell: Option<watch::Sender<bool>>,
    context: &Context,
) {
    component.started();
    let (door, catalog) = (door.clone(), ground.catalog.clone());
    let draining = context.shutdown().draining.clone();
    context.spawn(async move {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = draining.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let hindrance = door.hindrance().or_else(|| catalog.fresh(CATALOG_AGE).err());
            if let Some(tell) = &tell {
                tell.send_if_modified(|ready| {
                    std::mem::replace(ready, hindrance.is_none()) != hindrance.is_none()
                });
            }
            component.ready(hindrance.is_none(), hindrance.unwrap_or_default());
        }
    });
}
