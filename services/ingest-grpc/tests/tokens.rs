//! Who publishes without a key that may: people with tokens, and whoever was given a role.

#![expect(clippy::unwrap_used, reason = "tests")]

// One issuer for all who believe tokens.
#[path = "../../api/tests/api/control/issuer.rs"]
#[expect(dead_code, reason = "a part of it is used")]
mod issuer;
mod support;

use catalog::Snapshot;
use ingest_grpc::Options;
use issuer::Issuer;
use model::resource::{RoleBinding, Scope, System};
use proto::v1;
use serde_json::json;
use support::{Fleet, event, new_key, tenant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

fn one() -> v1::PublishEventRequest {
    v1::PublishEventRequest { event: Some(event("1")) }
}

fn shop() -> System {
    serde_json::from_value(json!({"tenant": "acme", "id": "shop"})).unwrap()
}

fn bound(actor: &str) -> RoleBinding {
    let binding = json!({"tenant": "acme", "id": "b", "actor": actor, "role": "event_publisher"});
    serde_json::from_value(binding).unwrap()
}

#[tokio::test]
async fn whoever_may_publish_does_so_by_a_token_as_the_system_they_name() {
    let issuer = Issuer::start("https://issuer.example").await;
    let fleet = Fleet::believing(Options::default(), &json!({}), vec![issuer.options()]).await;
    fleet.catalog.replace(Snapshot::clone(&fleet.catalog.snapshot()).with(shop()));
    let publish = async |roles: &[&str], system: Option<&str>| -> Result<(), Status> {
        let mut client = fleet.client_with(&issuer.token("acme", roles)).await;
        let mut request = Request::new(one());
        if let Some(system) = system {
            request.metadata_mut().insert("eventrunner-system", system.parse().unwrap());
        }
        client.publish_event(request).await.map(drop)
    };
    publish(&["event_publisher"], Some("shop")).await.unwrap();
    assert_eq!(&*fleet.broker.received.lock().unwrap()[0].0.system, b"shop");
    for system in [None, Some("none")] {
        let refused = publish(&["admin"], system).await.unwrap_err();
        let field = refused.get_details_bad_request().unwrap().field_violations[0].field.clone();
        assert_eq!((refused.code(), &*field), (Code::InvalidArgument, "header:eventrunner-system"));
    }
    assert_eq!(publish(&["viewer"], Some("shop")).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(fleet.broker.requests(), 1);
    fleet.stop().await;
}

/// A stream that is open by a binding is refused its next message after the binding's end.
#[tokio::test]
async fn a_stream_lasts_as_long_as_what_it_is_open_by() {
    let fleet = Fleet::start().await;
    let (reader, key) = new_key(&[Scope::Read]);
    let actor = format!("key:{}", reader.id);
    let with_key = Snapshot::clone(&fleet.catalog.snapshot()).with(reader.clone());
    fleet.catalog.replace(with_key.clone());
    let refused = fleet.client_with(&key).await.publish_event(one()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    fleet.catalog.replace(with_key.with(bound(&actor)));

    let (sender, requests) = mpsc::channel(1);
    let mut client = fleet.client_with(&key).await;
    let message = |sequence| v1::StreamEventsRequest { sequence, events: vec![event("1")] };
    sender.send(message(1)).await.unwrap();
    let mut answers = client.stream_events(ReceiverStream::new(requests)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().sequence, 1);
    fleet.change(tenant(&json!({})), Some(reader));
    sender.send(message(2)).await.unwrap();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::PermissionDenied);
    fleet.stop().await;
}
