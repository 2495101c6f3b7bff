//! `StreamEvents`, by a real client.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use bus::AcceptError;
use ingest_grpc::Options;
use model::ErrorCode;
use proto::{
    cloudevents::{CloudEvent as Wire, cloud_event, cloud_event_attribute_value::Attr},
    v1::{StreamEventsRequest, StreamEventsResponse, publish_result::Outcome},
};
use runtime::grpc;
use serde_json::json;
use support::{Fleet, PATIENCE, attribute, event, tenant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

fn message(sequence: u64, events: Vec<Wire>) -> StreamEventsRequest {
    StreamEventsRequest { sequence, events }
}

fn single(sequence: u64) -> StreamEventsRequest {
    message(sequence, vec![event(&sequence.to_string())])
}

struct Conversation {
    send: mpsc::Sender<StreamEventsRequest>,
    answers: Streaming<StreamEventsResponse>,
}

impl Conversation {
    async fn open(fleet: &Fleet) -> Self {
        Self::open_within(fleet, None).await
    }

    async fn open_within(fleet: &Fleet, timeout: Option<&'static str>) -> Self {
        let (send, messages) = mpsc::channel(1);
        let mut request = Request::new(ReceiverStream::new(messages));
        if let Some(timeout) = timeout {
            request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
        }
        let answers = fleet.client().await.stream_events(request).await.unwrap().into_inner();
        Self { send, answers }
    }

    async fn next(&mut self) -> Result<Option<StreamEventsResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.answers.message()).await.expect("an answer in time")
    }

    async fn answer(&mut self) -> StreamEventsResponse {
        self.next().await.unwrap().expect("an answer")
    }

    async fn end(&mut self) -> Status {
        self.next().await.expect_err("the stream ends with a status")
    }
}

fn codes(answer: &StreamEventsResponse) -> Vec<&str> {
    let outcome = |r: &'_ proto::v1::PublishResult| r.outcome.clone().unwrap();
    answer
        .results
        .iter()
        .map(|r| match outcome(r) {
            Outcome::Accepted(_) => "accepted",
            Outcome::Error(error) => ErrorCode::from_code(&error.code).unwrap().as_str(),
        })
        .collect()
}

