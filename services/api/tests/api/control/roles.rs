//! Roles that people make, and who has them.

use std::time::Instant;

use identity::IssuerOptions;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    issuer::Issuer,
    world::{Control, Told, merge, send},
};
use crate::world::PATIENCE;

const ACME: &str = "/api/v1/tenants/acme";
const GLOBEX: &str = "/api/v1/tenants/globex";

/// What an issuer's alice is called in bindings.
const ALICE: &str = "user:https://issuer.example|alice@example.com";

async fn asked(control: &Control, key: &str, method: Method, path: &str) -> u16 {
    send(control.request(key, method, path)).await.status
}

async fn made(control: &Control, path: &str, body: Value) {
    let told = send(control.operate(Method::POST, path).json(&body)).await;
    assert_eq!(told.status, 201, "{path}: {told:?}");
}

fn forbidden(told: &Told) -> Vec<String> {
    let (status, code, pointers) = told.refusal();
    assert_eq!((status, code), (403, "forbidden"), "{told:?}");
    pointers.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_binding_opens_and_closes_at_once() {
    let issuer = Issuer::start("https://issuer.example").await;
    let control = Control::start_trusting(vec![issuer.options()]).await;
    let alice = issuer.token("acme", &[]);
    let systems = format!("{ACME}/systems");
    let status = async |key: &str, path: &str| asked(&control, key, Method::GET, path).await;
    assert_eq!(status(&alice, &systems).await, 403);

    let told =
        control.post("/role-bindings", &json!({"id": "alice", "actor": ALICE, "role": "viewer"})).await;
    assert_eq!((told.status, &told.json["actor"]), (201, &json!(ALICE)), "{told:?}");
    assert_eq!(status(&alice, &systems).await, 200);
    assert_eq!(status(&alice, "/api/v1/events").await, 200, "what is no resource too");
    assert_eq!(status(&alice, &format!("{GLOBEX}/systems")).await, 404, "elsewhere it gives nothing");
    assert_eq!(control.delete("/role-bindings/alice").await.status, 204);
    assert_eq!(status(&alice, &systems).await, 403);
    assert_eq!(status(&alice, "/api/v1/events").await, 403);

    let audit = format!("{ACME}/audit");
    let role = json!({"id": "auditor", "permissions": ["read:audit"]});
    assert_eq!(control.post("/roles", &role).await.status, 201);
    let bound = json!({"id": "a1", "actor": ALICE, "role": "auditor"});
    assert_eq!(control.post("/role-bindings", &bound).await.status, 201);
    assert_eq!(status(&alice, &audit).await, 200);
    let told = control.get(&format!("/permissions?actor={ALICE}&permission=read:audit")).await.json;
    let because = json!([{"binding": "a1", "fleet_wide": false, "actor": ALICE, "role": "auditor"}]);
    assert_eq!(told, json!({"allowed": true, "because": because}));
    assert_eq!(control.patch("/roles/auditor", &json!({"permissions": ["read:system"]})).await.status, 200);
    let told = control.get(&format!("/permissions?actor={ALICE}&permission=read:audit")).await.json;
    assert_eq!(told, json!({"allowed": false, "because": []}));
    assert_eq!((status(&alice, &audit).await, status(&alice, &systems).await), (403, 200));
    let held = control.delete("/roles/auditor").await;
    assert_eq!((held.refusal().0, held.refusal().1), (422, "unprocessable"), "{held:?}");
    assert!(held.json["detail"].as_str().unwrap().contains("1 role binding (\"a1\")"), "{held:?}");
    let members = json!({"id": "a2", "actor": "role:auditor", "role": "event_publisher"});
    assert_eq!(control.post("/role-bindings", &members).await.status, 201);
    assert_eq!(control.delete("/role-bindings/a1").await.status, 204);
    assert_eq!(status(&alice, &systems).await, 403);
    assert_eq!(control.delete("/roles/auditor").await.refusal().0, 422, "its members are named still");
    control.close().await;
}

#[tokio::test]
async fn a_key_is_given_more_than_its_scopes() {
    let control = Control::start().await;
    let small = control.keys.small.clone();
    let id = &small[3..19];
    let systems = format!("{ACME}/systems");
    assert_eq!(asked(&control, &small, Method::GET, &systems).await, 403);
    let told = control
        .post("/role-bindings", &json!({"id": "b", "actor": format!("key:{id}"), "role": "admin"}))
        .await;
    assert_eq!(forbidden(&told), ["/role"], "the manager's key may not delete events itself");
    let bound = json!({"id": "b", "actor": format!("key:{id}"), "role": "user"});
    assert_eq!(control.post("/role-bindings", &bound).await.status, 201);
    assert_eq!(asked(&control, &small, Method::GET, &systems).await, 200);
    let told = control.get(&format!("/permissions?actor=key:{id}&permission=read:event")).await.json;
    assert_eq!(told["because"][0], json!({"scope": "read"}), "{told}");
    assert_eq!(told["because"][1]["binding"], "b", "{told}");
    let told = control.delete(&format!("/keys/{id}")).await;
    assert_eq!(told.refusal().0, 422, "it is named: {told:?}");
    let absent = json!({"id": "c", "actor": "key:aaaaaaaaaaaaaaaa", "role": "user"});
    let told = control.post("/role-bindings", &absent).await;
    assert_eq!(told.refusal(), (400, "invalid_argument", vec!["/actor"]), "{told:?}");
    control.close().await;
}

#[tokio::test]
async fn the_fleets_roles_count_in_every_tenant() {
    let issuer = Issuer::start("https://issuer.example").await;
    let options = IssuerOptions { fleet_wide: true, ..issuer.options() };
    let control = Control::start_trusting(vec![options]).await;
    let alice = issuer.token("acme", &[]);
    let status = async |method: Method, path: &str| asked(&control, &alice, method, path).await;
    let tenants = async || {
        let told = send(control.request(&alice, Method::GET, "/api/v1/tenants")).await;
        told.json["tenants"].as_array().map(Vec::len)
    };

    // A role of the fleet's, given in one tenant.
    made(
        &control,
        "/api/v1/fleet/roles",
        json!({"id": "helper", "permissions": ["read:tenant", "*:system", "update:limit"]}),
    )
    .await;
    let bound = json!({"id": "b", "actor": "user:alice@example.com", "role": "fleet/helper"});
    assert_eq!(forbidden(&control.post("/role-bindings", &bound).await), ["/role"]);
    made(&control, &format!("{GLOBEX}/role-bindings"), bound).await;
    assert_eq!(status(Method::GET, &format!("{GLOBEX}/systems")).await, 200);
    assert_eq!(status(Method::DELETE, &format!("{GLOBEX}/systems/none")).await, 404);
    assert_eq!(status(Method::GET, &format!("{ACME}/systems")).await, 403);
    assert_eq!(tenants().await, None);
    let told = send(control.operate(Method::DELETE, "/api/v1/fleet/roles/helper")).await;
    assert_eq!(told.refusal().0, 422, "a tenant's binding names it: {told:?}");

    // The same, fleet-wide.
    let bound = json!({"id": "b", "actor": "user:alice@example.com", "role": "helper"});
    made(&control, "/api/v1/fleet/role-bindings", bound).await;
    assert_eq!(status(Method::GET, &format!("{ACME}/systems")).await, 200);
    assert_eq!(status(Method::GET, &format!("{ACME}/sources")).await, 403);
    assert_eq!(status(Method::GET, "/api/v1/tenants/nowhere/systems").await, 404);
    assert_eq!(tenants().await, Some(4));
    assert_eq!(status(Method::GET, "/api/v1/fleet/roles").await, 403);

    // Everything.
    let bound = json!({"id": "root", "actor": "user:alice@example.com", "role": "superuser"});
    made(&control, "/api/v1/fleet/role-bindings", bound).await;
    assert_eq!(status(Method::GET, "/api/v1/fleet/roles").await, 200);
    let request = control.request(&alice, Method::POST, "/api/v1/tenants").json(&json!({"id": "initech"}));
    assert_eq!(send(request).await.status, 201);
    let key = json!({"system": "shop", "scopes": ["operate"]});
    let request = control.request(&alice, Method::POST, &format!("{GLOBEX}/keys")).json(&key);
    assert_eq!(send(request).await.status, 201, "a superuser makes others");
    assert_eq!(send(control.operate(Method::DELETE, "/api/v1/fleet/role-bindings/root")).await.status, 204);
    assert_eq!(status(Method::GET, "/api/v1/fleet/roles").await, 403);
    control.close().await;
}

/// Who may bind roles in a tenant does not get more than they have by it.
#[tokio::test]
async fn nobody_gives_what_they_lack() {
    let issuer = Issuer::start("https://issuer.example").await;
    let control = Control::start_trusting(vec![issuer.options()]).await;
    let role = |id: &str, permissions: &[&str]| json!({"id": id, "permissions": permissions});
    let bound = |id: &str, role: &str| json!({"id": id, "actor": ALICE, "role": role});
    let refused = [
        ("/roles", role("r1", &["read:system", "update:limit"]), "/permissions/1"),
        ("/roles", role("r1", &["*:fleet"]), "/permissions/0"),
        ("/roles", role("r1", &["delete:event"]), "/permissions/0"),
        ("/role-bindings", bound("b1", "tenant_admin"), "/role"),
    ];
    for (path, body, pointer) in refused {
        assert_eq!(forbidden(&control.post(path, &body).await), [pointer], "{body}");
    }
    let told = control.post("/role-bindings", &bound("b1", "superuser")).await;
    assert_eq!(told.refusal(), (400, "invalid_argument", vec!["/role"]), "{told:?}");

    // What an operator gave may stay, and not be handed on.
    made(&control, &format!("{ACME}/roles"), role("limiter", &["update:limit", "update:tenant"])).await;
    made(&control, &format!("{ACME}/role-bindings"), bound("b2", "limiter")).await;
    let named = control.patch("/roles/limiter", &json!({"name": "Limits"})).await;
    assert_eq!(named.status, 200, "{named:?}");
    let narrowed = control.patch("/roles/limiter", &json!({"permissions": ["update:limit"]})).await;
    assert_eq!(narrowed.status, 200, "{narrowed:?}");
    let widened = control.patch("/roles/limiter", &json!({"permissions": ["update:limit", "*:fleet"]})).await;
    assert_eq!(forbidden(&widened), ["/permissions/1"]);
    assert_eq!(control.patch("/role-bindings/b2", &json!({"name": "x"})).await.status, 200);
    let moved = control.patch("/role-bindings/b2", &json!({"actor": "user:mallory@example.com"})).await;
    assert_eq!(forbidden(&moved), ["/role"]);
    assert_eq!(control.delete("/role-bindings/b2").await.status, 204);
    let restored = send(control.manage(Method::POST, "/role-bindings/b2/undelete")).await;
    assert_eq!(forbidden(&restored), ["/role"], "none is restored by who could not make it");

    // One who has what is given may give it, wherever they have it.
    made(&control, &format!("{GLOBEX}/role-bindings"), bound("b", "tenant_admin")).await;
    let alice = issuer.token("acme", &[]);
    let give = async |tenant: &str, path: &str, body: Value| {
        send(control.request(&alice, Method::POST, &format!("{tenant}{path}")).json(&body)).await
    };
    let bob = |id: &str, role: &str| json!({"id": id, "actor": "user:bob@example.com", "role": role});
    assert_eq!(give(GLOBEX, "/role-bindings", bob("b3", "tenant_admin")).await.status, 201);
    let told = give(GLOBEX, "/keys", json!({"system": "shop", "scopes": ["manage", "read"]})).await;
    assert_eq!(told.status, 201, "{told:?}");
    let told = give(GLOBEX, "/keys", json!({"system": "shop", "scopes": ["operate"]})).await;
    assert_eq!(forbidden(&told), ["/scopes/0"]);
    assert_eq!(forbidden(&give(GLOBEX, "/roles", role("r", &["*:plan"])).await), ["/permissions/0"]);
    assert_eq!(forbidden(&give(ACME, "/role-bindings", bob("b4", "viewer")).await), [""; 0]);
    control.close().await;
}

/// An issuer that is believed for a customer's people cannot name the fleet's.
#[tokio::test]
async fn an_issuers_people_are_its_own() {
    let (ours, theirs) =
        (Issuer::start("https://issuer.example").await, Issuer::start("https://customer.example").await);
    let options = vec![IssuerOptions { fleet_wide: true, ..ours.options() }, theirs.options()];
    let control = Control::start_trusting(options).await;
    let bound = json!({"id": "root", "actor": "user:alice@example.com", "role": "superuser"});
    made(&control, "/api/v1/fleet/role-bindings", bound).await;
    let path = format!("{GLOBEX}/systems");
    assert_eq!(asked(&control, &ours.token("acme", &[]), Method::GET, &path).await, 200);
    assert_eq!(asked(&control, &theirs.token("acme", &[]), Method::GET, &path).await, 403);
    control.close().await;
}

/// A stream that is open by a binding ends with it.
#[tokio::test]
async fn a_stream_ends_within_a_second_of_its_binding() {
    let issuer = Issuer::start("https://issuer.example").await;
    let control = Control::start_trusting(vec![issuer.options()]).await;
    let bound = json!({"id": "alice", "actor": ALICE, "role": "viewer"});
    assert_eq!(control.post("/role-bindings", &bound).await.status, 201);
    let alice = issuer.token("acme", &[]);
    let path = "/api/v1/streams/events";
    let mut stream = control.request(&alice, Method::GET, path).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    for _ in 0..3 {
        assert!(stream.chunk().await.unwrap().is_some(), "it lives");
    }
    assert_eq!(control.delete("/role-bindings/alice").await.status, 204);
    let since = Instant::now();
    let ended = async { while stream.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(since.elapsed().as_millis() < 1_000, "after {:?}", since.elapsed());
    let patch = merge(control.request(&alice, Method::PATCH, &format!("{ACME}/systems/shop")), &json!({}));
    assert_eq!(send(patch).await.status, 403);
    control.close().await;
}
