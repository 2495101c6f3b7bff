//! Resources: made, read, changed, listed, deleted and brought back.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Control, merge, send};

#[tokio::test]
async fn a_system_lives_its_whole_life() {
    let control = Control::start().await;
    let body =
        json!({"id": "till", "name": "Till", "labels": {"team": "tills"}, "description": "by the door"});
    let made = control.post("/systems", &body).await;
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/tenants/acme/systems/till"));
    assert_eq!(made.etag, format!("\"{}\"", made.json["revision"]));
    assert_eq!((&made.json["tenant"], &made.json["name"]), (&json!("acme"), &json!("Till")));
    assert_eq!(made.json["created_at"], made.json["updated_at"]);

    let read = control.get("/systems/till").await;
    assert_eq!((read.status, &read.json, &read.etag), (200, &made.json, &made.etag));
    // What was read can be sent back as it is, and changes nothing.
    let same = control.put("/systems/till", &read.json).await;
    assert_eq!((same.status, &same.json), (200, &made.json));

    let patched = control.patch("/systems/till", &json!({"name": "T2", "labels": {"floor": "1"}})).await;
    assert_eq!((patched.status, &patched.json["name"]), (200, &json!("T2")));
    assert_eq!(patched.json["labels"], json!({"team": "tills", "floor": "1"}));
    assert_eq!(patched.json["description"], "by the door");
    assert_eq!(patched.json["created_at"], made.json["created_at"]);
    let less = control.patch("/systems/till", &json!({"labels": {"team": null}, "description": null})).await;
    assert_eq!((&less.json["labels"], &less.json["description"]), (&json!({"floor": "1"}), &json!("")));
    let replaced = control.put("/systems/till", &json!({"name": "T3"})).await;
    assert_eq!((replaced.status, &replaced.json["labels"]), (200, &json!({})));

    for stale in [
        merge(control.manage(Method::PATCH, "/systems/till"), &json!({"name": "x"})),
        control.manage(Method::PUT, "/systems/till").json(&json!({})),
        control.manage(Method::DELETE, "/systems/till"),
    ] {
        let told = send(stale.header("if-match", &made.etag)).await;
        assert_eq!(told.refusal(), (412, "precondition_failed", vec!["header:if-match"]));
    }
    let matching = control.manage(Method::DELETE, "/systems/till").header("if-match", &replaced.etag);
    assert_eq!(send(matching).await.status, 204);
    for gone in [control.get("/systems/till").await, control.delete("/systems/till").await] {
        assert_eq!(gone.refusal(), (404, "not_found", vec![]));
    }
    let kept = control.post("/systems", &body).await;
    assert_eq!(kept.refusal(), (409, "conflict", vec![]), "it keeps its id");
    assert_eq!(control.put("/systems/till", &json!({})).await.status, 409);
    let deleted = control.get("/systems?deleted=true").await;
    assert_eq!(deleted.json["systems"][0]["id"], "till");
    assert!(deleted.json["systems"][0]["deleted_at"].is_string());
    let back = control.post("/systems/till/undelete", &Value::Null).await;
    assert_eq!((back.status, &back.json["name"]), (200, &json!("T3")));
    assert_eq!(control.post("/systems/till/undelete", &Value::Null).await.status, 404);
    assert_eq!(control.get("/systems/till").await.etag, back.etag);
    control.close().await;
}

#[tokio::test]
async fn put_makes_what_is_not_there() {
    let control = Control::start().await;
    let anew = || control.manage(Method::PUT, "/customers/jane").header("if-none-match", "*");
    let made = send(anew().json(&json!({"name": "Jane"}))).await;
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/tenants/acme/customers/jane"));
    let again = send(anew().json(&json!({"name": "Jane"}))).await;
    assert_eq!(again.refusal(), (412, "precondition_failed", vec!["header:if-none-match"]));
    let absent = control.manage(Method::PUT, "/customers/joe").header("if-match", "*").json(&json!({}));
    assert_eq!(send(absent).await.status, 412);
    assert_eq!(control.patch("/customers/joe", &json!({})).await.status, 404);
    let key = control.put("/keys/abc", &json!({"system": "shop", "scopes": ["read"]})).await;
    assert_eq!(key.status, 404, "a key's id is not chosen");
    control.close().await;
}

