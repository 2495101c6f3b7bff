//! Build (check, bind) → run(shutdown): serve until drained.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use auth::{Authority, Tokens};
use axum::{Router, routing::any_service};
use bus::{Bus, accounts::Accounts, topology::Topology};
use catalog::{Catalog, Sealer};
use proto::v1::subscribe_service_server::SubscribeServiceServer;
use runtime::{
    health::{Component, Health},
    http::{self, ServerOptions},
    lifecycle::Shutdown,
};
use store::Stores;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic_health::server::HealthReporter;

use crate::{
    Error, Options, accounts::Doorkeeper, app::App, egress, endpoints, grpc::Subscriptions, keeper::Keeper,
    mcp, metrics,
};

/// How often readiness looks at the broker.
const LOOK: Duration = Duration::from_secs(1);
/// A subscriber's messages are an opening and acknowledgements.
const GRPC_MESSAGE_BYTES_MAX: usize = 256 << 10;

/// What the service works with.
#[derive(Debug)]
pub struct Deps {
    /// The broker.
    pub bus: Bus,
    /// The layout of its streams.
    pub topology: Topology,
    /// Tenants and keys.
    pub catalog: Catalog,
    /// Where events and usage are read.
    pub stores: Stores,
    /// Seals what callers entrust to the catalog.
    pub sealer: Arc<Sealer>,
    /// Whose signed tokens are believed.
    pub tokens: Arc<Tokens>,
    /// Who decides what callers may do.
    pub authority: Authority,
    /// The broker's accounts, if the fleet may say which there are.
    pub accounts: Option<Accounts>,
    /// The health of the process, to which the component `api` is added.
    pub health: Health,
}

/// The service, bound and not yet serving.
pub struct Service {
    listener: TcpListener,
    options: ServerOptions,
    app: App,
    component: Component,
    keeper: Option<Keeper>,
    doorkeeper: Option<Doorkeeper>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl Service {
    /// Checks the options and takes the port.
    ///
    /// # Errors
    /// If an option is impossible or the port cannot be had.
    pub async fn build(options: Options, deps: Deps) -> Result<Self, Error> {
        options.check().map_err(Error::Options)?;
        let component = deps.health.component("api");
        let listener = http::bind(options.http.listen).await?;
        let keeper = deps.authority.to_be_told().map(|authorizer| {
            Keeper::new(authorizer, deps.catalog.clone(), deps.health.component("authorizer"))
        });
        let accounts = deps.accounts.is_some().then(|| deps.health.component("accounts"));
        let http = options.http.clone();
        let app = App::new(options, deps)?;
        let doorkeeper =
            app.accounts.clone().zip(accounts).map(|(told, component)| {
                Doorkeeper::new(told, app.catalog.clone(), app.bus.clone(), component)
            });
        Ok(Self { listener, options: http, app, component, keeper, doorkeeper })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the operating system does not know.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What hashes passwords, to see how much it does.
    #[must_use]
    pub fn hasher(&self) -> identity::Hasher {
        self.app.people.hasher.clone()
    }

    /// Serves until drained: open streams are ended, other requests answered.
    ///
    /// # Errors
    /// If the listener breaks.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        let Self { listener, options, app, component, keeper, doorkeeper } = self;
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<SubscribeServiceServer<Subscriptions>>().await;
        let router = http_router(&app)?
            .merge(grpc_router(&app)?.route("/grpc.health.v1.Health/{method}", any_service(health)));
        component.started();
        let keeping = keeper.map(|keeper| {
            let (bus, draining) = (app.bus.clone(), shutdown.draining.clone());
            tokio::spawn(keeper.run(bus, draining))
        });
        if let Some(doorkeeper) = doorkeeper {
            tokio::spawn(doorkeeper.run(shutdown.draining.clone()));
        }
        let served = CancellationToken::new();
        let writer = egress::Writer::new(
            Arc::clone(&app.egress),
            Arc::clone(&app.stores.usage),
            app.catalog.clone(),
            app.options.egress_flush_ms.duration(),
            app.options.store_timeout_ms.duration(),
        );
        let metering = tokio::spawn(writer.run(served.clone()));
        let clients = app.accounts.clone().map(|told| {
            let clients = egress::clients::Clients::new(
                told,
                app.bus.clone(),
                app.catalog.clone(),
                Arc::clone(&app.stores.usage),
                app.options.egress_flush_ms.duration(),
                app.options.store_timeout_ms.duration(),
            );
            tokio::spawn(clients.run(served.clone()))
        });
        let watching = tokio::spawn(watch(app, component, reporter, shutdown.draining.clone()));
        let outcome = http::serve(listener, router, &options, shutdown).await;
        watching.abort();
        served.cancel();
        // It writes what is left, within the patience it has with the store.
        let _ = metering.await;
        if let Some(clients) = clients {
            let _ = clients.await;
        }
        if let Some(keeping) = keeping {
            // It says that it leaves, within a second.
            let _ = keeping.await;
        }
        Ok(outcome?)
    }
}

fn http_router(app: &App) -> Result<Router, Error> {
    let (router, _) = endpoints::router().split_for_parts();
    let by_cookie = axum::middleware::from_fn_with_state(app.clone(), crate::people::browser::layer);
    let operations = metrics::measured(router.with_state(app.clone()).layer(by_cookie));
    if !app.options.mcp.enabled {
        return Ok(operations);
    }
    let tools = metrics::measured(mcp::router(app, operations.clone())?);
    Ok(operations.merge(tools))
}

/// Routes of their own, without tonic's fallback: what is at no path is answered like any other request.
fn grpc_router(app: &App) -> Result<Router, Error> {
    let subscribe = SubscribeServiceServer::new(Subscriptions(app.clone()))
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
        .accept_compressed(Gzip)
        .accept_compressed(Zstd)
        .send_compressed(Gzip)
        .send_compressed(Zstd);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("eventrunner.v1.SubscribeService")
            .with_service_name("grpc.health.v1.Health")
    };
    Ok(Router::new()
        .route("/eventrunner.v1.SubscribeService/{method}", any_service(subscribe))
        .route("/grpc.reflection.v1.ServerReflection/{method}", any_service(reflection().build_v1()?))
        // What older clients (grpcurl before 1.9) ask.
        .route(
            "/grpc.reflection.v1alpha.ServerReflection/{method}",
            any_service(reflection().build_v1alpha()?),
        ))
}

/// Readiness follows the broker; when draining begins, streams are told to end.
async fn watch(app: App, component: Component, reporter: HealthReporter, draining: CancellationToken) {
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = draining.cancelled() => break,
            _ = ticks.tick() => component.ready(app.bus.is_connected(), "the broker is away"),
        }
    }
    reporter.set_not_serving::<SubscribeServiceServer<Subscriptions>>().await;
    app.draining.cancel();
}
