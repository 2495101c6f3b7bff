//! The two health endpoints that need no key.

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::wait_until;

use crate::world::{PATIENCE, World};

#[tokio::test]
async fn health_names_what_is_down() {
    let mut world = World::start().await;
    let ask = async |path: &str| {
        let response = world.http.get(world.url(path)).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    assert_eq!(ask("/.well-known/alive").await, (StatusCode::OK, json!({"status": "UP"})));
    let (status, health) = ask("/.well-known/health").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &json!("UP")), "{health}");
    let names: Vec<_> = health["dependencies"].as_array().unwrap().iter().map(|d| &d["name"]).collect();
    assert_eq!(names, ["broker", "catalog", "event_store", "usage_store", "authorizer"]);

    let (url, client) = (world.url("/.well-known/health"), world.http.clone());
    world.nats.kill();
    let mut last = Value::Null;
    wait_until("the broker is missed", PATIENCE, async || {
        let response = client.get(&url).send().await.unwrap();
        let status = response.status();
        last = response.json().await.unwrap();
        status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    assert_eq!(last["status"], "DOWN");
    assert_eq!(
        (&last["dependencies"][0]["name"], &last["dependencies"][0]["status"]),
        (&json!("broker"), &json!("DOWN"))
    );
    assert_eq!(last["dependencies"][2]["status"], "UP", "the store is still there: {last}");
    world.close().await;
}

/// Connected, and not answering: the connection says nothing of it yet.
#[tokio::test]
async fn a_broker_that_hangs_is_down() {
    let world = World::start().await;
    world.nats.pause();
    let response = world.http.get(world.url("/.well-known/health")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let health: Value = response.json().await.unwrap();
    let broker = &health["dependencies"][0];
    assert_eq!((&broker["status"], &broker["reason"]), (&json!("DOWN"), &json!("does not answer in time")));
    world.nats.resume();
    world.close().await;
}

#[tokio::test]
async fn requests_are_counted_and_timed_by_route() {
    let world = World::start().await;
    world.get("/api/v1/dead-letters").await;
    world.ask(reqwest::Method::GET, "/api/v1/dead-letters/77").await;
    let rendered = runtime::metrics::render();
    for line in [
        "eventrunner_api_requests_total{route=\"/api/v1/dead-letters\",status=\"200\"}",
        "eventrunner_api_requests_total{route=\"/api/v1/dead-letters/{id}\",status=\"404\"}",
        "eventrunner_api_request_duration_seconds_count{route=\"/api/v1/dead-letters\"}",
    ] {
        assert!(rendered.contains(line), "{line} is not in {rendered}");
    }
    world.close().await;
}