#[tokio::test]
async fn each_kind_is_made_and_answered_as_it_was_sent() {
    let control = Control::start().await;
    let cases = [
        ("customers", "jane", json!({"id": "jane", "name": "Jane", "labels": {"a": "b"}})),
        (
            "event-types",
            "com.acme.sale%2Fv%201",
            json!({"name": "com.acme.sale/v 1", "system": "shop", "schema": {"type": "object"}}),
        ),
        (
            "sources",
            "crm",
            json!({"id": "crm", "system": "shop", "mapping": {"type": "x"}, "keep_headers": ["x-a"]}),
        ),
    ];
    for (collection, id, body) in cases {
        let made = control.post(&format!("/{collection}"), &body).await;
        assert_eq!(made.status, 201, "{collection}: {made:?}");
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(made.json[name], *value, "{collection} {name}");
        }
        let path = made.header("location").strip_prefix("/api/v1/tenants/acme").unwrap().to_owned();
        assert_eq!(path, format!("/{collection}/{id}"));
        assert_eq!(control.get(&path).await.json, made.json, "{collection}");
        assert_eq!(control.put(&path, &made.json).await.json, made.json, "{collection}");
        let member = collection.replace('-', "_");
        let listed = control.get(&format!("/{collection}?q={}", &id[..3])).await;
        assert_eq!(listed.json[member], json!([made.json]), "{collection}");
        assert_eq!(control.delete(&path).await.status, 204, "{collection}");
        assert_eq!(control.post(&format!("{path}/undelete"), &Value::Null).await.status, 200, "{collection}");
    }
    let made = send(
        control
            .operate(Method::POST, "/api/v1/tenants")
            .json(&json!({"id": "newco", "limits": {"events_burst": 7}})),
    )
    .await;
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/tenants/newco"));
    assert_eq!(
        (&made.json["limits"]["events_burst"], &made.json["placement"]),
        (&json!(7), &json!("default"))
    );
    assert_eq!(made.json["limits"], json!({"events_burst": 7}), "what is left out is said elsewhere");
    control.close().await;
}

