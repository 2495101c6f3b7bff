//! Registration by invitation, and passwords by a link.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    people::{PASSWORD, bind, log_in, post, user},
    world::{Control, Told, assert_answered, send},
};

const OTHER: &str = "another horse, another staple";

async fn invite(control: &Control, role: &str) -> String {
    let told = control.post("/invitations", &json!({"role": role, "email": "New@example.com"})).await;
    assert_eq!(told.status, 201, "{told:?}");
    assert_answered("OneTimeToken", &told.json);
    told.json["token"].as_str().unwrap().to_owned()
}

async fn accept(control: &Control, token: &str, username: &str, password: &str) -> Told {
    let body = json!({"token": token, "username": username, "password": password, "name": "New"});
    post(control, "/api/v1/invitations/accept", &body).await
}

async fn redeem(control: &Control, token: &Value, password: &str) -> Told {
    post(control, "/api/v1/password-resets/redeem", &json!({"token": token, "new_password": password})).await
}

async fn may_read(control: &Control, told: &Told) -> bool {
    let token = told.json["access_token"].as_str().unwrap();
    send(control.request(token, Method::GET, "/api/v1/tenants/acme/systems")).await.status == 200
}

#[tokio::test]
async fn who_is_invited_registers_once_and_has_the_role() {
    let control = Control::start().await;
    let token = invite(&control, "viewer").await;
    let pending = control.get("/invitations").await.json["invitations"].clone();
    assert_eq!((&pending[0]["role"], &pending[0]["email"]), (&json!("viewer"), &json!("new@example.com")));
    assert!(!pending.to_string().contains("eri_") && pending.as_array().unwrap().len() == 1);
    assert_answered("PendingInvitation", &pending[0]);

    // What cannot be taken leaves the invitation good.
    for (name, password, pointer) in [
        ("Not A Slug", OTHER, "/username"),
        ("newcomer", "short", "/password"),
        ("newcomer", "newcomer 2026 x", "/password"),
    ] {
        let told = accept(&control, &token, name, password).await;
        assert_eq!(told.refusal(), (400, "invalid_argument", vec![pointer]), "{told:?}");
    }
    let begun = accept(&control, &token, "newcomer", OTHER).await;
    assert_eq!((begun.status, &begun.json["tenant"]), (200, &json!("acme")), "{begun:?}");
    assert!(may_read(&control, &begun).await);
    assert_eq!(log_in(&control, "new@example.com", OTHER).await.status, 200);
    assert_eq!(accept(&control, &token, "another", OTHER).await.refusal().0, 401, "once");
    assert!(control.get("/invitations").await.json["invitations"].as_array().unwrap().is_empty());
    let members = control.get("/users").await.json;
    let role = json!([{"role": "viewer", "binding": members["users"][0]["roles"][0]["binding"]}]);
    assert_eq!((&members["users"][0]["id"], &members["users"][0]["roles"]), (&json!("newcomer"), &role));
    for kind in ["user", "role-binding"] {
        let path = format!("/api/v1/fleet/audit?kind={kind}&outcome=done&actor=user:newcomer");
        let fleets = send(control.operate(Method::GET, &path)).await.json;
        let tenants = control.audit("acme", &format!("kind={kind}&outcome=done")).await;
        assert!(
            !fleets["records"].as_array().unwrap().is_empty() || !tenants.is_empty(),
            "{kind} is recorded"
        );
    }
    control.close().await;
}

