//! `GET /api/v1/streams/events`.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};
use model::ErrorCode;
use runtime::problem::Problem;

use crate::{
    app::{App, ReadsEvents},
    history::{Begin, History, Position},
    params::Params,
    sse,
    subscription::{Narrow, Start},
};

/// Follow the tenant's events
///
/// Server-sent events: `id` is the position in the tenant's stream, `data` the event in the CloudEvents JSON format
/// on one line (white space between JSON tokens of its data may differ from what was sent). Events are messages
/// without a name, so that `onmessage` sees them all. A client that comes back with `last-event-id` gets what
/// followed, each event once.
///
/// A start in time before what the stream still holds is read from the event store first, in the order of receipt; while
/// it lasts an `id` comes after every hundred events, so that up to as many may come again after a disconnect.
///
/// A message named `gap` tells that the stream no longer holds, or never held, what follows the position asked for:
/// `{"requested": …, "first": …, "last": …}`; reading begins at `first`. Comments keep the connection alive.
#[utoipa::path(
    get, path = "/api/v1/streams/events", tag = "events", operation_id = "stream_events",
    params(
        ("type" = Option<Vec<String>>, Query, description = "Only these event types. Repeatable."),
        ("source" = Option<Vec<String>>, Query, description = "Only these sources. Repeatable."),
        ("start" = Option<String>, Query, description = "`new` (default), an RFC 3339 time, or a position after which to start (`0`: at the beginning)."),
        ("last-event-id" = Option<String>, Header, description = "The last `id` received; takes precedence over `start`."),
    ),
    responses(
        (status = 200, description = "Events as they come, without end.", body = String, content_type = "text/event-stream"),
        (status = 429, description = "The tenant has as many streams open as it may."),
    )
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsEvents(caller): ReadsEvents,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let narrow = Narrow { types: params.many("type"), sources: params.many("source") };
    let asked = params.read("start", Start::parse).unwrap_or(Start::New);
    params.finish()?;
    let begin = last_event_id(&headers)?.map_or(Begin::At(asked), Begin::After);
    let slot = app.stream_slot(&caller.tenant.id, "sse")?;
    let history = History::open(&app, &caller, narrow, begin).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies of the nginx kind would hold events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let body = Body::from_stream(sse::body(app, caller, slot, history));
    Ok((headers, body).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get("last-event-id").filter(|v| !v.is_empty()) else { return Ok(None) };
    let position = value.to_str().ok().and_then(Position::parse);
    position.map(Some).ok_or_else(|| {
        Problem::new(ErrorCode::InvalidArgument, "last-event-id is none of this stream's")
            .field("header:last-event-id", "must be the id of an event received here")
    })
}
