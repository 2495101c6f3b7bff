//! `StreamEvents`: reads messages, hands them on in the order they came, and answers each when the broker has its events.
//!
//! One value drives both directions and is polled only when the caller takes answers. So a caller that does not read
//! its acknowledgements is not read from either, and nothing is kept for it beyond the window.

use std::{pin::Pin, sync::Arc};

use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use prost::Message as _;
use proto::v1;
use runtime::{grpc, problem::Problem, trace::TraceContext};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::{
    decode::{Outcome, Sorted},
    door::{self, Caller, Door},
    refuse,
};

/// A message whose events the broker has or refused.
struct Done {
    response: v1::StreamEventsResponse,
    bytes: usize,
}

/// One `StreamEvents` call.
pub(crate) struct Publishing {
    door: Arc<Door>,
    caller: Caller,
    trace: TraceContext,
    requests: Streaming<v1::StreamEventsRequest>,
    /// What awaits its acknowledgement.
    pending: FuturesUnordered<BoxFuture<'static, Done>>,
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
    Message(Result<Option<v1::StreamEventsRequest>, Status>),
    Draining,
    Idle,
    TooLate,
}

impl Publishing {
    pub(crate) fn new(
        door: Arc<Door>,
        caller: Caller,
        trace: TraceContext,
        requests: Streaming<v1::StreamEventsRequest>,
        deadline: Option<Instant>,
        draining: CancellationToken,
    ) -> Self {
        let idle = Box::pin(sleep_until(Instant::now() + door.options.stream_idle_timeout()));
        Self {
            door,
            caller,
            trace,
            requests,
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
                && let Some(end) = self.end.take()
            {
                return end.err().map(Err);
            }
            match self.next().await {
                Next::Acknowledged(done) => {
                    self.pending_bytes -= done.bytes;
                    return Some(Ok(done.response));
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
        let too_late = async {
            match &mut self.deadline {
                Some(deadline) => deadline.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = too_late => Next::TooLate,
            Some(done) = self.pending.next(), if waiting => Next::Acknowledged(done),
            () = self.draining.cancelled(), if reading => Next::Draining,
            message = self.requests.message(), if reading && room => Next::Message(message),
            () = self.idle.as_mut(), if reading && !waiting => Next::Idle,
        }
    }

    /// Hands one message on. Gives its answer if that is known at once.
    async fn take(&mut self, message: v1::StreamEventsRequest) -> Option<v1::StreamEventsResponse> {
        self.idle.as_mut().reset(Instant::now() + self.door.options.stream_idle_timeout());
        if let Err(problem) = self.door.renew(&mut self.caller) {
            self.door.metrics.refused(problem.code);
            self.stop(&problem);
            return None;
        }
        let in_flight = self.door.metrics.begin();
        self.door.metrics.received(message.encoded_len());
        let (sequence, events) = (message.sequence, message.events.len());
        let Sorted { placed, results, bytes } = match self.door.sort(&self.caller, message.events) {
            Ok(sorted) => sorted,
            Err(problem) => {
                self.door.metrics.refused(problem.code);
                self.door.metrics.events(0, events);
                let results = vec![door::error(&problem); events];
                return Some(v1::StreamEventsResponse { sequence, results });
            }
        };
        let door = Arc::clone(&self.door);
        let trace = self.trace.child();
        let stamp = door.stamp(&self.caller, &trace);
        let mut work: BoxFuture<'static, Done> = Box::pin(async move {
            let appended = door.append(stamp, placed).await;
            let results = settle(&door, results, appended, &trace);
            drop(in_flight);
            Done { response: v1::StreamEventsResponse { sequence, results }, bytes }
        });
        // Polled here and now, and not held back by the scheduler's budget: that is what puts the events of this message
        // before those of the next.
        let first = futures::poll!(tokio::task::unconstrained(&mut work));
        if let std::task::Poll::Ready(done) = first {
            return Some(done.response);
        }
        self.pending_bytes += bytes;
        self.pending.push(work);
        None
    }
}

fn settle(
    door: &Door,
    outcomes: Vec<Outcome>,
    appended: Result<(), Problem>,
    trace: &TraceContext,
) -> Vec<v1::PublishResult> {
    match appended {
        Ok(()) => door.kept(outcomes),
        Err(problem) => {
            // Only for its log line: the caller gets a result for each event.
            let _ = grpc::status(&problem, trace);
            door.metrics.refused(problem.code);
            door.not_kept(outcomes, &problem)
        }
    }
}
