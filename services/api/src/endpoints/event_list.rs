//! `GET /api/v1/events`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, header};
use model::{format_rfc3339, json};
use runtime::problem::Problem;
use serde::Serialize;
use store::{EventPage, EventQuery, Order};
use utoipa::ToSchema;

use crate::{
    app::{App, ReadsEvents},
    params::Params,
    search::{self, Condition},
    views::EventItem,
};

/// Where a batch answer says how to go on: its body has no room for it.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("eventrunner-next-cursor");

/// What `order` may say.
pub(crate) const ORDERS: [(&str, Order); 2] =
    [("newest", Order::NewestFirst), ("oldest", Order::OldestFirst)];

/// One page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventList)]
pub(super) struct EventList {
    /// In the order asked for.
    events: Vec<EventItem>,
    /// For the next page; absent at the end. A page may be short, even empty, and still have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
    /// How far a search by `data` came; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    searched: Option<Searched>,
}

/// How far a search came. It does a bounded amount of work: with a `next_cursor` there is more to search.
#[derive(Debug, Serialize, ToSchema)]
struct Searched {
    /// Events looked at.
    events: u64,
    /// When the last of them was received, RFC 3339; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reached: Option<String>,
}

/// List stored events
///
/// Narrowed by any of the filters; a filter given several times matches any of its values. The order is that in
/// which the store took the events. With `accept: application/cloudevents-batch+json` the answer is a plain
/// CloudEvents batch, and the cursor is in the header `eventrunner-next-cursor`.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "list_events",
    params(
        ("type" = Option<Vec<String>>, Query, description = "Only these event types. Repeatable."),
        ("source" = Option<Vec<String>>, Query, description = "Only these sources. Repeatable."),
        ("subject" = Option<Vec<String>>, Query, description = "Only these subjects. Repeatable."),
        ("data" = Option<Vec<String>>, Query, description = "Only events with JSON data in which the scalar at a JSON pointer has this value, such as `/order/id=42`. Repeatable: all must hold. Such a search looks at a bounded number of events and says in `searched` how far it came; go on with `next_cursor`."),
        ("since" = Option<String>, Query, description = "Received at or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Received before, RFC 3339."),
        ("order" = Option<String>, Query, description = "`newest` (default) or `oldest` first."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most events in the page; 100 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page; the other parameters must be the same."),
    ),
    responses((status = 200, description = "One page.", content(
        (EventList = "application/json"),
        (Vec<crate::views::CloudEventDoc> = "application/cloudevents-batch+json"),
    )))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsEvents(caller): ReadsEvents,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (since_us, until_us) = params.range();
    let query = EventQuery {
        since_us,
        until_us,
        types: params.many("type"),
        sources: params.many("source"),
        subjects: params.many("subject"),
        order: params.choice("order", &ORDERS).unwrap_or_default(),
        limit: params.limit(100, 1_000),
        cursor: params.cursor(),
    };
    let conditions = params.many_read("data", Condition::parse);
    params.finish()?;
    let tenant = &caller.tenant.id;
    let (page, searched) = if conditions.is_empty() {
        (app.ask(app.stores.events.page(tenant, &query)).await?, None)
    } else {
        let found = search::page(&app, tenant, query, &conditions).await?;
        let reached = found.reached_us.map(format_rfc3339);
        (found.page, Some(Searched { events: found.scanned, reached }))
    };
    let wanted = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    Ok(if wanted.starts_with(json::BATCH_MEDIA_TYPE) { batch(&page) } else { list(&page, searched) })
}

fn list(page: &EventPage, searched: Option<Searched>) -> Response {
    let events = page.events.iter().map(EventItem::from).collect();
    let next_cursor = page.next.as_ref().map(ToString::to_string);
    Json(EventList { events, next_cursor, searched }).into_response()
}

fn batch(page: &EventPage) -> Response {
    let body = json::encode_batch(page.events.iter().map(|stored| &stored.event));
    let mut response = ([(header::CONTENT_TYPE, json::BATCH_MEDIA_TYPE)], body).into_response();
    if let Some(cursor) = page.next.as_ref().and_then(|c| c.0.parse().ok()) {
        response.headers_mut().insert(NEXT_CURSOR, cursor);
    }
    response
}
