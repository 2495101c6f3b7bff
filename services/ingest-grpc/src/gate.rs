//! What every call passes before its method and after it.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, Method, Version, header::CONTENT_TYPE};
use model::ErrorCode;
use runtime::{
    grpc,
    metrics::Metric,
    otlp::{self, RequestSpan},
    problem::Problem,
    trace::TraceContext,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    SERVICE_NAME,
    deadline::{self, Deadline},
    door::Door,
    endless, refuse,
};

#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) door: Arc<Door>,
    /// Ends the calls that have no end of their own.
    pub(crate) closing: CancellationToken,
}

/// How a method is bounded in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Answered within the call timeout.
    Unary,
    /// `StreamEvents`, which keeps the caller's deadline itself.
    Stream,
    /// Health watches and reflection.
    Endless,
}

pub(crate) async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let trace = request.extensions().get::<TraceContext>().cloned().unwrap_or_else(TraceContext::random);
    let span = RequestSpan::of(request.extensions()).cloned();
    if let Some(span) = &span {
        span.answered_by("ingest-grpc");
    }
    let started = Instant::now();
    let (ours, kind) = method(request.uri().path());
    let in_flight = (ours && kind == Kind::Unary).then(|| gate.door.metrics.begin());
    let response = match admit(&gate.door, &mut request, ours, kind).await {
        Ok(deadline) => answer(&gate, request, next, kind, deadline, &trace).await,
        Err(problem) => Err(problem),
    };
    if in_flight.is_some() {
        let took = started.elapsed().as_secs_f64();
        gate.door.metrics.took(took);
        if span.is_some() {
            otlp::exemplar(Metric::IngestRequestDuration, &["grpc"], took, &trace);
        }
    }
    response.unwrap_or_else(|problem| {
        if ours {
            gate.door.metrics.refused(problem.code);
        }
        problem.into_response()
    })
}

/// Whether it is a method of ours, and how it is bounded.
fn method(path: &str) -> (bool, Kind) {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    match (service == SERVICE_NAME, method) {
        (true, "StreamEvents") => (true, Kind::Stream),
        (true, _) => (true, Kind::Unary),
        (false, "Watch" | "ServerReflectionInfo") => (false, Kind::Endless),
        (false, _) => (false, Kind::Unary),
    }
}

/// Before anything of the call's messages is read.
async fn admit(
    door: &Door,
    request: &mut Request,
    ours: bool,
    kind: Kind,
) -> Result<Option<tokio::time::Instant>, Problem> {
    protocol(request)?;
    let timeout = deadline::timeout(request.headers())?;
    if ours {
        let caller = door.caller(request.headers()).await?;
        if let Some(span) = RequestSpan::of(request.extensions()) {
            span.set("eventrunner.tenant", &**caller.tenant.id.as_text());
        }
        request.extensions_mut().insert(caller);
    }
    let longest = door.options.call_timeout();
    let timeout = match kind {
        Kind::Unary => Some(timeout.map_or(longest, |t| t.min(longest))),
        Kind::Stream | Kind::Endless => timeout,
    };
    // A deadline so far that the clock cannot say it is none.
    let deadline = timeout.and_then(|t| tokio::time::Instant::now().checked_add(t));
    request.extensions_mut().insert(Deadline(deadline));
    Ok(deadline)
}

/// gRPC over HTTP/2, "Requests".
fn protocol(request: &Request) -> Result<(), Problem> {
    let essence = |headers: &HeaderMap| {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    };
    let content_type = essence(request.headers());
    if !matches!(content_type.as_deref(), Some("application/grpc" | "application/grpc+proto")) {
        return Err(Problem::new(
            ErrorCode::UnsupportedMediaType,
            "this is a gRPC server: the content type must be application/grpc or application/grpc+proto",
        )
        .field("header:content-type", "is not application/grpc"));
    }
    if request.version() != Version::HTTP_2 {
        return Err(Problem::new(ErrorCode::Malformed, "gRPC needs HTTP/2"));
    }
    if request.method() != Method::POST {
        return Err(Problem::new(ErrorCode::MethodNotAllowed, "gRPC calls are POST requests"));
    }
    Ok(())
}

async fn answer(
    gate: &Gate,
    request: Request,
    next: Next,
    kind: Kind,
    deadline: Option<tokio::time::Instant>,
    trace: &TraceContext,
) -> Result<Response, Problem> {
    let closing = || gate.closing.clone();
    let end = || Status::unavailable("this server is stopping");
    let request = match kind {
        // Whoever still reads from the caller must be let go as well.
        Kind::Endless => request.map(|body| endless::until(closing(), body, end)),
        Kind::Unary | Kind::Stream => request,
    };
    let response = match deadline {
        Some(deadline) => {
            tokio::time::timeout_at(deadline, next.run(request)).await.map_err(|_| refuse::too_late())?
        }
        None => next.run(request).await,
    };
    let response = explained(response, trace);
    Ok(match kind {
        Kind::Endless => response.map(|body| endless::until(closing(), body, end)),
        Kind::Unary | Kind::Stream => response,
    })
}

/// An error that is the whole answer and has no details is not one of ours.
fn explained(response: Response, trace: &TraceContext) -> Response {
    if !response.headers().contains_key("grpc-status")
        || response.headers().contains_key("grpc-status-details-bin")
    {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != tonic::Code::Ok => {
            let explained = refuse::explain(&status, trace);
            if grpc::code(&explained).is_some() { explained.into_http() } else { response }
        }
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        for (path, expected) in [
            ("/eventrunner.v1.EventIngestService/PublishEvent", (true, Kind::Unary)),
            ("/eventrunner.v1.EventIngestService/StreamEvents", (true, Kind::Stream)),
            ("/eventrunner.v1.EventIngestService/Nothing", (true, Kind::Unary)),
            ("/grpc.health.v1.Health/Check", (false, Kind::Unary)),
            ("/grpc.health.v1.Health/Watch", (false, Kind::Endless)),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", (false, Kind::Endless)),
            ("/", (false, Kind::Unary)),
            ("/eventrunner.v1.EventIngestService", (false, Kind::Unary)),
        ] {
            assert_eq!(method(path), expected, "{path}");
        }
    }
}
