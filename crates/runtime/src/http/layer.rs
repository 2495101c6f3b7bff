//! Around every handler: the trace context in, problems with their trace id out, panics caught.

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use model::ErrorCode;
use tower::{Layer, Service};

use crate::{
    grpc,
    metrics::{self, Metric},
    otlp::RequestSpan,
    problem::Problem,
    trace::TraceContext,
};

/// Longest plain-text answer of an extractor that becomes a problem's detail.
const DETAIL_BYTES_MAX: u64 = 1_024;

/// The layer that [`super::serve`] puts around a router; only tests that call a router directly need it.
///
/// - The request gets an extension [`TraceContext`]: this request's own span in the caller's trace. If it is sampled, also a
///   [`RequestSpan`], which ends with the head of the answer.
/// - A [`Problem`] gets `trace_id` and `instance`, and its cause is logged.
/// - axum's own refusals (extractors, 404, 405) become problems; a gRPC caller gets a status instead.
/// - A panic is a 500. It is logged by the panic hook (`telemetry::init`), with the trace id.
///
/// Applied twice, it does nothing the second time.
#[must_use]
pub fn layer() -> TraceLayer {
    TraceLayer
}

/// See [`layer`].
#[derive(Debug, Clone, Copy, Default)]
pub struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TraceService { inner }
    }
}

/// See [`layer`].
#[derive(Debug, Clone)]
pub struct TraceService<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for TraceService<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if request.extensions().get::<TraceContext>().is_some() {
            return Box::pin(self.inner.call(request));
        }
        let from = TraceContext::of_caller(request.headers());
        let trace = match &from {
            None if is_probe(request.uri().path()) => TraceContext::random(),
            from => TraceContext::arriving(from.as_ref()),
        };
        request.extensions_mut().insert(trace.clone());
        let caller = Caller { uri: request.uri().clone(), grpc: is_grpc(request.headers()) };
        let span = begin_span(&mut request, &trace, from.as_ref(), &caller);
        let handler = catch_unwind(AssertUnwindSafe(|| trace.enter(|| self.inner.call(request))));
        Box::pin(async move {
            let outcome = match handler {
                Ok(handler) => Guarded { trace: &trace, handler: pin!(handler) }.await,
                Err(_) => Err(Panicked),
            };
            let response = match outcome {
                Ok(Ok(response)) => finish(response, &trace, &caller).await,
                Err(Panicked) => {
                    metrics::counter(Metric::HttpPanics, &[]).inc();
                    caller.answer(&Problem::new(ErrorCode::Internal, ""), &trace)
                }
            };
            if let Some(span) = span {
                end_span(&span, &response);
            }
            Ok(response)
        })
    }
}

/// What asks every few seconds whether the process is well.
fn is_probe(path: &str) -> bool {
    path == "/metrics" || path.starts_with("/healthz/") || path.starts_with("/grpc.health.")
}

/// Begins the span of a sampled request. Whoever knows its route names it better.
fn begin_span(
    request: &mut Request<Body>,
    trace: &TraceContext,
    from: Option<&TraceContext>,
    caller: &Caller,
) -> Option<RequestSpan> {
    let method = request.method().as_str();
    let span = RequestSpan::begin(if caller.grpc { caller.rpc() } else { method }, trace, from)?;
    if caller.grpc {
        span.set("rpc.system", "grpc");
        let (service, method) = caller.rpc().split_once('/').unwrap_or_else(|| (caller.rpc(), ""));
        span.set("rpc.service", service);
        span.set("rpc.method", method);
    } else {
        span.set("http.request.method", method);
        span.set("url.path", caller.uri.path());
        span.set("url.scheme", "http");
    }
    request.extensions_mut().insert(span.clone());
    Some(span)
}

fn end_span(span: &RequestSpan, response: &Response) {
    let status = response.status();
    // A status in the head is that of a call that failed; others come after the messages.
    let grpc = response.headers().get("grpc-status").and_then(|v| v.to_str().ok()?.parse::<i64>().ok());
    if let Some(code) = grpc {
        span.set("rpc.grpc.status_code", code);
    } else {
        span.set("http.response.status_code", u32::from(status.as_u16()));
    }
    // Of a server's span only what is the server's fault is an error (semantic conventions for HTTP and gRPC).
    if status.is_server_error() {
        span.with(|span| span.fail(status.as_str(), ""));
    } else if let Some(code @ (2 | 4 | 12 | 13 | 14 | 15)) = grpc {
        span.with(|span| span.fail(&code.to_string(), ""));
    }
    span.end();
}

