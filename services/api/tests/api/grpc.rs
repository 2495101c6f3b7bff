//! `SubscribeService` over the same listener.

use std::time::Duration;

use proto::v1::{
    SubscribeAck, SubscribeOpen, SubscribeRequest, SubscribeResponse, subscribe_open::Start,
    subscribe_request::Message, subscribe_service_client::SubscribeServiceClient,
};
use runtime::{config::Millis, grpc::code};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

use crate::world::{PATIENCE, World, event, events, tenants};

/// One subscription of a client.
pub(crate) struct Subscribed {
    say: mpsc::UnboundedSender<SubscribeRequest>,
    events: Streaming<SubscribeResponse>,
}

fn message(message: Message) -> SubscribeRequest {
    SubscribeRequest { message: Some(message) }
}

pub(crate) fn after(sequence: u64) -> SubscribeOpen {
    SubscribeOpen { start: Some(Start::AfterSequence(sequence)), ..Default::default() }
}

impl World {
    async fn channel(&self) -> Channel {
        Channel::from_shared(self.url("")).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn subscribe(&self, open: SubscribeOpen) -> Subscribed {
        self.try_subscribe(Some(&self.keys.acme), [message(Message::Open(open))]).await.unwrap()
    }

    async fn try_subscribe(
        &self,
        key: Option<&str>,
        first: impl IntoIterator<Item = SubscribeRequest>,
    ) -> Result<Subscribed, Status> {
        let (say, said) = mpsc::unbounded_channel();
        for request in first {
            say.send(request).unwrap();
        }
        let mut request = Request::new(UnboundedReceiverStream::new(said));
        if let Some(key) = key {
            request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        let events = SubscribeServiceClient::new(self.channel().await).subscribe(request).await?.into_inner();
        Ok(Subscribed { say, events })
    }
}

impl Subscribed {
    pub(crate) async fn next(&mut self) -> Result<Option<SubscribeResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.events.message()).await.expect("in time")
    }

    async fn take(&mut self, count: usize) -> Vec<(u64, String)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let response = self.next().await.unwrap().expect("the stream goes on");
            taken.push((response.sequence, response.event.unwrap().id));
        }
        taken
    }

    pub(crate) async fn ids(&mut self, count: usize) -> Vec<String> {
        self.take(count).await.into_iter().map(|(_, id)| id).collect()
    }

    /// Nothing comes, for as long as it takes to be sure.
    async fn quiet(&mut self) {
        let silent = tokio::time::timeout(Duration::from_millis(300), self.events.message()).await;
        assert!(silent.is_err(), "{silent:?}");
    }

    fn ack(&self, sequence: u64) {
        self.say.send(message(Message::Ack(SubscribeAck { sequence }))).unwrap();
    }
}

#[tokio::test]
async fn events_come_whole_from_where_it_was_asked() {
    let world = World::start().await;
    let rich = model::CloudEvent::builder("1", "/a", "t1")
        .subject("s")
        .time("2026-11-21T10:00:00Z")
        .extension("n", model::AttributeValue::Integer(7))
        .data(model::Data::Binary(b"\xff\0"[..].to_vec().into()))
        .build()
        .unwrap();
    world.publish("globex", &[event("theirs", "/a", "t1")]).await;
    world.publish("acme", &[rich.clone(), event("2", "/b", "t2"), event("3", "/a", "t2")]).await;
    let mut all = world.subscribe(after(0)).await;
    let first = all.next().await.unwrap().unwrap();
    assert_eq!(first.sequence, 2);
    let decoded = model::CloudEvent::try_from(first.event.unwrap()).unwrap();
    assert_eq!(decoded.data(), rich.data());
    assert_eq!((decoded.time(), decoded.subject()), (rich.time(), rich.subject()));
    assert_eq!(all.ids(2).await, ["2", "3"]);
    assert_eq!(world.subscribe(after(3)).await.ids(1).await, ["3"], "after the last one handled");
    let epoch = Start::Since(prost_types::Timestamp { seconds: 0, nanos: 0 });
    let cases: [(SubscribeOpen, &[&str]); 4] = [
        (SubscribeOpen { types: vec!["t2".into()], ..after(0) }, &["2", "3"]),
        (SubscribeOpen { sources: vec!["/a".into()], ..after(0) }, &["1", "3"]),
        (SubscribeOpen { start: Some(epoch), ..Default::default() }, &["1", "2", "3"]),
        (
            SubscribeOpen { types: vec!["t1".into(), "t2".into()], sources: vec!["/b".into()], ..after(0) },
            &["2"],
        ),
    ];
    for (open, expected) in cases {
        assert_eq!(world.subscribe(open.clone()).await.ids(expected.len()).await, expected, "{open:?}");
    }
    let mut new = world.subscribe(SubscribeOpen::default()).await;
    world.publish("acme", &[event("4", "/a", "t1")]).await;
    assert_eq!(new.ids(1).await, ["4"]);
    world.close().await;
}

#[tokio::test]
async fn no_more_than_the_window_is_sent_without_an_acknowledgement() {
    let world = World::start().await;
    world.publish("acme", &events(20)).await;
    let mut subscribed = world.subscribe(SubscribeOpen { max_unacked: 3, ..after(0) }).await;
    assert_eq!(subscribed.ids(3).await, ["0", "1", "2"]);
    subscribed.quiet().await;
    subscribed.ack(2);
    assert_eq!(subscribed.ids(2).await, ["3", "4"], "one acknowledgement settles all before it");
    subscribed.quiet().await;
    subscribed.ack(1);
    subscribed.quiet().await;
    subscribed.ack(5);
    assert_eq!(subscribed.ids(3).await, ["5", "6", "7"]);
    subscribed.ack(1_000);
    let status = subscribed.next().await.unwrap_err();
    assert_eq!(
        (status.code(), code(&status)),
        (Code::InvalidArgument, Some(model::ErrorCode::InvalidArgument))
    );
    world.close().await;
}

