//! `GET /.well-known/health`.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    probe::{self, Dependency},
};

/// Health with its reasons.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct Health {
    /// `UP` if every dependency is.
    status: &'static str,
    /// Each of them.
    dependencies: Vec<Dependency>,
}

/// Ask how the service and what it depends on are
#[utoipa::path(
    get, path = "/.well-known/health", tag = "health", operation_id = "get_health", security(()),
    responses(
        (status = 200, description = "All is up.", body = Health),
        (status = 503, description = "Something is down.", body = Health),
    )
)]
pub(super) async fn handle(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let dependencies = probe::dependencies(&app).await;
    let up = dependencies.iter().all(Dependency::is_up) && !app.draining.is_cancelled();
    let (code, status) = if up { (StatusCode::OK, "UP") } else { (StatusCode::SERVICE_UNAVAILABLE, "DOWN") };
    (code, Json(Health { status, dependencies }))
}
