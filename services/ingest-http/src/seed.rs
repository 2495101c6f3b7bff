//! `POST /events`: the door of the seed, EventRunner in Go, for clients that know no other (docs/moving/eventrunner.md).
//!
//! Its words for what [`crate::events`] does: who may publish, quotas, limits and the promise to keep are the same.

use std::sync::{Arc, LazyLock};

use auth::{AuthError, NoSystem, Publisher};
use axum::{
    Extension, Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, StatusCode, header::AUTHORIZATION};
use mapping::Mapping;
use model::{ErrorCode, resource::Source};
use runtime::{problem::Problem, trace::TraceContext};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    call::{Arrived, Call, Door},
    decode::Form,
    refuse,
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const FORBIDDEN: &str = "Forbidden: Insufficient permissions";

/// What the seed made of JSON that is no CloudEvent.
#[expect(clippy::expect_used, reason = "the mapping is part of the program, and tests use it")]
static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    let mapping = json!({"source": "eventrunner", "default_type": "com.example.event"});
    let source = json!({"tenant": "seed", "system": "seed", "id": "events", "mapping": mapping});
    let source: Source = serde_json::from_value(source).expect("the source is one");
    Mapping::compile(&source).expect("the mapping is one")
});

/// The seed's envelope.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SeedReceived)]
pub(crate) struct Received {
    data: Status,
}

/// That the event is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SeedStatus)]
struct Status {
    /// Always `received`.
    status: &'static str,
}

/// Publish an event as the seed's clients do.
///
/// One JSON value. A CloudEvent is taken as it is; anything else becomes the data of an event of type `com.example.event` and
/// source `eventrunner`, with the `Idempotency-Key` or a new UUID as its id. A token and an API key may come together, as they did: both
/// must be good, of one tenant, and may publish; the system that sends is the key's.
#[utoipa::path(
    post,
    path = "/events",
    operation_id = "publish_seed_event",
    tag = "seed",
    request_body(content((serde_json::Value = "application/json"))),
    params(
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`"),
        ("Idempotency-Key" = Option<String>, Header, description = "becomes the id of an event that brings none"),
        ("EventRunner-System" = Option<String>, Header, description = "the system that sends, of a person's token without an API key"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    responses(
        (status = 201, description = "the event is kept", body = Received),
        (status = 400, description = "the body is not JSON"),
        (status = 401, description = "no token or API key, or one that is not valid"),
        (status = 403, description = "the caller may not publish, its tenant is disabled, or token and key are of two"),
        (status = 408, description = "the body did not arrive in time"),
        (status = 413, description = "the event is too large"),
        (status = 415, description = "a content encoding that is not read here"),
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
    call.routed(&parts, "/events");
    let caller = caller(call, &parts.headers).await?;
    let system = caller.system(&call.snapshot, &parts.headers).map_err(|error| no_system(&error))?;
    let body = call.body(body).await.map_err(failed)?;
    let arrived = Arrived {
        headers: &parts.headers,
        query: parts.uri.query().unwrap_or_default(),
        form: Some(Form::Json),
        body,
        system: &system,
        source: None,
        customer: caller.customer.as_ref(),
        mapping: &MAPPING,
    };
    // Its answer names the event, for which the seed has no words.
    call.publish(arrived).await.map_err(failed)?;
    let received = Received { data: Status { status: "received" } };
    Ok((StatusCode::CREATED, Json(received)).into_response())
}

/// The caller, by a key, a token, or both: then both are looked at, and the key's system sends.
async fn caller(call: &mut Call<'_>, headers: &HeaderMap) -> Result<Publisher, Problem> {
    let (token, key) = (only(headers, &AUTHORIZATION), only(headers, &API_KEY));
    let credentials = if key.is_empty() { &token } else { &key };
    let caller = call.identified(credentials).await.map_err(|error| refused(&error))?;
    if !token.is_empty() && !key.is_empty() {
        let bearer = call.identified(&token).await.map_err(|error| refused(&error))?;
        if bearer.tenant.id != caller.tenant.id {
            let problem = Problem::new(ErrorCode::Forbidden, "the token and the API key are of two tenants");
            return Err(problem.in_envelope(FORBIDDEN));
        }
    }
    Ok(caller)
}

fn only(headers: &HeaderMap, name: &HeaderName) -> HeaderMap {
    headers.get_all(name).iter().map(|value| (name.clone(), value.clone())).collect()
}

/// The seed's words for a caller who is not let in.
fn refused(error: &AuthError) -> Problem {
    let problem = refuse::unauthorized(error);
    let message = match error {
        AuthError::Missing => "Missing or invalid authorization header",
        AuthError::MalformedHeader { header: "Authorization", .. } => "Invalid authorization header format",
        AuthError::MalformedHeader { .. } => "Missing API Key",
        // It told a token of no tenant from one that is good.
        AuthError::NoTenant => {
            return Problem::new(ErrorCode::Unauthenticated, problem.detail).in_envelope("Missing tenant ID");
        }
        _ if problem.code == ErrorCode::Unauthenticated => "Invalid token",
        _ if problem.code == ErrorCode::Forbidden => FORBIDDEN,
        _ => return failed(problem),
    };
    problem.in_envelope(message)
}

/// A person's token says no system; in the seed the API key that came with it stood for the sender.
fn no_system(error: &NoSystem) -> Problem {
    match error {
        NoSystem::NotNamed => {
            Problem::new(ErrorCode::Unauthenticated, error.to_string()).in_envelope("Missing API Key")
        }
        NoSystem::Unknown(_) => failed(refuse::no_system(error)),
    }
}

/// The seed's words for an event that is not kept. The status says whose fault it is, where the seed's was 500 always.
fn failed(problem: Problem) -> Problem {
    let why = match problem.code {
        ErrorCode::Malformed => "Invalid request body",
        ErrorCode::Unavailable => "Failed to forward event",
        _ => &*problem.detail,
    };
    let message = format!("Failed to process event: {why}");
    problem.in_envelope(message)
}
