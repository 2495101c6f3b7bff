//! `GET /.well-known/alive`.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alive)]
pub(super) struct Alive {
    /// Always `UP`.
    status: &'static str,
}

/// Ask whether the process answers
#[utoipa::path(
    get, path = "/.well-known/alive", tag = "health", operation_id = "get_alive", security(()),
    responses((status = 200, description = "It does.", body = Alive))
)]
pub(super) async fn handle() -> Json<Alive> {
    Json(Alive { status: "UP" })
}
