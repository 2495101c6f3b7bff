//! `StreamEvents`: reads messages, hands them on in the order they came, and answers each when the broker has its events.
//!
//! One value drives both directions and is polled only when the caller takes answers. So a caller that does not read
//! its acknowledgements is not read from either, and nothing is kept for it beyond the window.

use std::{pin::Pin, sync::Arc};

use bus::{AcceptError, Appended};
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use prost::Message as _;
use proto::v1;
use runtime::{
    grpc,
    metrics::InFlight,
    otlp::{Kind, Span},
    problem::Problem,
    trace::TraceContext,
};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::{
    decode::{Outcome, Sorted},
    door::{self, Caller, Door},
    refuse,
};

/// One message on its way, with all that its answer needs.
struct Message {
    sequence: u64,
    outcomes: Vec<Outcome>,
    bytes: usize,
    trace: TraceContext,
    /// Of the few that are sampled.
    span: Option<Span>,
    _in_flight: InFlight,
}

/// A message whose events the broker has or refused.
struct Done {
    response: v1::StreamEventsResponse,
    bytes: usize,
}

/// A message the door has taken, or not.
type Handed = (Message, Result<Appended, AcceptError>);

/// One `StreamEvents` call.
pub(crate) struct Publishing {
    door: Arc<Door>,
    caller: Caller,
    trace: TraceContext,
    /// Whether that is the caller's, not one begun here.
    in_callers_trace: bool,
    requests: Streaming<v1::StreamEventsRequest>,
    /// The message that is being handed on: one at a time, so that they stay in order.
    handing: Option<BoxFuture<'static, Handed>>,
    /// What awaits its acknowledgement.
    pending: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Bytes of events handed on or being so.
    pending_bytes: usize,
    /// Set when nothing more is read: how the call ends once nothing is pending.
    end: Option<Result<(), Status>>,
    deadline: Option<Pin<Box<Sleep>>>,
    idle: Pin<Box<Sleep>>,
    draining: CancellationToken,
}

/// What happened next.
enum Next {
    Acknowledged(Done),
    Handed(Handed),
    Message(Result<Option<v1::StreamEventsRequest>, Status>),
    Draining,
    Idle,
    TooLate,
}

impl Publishing {
    pub(crate) fn new(
        door: Arc<Door>,
        caller: Caller,
        (trace, in_callers_trace): (TraceContext, bool),
        requests: Streaming<v1::StreamEventsRequest>,
        deadline: Option<Instant>,
        draining: CancellationToken,
    ) -> Self {
        let idle = Box::pin(sleep_until(Instant::now() + door.options.stream_idle_timeout()));
        Self {
            door,
            caller,
            trace,
            in_callers_trace,
            requests,
            handing: None,
            pending: FuturesUnordered::new(),
            pending_bytes: 0,
            end: None,
            deadline: deadline.map(|at| Box::pin(sleep_until(at))),
            idle,
            draining,
        }
    }

