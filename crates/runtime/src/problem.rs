//! Errors as callers see them over HTTP: RFC 9457 `application/problem+json`.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use model::ErrorCode;
use serde::Serialize;

use crate::trace::TraceContext;

/// Media type of a problem (RFC 9457, section 3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Where the pages of `docs/errors/` are published; `type` is this plus the code.
pub const TYPE_BASE: &str = "https://eventrunner.dev/errors/";

/// What a caller is told of a fault of ours, whatever happened.
const INTERNAL_DETAIL: &str = "the fault is logged under this trace id";

/// Field errors listed in one answer; the rest is only counted.
const FIELD_ERRORS_MAX: usize = 100;

/// One wrong field of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON Pointer into the body (RFC 6901), or `header:<name>` or `query:<name>`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// One failed request: a code, what to tell the caller, and, apart from it, what to tell the operator.
///
/// As an axum response it is complete but for `trace_id` and `instance`, which [`crate::http::layer`] puts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong; HTTP status and gRPC code follow from it.
    pub code: ErrorCode,
    /// This occurrence, for the caller. Never shown for [`ErrorCode::Internal`].
    pub detail: String,
    /// The fields that are wrong.
    pub errors: Vec<FieldError>,
    /// When to try again, in seconds. 429 and 503 say 1 when this is `None`.
    pub retry_after_seconds: Option<u32>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<str>>,
    envelope: Option<Box<str>>,
}

