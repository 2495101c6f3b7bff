//! `POST /v1/events`.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use runtime::{problem::Problem, trace::TraceContext};
use serde::Serialize;
use utoipa::ToSchema;

use crate::call::{Arrived, Call, Door};

/// Where events are published.
pub(crate) const PATH: &str = "/v1/events";

/// The events are kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// In the order they came.
    events: Vec<AcceptedEvent>,
    /// The W3C trace id under which every hop can be found.
    trace_id: String,
}

/// What identifies an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedEvent {
    /// The attribute `source`.
    source: String,
    /// The attribute `id`.
    id: String,
}

/// Publish events.
///
/// CloudEvents 1.0 in binary, structured or batch mode, chosen by content type as the HTTP binding says, in
/// JSON or protobuf; NDJSON, each line a CloudEvent (an object with `specversion`) or a raw event; any other body
/// is one raw event of the key's system. `Content-Encoding` may be `gzip` or `zstd`.
///
/// A request is accepted whole or not at all. After a 503 it is not known whether events were kept: send them
/// again with the same ids.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "publish_events",
    tag = "ingest",
    request_body(content(
        (serde_json::Value = "application/cloudevents+json"),
        (Vec<serde_json::Value> = "application/cloudevents-batch+json"),
        (serde_json::Value = "application/cloudevents+protobuf"),
        (serde_json::Value = "application/cloudevents-batch+protobuf"),
        (String = "application/x-ndjson"),
        (serde_json::Value = "*/*"),
    )),
    params(
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`"),
        ("Idempotency-Key" = Option<String>, Header, description = "becomes the id of a raw event"),
        ("EventRunner-System" = Option<String>, Header, description = "the system that sends; required with a token, not looked at with an API key, which is bound to one"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    responses(
        (status = 202, description = "every event is kept", body = Accepted),
        (status = 400, description = "malformed, or not a valid CloudEvent"),
        (status = 401, description = "no API key or token, or one that is not valid"),
        (status = 403, description = "the caller may not publish, or its tenant is disabled"),
        (status = 408, description = "the body did not arrive in time"),
        (status = 413, description = "the body, an event or the batch is too large"),
        (status = 415, description = "a content encoding or CloudEvents format that is not read here"),
        (status = 429, description = "the tenant's quota is used up; see Retry-After and RateLimit"),
        (status = 503, description = "the broker is away or full; see Retry-After"),
    ),
    security(("api_key" = []), ("bearer" = [])),
)]
pub(crate) async fn publish(
    State(door): State<Arc<Door>>,
    Extension(trace): Extension<TraceContext>,
    request: Request,
) -> Response {
    let mut call = Call::begin(&door, trace);
    let result = serve(&mut call, request).await;
    call.end(result)
}

async fn serve(call: &mut Call<'_>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    call.routed(&parts, PATH);
    let caller = call.caller(&parts.headers).await?;
    let system = call.system(&caller, &parts.headers)?;
    let body = call.body(body).await?;
    let mapping = call.door.sources.plain(&system);
    let arrived = Arrived {
        headers: &parts.headers,
        query: parts.uri.query().unwrap_or_default(),
        form: None,
        body,
        system: &system,
        source: None,
        customer: caller.customer.as_ref(),
        mapping: &mapping,
    };
    call.publish(arrived).await
}
