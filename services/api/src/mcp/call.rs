//! One call of a tool: the HTTP request that it stands for, and what came of it.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
};
use http::{HeaderName, HeaderValue, Request, StatusCode, header, request::Parts};
use model::ErrorCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject};
use runtime::{http::Peer, problem::Problem, trace::TraceContext};
use serde_json::Value;
use tower::ServiceExt as _;

use super::tools::{BODY, Operation, Parameter, Place};

/// The credentials that go on with a call. A cookie does not: a browser sends it for whoever makes it.
const CREDENTIALS: [HeaderName; 2] = [header::AUTHORIZATION, HeaderName::from_static("x-api-key")];

/// What came of a call.
pub(super) struct Outcome {
    pub(super) status: StatusCode,
    body: Bytes,
}

/// Asks the operation as the caller of `parts`.
pub(super) async fn ask(
    operations: Router,
    operation: &Operation,
    arguments: JsonObject,
    parts: &Parts,
    answer_bytes_max: usize,
) -> Outcome {
    let trace = parts.extensions.get::<TraceContext>();
    let answer = async {
        let mut request = request(operation, arguments)?;
        for name in CREDENTIALS {
            for value in parts.headers.get_all(&name) {
                request.headers_mut().append(&name, value.clone());
            }
        }
        if let Some(traceparent) = trace.and_then(|t| HeaderValue::from_str(&t.to_traceparent()).ok()) {
            request.headers_mut().insert("traceparent", traceparent);
        }
        if let Some(peer) = parts.extensions.get::<Peer>() {
            request.extensions_mut().insert(*peer);
        }
        let Ok(response) = operations.oneshot(request).await;
        let status = response.status();
        let body = match to_bytes(response.into_body(), answer_bytes_max).await {
            Ok(body) => body,
            // What is done is done, and there is no asking for less of it.
            Err(_) if status.is_success() && !operation.method.is_safe() => Bytes::new(),
            Err(_) => return Err(too_large(answer_bytes_max)),
        };
        Ok(Outcome { status, body })
    };
    answer.await.unwrap_or_else(|problem: Problem| Outcome {
        status: problem.status(),
        body: problem.body(trace.map(TraceContext::trace_id).as_deref(), None).into(),
    })
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        ErrorCode::TooLarge,
        format!("the answer is larger than {bytes_max} bytes: ask for less, with filters or a lower `limit`"),
    )
}

impl Outcome {
    /// For the metric.
    pub(super) fn word(&self) -> &'static str {
        match self.status {
            status if status.is_success() => "answered",
            status if status.is_server_error() => "failed",
            _ => "refused",
        }
    }
}

impl From<Outcome> for CallToolResult {
    fn from(Outcome { status, body }: Outcome) -> Self {
        match serde_json::from_slice(&body) {
            Ok(value) if status.is_success() => Self::structured(value),
            Ok(problem) => Self::structured_error(problem),
            // Nothing to say (204), or too much.
            Err(_) if status.is_success() => Self::success(vec![ContentBlock::text("done")]),
            Err(_) => Self::error(vec![ContentBlock::text(status.to_string())]),
        }
    }
}

/// The request that an operation with these arguments is. All that is wrong with them is told at once; whether the values are possible is
/// the operation's to say.
fn request(operation: &Operation, mut arguments: JsonObject) -> Result<Request<Body>, Problem> {
    // Many models write null for what they leave out.
    arguments.retain(|_, value| !value.is_null());
    let mut faults = Vec::new();
    let missing = operation.required.iter().filter(|name| !arguments.contains_key(*name));
    faults.extend(missing.map(|name| (name.clone(), "is required")));
    let (mut path, mut query) = (operation.path.clone(), Vec::new());
    let mut request = Request::builder().method(operation.method.clone());
    for Parameter { name, place, .. } in &operation.parameters {
        let Some(given) = arguments.remove(name) else { continue };
        let texts = texts(given);
        match (place, texts.as_deref()) {
            (Place::Path, Some([text])) if !text.is_empty() => {
                path = path.replace(&format!("{{{name}}}"), &encoded(text));
            }
            (Place::Path, _) => faults.push((name.clone(), "must be a text that is not empty")),
            (Place::Query, Some(texts)) => {
                query.extend(texts.iter().map(|text| format!("{}={}", encoded(name), encoded(text))));
            }
            (Place::Header, Some([text])) if HeaderValue::from_str(text).is_ok() => {
                request = request.header(name, text);
            }
            (Place::Header, _) => faults.push((name.clone(), "must be a text that fits into a header")),
            (Place::Query, None) => faults.push((name.clone(), "must be a scalar or a list of them")),
        }
    }
    let mut body = Body::empty();
    if let Some(media_type) = &operation.media_type
        && let Some(given) = arguments.remove(BODY)
    {
        request = request.header(header::CONTENT_TYPE, media_type);
        body = given.to_string().into();
    }
    faults.extend(arguments.into_iter().map(|(name, _)| (name, "is no argument of this tool")));
    if !faults.is_empty() {
        let problem =
            Problem::new(ErrorCode::InvalidArgument, "the arguments are not as the tool's schema says");
        return Err(faults.into_iter().fold(problem, |p, (name, fault)| p.field(format!("/{name}"), fault)));
    }
    let separator = if query.is_empty() { "" } else { "?" };
    request.uri(format!("{path}{separator}{}", query.join("&"))).body(body).map_err(Problem::internal)
}

/// A value as it stands in a URL or header; each of a list.
fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Number(_) | Value::Bool(_) => Some(vec![value.to_string()]),
        Value::Array(values) => {
            let texts: Option<Vec<_>> = values.into_iter().map(texts).collect();
            texts.map(|texts| texts.concat())
        }
        Value::Null | Value::Object(_) => None,
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
