//! `eventrunner.v1.SubscribeService`: a subscription with acknowledgements and a window.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use http::HeaderMap;
use model::ErrorCode;
use prost::Message as _;
use proto::v1::{
    SubscribeOpen, SubscribeRequest, SubscribeResponse, subscribe_open, subscribe_request::Message,
    subscribe_service_server::SubscribeService,
};
use runtime::{
    grpc,
    metrics::{self, IntCounter, Metric},
    problem::Problem,
    trace::TraceContext,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    app::{App, READ_EVENTS, StreamSlot},
    handing,
    reader::Reader,
    subscription::{Narrow, Place, Start, Step, Subscription},
};

/// Events in flight when the subscriber names no number.
const UNACKED_DEFAULT: usize = 1_000;
/// The most it may name.
const UNACKED_MAX: usize = 10_000;
/// Types or sources of one subscription.
const FILTERS_MAX: usize = 64;
/// In the answer's metadata: the first sequence still in the stream, when what follows the one asked for is not.
const FIRST_SEQUENCE: &str = "eventrunner-gap-first-sequence";

/// The service.
#[derive(Clone)]
pub(crate) struct Subscriptions(pub(crate) App);

#[tonic::async_trait]
impl SubscribeService for Subscriptions {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let trace = request.extensions().get().cloned().unwrap_or_else(TraceContext::random);
        self.open(request, trace.clone()).await.map_err(|problem| grpc::status(&problem, &trace))
    }
}

impl Subscriptions {
    async fn open(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
        trace: TraceContext,
    ) -> Result<Response<<Self as SubscribeService>::SubscribeStream>, Problem> {
        let app = &self.0;
        let headers = request.metadata().as_ref().clone();
        let caller = app.admit(&headers, READ_EVENTS).await?;
        let deadline = deadline(&headers);
        let slot = app.stream_slot(&caller.tenant.id, "grpc")?;
        let mut requests = request.into_inner();
        let open = first(app, &mut requests).await?;
        let window = Window::new(&open)?;
        let (narrow, start) = read(open)?;
        let Subscription { steps, gap, position: _ } =
            Subscription::open(app, &caller, narrow, start).await?;
        let sent = metrics::counter(Metric::ApiStreamedEvents, &["grpc"]);
        let subscriber = Subscriber {
            app: app.clone(),
            reader: Reader::new(caller),
            requests: Some(requests),
            steps,
            window,
            deadline,
            sent,
            trace,
            ended: false,
            slot,
        };
        let stream = futures::stream::unfold(subscriber, |mut subscriber| async {
            let next = subscriber.next().await?;
            Some((next, subscriber))
        });
        let mut response = Response::new(stream.boxed());
        if let Some(gap) = gap {
            response.metadata_mut().insert(FIRST_SEQUENCE, gap.first.into());
        }
        Ok(response)
    }
}

/// The message that opens.
async fn first(app: &App, requests: &mut Streaming<SubscribeRequest>) -> Result<SubscribeOpen, Problem> {
    let patience = app.options.stream_open_timeout_ms.duration();
    let message = tokio::time::timeout(patience, requests.message())
        .await
        .map_err(|_| Problem::new(ErrorCode::RequestTimeout, "the subscription was not opened in time"))?
        .map_err(|status| Problem::new(ErrorCode::Malformed, status.message()))?;
    match message.and_then(|m| m.message) {
        Some(Message::Open(open)) => Ok(open),
        Some(Message::Ack(_)) | None => {
            Err(invalid("the first message must open the subscription", "open", "is missing"))
        }
    }
}

fn invalid(what: &str, field: &str, detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, what).field(field, detail)
}

fn read(open: SubscribeOpen) -> Result<(Narrow, Start), Problem> {
    for (field, list) in [("open.types", &open.types), ("open.sources", &open.sources)] {
        if list.len() > FILTERS_MAX || list.iter().any(String::is_empty) {
            let rule = format!("must be at most {FILTERS_MAX}, none of them empty");
            return Err(invalid("the filter cannot be used", field, rule));
        }
    }
    let start = match open.start {
        None | Some(subscribe_open::Start::NewOnly(true)) => Start::New,
        Some(subscribe_open::Start::NewOnly(false)) => Start::After(Place::default()),
        Some(subscribe_open::Start::AfterSequence(sequence)) => {
            Start::After(Place { sequence, events: open.after_events })
        }
        Some(subscribe_open::Start::Since(at)) => {
            Start::Since(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000))
        }
    };
    let texts = |list: Vec<String>| list.into_iter().map(Into::into).collect();
    Ok((Narrow { types: texts(open.types), sources: texts(open.sources) }, start))
}

/// One open subscription.
struct Subscriber {
    app: App,
    reader: Reader,
    /// None once the subscriber has said all it will.
    requests: Option<Streaming<SubscribeRequest>>,
    steps: BoxStream<'static, Step>,
    window: Window,
    deadline: Option<Instant>,
    sent: IntCounter,
    trace: TraceContext,
    ended: bool,
    slot: StreamSlot,
}

#[expect(clippy::large_enum_variant, reason = "one at a time, taken apart at once")]
enum Input {
    Draining,
    Late,
    Request(Result<Option<SubscribeRequest>, Status>),
    Step(Option<Step>),
}