    /// The answers.
    pub(crate) fn into_stream(self) -> BoxStream<'static, Result<v1::StreamEventsResponse, Status>> {
        stream::unfold(Some(self), |publishing| async move {
            let mut publishing = publishing?;
            match publishing.answer().await {
                Some(Ok(response)) => Some((Ok(response), Some(publishing))),
                Some(Err(status)) => Some((Err(status), None)),
                None => None,
            }
        })
        .boxed()
    }

    async fn answer(&mut self) -> Option<Result<v1::StreamEventsResponse, Status>> {
        loop {
            if self.pending.is_empty()
                && self.handing.is_none()
                && let Some(end) = self.end.take()
            {
                return end.err().map(Err);
            }
            match self.next().await {
                Next::Acknowledged(done) => return Some(Ok(self.done(done))),
                Next::Handed((message, Ok(appended))) => self.pending.push(Box::pin({
                    let door = Arc::clone(&self.door);
                    async move { settle(&door, message, appended.await) }
                })),
                Next::Handed((message, Err(error))) => {
                    let done = settle(&self.door, message, Err(error));
                    return Some(Ok(self.done(done)));
                }
                Next::Message(Ok(Some(message))) => {
                    if let Some(response) = self.take(message).await {
                        return Some(Ok(response));
                    }
                }
                Next::Message(Ok(None)) => self.end = Some(Ok(())),
                Next::Message(Err(status)) => self.end = Some(Err(refuse::explain(&status, &self.trace))),
                Next::Draining => self.stop(&refuse::stopping()),
                Next::Idle => self.stop(&refuse::idle()),
                Next::TooLate => return Some(Err(grpc::status(&refuse::too_late(), &self.trace))),
            }
        }
    }

    /// Reads nothing more and, once what is pending is answered, ends like this.
    fn stop(&mut self, problem: &Problem) {
        self.end = Some(Err(grpc::status(problem, &self.trace)));
    }

    async fn next(&mut self) -> Next {
        let options = &self.door.options;
        let reading = self.end.is_none();
        let room = self.pending.len() < options.stream_window_messages.max(1)
            && self.pending_bytes < options.stream_window_bytes.max(1);
        let waiting = !self.pending.is_empty();
        let handing = self.handing.is_some();
        let handed = async {
            match &mut self.handing {
                Some(handing) => handing.await,
                None => std::future::pending().await,
            }
        };
        let too_late = async {
            match &mut self.deadline {
                Some(deadline) => deadline.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let next = tokio::select! {
            biased;
            () = too_late => Next::TooLate,
            Some(done) = self.pending.next(), if waiting => Next::Acknowledged(done),
            handed = handed => Next::Handed(handed),
            () = self.draining.cancelled(), if reading => Next::Draining,
            message = self.requests.message(), if reading && room && !handing => Next::Message(message),
            () = self.idle.as_mut(), if reading && !waiting && !handing => Next::Idle,
        };
        if matches!(next, Next::Handed(_)) {
            self.handing = None;
        }
        next
    }

    /// Begins to hand one message on. Gives its answer if that is known at once.
    async fn take(&mut self, message: v1::StreamEventsRequest) -> Option<v1::StreamEventsResponse> {
        self.idle.as_mut().reset(Instant::now() + self.door.options.stream_idle_timeout());
        if let Err(problem) = self.door.renew(&mut self.caller).await {
            self.door.metrics.refused(problem.code);
            self.stop(&problem);
            return None;
        }
        let in_flight = self.door.metrics.begin();
        self.door.metrics.received(message.encoded_len());
        let (sequence, events) = (message.sequence, message.events.len());
        let Sorted { placed, outcomes, bytes } = match self.door.sort(&self.caller, message.events) {
            Ok(sorted) => sorted,
            Err(problem) => {
                self.door.metrics.refused(problem.code);
                self.door.metrics.events(0, events);
                let results = vec![door::error(&problem); events];
                return Some(v1::StreamEventsResponse { sequence, results });
            }
        };
        if placed.is_empty() {
            return Some(v1::StreamEventsResponse { sequence, results: self.door.kept(outcomes) });
        }
        let (trace, span) = self.traced();
        let stamp = self.door.stamp(&self.caller, &trace);
        let message = Message { sequence, outcomes, bytes, trace, span, _in_flight: in_flight };
        let accept = Arc::clone(&self.door.accept);
        self.pending_bytes += bytes;
        self.handing = Some(Box::pin(async move {
            let appended = accept.append(stamp, placed).await;
            (message, appended)
        }));
        None
    }

    /// A message is a part of the caller's trace, or of one of its own: a call may last for days. It is decided for each
    /// whether it is traced.
    fn traced(&self) -> (TraceContext, Option<Span>) {
        let parent = self.in_callers_trace.then_some(&self.trace);
        let trace = TraceContext::arriving(parent);
        let name = concat!("eventrunner.v1.EventIngestService", "/StreamEvents message");
        let mut span = Span::of("ingest-grpc", Kind::Server, name, &trace, parent);
        if let (Some(span), None) = (&mut span, parent) {
            span.link(&self.trace);
        }
        (trace, span)
    }

    fn done(&mut self, done: Done) -> v1::StreamEventsResponse {
        self.pending_bytes -= done.bytes;
        done.response
    }
}

fn settle(door: &Door, message: Message, appended: Result<(), AcceptError>) -> Done {
    let Message { sequence, outcomes, bytes, trace, span, .. } = message;
    let results = match appended {
        Ok(()) => door.kept(outcomes),
        Err(error) => {
            let problem = refuse::not_accepted(&error);
            // Only for its log line: the caller gets a result for each event.
            let _ = grpc::status(&problem, &trace);
            if let Some(mut span) = span {
                span.fail(problem.code.as_str(), error.to_string());
            }
            door.metrics.refused(problem.code);
            door.not_kept(outcomes, &problem)
        }
    };
    Done { response: v1::StreamEventsResponse { sequence, results }, bytes }
}
