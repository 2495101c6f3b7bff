//! A tenant's NATS clients on a fleet: let in by one command, cut off by another, and in again after a restart.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use async_nats::{
    Client, ConnectOptions,
    connection::State,
    jetstream::{self, consumer::PullConsumer},
};
use futures::StreamExt as _;
use serde_json::Value;
use testkit::wait_until;

use crate::support::{Fleet, PATIENCE};

async fn client(fleet: &Fleet, file: &Path) -> Result<Client, async_nats::ConnectError> {
    let url = fleet.context()["nats_url"].as_str().unwrap().to_owned();
    ConnectOptions::with_credentials_file(file).await.unwrap().connect(url).await
}

/// The ids of the next events, each acknowledged.
async fn read(client: &Client, made: &Value, count: usize) -> Vec<String> {
    let text = |name: &str| made[name].as_str().unwrap();
    let jetstream = jetstream::with_domain(client.clone(), text("domain"));
    let consumer: PullConsumer =
        jetstream.get_consumer_from_stream(text("consumer"), text("stream")).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut ids = Vec::new();
    while ids.len() < count {
        let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
        ids.push(message.headers.as_ref().unwrap().get("ce-id").unwrap().to_string());
        message.double_ack().await.unwrap();
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_clients_are_let_in_and_cut_off() {
    let mut fleet = Fleet::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let publish = |fleet: &Fleet, id: &str| {
        fleet.ok(&["publish", "--type", "demo.hello", "--source", "/demo", "--id", id, "--data", "{}"]);
    };
    publish(&fleet, "one");
    let file = folder.path().join("demo.creds");
    let made = fleet.json(&["tenants", "nats-credentials", "demo", "--file", file.to_str().unwrap()]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(&file).unwrap();
    assert!(made.get("credentials").is_none(), "it is in the file");

    let guest = client(&fleet, &file).await.unwrap();
    assert_eq!(read(&guest, &made, 1).await, ["one"]);
    let nobody = async_nats::connect(fleet.context()["nats_url"].as_str().unwrap()).await;
    assert!(nobody.is_err(), "the broker asks for a login");

    // What it holds outlives the fleet.
    drop(guest);
    fleet.up.signal(nix::sys::signal::Signal::SIGINT);
    fleet.up.wait();
    fleet.start_again(&[]);
    publish(&fleet, "two");
    let guest = client(&fleet, &file).await.unwrap();
    assert_eq!(read(&guest, &made, 1).await, ["two"]);

    let listed = fleet.ok(&["nats-credentials", "list", "-t", "demo", "-o", "json"]);
    assert!(listed.contains(made["id"].as_str().unwrap()) && !listed.contains("signing_key"), "{listed}");
    assert!(!fleet.up.said().contains(secret.lines().nth(1).unwrap()), "the file is shown nowhere else");

    fleet.ok(&["nats-credentials", "delete", made["id"].as_str().unwrap(), "-t", "demo"]);
    let is_out = async || guest.connection_state() != State::Connected;
    wait_until("the connection is ended", PATIENCE, is_out).await;
    assert!(client(&fleet, &file).await.is_err());

    // A tenant that is disabled reads no more than its keys do.
    let other = folder.path().join("other.creds");
    fleet.json(&["tenants", "nats-credentials", "demo", "--file", other.to_str().unwrap()]);
    let guest = client(&fleet, &other).await.unwrap();
    fleet.ok(&["tenants", "update", "demo", "--disabled", "true"]);
    wait_until("the connection is ended", PATIENCE, async || guest.connection_state() != State::Connected)
        .await;
}
