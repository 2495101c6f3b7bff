//! The audit: what it says, how it is read, and that nothing is done without it.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Control, merge, send};
use crate::world::TRACEPARENT;

#[tokio::test]
async fn a_change_is_announced_and_confirmed_with_before_and_after() {
    let control = Control::start().await;
    control.post("/systems", &json!({"id": "till", "name": "one"})).await;
    let request = merge(control.manage(Method::PATCH, "/systems/till"), &json!({"name": "two"}));
    let told = send(request.header("traceparent", TRACEPARENT)).await;
    let path = "/api/v1/tenants/acme/audit?kind=system&id=till&action=change";
    let read = send(control.request(&control.keys.acme, Method::GET, path)).await;
    let records = read.json["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{records:?}");
    for (record, outcome) in records.iter().zip(["announced", "done"]) {
        assert_eq!(record["specversion"], "1.0");
        assert_eq!(record["type"], "dev.eventrunner.audit.system.change");
        assert_eq!(
            (&record["source"], &record["subject"]),
            (&json!("/api/v1/tenants/acme"), &json!("system/till"))
        );
        let data = &record["data"];
        assert_eq!((&data["outcome"], &data["actor"]["kind"]), (&json!(outcome), &json!("key")));
        assert_eq!((&data["actor"]["tenant"], &data["address"]), (&json!("acme"), &json!("127.0.0.1")));
        assert_eq!(data["trace_id"], crate::world::TRACE_ID);
        assert_eq!((&data["before"]["name"], &data["after"]["name"]), (&json!("one"), &json!("two")));
    }
    assert_eq!(records[1]["data"]["announcement"], records[0]["id"]);
    assert_eq!(records[1]["data"]["revision"], told.json["revision"]);
    control.close().await;
}

#[tokio::test]
async fn a_refusal_says_where_and_not_what() {
    let control = Control::start().await;
    control.post("/systems", &json!({"id": "till", "name": 7, "secret": "hunter2"})).await;
    control.post("/systems", &json!({"id": "shop"})).await;
    control.delete("/systems/none").await;
    let refused = control.audit("acme", "outcome=refused&kind=system").await;
    let told: Vec<(&Value, &Value)> = refused.iter().map(|r| (&r["code"], &r["pointers"])).collect();
    assert_eq!(
        told,
        [
            (&json!("invalid_argument"), &json!(["/name"])),
            (&json!("conflict"), &Value::Null),
            (&json!("not_found"), &Value::Null)
        ]
    );
    assert!(!json!(refused).to_string().contains("hunter2"));
    // Reading nothing is nothing to tell of.
    control.get("/systems/none").await;
    assert_eq!(control.audit("acme", "outcome=refused&kind=system").await.len(), 3);
    control.close().await;
}

#[tokio::test]
async fn it_is_read_page_by_page_and_narrowed() {
    let control = Control::start().await;
    for n in 0..5 {
        control.post("/customers", &json!({"id": format!("c{n}")})).await;
    }
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/audit?outcome=done&kind=customer&limit=2{cursor}");
        let page = control.get(&path).await.json;
        ids.extend(page["records"].as_array().unwrap().iter().map(|r| r["data"]["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids, ["c0", "c1", "c2", "c3", "c4"]);
    let actor = control.keys.acme.split('_').nth(1).unwrap().to_owned();
    assert_eq!(control.audit("acme", &format!("actor={actor}")).await.len(), 10);
    assert!(control.audit("acme", "actor=nobody").await.is_empty());
    assert!(control.audit("acme", "until=2020-01-01T00:00:00Z").await.is_empty());
    assert!(control.audit("acme", "since=2100-01-01T00:00:00Z").await.is_empty());
    assert!(control.audit("globex", "").await.is_empty());
    control.close().await;
}

#[tokio::test]
async fn without_it_nothing_is_done() {
    let control = Control::start().await;
    control.world.bus.jetstream().delete_stream("AUDIT").await.unwrap();
    let refused = control.post("/systems", &json!({"id": "till"})).await;
    assert_eq!((refused.status, &refused.json["code"]), (503, &json!("unavailable")));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(control.get("/systems/till").await.status, 404, "it was not made");
    assert_eq!(control.delete("/systems/shop").await.status, 503);
    let small = send(control.request(&control.keys.small, Method::GET, "/api/v1/tenants/acme/systems")).await;
    assert_eq!(small.status, 503, "nor is anybody refused unseen");
    assert_eq!(control.get("/systems").await.status, 200);
    control.close().await;
}
