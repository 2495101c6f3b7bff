//! Health and reflection, by real clients.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use ingest_grpc::SERVICE_NAME;
use support::{Fleet, PATIENCE};
use tonic::{Code, Streaming};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Result<ServingStatus, tonic::Status> {
    let next = tokio::time::timeout(PATIENCE, watch.message()).await.expect("news in time");
    next.map(|m| m.expect("no silent end").status())
}

#[tokio::test]
async fn health_follows_readiness_and_goes_off_when_it_stops() {
    let fleet = Fleet::start().await;
    let mut client = HealthClient::new(fleet.channel().await);
    let unknown = client.check(about("no.such.Service")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut watches = Vec::new();
    for service in ["", SERVICE_NAME] {
        let mut watch = client.watch(about(service)).await.unwrap().into_inner();
        assert_eq!(next(&mut watch).await.unwrap(), ServingStatus::Serving);
        watches.push(watch);
    }
    fleet.ready.send_replace(false);
    for watch in &mut watches {
        assert_eq!(next(watch).await.unwrap(), ServingStatus::NotServing);
    }
    assert_eq!(client.check(about("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    fleet.ready.send_replace(true);
    for watch in &mut watches {
        assert_eq!(next(watch).await.unwrap(), ServingStatus::Serving);
    }
    fleet.shutdown.drain();
    for watch in &mut watches {
        assert_eq!(next(watch).await.unwrap(), ServingStatus::NotServing, "told before the end");
        assert_eq!(next(watch).await.unwrap_err().code(), Code::Unavailable);
    }
    fleet.stop().await;
}

macro_rules! reflection_test {
    ($name:ident, $version:ident) => {
        #[tokio::test]
        async fn $name() {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let fleet = Fleet::start().await;
            let mut client = ServerReflectionClient::new(fleet.channel().await);
            let ask = |message: MessageRequest| ServerReflectionRequest {
                host: String::new(),
                message_request: Some(message),
            };
            let asked = [
                ask(MessageRequest::ListServices(String::new())),
                ask(MessageRequest::FileContainingSymbol(SERVICE_NAME.into())),
                ask(MessageRequest::FileContainingSymbol("io.cloudevents.v1.CloudEvent".into())),
            ];
            let open = tokio_stream::StreamExt::chain(tokio_stream::iter(asked), tokio_stream::pending());
            let mut answers = client.server_reflection_info(open).await.unwrap().into_inner();
            let mut next = async || answers.message().await.map(|m| m.unwrap().message_response.unwrap());
            let MessageResponse::ListServicesResponse(list) = next().await.unwrap() else {
                panic!("no list")
            };
            let mut names: Vec<String> = list.service.into_iter().map(|s| s.name).collect();
            names.retain(|n| !n.starts_with("grpc.reflection"));
            names.sort();
            assert_eq!(names, [SERVICE_NAME, "grpc.health.v1.Health"], "what is served, and nothing else");
            for _ in 0..2 {
                assert!(matches!(next().await.unwrap(), MessageResponse::FileDescriptorResponse(_)));
            }
            fleet.shutdown.drain();
            assert_eq!(next().await.unwrap_err().code(), Code::Unavailable, "it does not hold up a stop");
            fleet.stop().await;
        }
    };
}

reflection_test!(reflection_v1_lists_what_is_served, v1);
reflection_test!(reflection_v1alpha_lists_what_is_served, v1alpha);

#[tokio::test]
async fn reflection_does_not_tell_of_the_inner_hops() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let fleet = Fleet::start().await;
    let mut client = ServerReflectionClient::new(fleet.channel().await);
    let symbol = MessageRequest::FileContainingSymbol("eventrunner.internal.v1.Stamp".into());
    let asked = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut answers = client.server_reflection_info(tokio_stream::once(asked)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::NotFound);
}
