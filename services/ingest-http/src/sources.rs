//! `POST /v1/sources/{source}`: a webhook as it is.

use std::sync::Arc;

use auth::signature;
use axum::{
    Extension,
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use http::HeaderMap;
use model::{
    CustomerId, ErrorCode, SourceId, TenantId,
    resource::{Source, Verification},
};
use runtime::{problem::Problem, trace::TraceContext};

use crate::{
    call::{Arrived, Call, Door},
    refuse,
    source_cache::Compiled,
};

/// Receive a webhook.
///
/// `{source}` is `<tenant>.<source id>`: where the source names a signature scheme, the signature decides and no
/// API key is looked at; where it names none, an API key of that tenant is needed. Or it is `<source id>` alone:
/// then an API key is needed, and is enough.
///
/// The signature is checked over the body as it arrived, before any content encoding is undone: that is what
/// providers sign. The body is kept byte for byte (after undoing its content encoding), its headers by an allow-list.
/// A body that is a CloudEvent, or several, is taken as such; NDJSON is an event a line.
#[utoipa::path(
    post,
    path = "/v1/sources/{source}",
    operation_id = "receive_webhook",
    tag = "ingest",
    request_body(content((serde_json::Value = "*/*"))),
    params(
        ("source" = String, Path, description = "`<tenant>.<source id>`, or `<source id>` with an API key"),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context"),
    ),
    responses(
        (status = 202, description = "the event is kept", body = crate::events::Accepted),
        (status = 400, description = "malformed, or not a valid CloudEvent"),
        (status = 401, description = "the signature is missing, old or wrong; or no API key where one is needed"),
        (status = 403, description = "the key may not publish, or the tenant is disabled"),
        (status = 404, description = "there is no such source"),
        (status = 408, description = "the body did not arrive in time"),
        (status = 413, description = "the body or an event is too large"),
        (status = 415, description = "a content encoding or CloudEvents format that is not read here"),
        (status = 422, description = "the source's mapping cannot be used"),
        (status = 429, description = "the tenant's quota is used up; see Retry-After and RateLimit"),
        (status = 503, description = "the broker is away or full; see Retry-After"),
    ),
    security((), ("api_key" = []), ("bearer" = [])),
)]
pub(crate) async fn receive(
    State(door): State<Arc<Door>>,
    Extension(trace): Extension<TraceContext>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let mut call = Call::begin(&door, trace).webhook();
    let result = serve(&mut call, path, request).await;
    call.end(result)
}

async fn serve(
    call: &mut Call<'_>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    call.routed(&parts, "/v1/sources/{source}");
    let (source, by) = find(call, &name(path)?, &parts.headers).await?;
    let body = call.body(body).await?;
    let compiled = call.door.sources.get(&source, &call.door.sealer);
    if let (By::Signature, Some(verification)) = (&by, &source.verification) {
        verify(call, verification, &compiled, &parts.headers, &body)?;
    }
    let mapping = compiled.mapping.as_ref().map_err(|error| {
        Problem::new(
            ErrorCode::Unprocessable,
            "the mapping of this source cannot be used; correct the source",
        )
        .cause(format!("{}: {error}", source.id))
    })?;
    let customer = if let By::Caller(customer) = by { customer } else { None };
    let arrived = Arrived {
        headers: &parts.headers,
        query: parts.uri.query().unwrap_or_default(),
        form: None,
        body,
        system: &source.system,
        source: Some(&source.id),
        customer: customer.as_ref(),
        mapping,
    };
    call.publish(arrived).await
}

/// A source as a path names it.
pub(crate) enum Name {
    Public(TenantId, SourceId),
    Own(SourceId),
}

pub(crate) fn name(path: Result<Path<String>, PathRejection>) -> Result<Name, Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, "there is no such source");
    // What is no id names nothing.
    let Path(text) = path.map_err(|_| unknown())?;
    match text.split_once('.') {
        Some((tenant, source)) => {
            Ok(Name::Public(tenant.parse().map_err(|_| unknown())?, source.parse().map_err(|_| unknown())?))
        }
        None => Ok(Name::Own(text.parse().map_err(|_| unknown())?)),
    }
}

/// What lets a request in.
enum By {
    /// A signature, which is to be checked.
    Signature,
    /// A good API key, or a token; and on whose behalf.
    Caller(Option<CustomerId>),
}

/// The source, and what lets the request in.
async fn find(call: &mut Call<'_>, name: &Name, headers: &HeaderMap) -> Result<(Arc<Source>, By), Problem> {
    let unknown = || Problem::new(ErrorCode::NotFound, "there is no such source");
    match name {
        Name::Own(id) => {
            let caller = call.caller(headers).await?;
            let source = call.snapshot.source(&caller.tenant.id, id).ok_or_else(unknown)?;
            Ok((Arc::clone(source), By::Caller(caller.customer)))
        }
        Name::Public(tenant, id) => {
            let snapshot = Arc::clone(&call.snapshot);
            let (Some(tenant), Some(source)) = (snapshot.tenant(tenant), snapshot.source(tenant, id)) else {
                return Err(unknown());
            };
            if source.verification.is_some() {
                call.admit(tenant).map_err(|error| refuse::unauthorized(&error))?;
                return Ok((Arc::clone(source), By::Signature));
            }
            let caller = call.caller(headers).await?;
            if caller.tenant.id != tenant.id {
                return Err(unknown());
            }
            Ok((Arc::clone(source), By::Caller(caller.customer)))
        }
    }
}

fn verify(
    call: &Call<'_>,
    verification: &Verification,
    compiled: &Compiled,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Problem> {
    let secrets = compiled.secrets.as_ref().map_err(|error| {
        // Not the caller's fault, and not a reason to let anything in.
        Problem::internal(format!("a signing secret cannot be opened: {error}"))
    })?;
    signature::verify(verification, secrets, headers, body, call.door.clock.now())
        .map_err(|error| Problem::new(error.code(), error.to_string()))
}
