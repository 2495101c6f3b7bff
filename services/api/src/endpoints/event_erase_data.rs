//! `DELETE /api/v1/events/{source}/{id}/data`.

use axum::{
    Json,
    extract::{Path, State},
};
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::event_get::find;
use crate::{
    app::{App, ErasesEvents},
    params::Params,
    tenant_stream,
};

/// What was taken away.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Erased {
    /// The event's `source`.
    source: String,
    /// Its `id`.
    id: String,
    /// Messages of the tenant stream that held it, which are gone.
    stream_messages: u64,
}

/// Take away an event's data
///
/// For good, and wherever it is kept: its message leaves the tenant stream, and the stored event keeps its attributes and its
/// receipt and has no data any more. What was used stays counted. May be repeated.
#[utoipa::path(
    delete, path = "/api/v1/events/{source}/{id}/data", tag = "events", operation_id = "erase_event_data",
    params(
        ("source" = String, Path, description = "The event's `source`, percent-encoded."),
        ("id" = String, Path, description = "The event's `id`, percent-encoded."),
    ),
    responses((status = 200, description = "It is gone.", body = Erased))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ErasesEvents(caller): ErasesEvents,
    Path((source, id)): Path<(String, String)>,
    params: Params,
) -> Result<Json<Erased>, Problem> {
    params.finish()?;
    let tenant = &caller.tenant.id;
    let stored = find(&app, tenant, &source, &id).await?;
    // First here: once the store is without it, its stream is not made whole with it again.
    app.ask(app.stores.erasure.erase_data(tenant, &source, &id)).await?;
    let stream_messages = tenant_stream::forget(&app, &caller, &stored).await?;
    tracing::info!(%tenant, source, event_id = id, "data of an event erased");
    Ok(Json(Erased { source, id, stream_messages }))
}