impl Problem {
    /// A problem of this kind; `detail` is for the caller, lower case, without a full stop.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
            headers: Vec::new(),
            cause: None,
            envelope: None,
        }
    }

    /// A fault of ours: `cause` is logged once, the caller gets a trace id and nothing else.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Internal, INTERNAL_DETAIL).cause(cause)
    }

    /// The broker or a store is away or full: `cause` is for the operator.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Unavailable, detail).cause(cause)
    }

    /// Adds a wrong field.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds a header to the answer, such as `RateLimit`, `Allow` or `WWW-Authenticate`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What the operator is told; logged once, by [`crate::http::layer`] or [`crate::grpc::status`].
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Answers in the envelope that clients of the seed read, `{"error": {"message": …}}`, in their words; the code and our
    /// words stand beside them.
    #[must_use]
    pub fn in_envelope(mut self, message: impl Into<Box<str>>) -> Self {
        self.envelope = Some(message.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What the caller may read: `detail`, except for a fault of ours.
    #[must_use]
    pub fn public_detail(&self) -> &str {
        if self.code == ErrorCode::Internal { INTERNAL_DETAIL } else { &self.detail }
    }

    /// Seconds after which to try again, for the codes that ask for it (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_delay_seconds(&self) -> Option<u32> {
        let asks = matches!(self.code, ErrorCode::RateLimited | ErrorCode::Unavailable);
        self.retry_after_seconds.or_else(|| asks.then_some(1))
    }

    /// The members of the JSON body.
    #[must_use]
    pub fn body(&self, trace_id: Option<&str>, instance: Option<&str>) -> Vec<u8> {
        if let Some(message) = &self.envelope {
            let detail = self.public_detail();
            let message = if self.code == ErrorCode::Internal { detail } else { message };
            let error = Enveloped {
                message,
                code: self.code.as_str(),
                detail: Some(detail).filter(|d| d != &message),
                trace_id,
            };
            return serde_json::to_vec(&serde_json::json!({ "error": error })).unwrap_or_default();
        }
        let shown = self.errors.len().min(FIELD_ERRORS_MAX);
        let body = Body {
            kind: format!("{TYPE_BASE}{}", self.code),
            title: self.code.title(),
            status: self.code.http_status(),
            detail: self.public_detail(),
            instance,
            code: self.code.as_str(),
            trace_id,
            errors: &self.errors[..shown],
            errors_omitted: self.errors.len() - shown,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// Tells the operator, once: faults of ours and outages, which nobody else logs.
    pub(crate) fn log(&self, trace_id: &str) {
        let cause = match (&self.cause, self.code) {
            (Some(cause), _) => &**cause,
            (None, ErrorCode::Internal) => &*self.detail,
            (None, _) => return,
        };
        if self.code == ErrorCode::Internal {
            tracing::error!(code = self.code.as_str(), trace_id, cause, "request failed");
        } else {
            tracing::warn!(code = self.code.as_str(), trace_id, cause, "request failed");
        }
    }

    pub(crate) fn answer(&self, trace: Option<&TraceContext>, instance: Option<&str>) -> Response {
        let trace_id = trace.map(TraceContext::trace_id);
        let body = self.body(trace_id.as_deref(), instance);
        let media_type = if self.envelope.is_some() { "application/json" } else { CONTENT_TYPE };
        let mut response = (self.status(), [(header::CONTENT_TYPE, media_type)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_delay_seconds() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == ErrorCode::Unauthenticated {
            // RFC 9110, section 11.6.1: a 401 says how to authenticate.
            headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"eventrunner\""));
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        response
    }
}

/// RFC 9457, section 3.1, with our members `code`, `trace_id` and `errors`.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "is_zero")]
    errors_omitted: usize,
}

/// See [`Problem::in_envelope`].
#[derive(Serialize)]
struct Enveloped<'a> {
    message: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl From<ErrorCode> for Problem {
    fn from(code: ErrorCode) -> Self {
        let title = code.title();
        let mut detail = title.to_owned();
        detail[..1].make_ascii_lowercase();
        Self::new(code, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.answer(None, None);
        response.extensions_mut().insert(self);
        response
    }
}

/// Fallback of a router: there is no such path.
pub async fn not_found(uri: Uri) -> Problem {
    Problem::new(ErrorCode::NotFound, format!("there is nothing at {}", uri.path()))
}

/// Fallback of a path's methods; axum adds `Allow`.
pub async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(ErrorCode::MethodNotAllowed, format!("{method} is not allowed here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(problem: &Problem) -> serde_json::Value {
        serde_json::from_slice(&problem.body(Some("t"), Some("/v1/events"))).unwrap()
    }

    #[test]
    fn the_body_has_the_members_of_rfc_9457_and_ours() {
        let problem =
            Problem::new(ErrorCode::InvalidEvent, "the event has no id").field("/id", "is required");
        assert_eq!(
            json(&problem),
            serde_json::json!({
                "type": "https://eventrunner.dev/errors/invalid_event",
                "title": "The event is not a valid CloudEvent",
                "status": 400,
                "detail": "the event has no id",
                "instance": "/v1/events",
                "code": "invalid_event",
                "trace_id": "t",
                "errors": [{"pointer": "/id", "detail": "is required"}],
            })
        );
        let bare: serde_json::Value = serde_json::from_slice(&problem.body(None, None)).unwrap();
        assert!(bare.get("trace_id").is_none() && bare.get("instance").is_none());
    }

    #[test]
    fn more_wrong_fields_than_fit_are_counted() {
        let problem = (0..FIELD_ERRORS_MAX + 7).fold(Problem::new(ErrorCode::InvalidEvent, "no"), |p, n| {
            p.field(format!("/{n}"), "is required")
        });
        let body = json(&problem);
        assert_eq!(
            (body["errors"].as_array().unwrap().len(), &body["errors_omitted"]),
            (FIELD_ERRORS_MAX, &7.into())
        );
    }

    #[test]
    fn each_code_has_its_status_and_the_headers_it_owes() {
        for &code in ErrorCode::ALL {
            let response = Problem::from(code).into_response();
            assert_eq!(response.status().as_u16(), code.http_status());
            assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
            let status = code.http_status();
            assert_eq!(
                response.headers().contains_key(header::RETRY_AFTER),
                matches!(status, 429 | 503),
                "{code}"
            );
            let challenge = response.headers().contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(challenge, code == ErrorCode::Unauthenticated, "{code}");
        }
    }

    #[test]
    fn a_fault_of_ours_tells_nothing_however_it_was_made() {
        for problem in [Problem::internal("hunter2"), Problem::new(ErrorCode::Internal, "hunter2")] {
            assert!(!json(&problem).to_string().contains("hunter2"));
        }
    }

    #[test]
    fn in_an_envelope_the_words_stand_beside_ours_and_the_status_stays() {
        let problem = Problem::new(ErrorCode::Forbidden, "the key lacks a scope").in_envelope("Forbidden");
        let error = serde_json::json!({
            "message": "Forbidden", "code": "forbidden", "detail": "the key lacks a scope", "trace_id": "t",
        });
        assert_eq!(json(&problem), serde_json::json!({ "error": error }));
        let response = problem.into_response();
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let said = json(&Problem::new(ErrorCode::NotFound, "no").in_envelope("no"));
        assert_eq!(
            said,
            serde_json::json!({"error": {"message": "no", "code": "not_found", "trace_id": "t"}})
        );
        let fault = json(&Problem::internal("hunter2").in_envelope("hunter2"));
        assert!(!fault.to_string().contains("hunter2"), "{fault}");
    }

    #[test]
    fn a_result_with_a_problem_stays_small() {
        assert!(size_of::<Problem>() <= 128, "{}", size_of::<Problem>());
    }
}