impl Subscriber {
    /// The next event, or the error that ends it, or none: it has ended.
    async fn next(&mut self) -> Option<Result<SubscribeResponse, Status>> {
        if self.ended {
            return None;
        }
        loop {
            if self.requests.is_none() && !self.window.is_open() {
                // Nobody is left to open it.
                return None;
            }
            let outcome = match self.input().await {
                Input::Step(Some(step)) => self.step(&step).await,
                Input::Request(Ok(Some(request))) => self.acknowledge(&request).map(|()| None),
                Input::Request(Ok(None)) => {
                    self.requests = None;
                    Ok(None)
                }
                // The connection is gone.
                Input::Request(Err(_)) | Input::Step(None) => return None,
                Input::Draining => Err(Problem::new(
                    ErrorCode::Unavailable,
                    "this replica is stopping; open again after the last sequence handled",
                )),
                Input::Late => Err(Problem::new(ErrorCode::RequestTimeout, "the deadline has passed")),
            };
            match outcome {
                Ok(Some(response)) => return Some(Ok(response)),
                Ok(None) => {}
                Err(problem) => {
                    self.ended = true;
                    return Some(Err(grpc::status(&problem, &self.trace)));
                }
            }
        }
    }

    async fn input(&mut self) -> Input {
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let request = async {
            match &mut self.requests {
                Some(requests) => requests.message().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.app.draining.cancelled() => Input::Draining,
            () = late => Input::Late,
            request = request => Input::Request(request),
            step = self.steps.next(), if self.window.is_open() => Input::Step(step),
        }
    }

    async fn step(
        &mut self,
        Step { place, event, traceparent }: &Step,
    ) -> Result<Option<SubscribeResponse>, Problem> {
        let Some(event) = event else { return Ok(None) };
        if !self.reader.is_admitted(&self.app).await {
            return Err(Problem::new(ErrorCode::Unauthenticated, "the key or token is no longer valid"));
        }
        let span = handing::begin(&self.reader, "grpc", traceparent.as_ref(), event);
        let Place { sequence, events } = *place;
        self.window.sent(sequence);
        self.sent.inc();
        let traceparent = handing::traceparent(span.as_ref());
        let response = SubscribeResponse { sequence, event: Some(event.into()), events, traceparent };
        self.slot.sent(response.encoded_len());
        Ok(Some(response))
    }

    fn acknowledge(&mut self, request: &SubscribeRequest) -> Result<(), Problem> {
        match &request.message {
            Some(Message::Ack(ack)) => self.window.acknowledge(ack.sequence),
            Some(Message::Open(_)) => {
                Err(invalid("the subscription is open already", "open", "may be sent once"))
            }
            // A message of a later version.
            None => Ok(()),
        }
    }
}

/// What has been sent and not acknowledged.
#[derive(Debug)]
struct Window {
    most: usize,
    unacked: VecDeque<u64>,
    last_sent: u64,
}

impl Window {
    fn new(open: &SubscribeOpen) -> Result<Self, Problem> {
        let most = match usize::try_from(open.max_unacked).unwrap_or(usize::MAX) {
            0 => UNACKED_DEFAULT,
            n if n <= UNACKED_MAX => n,
            _ => {
                let rule = format!("must be at most {UNACKED_MAX}");
                return Err(invalid("the window is too large", "open.max_unacked", rule));
            }
        };
        Ok(Self { most, unacked: VecDeque::new(), last_sent: 0 })
    }

    fn is_open(&self) -> bool {
        self.unacked.len() < self.most
    }

    fn sent(&mut self, sequence: u64) {
        self.unacked.push_back(sequence);
        self.last_sent = sequence;
    }

    fn acknowledge(&mut self, sequence: u64) -> Result<(), Problem> {
        if sequence > self.last_sent {
            let last = self.last_sent;
            return Err(invalid(
                "an event was acknowledged that was not sent",
                "ack.sequence",
                format!("is {sequence}, and the last one sent is {last}"),
            ));
        }
        let acked = self.unacked.iter().take_while(|sent| **sent <= sequence).count();
        self.unacked.drain(..acked);
        Ok(())
    }
}

/// `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Requests"). A malformed one is none.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(value * 3_600),
        "M" => Duration::from_secs(value * 60),
        "S" => Duration::from_secs(value),
        "m" => Duration::from_millis(value),
        "u" => Duration::from_micros(value),
        "n" => Duration::from_nanos(value),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_and_opens() {
        let open = SubscribeOpen { max_unacked: 2, ..Default::default() };
        let mut window = Window::new(&open).unwrap();
        assert!(window.is_open());
        window.sent(5);
        window.sent(9);
        assert!(!window.is_open());
        window.acknowledge(4).unwrap();
        assert!(!window.is_open());
        window.acknowledge(5).unwrap();
        assert!(window.is_open());
        window.acknowledge(5).unwrap();
        assert_eq!(window.acknowledge(10).unwrap_err().errors[0].pointer, "ack.sequence");
        let too_large = SubscribeOpen { max_unacked: 10_001, ..Default::default() };
        assert!(Window::new(&too_large).is_err());
    }

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        let at = |text: &str| {
            let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
            deadline(&headers).map(|d| d.duration_since(Instant::now()).as_secs_f64().round())
        };
        for (text, seconds) in [("2S", 2.0), ("3000m", 3.0), ("1H", 3600.0), ("99999999u", 100.0)] {
            assert_eq!(at(text), Some(seconds), "{text}");
        }
        for bad in ["", "S", "1", "1x", "-1S", "999999999S"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
