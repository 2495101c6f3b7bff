//! `GET /.well-known/jwks.json`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::header;
use model::ErrorCode;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// A JSON Web Key Set (RFC 7517).
#[derive(Serialize, ToSchema)]
#[schema(as = PublicKeys)]
pub(super) struct PublicKeys {
    /// The keys, the one that signs first.
    keys: Vec<serde_json::Value>,
}

/// Get the keys by which our tokens are verified
///
/// For whoever is to believe them besides this fleet, such as a gateway.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "people", operation_id = "get_public_keys", security(()),
    responses(
        (status = 200, description = "The public keys.", body = PublicKeys),
        (status = 503, description = "This fleet has no signing keys."),
    )
)]
pub(super) async fn handle(State(app): State<App>) -> Result<Response, Problem> {
    let tokens = app.tokens.issuing();
    let tokens =
        tokens.ok_or_else(|| Problem::new(ErrorCode::Unavailable, "this fleet has no signing keys"))?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(tokens.public_keys())).into_response())
}