#[tokio::test]
async fn resuming_after_each_disconnect_is_exact() {
    let world = World::start().await;
    world.publish("acme", &events(100)).await;
    let (mut handled, mut seen) = (0, Vec::new());
    while seen.len() < 100 {
        let mut subscribed = world.subscribe(SubscribeOpen { max_unacked: 50, ..after(handled) }).await;
        for (sequence, id) in subscribed.take(7.min(100 - seen.len())).await {
            handled = sequence;
            seen.push(id);
        }
    }
    assert_eq!(seen, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    world.close().await;
}

/// As `grpcurl` does: one message, then no more.
#[tokio::test]
async fn who_has_said_all_gets_one_window() {
    let world = World::start().await;
    world.publish("acme", &events(5)).await;
    let mut subscribed = world.subscribe(SubscribeOpen { max_unacked: 4, ..after(0) }).await;
    subscribed.say = mpsc::unbounded_channel().0;
    assert_eq!(subscribed.ids(4).await, ["0", "1", "2", "3"]);
    assert!(subscribed.next().await.unwrap().is_none());
    world.close().await;
}

#[tokio::test]
async fn who_may_not_subscribe_learns_why() {
    let world =
        World::start_with(api::Options { stream_open_timeout_ms: Millis(200), ..crate::world::options() })
            .await;
    let open = || message(Message::Open(SubscribeOpen::default()));
    let with = |open: SubscribeOpen| vec![message(Message::Open(open))];
    let acme = Some(&*world.keys.acme);
    let cases = [
        ("no key", None, vec![open()], Code::Unauthenticated),
        ("nobody's key", Some("er_x"), vec![open()], Code::Unauthenticated),
        ("the wrong scope", Some(&*world.keys.writer), vec![open()], Code::PermissionDenied),
        ("a disabled tenant", Some(&*world.keys.disabled), vec![open()], Code::PermissionDenied),
        (
            "an ack first",
            acme,
            vec![message(Message::Ack(SubscribeAck { sequence: 1 }))],
            Code::InvalidArgument,
        ),
        ("nothing first", acme, vec![], Code::DeadlineExceeded),
        (
            "too wide a window",
            acme,
            with(SubscribeOpen { max_unacked: 10_001, ..after(0) }),
            Code::InvalidArgument,
        ),
        (
            "an empty type",
            acme,
            with(SubscribeOpen { types: vec![String::new()], ..after(0) }),
            Code::InvalidArgument,
        ),
    ];
    for (case, key, first, expected) in cases {
        let status =
            world.try_subscribe(key, first).await.err().unwrap_or_else(|| panic!("{case} is let in"));
        assert_eq!(status.code(), expected, "{case}: {status:?}");
        assert!(code(&status).is_some(), "{case} has a reason");
    }
    let mut twice = world.subscribe(SubscribeOpen::default()).await;
    twice.say.send(open()).unwrap();
    assert_eq!(twice.next().await.unwrap_err().code(), Code::InvalidArgument);
    world.close().await;
}

#[tokio::test]
async fn ends_at_drain_and_when_the_key_is_revoked() {
    let world = World::start().await;
    let mut revoked = world.subscribe(SubscribeOpen::default()).await;
    world.catalog.replace(tenants());
    world.publish("acme", &events(1)).await;
    assert_eq!(revoked.next().await.unwrap_err().code(), Code::Unauthenticated);
    world.close().await;

    let world = World::start().await;
    let mut drained = world.subscribe(SubscribeOpen::default()).await;
    world.shutdown.drain();
    assert_eq!(drained.next().await.unwrap_err().code(), Code::Unavailable);
    tokio::time::timeout(PATIENCE, world.running).await.expect("ends by itself").unwrap().unwrap();
}

#[tokio::test]
async fn a_deadline_is_kept() {
    let world = World::start().await;
    let (_say, said) = mpsc::unbounded_channel();
    _say.send(message(Message::Open(SubscribeOpen::default()))).unwrap();
    let mut request = Request::new(UnboundedReceiverStream::new(said));
    let metadata = request.metadata_mut();
    metadata.insert("x-api-key", world.keys.acme.parse().unwrap());
    // Written by hand: a client that kept it itself would prove nothing.
    metadata.insert("grpc-timeout", "300m".parse().unwrap());
    let mut client = SubscribeServiceClient::new(world.channel().await);
    let mut events = client.subscribe(request).await.unwrap().into_inner();
    let ended = tokio::time::timeout(PATIENCE, events.message()).await.expect("in time");
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    world.close().await;
}

#[tokio::test]
async fn health_and_reflection_are_served_beside_http() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let world = World::start().await;
    let check = HealthCheckRequest { service: "eventrunner.v1.SubscribeService".into() };
    let health = HealthClient::new(world.channel().await).check(check).await.unwrap().into_inner();
    assert_eq!(health.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(world.channel().await)
        .server_reflection_info(tokio_stream::once(list))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(listed)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list")
    };
    let mut names: Vec<_> = listed.service.into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names[..2], ["eventrunner.v1.SubscribeService", "grpc.health.v1.Health"]);
    let mut unknown = tonic::client::Grpc::new(world.channel().await);
    unknown.ready().await.unwrap();
    let path = "/eventrunner.v1.Nothing/Do".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<SubscribeOpen, SubscribeOpen>::default();
    let status = unknown.unary(Request::new(SubscribeOpen::default()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    world.close().await;
}
