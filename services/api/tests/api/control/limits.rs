//! Plans and limits: which holds, how much is used, and what is refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Control, Told, merge, send};

/// One limit as it is told: its value, where it comes from, how much is used.
async fn limit(control: &Control, name: &str) -> Value {
    let told = control.get("/limits").await;
    assert_eq!(told.status, 200, "{told:?}");
    let mut found = told.json["limits"].as_array().unwrap().iter().filter(|limit| limit["name"] == name);
    let found = found.next().unwrap().clone();
    json!([found["value"], found["origin"], found["used"]])
}

async fn tenant(control: &Control, patch: Value) -> Told {
    send(merge(control.operate(Method::PATCH, "/api/v1/tenants/acme"), &patch)).await
}

async fn plan(control: &Control, id: &str, limits: Value) {
    let body = json!({"id": id, "limits": limits});
    let made = send(control.operate(Method::POST, "/api/v1/plans").json(&body)).await;
    assert_eq!((made.status, made.header("location")), (201, &*format!("/api/v1/plans/{id}")), "{made:?}");
}

#[tokio::test]
async fn own_limits_go_before_the_plans_and_those_before_everybodys() {
    let control = Control::start().await;
    assert_eq!(limit(&control, "events_per_second").await, json!([0, "default", 0]));
    for id in ["a", "b", "c"] {
        plan(&control, id, json!({})).await;
    }
    let page = send(control.operate(Method::GET, "/api/v1/plans?limit=2")).await.json;
    let rest = format!("/api/v1/plans?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(send(control.operate(Method::GET, &rest)).await.json["plans"][0]["id"], "c");
    plan(&control, "gold", json!({"events_per_second": 100, "events_burst": 7})).await;
    assert_eq!(tenant(&control, json!({"plan": "gold"})).await.status, 200);
    assert_eq!(limit(&control, "events_per_second").await, json!([100, "plan", 0]));
    assert_eq!(limit(&control, "events_burst").await, json!([7, "plan", null]));
    assert_eq!(limit(&control, "event_bytes_max").await, json!([262_144, "default", null]));
    tenant(&control, json!({"limits": {"events_per_second": 5}})).await;
    assert_eq!(limit(&control, "events_per_second").await, json!([5, "own", 0]));
    tenant(&control, json!({"limits": {"events_per_second": null}})).await;
    assert_eq!(limit(&control, "events_per_second").await, json!([100, "plan", 0]));

    // A plan holds for all that are on it as soon as it is changed, and stays as long as it is named.
    let patch = json!({"limits": {"events_per_second": 200}});
    send(merge(control.operate(Method::PATCH, "/api/v1/plans/gold"), &patch)).await;
    assert_eq!(limit(&control, "events_per_second").await, json!([200, "plan", 0]));
    let held = send(control.operate(Method::DELETE, "/api/v1/plans/gold")).await;
    assert_eq!(held.status, 422);
    assert!(held.json["detail"].as_str().unwrap().contains(r#"1 tenant ("acme")"#), "{held:?}");
    tenant(&control, json!({"plan": null})).await;
    assert_eq!(send(control.operate(Method::DELETE, "/api/v1/plans/gold")).await.status, 204);
    assert_eq!(limit(&control, "events_per_second").await, json!([0, "default", 0]));
    control.close().await;
}

#[tokio::test]
async fn a_tenant_has_no_more_than_it_may() {
    let control = Control::start().await;
    let room = limit(&control, "resources_max").await[2].as_u64().unwrap() + 1;
    tenant(&control, json!({"limits": {"resources_max": room}})).await;
    assert_eq!(control.post("/customers", &json!({"id": "one"})).await.status, 201);
    let over = |told: Told, what: &str| {
        assert_eq!(told.refusal(), (422, "unprocessable", vec![]), "{what}: {told:?}");
        let detail = told.json["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`resources_max` is {room}")), "{what}: {detail}");
        assert!(detail.contains("raise it in the tenant's limits or its plan"), "{what}: {detail}");
    };
    over(control.post("/customers", &json!({"id": "two"})).await, "made by POST");
    over(control.put("/customers/two", &json!({})).await, "made by PUT");
    assert_eq!(control.patch("/customers/one", &json!({"name": "One"})).await.status, 200);
    assert_eq!(control.delete("/customers/one").await.status, 204);
    assert_eq!(control.post("/customers", &json!({"id": "two"})).await.status, 201);
    over(control.post("/customers/one/undelete", &Value::Null).await, "undeleted");
    assert_eq!(limit(&control, "resources_max").await, json!([room, "own", room]));

    tenant(&control, json!({"limits": {"resources_max": null, "subscriptions_max": 1}})).await;
    let webhook = json!({"type": "webhook", "url": "https://x.example/"});
    let action = json!({"id": "do", "system": "shop", "target": webhook});
    assert_eq!(control.post("/actions", &action).await.status, 201);
    let subscription = |id: &str| json!({"id": id, "system": "shop", "action": "do"});
    assert_eq!(control.post("/subscriptions", &subscription("one")).await.status, 201);
    let told = control.post("/subscriptions", &subscription("two")).await;
    assert!(told.json["detail"].as_str().unwrap().contains("`subscriptions_max` is 1"), "{told:?}");
    assert_eq!(limit(&control, "subscriptions_max").await, json!([1, "own", 1]));
    control.close().await;
}

#[tokio::test]
async fn of_many_at_once_no_more_than_may_be_are_made() {
    let control = Control::start().await;
    let room = limit(&control, "resources_max").await[2].as_u64().unwrap() + 3;
    tenant(&control, json!({"limits": {"resources_max": room}})).await;
    let making = (0..12).map(|n| {
        let body = json!({"id": format!("c{n}")});
        send(control.manage(Method::POST, "/customers").json(&body))
    });
    let told = futures::future::join_all(making).await;
    assert!(told.iter().all(|t| [201, 422].contains(&t.status)), "{told:?}");
    let made = told.iter().filter(|t| t.status == 201).count();
    let listed = control.get("/customers").await.json["customers"].as_array().unwrap().len();
    assert_eq!(made, listed, "whoever was told that it is made has it");
    assert!(made <= 3, "{made} made");
    control.close().await;
}

#[tokio::test]
async fn a_narrowed_plan_keeps_nobody_from_other_changes() {
    let control = Control::start().await;
    plan(&control, "week", json!({"retention_days_max": 7})).await;
    let refused = tenant(&control, json!({"plan": "week", "retention_days": 30})).await;
    assert_eq!(refused.refusal(), (400, "invalid_argument", vec!["/retention_days"]));
    let detail = refused.json["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("1 to 7") && detail.contains("`retention_days_max`"), "{detail}");
    assert_eq!(tenant(&control, json!({"plan": "week", "retention_days": 7})).await.status, 200);
    let patch = json!({"limits": {"retention_days_max": 3}});
    send(merge(control.operate(Method::PATCH, "/api/v1/plans/week"), &patch)).await;
    assert_eq!(tenant(&control, json!({"disabled": true})).await.status, 200);
    assert_eq!(tenant(&control, json!({"retention_days": 6})).await.status, 400);
    control.close().await;
}
