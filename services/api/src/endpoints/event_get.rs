//! `GET /api/v1/events/{source}/{id}`.

use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, header};
use model::{TenantId, format_rfc3339, json};
use prost::Message as _;
use runtime::problem::Problem;
use store::StoredEvent;

use crate::{
    app::{App, ReadsEvents},
    error::not_found,
    params::Params,
};

const PROTOBUF: &str = "application/cloudevents+protobuf";
const RECEIVED_AT: HeaderName = HeaderName::from_static("eventrunner-received-at");

/// Get one event
///
/// By its identity: `source` and `id` (in the URL, `/` is `%2F`). The body is the event in the
/// CloudEvents JSON format, or protobuf format if that is what `accept` names.
#[utoipa::path(
    get, path = "/api/v1/events/{source}/{id}", tag = "events", operation_id = "get_event",
    params(
        ("source" = String, Path, description = "The event's `source`, percent-encoded."),
        ("id" = String, Path, description = "The event's `id`, percent-encoded."),
    ),
    responses((status = 200, description = "The event.", content(
        (crate::views::CloudEventDoc = "application/cloudevents+json"),
        (serde_json::Value = "application/cloudevents+protobuf"),
    ), headers(("eventrunner-received-at" = String, description = "When the door had it, RFC 3339."))))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsEvents(caller): ReadsEvents,
    Path((source, id)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.finish()?;
    let stored = find(&app, &caller.tenant.id, &source, &id).await?;
    let wanted = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (media_type, body) = if wanted.starts_with(PROTOBUF) {
        let event = proto::cloudevents::CloudEvent::from(&stored.event);
        (PROTOBUF, event.encode_to_vec().into())
    } else {
        (json::MEDIA_TYPE, json::encode(&stored.event))
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::VARY, "accept".to_owned()),
        (RECEIVED_AT, format_rfc3339(stored.stamp.received_at_us)),
    ];
    Ok((headers, body).into_response())
}

/// A stored event of the tenant's.
pub(super) async fn find(
    app: &App,
    tenant: &TenantId,
    source: &str,
    id: &str,
) -> Result<StoredEvent, Problem> {
    let found = app.ask(app.stores.events.get(tenant, source, id)).await?;
    found.ok_or_else(|| {
        not_found("no such event is stored; it may still be on its way, or be among the dead letters")
    })
}
