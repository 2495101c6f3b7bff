//! `OPTIONS /v1/sources/{source}`: the validation handshake of CloudEvents webhooks.
//!
//! CloudEvents "HTTP 1.1 Web Hooks", version 1.0.2, section 4. The answer comes with the response;
//! `WebHook-Request-Callback` is not called, because a door that calls any URL a stranger names is itself a tool for abuse.

use std::sync::Arc;

use auth::AuthError;
use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ALLOW, InvalidHeaderValue},
};
use model::{ErrorCode, resource::Limits};
use runtime::problem::Problem;

use crate::{
    call::Door,
    refuse,
    sources::{self, Name},
};

const REQUEST_ORIGIN: &str = "webhook-request-origin";
const REQUEST_RATE: &str = "webhook-request-rate";
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// Ask for permission to send.
///
/// Answers the CloudEvents webhook handshake: a source that exists consents to any origin, at the rate of its
/// tenant (requests a minute, `*` without a limit). Consent replaces no signature and no API key.
#[utoipa::path(
    options,
    path = "/v1/sources/{source}",
    operation_id = "validate_webhook",
    tag = "ingest",
    params(
        ("source" = String, Path, description = "`<tenant>.<source id>`"),
        ("WebHook-Request-Origin" = Option<String>, Header, description = "who asks"),
        ("WebHook-Request-Rate" = Option<u32>, Header, description = "requests a minute that are wanted"),
    ),
    responses(
        (status = 204, description = "consent, in WebHook-Allowed-Origin and WebHook-Allowed-Rate, if it was asked for"),
        (status = 400, description = "the origin or the rate is none"),
        (status = 403, description = "the tenant is disabled"),
        (status = 404, description = "there is no such source"),
    ),
)]
pub(crate) async fn validate(
    State(door): State<Arc<Door>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let snapshot = (door.snapshots)();
    let found = match sources::name(path)? {
        Name::Public(tenant, id) => snapshot.source(&tenant, &id).and_then(|_| snapshot.tenant(&tenant)),
        // Without a tenant there is nobody to ask: the handshake carries no API key.
        Name::Own(_) => None,
    };
    let tenant = found.ok_or_else(|| Problem::new(ErrorCode::NotFound, "there is no such source"))?;
    if tenant.disabled {
        return Err(refuse::unauthorized(&AuthError::TenantDisabled(tenant.id.clone())));
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    // Without the header it is no handshake, and consents to nothing.
    if let Some(origin) = origin(&headers)? {
        requested_rate(&headers)?;
        response.headers_mut().insert(ALLOWED_ORIGIN, origin);
        let rate = allowed_rate(&snapshot.limits(tenant)).map_err(Problem::internal)?;
        response.headers_mut().insert(ALLOWED_RATE, rate);
    }
    Ok(response)
}

fn origin(headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let mut values = headers.get_all(REQUEST_ORIGIN).iter();
    let Some(origin) = values.next() else { return Ok(None) };
    let name = |b: &u8| b.is_ascii_alphanumeric() || b"-._:/*".contains(b);
    let good = !origin.is_empty() && origin.len() <= 255 && origin.as_bytes().iter().all(name);
    if !good || values.next().is_some() {
        return Err(invalid(REQUEST_ORIGIN, "must be one DNS name, such as eventemitter.example.com"));
    }
    Ok(Some(origin.clone()))
}

/// What is asked for need not be what is granted; but it must be a number.
fn requested_rate(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(rate) = headers.get(REQUEST_RATE) else { return Ok(()) };
    let digits = rate.as_bytes();
    let positive = digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|d| *d != b'0');
    if positive && digits.len() <= 18 {
        Ok(())
    } else {
        Err(invalid(REQUEST_RATE, "must be a positive integer, requests a minute"))
    }
}

fn invalid(header: &str, detail: &str) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "the handshake cannot be read")
        .field(format!("header:{header}"), detail)
}

/// Requests a minute, counting an event a request.
fn allowed_rate(limits: &Limits) -> Result<HeaderValue, InvalidHeaderValue> {
    match limits.events_per_second {
        0 => Ok(HeaderValue::from_static("*")),
        rate => HeaderValue::try_from((u64::from(rate) * 60).to_string()),
    }
}
