//! Who publishes without a key that may: people with tokens, and whoever was given a role.

use serde_json::json;

use crate::{
    issuer::Issuer,
    support::{Door, OTHER, READER, Request},
};

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
const STRUCTURED: &str = "application/cloudevents+json";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn whoever_may_publish_does_so_by_a_token_as_the_system_they_name() {
    let runtime = runtime();
    let issuer = runtime.block_on(Issuer::start("https://issuer.example"));
    let door = Door::open_to(vec![issuer.options()], vec![]);
    let publish = |tenant: &str, roles: &[&str], system: Option<&str>| {
        let request = Request::new("POST", "/v1/events").key(&issuer.token(tenant, roles));
        let request = system.into_iter().fold(request, |r, system| r.header("EventRunner-System", system));
        let answer = door.send(&request.content(STRUCTURED, EVENT));
        let pointer = answer.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        (answer.status, code, pointer)
    };
    let refused = |status, code: &str, pointer: &str| (status, code.to_owned(), pointer.to_owned());
    assert_eq!(publish("acme", &["event_publisher"], Some("shop")), refused(202, "", ""));
    let kept = door.kept();
    assert_eq!((&*kept[0].0.tenant, &*kept[0].0.system), (&b"acme"[..], &b"shop"[..]));
    let no_system = || refused(400, "invalid_argument", "header:eventrunner-system");
    assert_eq!(publish("acme", &["admin"], None), no_system());
    assert_eq!(publish("acme", &["admin"], Some("none")), no_system());
    assert_eq!(publish("acme", &["admin"], Some("../x")), no_system());
    assert_eq!(publish("acme", &["viewer"], Some("shop")), refused(403, "forbidden", ""));
    assert_eq!(publish("gone", &["admin"], Some("shop")), refused(403, "forbidden", ""));
    assert_eq!(publish("nowhere", &["admin"], Some("shop")), refused(403, "forbidden", ""));
    let stranger = runtime.block_on(Issuer::start("https://stranger.example"));
    let request = Request::new("POST", "/v1/events").key(&stranger.token("acme", &["admin"]));
    assert_eq!(door.send(&request.content(STRUCTURED, EVENT)).status, 401);
    assert!(door.kept().is_empty());

    let source = Request::new("POST", "/v1/sources/till").key(&issuer.token("acme", &["admin"]));
    assert_eq!(door.send(&source.content("application/json", "{}")).status, 202);
    assert_eq!(&*door.kept()[0].0.system, b"shop", "the source's");
}

#[test]
fn a_binding_lets_publish_who_brings_too_little() {
    let bound = |tenant: &str, actor: &str| {
        let binding = json!({"tenant": tenant, "id": "b", "actor": actor, "role": "event_publisher"});
        serde_json::from_value(binding).unwrap()
    };
    let publish = |door: &Door, key: &str| {
        door.send(&Request::new("POST", "/v1/events").key(key).content(STRUCTURED, EVENT)).status
    };
    let reader = format!("key:{}", READER.split('_').nth(1).unwrap());
    assert_eq!(publish(&Door::open(), READER), 403);
    let door = Door::open_to(vec![], vec![bound("acme", &reader)]);
    assert_eq!(publish(&door, READER), 202);
    assert_eq!(&*door.kept()[0].0.system, b"shop", "its own");
    assert_eq!(publish(&door, OTHER), 202, "who needs none is not asked");
    let elsewhere = Door::open_to(vec![], vec![bound("other", &reader)]);
    assert_eq!(publish(&elsewhere, READER), 403, "it counts where it was given");
}
