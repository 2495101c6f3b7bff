//! `GET /api/v1/events/{source}/{id}/receipt`.

use axum::{
    Json,
    extract::{Path, State},
};
use runtime::problem::Problem;

use super::event_get;
use crate::{
    app::{App, ReadsEvents},
    params::Params,
    receipt::{self, Receipt},
};

/// Get an event's receipt
///
/// What happened to the event, hop by hop, with times and stream sequences. A hop that cannot be shown says why.
#[utoipa::path(
    get, path = "/api/v1/events/{source}/{id}/receipt", tag = "events", operation_id = "get_receipt",
    params(
        ("source" = String, Path, description = "The event's `source`, percent-encoded."),
        ("id" = String, Path, description = "The event's `id`, percent-encoded."),
    ),
    responses((status = 200, description = "The receipt.", body = Receipt))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsEvents(caller): ReadsEvents,
    Path((source, id)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Receipt>, Problem> {
    params.finish()?;
    let stored = event_get::find(&app, &caller.tenant.id, &source, &id).await?;
    Ok(Json(receipt::of(&app, &caller, &stored).await))
}