#[tokio::test]
async fn keys_open_doors_at_once_and_cannot_grow() {
    let control = Control::start().await;
    control.post("/customers", &json!({"id": "jane"})).await;
    let body =
        json!({"system": "shop", "name": "till", "scopes": ["read", "publish", "read"], "customer": "jane"});
    let made = control.post("/keys", &body).await;
    assert_eq!((made.status, &made.json["scopes"]), (201, &json!(["publish", "read"])));
    let (key, id) = (made.json["key"].as_str().unwrap(), made.json["id"].as_str().unwrap());
    let path = format!("/keys/{id}");
    let reads = async || {
        let events = control.world.ask_as(key, Method::GET, "/api/v1/events").await;
        events.status().as_u16()
    };
    assert_eq!(reads().await, 200);
    let read = control.get(&path).await;
    assert!(read.json.get("key").is_none() && read.json.get("hash").is_none(), "{:?}", read.json);

    let grown = control.patch(&path, &json!({"scopes": ["read", "write"]})).await;
    assert_eq!(grown.refusal(), (403, "forbidden", vec!["/scopes/1"]));
    assert_eq!(control.patch(&path, &json!({"scopes": ["publish"]})).await.status, 200);
    assert_eq!(reads().await, 403);
    control.delete(&path).await;
    assert_eq!(reads().await, 401);
    let held = control.delete("/systems/shop").await;
    assert_eq!(held.refusal(), (422, "unprocessable", vec![]));

    // An operator's key, in acme: acme's manager sees it, and that is all.
    let operator = json!({"system": "shop", "scopes": ["operate"]});
    assert_eq!(control.post("/keys", &operator).await.refusal(), (403, "forbidden", vec!["/scopes/0"]));
    let made = send(control.operate(Method::POST, "/api/v1/tenants/acme/keys").json(&operator)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/keys/{}", made.json["id"].as_str().unwrap());
    assert_eq!(control.get(&path).await.status, 200);
    assert_eq!(control.patch(&path, &json!({"name": "mine"})).await.status, 403);
    assert_eq!(control.delete(&path).await.status, 403);
    control.close().await;
}

#[tokio::test]
async fn references_hold() {
    let control = Control::start().await;
    control.post("/systems", &json!({"id": "till"})).await;
    control.post("/sources", &json!({"id": "hub", "system": "till"})).await;
    let held = control.delete("/systems/till").await;
    assert_eq!(held.status, 422);
    assert_eq!(held.json["detail"], r#"system "till" still has 1 source ("hub"); delete them first"#);
    for (path, body, pointer) in [
        ("/sources", json!({"id": "x", "system": "none"}), "/system"),
        ("/event-types", json!({"name": "x", "system": "none"}), "/system"),
        ("/keys", json!({"system": "shop", "scopes": ["read"], "customer": "none"}), "/customer"),
    ] {
        assert_eq!(control.post(path, &body).await.refusal(), (400, "invalid_argument", vec![pointer]));
    }
    control.delete("/sources/hub").await;
    assert_eq!(control.delete("/systems/till").await.status, 204);
    let dangling = control.post("/sources/hub/undelete", &Value::Null).await;
    assert_eq!(dangling.refusal(), (400, "invalid_argument", vec!["/system"]));
    let tenant = send(control.operate(Method::DELETE, "/api/v1/tenants/acme")).await;
    assert_eq!(tenant.status, 422);
    assert!(tenant.json["detail"].as_str().unwrap().contains("system (\"shop\")"), "{tenant:?}");
    control.close().await;
}

/// Twenty changes at once, each of a label of its own: none writes over another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_all_count_or_say_so() {
    let control = Control::start().await;
    control.post("/systems", &json!({"id": "till"})).await;
    let changes =
        (0..20).map(|n| {
            let control = &control;
            async move {
                (n, control.patch("/systems/till", &json!({"labels": {format!("l{n}"): "x"}})).await.status)
            }
        });
    let told = futures::future::join_all(changes).await;
    let labels = control.get("/systems/till").await.json["labels"].clone();
    let written: BTreeSet<String> = labels.as_object().unwrap().keys().cloned().collect();
    let promised: BTreeSet<String> =
        told.iter().filter(|(_, status)| *status == 200).map(|(n, _)| format!("l{n}")).collect();
    assert_eq!(written, promised, "{told:?}");
    assert!(told.iter().all(|(_, status)| [200, 409].contains(status)), "{told:?}");
    control.close().await;
}

#[tokio::test]
async fn lists_are_walked_narrowed_and_sorted() {
    let control = Control::start().await;
    for n in 0..7 {
        let body = json!({"id": format!("c{n}"), "name": format!("N{}", 9 - n), "labels": {"odd": (n % 2).to_string()}});
        control.post("/customers", &body).await;
    }
    let ids = |told: &Value| -> Vec<String> {
        told["customers"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = control.get(&format!("/customers?limit=3&sort=-id{cursor}")).await.json;
        all.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(all, ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]);
    assert_eq!(ids(&control.get("/customers?sort=name&limit=1").await.json), ["c6"]);
    assert_eq!(ids(&control.get("/customers?label=odd=1&sort=created_at").await.json), ["c1", "c3", "c5"]);
    assert_eq!(ids(&control.get("/customers?q=n5").await.json), ["c4"]);
    // Of tenants, one's own; an operator's are all.
    let tenants = |told: super::world::Told| told.json["tenants"].as_array().unwrap().len();
    assert_eq!(tenants(send(control.request(&control.keys.acme, Method::GET, "/api/v1/tenants")).await), 1);
    assert_eq!(tenants(send(control.operate(Method::GET, "/api/v1/tenants")).await), 4);
    control.close().await;
}
