//! Requests that are sent again.

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::world::{Control, Told, send};
use crate::world::options;

async fn post(control: &Control, path: &str, key: &str, body: &Value) -> Told {
    send(control.manage(Method::POST, path).header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn the_same_request_is_done_once_and_answered_the_same() {
    let control = Control::start().await;
    let body = json!({"system": "shop", "scopes": ["read"]});
    let first = post(&control, "/keys", "\"order-1\"", &body).await;
    let second = post(&control, "/keys", "order-1", &body).await;
    assert_eq!((first.status, second.status), (201, 201), "{first:?}");
    assert_eq!((&first.json, &first.etag), (&second.json, &second.etag), "with the key that is told once");
    assert_eq!(first.header("location"), second.header("location"));
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), ("", "true"));
    assert_eq!(control.audit("acme", "kind=key&outcome=done").await.len(), 1);

    let other = post(&control, "/keys", "order-1", &json!({"system": "shop", "scopes": ["publish"]})).await;
    assert_eq!(other.refusal(), (422, "unprocessable", vec!["header:idempotency-key"]));
    // The key is the caller's, and the path's.
    assert_eq!(post(&control, "/customers", "order-1", &json!({"id": "a"})).await.status, 201);
    let path = "/api/v1/tenants/globex/keys";
    let globex =
        control.request(&control.keys.globex, Method::POST, path).header("idempotency-key", "order-1");
    let globex = send(globex.json(&body)).await;
    assert!(globex.status == 201 && globex.json["key"] != first.json["key"], "{globex:?}");

    control.delete("/customers/a").await;
    let undelete = async || post(&control, "/customers/a/undelete", "back", &json!({})).await;
    let (first, second) = (undelete().await, undelete().await);
    assert_eq!((first.status, &first.json), (200, &second.json));
    control.close().await;
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again() {
    let control = Control::start().await;
    let body = json!({"id": "hub", "system": "till"});
    assert_eq!(post(&control, "/sources", "k", &body).await.status, 400, "the system is not there");
    control.post("/systems", &json!({"id": "till"})).await;
    assert_eq!(post(&control, "/sources", "k", &body).await.status, 201);
    control.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_one() {
    let control = Control::start().await;
    let body = json!({"system": "shop", "scopes": ["read"]});
    let all = futures::future::join_all((0..12).map(|_| post(&control, "/keys", "once", &body))).await;
    let made: Vec<&Told> = all.iter().filter(|told| told.status == 201).collect();
    assert!(!made.is_empty() && made.iter().all(|told| told.json == made[0].json), "{all:?}");
    for told in all.iter().filter(|told| told.status != 201) {
        assert_eq!(told.refusal(), (409, "conflict", vec!["header:idempotency-key"]));
        assert_eq!(told.header("retry-after"), "1");
    }
    assert_eq!(control.audit("acme", "kind=key&outcome=done").await.len(), 1);
    control.close().await;
}

/// Whoever worked it first has died, and left no answer.
#[tokio::test]
async fn one_that_was_left_is_taken_over() {
    let control =
        Control::start_with(api::Options { idempotency_pending_ms: runtime::config::Millis(0), ..options() })
            .await;
    let store = control.world.bus.jetstream().get_key_value("idempotency").await.unwrap();
    let body = json!({"id": "jane"});
    assert_eq!(post(&control, "/customers", "k", &body).await.status, 201);
    // The entry as it was before the answer.
    let name = only_key(&store).await;
    let (sealer, context) = (crate::world::sealer(), format!("idempotency.{name}"));
    let kept = String::from_utf8(store.get(&name).await.unwrap().unwrap().to_vec()).unwrap();
    let mut kept: Value =
        serde_json::from_str(sealer.open(&context, &kept).unwrap().expose_secret()).unwrap();
    kept["answer"] = Value::Null;
    let left = sealer.seal(&context, &kept.to_string().into()).unwrap();
    store.put(&name, left.into()).await.unwrap();
    let again = post(&control, "/customers", "k", &body).await;
    assert_eq!(again.refusal(), (409, "conflict", vec![]), "it was made, so it is there: {again:?}");
    control.close().await;
}

async fn only_key(store: &async_nats::jetstream::kv::Store) -> String {
    use futures::TryStreamExt as _;
    let keys: Vec<String> = store.keys().await.unwrap().try_collect().await.unwrap();
    let [key] = &keys[..] else { panic!("{keys:?}") };
    key.clone()
}