#[tokio::test]
async fn each_message_is_answered_and_the_stream_ends_when_the_caller_ends_it() {
    let fleet = Fleet::start().await;
    let mut stream = Conversation::open(&fleet).await;
    stream.send.send(message(7, vec![event("a"), event(""), event("b")])).await.unwrap();
    let answer = stream.answer().await;
    assert_eq!((answer.sequence, codes(&answer)), (7, vec!["accepted", "invalid_event", "accepted"]));
    let Some(Outcome::Error(error)) = &answer.results[1].outcome else { panic!("{answer:?}") };
    assert_eq!(error.violations[0].field, "events[1].id");
    stream.send.send(message(8, vec![])).await.unwrap();
    assert_eq!(stream.answer().await, StreamEventsResponse { sequence: 8, results: vec![] });
    drop(stream.send);
    assert_eq!(stream.answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn messages_are_handed_on_in_order_while_their_acks_are_awaited() {
    let fleet = Fleet::start().await;
    fleet.broker.hold();
    let mut stream = Conversation::open(&fleet).await;
    for n in 0..500 {
        let mut keyed = event(&n.to_string());
        attribute(&mut keyed, "partitionkey", Attr::CeString("k".into()));
        stream.send.send(message(n, vec![keyed])).await.unwrap();
    }
    fleet.broker.has(500).await;
    let ids: Vec<u64> = fleet.broker.events().iter().map(|e| e.id().parse().unwrap()).collect();
    assert_eq!(ids, (0..500).collect::<Vec<_>>(), "none acknowledged, all under way, in order");
    fleet.broker.acks.add_permits(500);
    let mut answered = Vec::new();
    for _ in 0..500 {
        answered.push(stream.answer().await.sequence);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn acknowledgements_go_on_while_the_door_has_no_room() {
    let fleet = Fleet::start().await;
    fleet.broker.hold();
    fleet.broker.room.forget_permits(usize::MAX);
    fleet.broker.room.add_permits(2);
    let mut stream = Conversation::open(&fleet).await;
    for n in 0..4 {
        stream.send.send(single(n)).await.unwrap();
    }
    fleet.broker.has(2).await;
    fleet.broker.acks.add_permits(2);
    assert_eq!((stream.answer().await.sequence, stream.answer().await.sequence), (0, 1));
    fleet.broker.room.add_permits(2);
    fleet.broker.acks.add_permits(2);
    assert_eq!((stream.answer().await.sequence, stream.answer().await.sequence), (2, 3));
}

#[tokio::test]
async fn a_full_window_stops_the_reading() {
    let options = Options { stream_window_messages: 4, ..Options::default() };
    let fleet = Fleet::with(options, &json!({})).await;
    fleet.broker.hold();
    let mut stream = Conversation::open(&fleet).await;
    let send = stream.send.clone();
    let sender = tokio::spawn(async move {
        for n in 0..20 {
            send.send(single(n)).await.unwrap();
        }
    });
    fleet.broker.has(4).await;
    for acknowledged in 1..=16 {
        assert_eq!(fleet.broker.requests(), 3 + acknowledged, "the window is four");
        fleet.broker.acks.add_permits(1);
        stream.answer().await;
        fleet.broker.has(4 + acknowledged).await;
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn the_window_is_bounded_in_bytes_and_pushes_back_to_the_caller() {
    let options = Options { stream_window_bytes: 100_000, ..Options::default() };
    let fleet = Fleet::with(options, &json!({})).await;
    fleet.broker.hold();
    let stream = Conversation::open(&fleet).await;
    let large = |n: u64| {
        let data = Some(cloud_event::Data::BinaryData(vec![0; 60_000].into()));
        message(n, vec![Wire { data, ..event(&n.to_string()) }])
    };
    // Far more than the window, the client's and the server's buffers hold together.
    let blocked = tokio::time::timeout(Duration::from_secs(2), async {
        for n in 0..1_000 {
            stream.send.send(large(n)).await.unwrap();
        }
    });
    assert!(blocked.await.is_err(), "60 MB were taken although nothing was acknowledged");
    assert_eq!(fleet.broker.requests(), 2, "the second passes the limit, the third waits");
}

#[tokio::test]
async fn a_failed_message_is_answered_and_the_stream_goes_on() {
    let fleet = Fleet::start().await;
    let mut stream = Conversation::open(&fleet).await;
    *fleet.broker.failure.lock().unwrap() = Some(AcceptError::Unavailable("gone".into()));
    stream.send.send(message(1, vec![event("a"), event("")])).await.unwrap();
    assert_eq!(codes(&stream.answer().await), ["unavailable", "invalid_event"]);
    *fleet.broker.failure.lock().unwrap() = None;
    stream.send.send(single(2)).await.unwrap();
    assert_eq!(codes(&stream.answer().await), ["accepted"]);
}

#[tokio::test]
async fn quota_and_batch_limits_are_results_of_their_message() {
    let limits = json!({"events_per_second": 1, "events_burst": 2, "batch_events_max": 2});
    let fleet = Fleet::with(Options::default(), &limits).await;
    let mut stream = Conversation::open(&fleet).await;
    let cases = [(3, vec!["too_large"; 3]), (2, vec!["accepted"; 2]), (1, vec!["rate_limited"])];
    for (events, expected) in cases {
        stream.send.send(message(1, vec![event("1"); events])).await.unwrap();
        assert_eq!(codes(&stream.answer().await), expected);
    }
    fleet.change(tenant(&json!({})), Some(fleet.stored.clone()));
    stream.send.send(single(2)).await.unwrap();
    assert_eq!(codes(&stream.answer().await), ["accepted"], "new limits hold at once");
}

#[tokio::test]
async fn a_revoked_key_ends_the_stream_after_what_it_had_sent() {
    let fleet = Fleet::start().await;
    fleet.broker.hold();
    let mut stream = Conversation::open(&fleet).await;
    stream.send.send(single(1)).await.unwrap();
    fleet.broker.has(1).await;
    fleet.change(tenant(&json!({})), None);
    stream.send.send(single(2)).await.unwrap();
    fleet.broker.acks.add_permits(10);
    assert_eq!(stream.answer().await.sequence, 1);
    assert_eq!(grpc::code(&stream.end().await), Some(ErrorCode::Unauthenticated));
    assert_eq!(fleet.broker.requests(), 1);
}

#[tokio::test]
async fn stopping_answers_what_came_then_ends_the_stream() {
    let fleet = Fleet::start().await;
    fleet.broker.hold();
    let mut stream = Conversation::open(&fleet).await;
    for n in 0..10 {
        stream.send.send(single(n)).await.unwrap();
    }
    fleet.broker.has(10).await;
    fleet.shutdown.drain();
    fleet.broker.acks.add_permits(10);
    for _ in 0..10 {
        assert_eq!(codes(&stream.answer().await), ["accepted"]);
    }
    let status = stream.end().await;
    assert_eq!((status.code(), grpc::code(&status)), (Code::Unavailable, Some(ErrorCode::Unavailable)));
    fleet.stop().await;
}

#[tokio::test]
async fn an_open_stream_does_not_hold_up_a_stop() {
    let fleet = Fleet::start().await;
    let mut stream = Conversation::open(&fleet).await;
    stream.send.send(single(1)).await.unwrap();
    stream.answer().await;
    fleet.shutdown.drain();
    assert_eq!(stream.end().await.code(), Code::Unavailable);
    fleet.stop().await;
}

#[tokio::test]
async fn the_callers_deadline_ends_the_stream() {
    let fleet = Fleet::start().await;
    fleet.broker.hold();
    let mut stream = Conversation::open_within(&fleet, Some("300m")).await;
    stream.send.send(single(1)).await.unwrap();
    assert_eq!(stream.end().await.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_stream_that_brings_nothing_is_ended() {
    let options = Options { stream_idle_timeout_ms: 100, ..Options::default() };
    let fleet = Fleet::with(options, &json!({})).await;
    let mut stream = Conversation::open(&fleet).await;
    assert_eq!(stream.end().await.code(), Code::DeadlineExceeded);
    fleet.broker.hold();
    let mut waiting = Conversation::open(&fleet).await;
    waiting.send.send(single(1)).await.unwrap();
    fleet.broker.has(1).await;
    let patient = tokio::time::timeout(Duration::from_millis(400), waiting.answers.message()).await;
    assert!(patient.is_err(), "it awaits an acknowledgement, so it is not idle");
}