/// What is known of the caller when the request itself is gone.
struct Caller {
    uri: Uri,
    grpc: bool,
}

impl Caller {
    /// `package.Service/Method`.
    fn rpc(&self) -> &str {
        self.uri.path().trim_start_matches('/')
    }

    fn answer(&self, problem: &Problem, trace: &TraceContext) -> Response {
        if self.grpc {
            return grpc::status(problem, trace).into_http();
        }
        problem.answer(Some(trace), Some(self.uri.path()))
    }
}

struct Panicked;

/// Polls a handler with its trace as the current one, and catches its panics.
struct Guarded<'a, F> {
    trace: &'a TraceContext,
    handler: Pin<&'a mut F>,
}

impl<F: Future> Future for Guarded<'_, F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // Unwind safe: after a panic the handler is never polled again.
        match catch_unwind(AssertUnwindSafe(|| this.trace.enter(|| this.handler.as_mut().poll(cx)))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|v| v.starts_with("application/grpc"))
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|v: &HeaderValue| v.to_str().ok())
}

async fn finish(mut response: Response, trace: &TraceContext, caller: &Caller) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if !caller.grpc {
            problem.log(&trace.trace_id());
        }
        return keep_headers(caller.answer(&problem, trace), response.headers());
    }
    let status = response.status();
    let refused = status.is_client_error() || status.is_server_error();
    let plain = content_type(response.headers()).is_none_or(|v| v.starts_with("text/plain"));
    if !refused || !plain {
        return response;
    }
    if caller.grpc {
        // What HTTP calls 404 and 405, gRPC calls an unknown method.
        return tonic::Status::unimplemented(format!("there is no method {}", caller.uri.path())).into_http();
    }
    let (parts, body) = response.into_parts();
    let problem = refusal(status, plain_text(body).await, caller);
    problem.log(&trace.trace_id());
    keep_headers(caller.answer(&problem, trace), &parts.headers)
}

/// The answer's own headers (`Allow`, `RateLimit`, ...) stay, except those that spoke of the old body.
fn keep_headers(mut answer: Response, before: &HeaderMap) -> Response {
    for (name, value) in before {
        if name != header::CONTENT_TYPE
            && name != header::CONTENT_LENGTH
            && !answer.headers().contains_key(name)
        {
            answer.headers_mut().append(name, value.clone());
        }
    }
    answer
}

async fn plain_text(body: Body) -> Option<String> {
    let size = body.size_hint().exact().filter(|n| (1..=DETAIL_BYTES_MAX).contains(n));
    size?;
    String::from_utf8(body.collect().await.ok()?.to_bytes().to_vec()).ok()
}

/// What a bare status means, said as a problem.
fn refusal(status: StatusCode, text: Option<String>, caller: &Caller) -> Problem {
    let code = match status.as_u16() {
        401 => ErrorCode::Unauthenticated,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        405 => ErrorCode::MethodNotAllowed,
        408 => ErrorCode::RequestTimeout,
        409 => ErrorCode::Conflict,
        412 => ErrorCode::PreconditionFailed,
        413 => ErrorCode::TooLarge,
        415 => ErrorCode::UnsupportedMediaType,
        422 => ErrorCode::Unprocessable,
        429 => ErrorCode::RateLimited,
        503 => ErrorCode::Unavailable,
        400..500 => ErrorCode::Malformed,
        _ => return Problem::internal(text.unwrap_or_else(|| format!("answered with status {status}"))),
    };
    match (code, text) {
        (_, Some(text)) => Problem::new(code, text),
        (ErrorCode::NotFound, None) => {
            Problem::new(code, format!("there is nothing at {}", caller.uri.path()))
        }
        (ErrorCode::MethodNotAllowed, None) => {
            Problem::new(code, "the path exists, with other methods: see the allow header")
        }
        (_, None) => Problem::from(code),
    }
}