#[tokio::test]
async fn nobody_invites_above_their_own_and_an_invitation_can_be_taken_back() {
    let control = Control::start().await;
    let roles = ["superuser", "nobody-made-this", "fleet/none", "Viewer", ""];
    for role in roles {
        let told = control.post("/invitations", &json!({ "role": role })).await;
        let (status, _, pointers) = told.refusal();
        assert!(status == 400 && pointers.iter().all(|p| *p == "/role"), "{role}: {told:?}");
    }
    user(&control, "helper", PASSWORD).await;
    let helper = json!({"id": "inviter", "permissions": ["*:user", "*:role_binding"]});
    assert_eq!(control.post("/roles", &helper).await.status, 201);
    let bound = json!({"id": "helper", "actor": "user:helper", "role": "inviter"});
    // A manager's own key may not do all of that; an operator's may.
    let path = "/api/v1/tenants/acme/role-bindings";
    assert_eq!(send(control.operate(Method::POST, path).json(&bound)).await.status, 201);
    let begun = log_in(&control, "helper", PASSWORD).await;
    let token = begun.json["access_token"].as_str().unwrap();
    let request = control.request(token, Method::POST, "/api/v1/tenants/acme/invitations");
    let told = send(request.json(&json!({"role": "viewer"}))).await;
    assert_eq!(told.refusal(), (403, "forbidden", vec!["/role"]), "{told:?}");
    let request = control.request(token, Method::POST, "/api/v1/tenants/acme/invitations");
    assert_eq!(send(request.json(&json!({"role": "inviter"}))).await.status, 201);

    let token = invite(&control, "viewer").await;
    let pending = control.get("/invitations").await.json["invitations"].clone();
    for one in pending.as_array().unwrap() {
        let path = format!("/invitations/{}", one["id"].as_str().unwrap());
        assert_eq!(control.delete(&path).await.status, 204);
        assert_eq!(control.delete(&path).await.status, 404);
    }
    assert_eq!(accept(&control, &token, "newcomer", OTHER).await.refusal().0, 401);
    for bad in ["", "eri_x", "a.b", &format!("{token}x"), &token.replace(".acme", ".globex")] {
        assert_eq!(accept(&control, bad, "newcomer", OTHER).await.refusal().0, 401, "{bad}");
    }
    control.close().await;
}

#[tokio::test]
async fn who_is_here_already_joins_by_their_password() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    let token = invite(&control, "viewer").await;
    assert_eq!(accept(&control, &token, "alice", "not hers").await.refusal().0, 401, "the name is taken");
    let begun = accept(&control, &token, "alice", PASSWORD).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    assert!(may_read(&control, &begun).await);
    let kept = control.world.catalog.snapshot();
    assert_eq!(kept.user("alice").unwrap().email, None, "what they are stays");
    control.close().await;
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_ends_what_was() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    bind(&control, "alice", "acme", "viewer").await;
    let link = async || {
        let told = send(control.operate(Method::POST, "/api/v1/users/alice/password-resets")).await;
        assert_eq!(told.status, 201, "{told:?}");
        told.json["token"].clone()
    };
    let begun = log_in(&control, "alice", PASSWORD).await;
    let (first, second) = (link().await, link().await);
    assert_eq!(redeem(&control, &first, "short").await.refusal().2, ["/new_password"]);
    assert!(may_read(&control, &begun).await, "nothing has happened yet");
    let set = redeem(&control, &first, OTHER).await;
    assert_eq!((set.status, &set.json["tenant"]), (200, &json!("acme")), "{set:?}");
    assert!(may_read(&control, &set).await && !may_read(&control, &begun).await);
    for used in [&first, &second] {
        assert_eq!(redeem(&control, used, PASSWORD).await.refusal().0, 401, "once, and none from before");
    }
    assert_eq!(log_in(&control, "alice", PASSWORD).await.status, 401);
    assert_eq!(log_in(&control, "alice", OTHER).await.status, 200);
    for bad in ["", "erp_x", "a.b.c"] {
        assert_eq!(redeem(&control, &json!(bad), PASSWORD).await.refusal().0, 401, "{bad}");
    }

    // Whoever opens the way to somebody must be able to do what they may.
    user(&control, "helpdesk", PASSWORD).await;
    let role = json!({"id": "helpdesk", "permissions": ["*:user", "*:session", "read:*"]});
    assert_eq!(send(control.operate(Method::POST, "/api/v1/fleet/roles").json(&role)).await.status, 201);
    let bound = json!({"id": "helpdesk", "actor": "user:helpdesk", "role": "helpdesk"});
    let path = "/api/v1/fleet/role-bindings";
    assert_eq!(send(control.operate(Method::POST, path).json(&bound)).await.status, 201);
    let desk = log_in(&control, "helpdesk", PASSWORD).await;
    let desk = desk.json["access_token"].as_str().unwrap();
    let ask = |user: &str| {
        send(control.request(desk, Method::POST, &format!("/api/v1/users/{user}/password-resets")))
    };
    assert_eq!(ask("alice").await.status, 201, "who only reads");
    bind(&control, "alice", "globex", "admin").await;
    assert_eq!(ask("alice").await.refusal().0, 403);
    let patch = control.request(desk, Method::PATCH, "/api/v1/users/alice");
    let told = send(super::world::merge(patch, &json!({"email": "mine@example.com"}))).await;
    assert_eq!(told.refusal(), (403, "forbidden", vec!["/email"]), "{told:?}");
    control.close().await;
}
