//! Counts and times each request by its route.

use std::time::Instant;

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
};
use runtime::{
    metrics::{self, Metric},
    otlp::RequestSpan,
};

/// The same routes, measured.
pub(crate) fn measured(router: Router) -> Router {
    router.layer(middleware::from_fn(measure))
}

async fn measure(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    if let Some(span) = RequestSpan::of(request.extensions()) {
        span.routed("api", request.method(), route.as_deref());
    }
    let response = next.run(request).await;
    // What matches no route would be a label without bound.
    let route = route.as_deref().unwrap_or("none");
    metrics::counter(Metric::ApiRequests, &[route, response.status().as_str()]).inc();
    metrics::histogram(Metric::ApiRequestDuration, &[route]).observe(began.elapsed().as_secs_f64());
    response
}
