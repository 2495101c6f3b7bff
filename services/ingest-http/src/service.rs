//! The service: build, run.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use auth::{Publishers, quota::Quotas};
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    response::Response,
};
use bus::Accept;
use catalog::{Sealer, Snapshot};
use http::Method;
use model::{Clock, SystemClock, Text};
use runtime::{http::bind, lifecycle::Shutdown, problem, trace::TraceContext};
use tokio::net::TcpListener;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Options, call::Door, events, handshake, metrics::Metrics, seed, source_cache::SourceCache, sources,
};

/// Gives the catalog as it is now; asked once a request.
pub type Snapshots = Arc<dyn Fn() -> Arc<Snapshot> + Send + Sync>;

/// What the door stands on.
#[derive(Clone)]
pub struct Dependencies {
    /// Where events go.
    pub accept: Arc<dyn Accept>,
    /// Tenants, keys and sources.
    pub snapshots: Snapshots,
    /// Who may publish.
    pub publishers: Publishers,
    /// Opens the signing secrets of sources.
    pub sealer: Arc<Sealer>,
    /// When events were received, and how old a signature is.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids of raw events that bring none.
    pub new_id: fn() -> Text,
    /// The tenants' quotas, when doors of one process share them; this door has its own when there are none.
    pub quotas: Option<Arc<Quotas>>,
}

impl Dependencies {
    /// For those with keys, with the machine's clock and random, time-ordered ids.
    #[must_use]
    pub fn new(accept: Arc<dyn Accept>, snapshots: Snapshots, sealer: Arc<Sealer>) -> Self {
        let new_id = || Text::from(uuid::Uuid::now_v7().to_string());
        let publishers = Publishers::with_keys(Arc::clone(&snapshots));
        Self { accept, snapshots, publishers, sealer, clock: Arc::new(SystemClock), new_id, quotas: None }
    }
}

impl fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependencies").field("accept", &self.accept).finish_non_exhaustive()
    }
}

/// The HTTP door, listening.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    local_addr: SocketAddr,
    routes: Routes,
    options: Options,
}

impl Service {
    /// Binds the listener; connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// If the address is taken.
    pub async fn build(options: Options, dependencies: Dependencies) -> io::Result<Self> {
        let routes = routes(&options, dependencies);
        let listener = bind(options.server.listen).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr, routes, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the shutdown drains, then answers what is in flight.
    ///
    /// # Errors
    /// If the listener breaks.
    pub async fn run(self, shutdown: Shutdown) -> io::Result<()> {
        runtime::http::serve(self.listener, self.routes, &self.options.server, shutdown).await
    }
}

/// The door's routes, to be served by [`runtime::http::serve`], which gives each request its trace context. The one that nearly
/// every request takes is seen at once; to be led to it by the router costs each more than to be let in.
#[derive(Clone)]
pub struct Routes {
    door: Arc<Door>,
    router: Router,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").finish_non_exhaustive()
    }
}

impl tower::Service<Request> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.method() == Method::POST
            && request.uri().path() == events::PATH
            && let Some(trace) = request.extensions().get::<TraceContext>().cloned()
        {
            let door = Arc::clone(&self.door);
            return Box::pin(
                async move { Ok(events::publish(State(door), Extension(trace), request).await) },
            );
        }
        Box::pin(self.router.call(request))
    }
}

/// The door's routes.
pub fn routes(options: &Options, dependencies: Dependencies) -> Routes {
    let Dependencies { accept, snapshots, publishers, sealer, clock, new_id, quotas } = dependencies;
    let quotas = quotas.unwrap_or_else(|| Arc::new(Quotas::new(options.quota())));
    let door = Arc::new(Door {
        accept,
        snapshots,
        publishers,
        sealer,
        clock,
        new_id,
        quotas,
        sources: SourceCache::new(options.compiled_sources_max),
        metrics: Metrics::new(),
        options: options.clone(),
    });
    let (router, _) = routed().with_state(Arc::clone(&door)).split_for_parts();
    // Bodies are bounded where they are read.
    let router = router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::disable());
    Routes { door, router }
}

/// The door's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().split_for_parts().1
}

fn routed() -> OpenApiRouter<Arc<Door>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(events::publish))
        .routes(routes!(sources::receive, handshake::validate))
        .routes(routes!(seed::publish))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "EventRunner ingest", description = "Where events come in."),
    tags(
        (name = "ingest", description = "Publish events and receive webhooks"),
        (name = "seed", description = "For clients of the seed, EventRunner in Go: docs/moving/eventrunner.md"),
    ),
    modifiers(&Security)
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(
            "api_key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
        );
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}
