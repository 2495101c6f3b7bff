//! The service's methods; those that are no stream are all here.

use std::sync::Arc;

use futures::stream::BoxStream;
use model::ErrorCode;
use prost::Message as _;
use proto::v1::{self, event_ingest_service_server::EventIngestService};
use runtime::{grpc, problem::Problem, trace::TraceContext};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    deadline::Deadline,
    decode,
    door::{Caller, Door},
    refuse,
    stream::Publishing,
};

/// Answers under this size are sent as they are, whatever the caller can undo: it costs more than it saves.
const COMPRESS_BYTES_MIN: usize = 1_024;

/// The service as tonic wants it.
#[derive(Debug, Clone)]
pub(crate) struct Ingest {
    pub(crate) door: Arc<Door>,
    pub(crate) draining: CancellationToken,
}

/// What the gate has put into each request.
fn admitted<T>(request: &Request<T>) -> Result<(Caller, TraceContext), Status> {
    let extensions = request.extensions();
    let trace = extensions.get::<TraceContext>().cloned().unwrap_or_else(TraceContext::random);
    match extensions.get::<Caller>() {
        Some(caller) => Ok((caller.clone(), trace)),
        None => Err(grpc::status(&Problem::internal("a call that did not pass the gate"), &trace)),
    }
}

fn answer<T: prost::Message>(message: T) -> Response<T> {
    let small = message.encoded_len() < COMPRESS_BYTES_MIN;
    let mut response = Response::new(message);
    if small {
        response.disable_compression();
    }
    response
}

impl Ingest {
    async fn one(
        &self,
        caller: &Caller,
        trace: &TraceContext,
        request: v1::PublishEventRequest,
    ) -> Result<v1::PublishEventResponse, Problem> {
        let door = &self.door;
        let wire = request.event.ok_or_else(refuse::event_missing)?;
        let tenant = &caller.tenant;
        let limits = door.options.event_limits(caller.limits.event_bytes_max);
        let snapshot = (door.snapshots)();
        let good = match decode::event(wire, &limits, snapshot.shortcut(&tenant.id)) {
            Ok(good) => good,
            Err(bad) => {
                door.charge(caller, 0, 0)?;
                return Err(refuse::event("event", &bad));
            }
        };
        door.charge(caller, 1, good.bytes)?;
        door.append(door.stamp(caller, trace), vec![good.placed]).await?;
        Ok(v1::PublishEventResponse { event: Some(good.named), trace_id: trace.trace_id() })
    }

    async fn several(
        &self,
        caller: &Caller,
        trace: &TraceContext,
        request: v1::PublishEventsRequest,
    ) -> Result<v1::PublishEventsResponse, Problem> {
        let door = &self.door;
        let sorted = door.sort(caller, request.events)?;
        door.append(door.stamp(caller, trace), sorted.placed).await?;
        Ok(v1::PublishEventsResponse { results: door.kept(sorted.outcomes), trace_id: trace.trace_id() })
    }

    async fn refused(&self, problem: &Problem, events: usize, trace: &TraceContext) -> Status {
        if problem.code == ErrorCode::RateLimited {
            self.door.quotas.hold_back().await;
        }
        self.door.metrics.refused(problem.code);
        self.door.metrics.events(0, events);
        grpc::status(problem, trace)
    }
}

#[tonic::async_trait]
impl EventIngestService for Ingest {
    async fn publish_event(
        &self,
        request: Request<v1::PublishEventRequest>,
    ) -> Result<Response<v1::PublishEventResponse>, Status> {
        let (caller, trace) = admitted(&request)?;
        let request = request.into_inner();
        self.door.metrics.received(request.encoded_len());
        match self.one(&caller, &trace, request).await {
            Ok(response) => {
                self.door.metrics.events(1, 0);
                Ok(answer(response))
            }
            Err(problem) => Err(self.refused(&problem, 1, &trace).await),
        }
    }

    async fn publish_events(
        &self,
        request: Request<v1::PublishEventsRequest>,
    ) -> Result<Response<v1::PublishEventsResponse>, Status> {
        let (caller, trace) = admitted(&request)?;
        let request = request.into_inner();
        self.door.metrics.received(request.encoded_len());
        let events = request.events.len();
        let outcome = self.several(&caller, &trace, request).await;
        match outcome {
            Ok(response) => Ok(answer(response)),
            Err(problem) => Err(self.refused(&problem, events, &trace).await),
        }
    }

    type StreamEventsStream = BoxStream<'static, Result<v1::StreamEventsResponse, Status>>;

    async fn stream_events(
        &self,
        request: Request<Streaming<v1::StreamEventsRequest>>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        let (caller, trace) = admitted(&request)?;
        let deadline = request.extensions().get::<Deadline>().and_then(|d| d.0);
        let publishing = Publishing::new(
            Arc::clone(&self.door),
            caller,
            (trace, request.metadata().contains_key("traceparent")),
            request.into_inner(),
            deadline,
            self.draining.clone(),
        );
        let mut response = Response::new(publishing.into_stream());
        // Acknowledgements are small and many.
        response.disable_compression();
        Ok(response)
    }
}
