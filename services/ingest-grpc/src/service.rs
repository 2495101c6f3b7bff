//! The service: build, run.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use auth::{Publishers, quota::Quotas};
use axum::{Router, middleware};
use bus::Accept;
use catalog::Snapshot;
use model::{Clock, SystemClock};
use proto::v1::event_ingest_service_server::EventIngestServiceServer;
use runtime::{http, lifecycle::Shutdown};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, service::Routes};
use tonic_health::server::HealthReporter;

use crate::{
    Options,
    door::Door,
    gate::{self, Gate},
    metrics::Metrics,
    probes,
    unary::Ingest,
};

/// The service's full name.
pub const SERVICE_NAME: &str = "eventrunner.v1.EventIngestService";

/// Gives the catalog as it is now; asked once a call.
pub type Snapshots = Arc<dyn Fn() -> Arc<Snapshot> + Send + Sync>;

/// What the door stands on.
#[derive(Clone)]
pub struct Dependencies {
    /// Where events go.
    pub accept: Arc<dyn Accept>,
    /// Tenants and keys.
    pub snapshots: Snapshots,
    /// Who may publish.
    pub publishers: Publishers,
    /// When events were received.
    pub clock: Arc<dyn Clock>,
    /// Whether calls are welcome, for `grpc.health.v1`. Stays as it was when its sender is gone.
    pub ready: watch::Receiver<bool>,
    /// The tenants' quotas, when doors of one process share them; this door has its own when there are none.
    pub quotas: Option<Arc<Quotas>>,
}

impl Dependencies {
    /// For those with keys, with the machine's clock, and always ready.
    #[must_use]
    pub fn new(accept: Arc<dyn Accept>, snapshots: Snapshots) -> Self {
        let (_, ready) = watch::channel(true);
        let publishers = Publishers::with_keys(Arc::clone(&snapshots));
        Self { accept, snapshots, publishers, clock: Arc::new(SystemClock), ready, quotas: None }
    }
}

impl fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependencies").field("accept", &self.accept).finish_non_exhaustive()
    }
}

/// The gRPC door, listening.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    local_addr: SocketAddr,
    options: Options,
    dependencies: Dependencies,
}

impl Service {
    /// Binds the listener; connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn build(options: Options, dependencies: Dependencies) -> io::Result<Self> {
        let listener = http::bind(options.server.listen).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr, options, dependencies })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the shutdown drains; then calls are answered, and streams, once all they brought is answered, ended
    /// with `UNAVAILABLE`.
    ///
    /// # Errors
    /// If the listener breaks.
    pub async fn run(self, shutdown: Shutdown) -> io::Result<()> {
        let reporter = HealthReporter::new();
        let closing = CancellationToken::new();
        let ready = self.dependencies.ready.clone();
        let health = probes::health(reporter.clone(), ready, shutdown.draining.clone(), closing.clone());
        let options = self.options.server.clone();
        let router = router(self.options, self.dependencies, reporter, shutdown.draining.clone(), closing)?;
        let serve = http::serve(self.listener, router, &options, shutdown);
        let (served, ()) = tokio::join!(serve, health);
        served
    }
}

fn router(
    options: Options,
    dependencies: Dependencies,
    reporter: HealthReporter,
    draining: CancellationToken,
    closing: CancellationToken,
) -> io::Result<Router> {
    let message_bytes_max = options.message_bytes_max;
    let door = Arc::new(Door {
        accept: dependencies.accept,
        snapshots: dependencies.snapshots,
        publishers: dependencies.publishers,
        clock: dependencies.clock,
        quotas: dependencies.quotas.unwrap_or_else(|| Arc::new(Quotas::new(options.quota()))),
        metrics: Metrics::new(),
        options,
    });
    let ingest = EventIngestServiceServer::new(Ingest { door: Arc::clone(&door), draining })
        .max_decoding_message_size(message_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
    let health = tonic_health::pb::health_server::HealthServer::new(
        tonic_health::server::HealthService::from_health_reporter(reporter),
    );
    let routes = Routes::new(ingest).add_service(health);
    let routes = probes::reflection(routes).map_err(io::Error::other)?;
    let gate = Gate { door, closing };
    Ok(routes.into_axum_router().layer(middleware::from_fn_with_state(gate, gate::pass)))
}
