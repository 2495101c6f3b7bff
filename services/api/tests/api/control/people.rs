//! People who log in here.

use catalog::Versioned;
use identity::{HashParams, Hasher};
use model::resource::User;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::world::{Control, Told, assert_answered, assert_documented, merge, send};
use crate::world::sealer;

pub(super) const PASSWORD: &str = "correct horse battery staple";
const OTHER: &str = "another horse, another staple";
const SYSTEMS: &str = "/api/v1/tenants/acme/systems";

/// Makes a user with that password.
pub(super) async fn user(control: &Control, id: &str, password: &str) {
    let hasher = Hasher::new(HashParams { memory_kib: 64, passes: 1, lanes: 1 }, 1, 0).unwrap();
    let hash = hasher.hash(password.into()).await.unwrap();
    let sealed = sealer().seal(&format!("user.-.{id}"), &hash.expose().into()).unwrap();
    let user = json!({"id": id, "sealed_password": sealed});
    control.world.catalog.create::<User>(&serde_json::from_value(user).unwrap()).await.unwrap();
}

/// Gives a user a role in a tenant.
pub(super) async fn bind(control: &Control, id: &str, tenant: &str, role: &str) {
    let body = json!({"id": format!("{id}-{tenant}"), "actor": format!("user:{id}"), "role": role});
    let path = format!("/api/v1/tenants/{tenant}/role-bindings");
    let made = send(control.operate(Method::POST, &path).json(&body)).await;
    assert_eq!(made.status, 201, "{made:?}");
}

pub(super) async fn post(control: &Control, path: &str, body: &Value) -> Told {
    send(control.world.http.post(control.world.url(path)).json(body)).await
}

pub(super) async fn log_in(control: &Control, name: &str, password: &str) -> Told {
    post(control, "/api/v1/login", &json!({"username": name, "password": password})).await
}

async fn get(control: &Control, token: &str, path: &str) -> Told {
    send(control.request(token, Method::GET, path)).await
}

fn access(told: &Told) -> &str {
    told.json["access_token"].as_str().unwrap_or_else(|| panic!("{told:?}"))
}

async fn refresh(control: &Control, told: &Told) -> Told {
    post(control, "/api/v1/sessions/refresh", &json!({"refresh_token": told.json["refresh_token"]})).await
}

#[tokio::test]
async fn the_first_superuser_sets_a_password_and_then_runs_the_fleet() {
    let control = Control::start().await;
    let catalog = &control.world.catalog;
    let made = api::first_superuser(catalog, &sealer()).await.unwrap().unwrap();
    assert!(api::first_superuser(catalog, &sealer()).await.unwrap().is_none(), "once");
    let one_time = made.one_time_password.expose_secret();
    let begun = log_in(&control, &made.id, one_time).await;
    assert_eq!((begun.status, &begun.json["must_change_password"]), (200, &json!(true)), "{begun:?}");
    assert_eq!(begun.header("cache-control"), "no-store");
    assert_answered("SessionTokens", &begun.json);
    for path in ["/api/v1/me", "/api/v1/me/sessions", SYSTEMS, "/api/v1/events", "/api/v1/tenants"] {
        let told = get(&control, access(&begun), path).await;
        assert_eq!(told.refusal().0, 403, "{path}: {told:?}");
        assert!(told.json["detail"].as_str().unwrap().contains("/api/v1/me/password"), "{told:?}");
    }
    let change = async |token: &str, current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        send(control.request(token, Method::PUT, "/api/v1/me/password").json(&body)).await
    };
    for (current, new, status, pointer) in [
        (one_time, "short", 400, "/new_password"),
        (one_time, "administrator1", 400, "/new_password"),
        (one_time, one_time, 400, "/new_password"),
        ("not it at all", PASSWORD, 401, ""),
    ] {
        let told = change(access(&begun), current, new).await;
        assert_eq!((told.status, crate::world::pointers(&told.json).join("")), (status, pointer.to_owned()));
    }
    let changed = change(access(&begun), one_time, PASSWORD).await;
    assert_eq!((changed.status, &changed.json["must_change_password"]), (200, &json!(false)), "{changed:?}");
    assert_eq!(get(&control, access(&begun), "/api/v1/me").await.status, 401, "its session is over");
    assert_eq!(refresh(&control, &begun).await.status, 401);
    assert_eq!(log_in(&control, &made.id, one_time).await.status, 401);

    let me = get(&control, access(&changed), "/api/v1/me").await;
    let role = json!([{"role": "superuser", "binding": "admin"}]);
    assert_eq!((me.status, &me.json["roles"]), (200, &role), "{me:?}");
    assert_answered("Me", &me.json);
    let tenant = json!({"id": "initech"});
    let made = send(control.request(access(&changed), Method::POST, "/api/v1/tenants").json(&tenant)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(get(&control, access(&changed), SYSTEMS).await.status, 200);
    let events = get(&control, access(&changed), "/api/v1/events").await;
    assert_eq!(events.refusal(), (400, "invalid_argument", vec!["header:authorization"]), "of whom?");
    // The first password is set anew by whoever runs the broker.
    let again = api::superuser(catalog, &sealer(), "admin").await.unwrap();
    assert_eq!(get(&control, access(&changed), "/api/v1/me").await.status, 401);
    let begun = log_in(&control, "admin", again.one_time_password.expose_secret()).await;
    assert_eq!((begun.status, &begun.json["must_change_password"]), (200, &json!(true)));
    control.close().await;
}

#[tokio::test]
async fn a_session_goes_on_and_ends() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    user(&control, "bob", OTHER).await;
    bind(&control, "alice", "acme", "viewer").await;
    let first = log_in(&control, "alice", PASSWORD).await;
    assert_eq!((first.status, &first.json["tenant"]), (200, &json!("acme")), "the only one");
    assert_eq!(get(&control, access(&first), SYSTEMS).await.status, 200);
    assert_eq!(get(&control, access(&first), "/api/v1/events").await.status, 200);
    assert_eq!(get(&control, access(&first), "/api/v1/tenants/globex/systems").await.status, 404);
    let second = log_in(&control, "alice", PASSWORD).await;
    let listed = get(&control, access(&first), "/api/v1/me/sessions").await;
    let sessions = listed.json["sessions"].as_array().unwrap();
    let ids: Vec<&Value> = sessions.iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, [&first.json["session"], &second.json["session"]]);
    sessions.iter().for_each(|session| assert_answered("Session", session));

    // A refresh token is good once; who uses one again ends the session.
    let next = refresh(&control, &second).await;
    assert_eq!((next.status, &next.json["session"]), (200, &second.json["session"]), "{next:?}");
    assert_eq!(get(&control, access(&next), SYSTEMS).await.status, 200);
    assert_eq!(refresh(&control, &second).await.refusal().0, 401);
    for token in [access(&next), access(&second)] {
        assert_eq!(get(&control, token, SYSTEMS).await.refusal().0, 401, "the session is ended for both");
    }
    assert_eq!(refresh(&control, &next).await.status, 401);
    assert_eq!(get(&control, access(&first), SYSTEMS).await.status, 200, "and no other");

    // One ends one's own, and nobody else's.
    let third = log_in(&control, "alice", PASSWORD).await;
    let path = |told: &Told| format!("/api/v1/me/sessions/{}", told.json["session"].as_str().unwrap());
    let bobs = log_in(&control, "bob", OTHER).await;
    let ended = |token: &str, path: String| send(control.request(token, Method::DELETE, &path));
    assert_eq!(ended(access(&bobs), path(&third)).await.status, 404);
    assert_eq!(ended(access(&first), path(&third)).await.status, 204);
    assert_eq!(get(&control, access(&third), SYSTEMS).await.status, 401);
    let out = send(control.request(access(&first), Method::POST, "/api/v1/logout")).await;
    assert_eq!(out.status, 204);
    assert_eq!(get(&control, access(&first), SYSTEMS).await.status, 401);
    assert_eq!(refresh(&control, &first).await.status, 401);

    // An operator ends anybody's.
    let sessions = "/api/v1/users/bob/sessions";
    let listed = send(control.operate(Method::GET, sessions)).await;
    assert_eq!(listed.json["sessions"].as_array().unwrap().len(), 1, "{listed:?}");
    let one = format!("{sessions}/{}", bobs.json["session"].as_str().unwrap());
    assert_eq!(send(control.operate(Method::DELETE, &one)).await.status, 204);
    assert_eq!(get(&control, access(&bobs), "/api/v1/me").await.status, 401);
    let fleets =
        send(control.operate(Method::GET, "/api/v1/fleet/audit?kind=session&actor=user:alice")).await;
    let told = fleets.json.to_string();
    assert!(told.contains("session.create") && told.contains("session.delete"), "{told}");
    control.close().await;
}

#[tokio::test]
async fn whoever_fails_is_told_the_same_whether_there_is_such_a_user() {
    let people = api::PeopleOptions { lockout_failures: 3, ..api::PeopleOptions::default() };
    let options = api::Options { people, ..crate::world::options() };
    let control = Control::start_with(options).await;
    user(&control, "alice", PASSWORD).await;
    user(&control, "carol", PASSWORD).await;
    let disable = merge(control.operate(Method::PATCH, "/api/v1/users/carol"), &json!({"disabled": true}));
    assert_eq!(send(disable).await.status, 200);
    let lesson = |told: Told| {
        let mut json = told.json.clone();
        json.as_object_mut().unwrap().remove("trace_id");
        (told.status, json, told.headers.contains_key("retry-after"))
    };
    for attempt in 0..5 {
        let known = lesson(log_in(&control, "alice", "wrong").await);
        assert_eq!(known.0, if attempt < 3 { 401 } else { 429 }, "{known:?}");
        for (nobody, password) in [("nobody", "wrong"), ("no one@example.com", PASSWORD), ("carol", PASSWORD)]
        {
            assert_eq!(lesson(log_in(&control, nobody, password).await), known, "{nobody}");
        }
    }
    assert_eq!(log_in(&control, "alice", PASSWORD).await.status, 429, "not even with the right one");
    user(&control, "dave", PASSWORD).await;
    let nopass = json!({"id": "erin"});
    assert_eq!(send(control.operate(Method::POST, "/api/v1/users").json(&nopass)).await.status, 201);
    // What it costs us is the same, so that no clock tells them apart: one hash, and none while a name is locked.
    for (name, password, cost) in [
        ("dave", "wrong", 1),
        ("erin", "wrong", 1),
        ("somebody", "wrong", 1),
        ("else@example.com", PASSWORD, 1),
        ("", PASSWORD, 0),
        ("alice", PASSWORD, 0),
        ("nobody", PASSWORD, 0),
    ] {
        let before = control.world.hasher.made();
        log_in(&control, name, password).await;
        assert_eq!(control.world.hasher.made() - before, cost, "{name}");
    }
    for (body, pointer) in [
        (json!({"username": "", "password": "x"}), "/username"),
        (json!({"username": "x", "password": ""}), "/password"),
        (json!({"username": "x", "password": "x".repeat(5_000)}), "/password"),
        (json!({"username": "x", "password": 7}), "/password"),
        (json!({"username": "x", "password": "x", "admin": true}), "/admin"),
        (json!({"username": "x"}), ""),
    ] {
        let told = post(&control, "/api/v1/login", &body).await;
        assert_eq!(told.refusal(), (400, "invalid_argument", vec![pointer]), "{body}");
    }
    control.close().await;
}

#[tokio::test]
async fn what_is_taken_from_a_user_counts_at_once() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    bind(&control, "alice", "acme", "viewer").await;
    let begun = log_in(&control, "alice", PASSWORD).await;
    let patch = async |body: Value| {
        let told = send(merge(control.operate(Method::PATCH, "/api/v1/users/alice"), &body)).await;
        assert_eq!(told.status, 200, "{told:?}");
        assert_documented("User", &told.json);
    };
    patch(json!({"disabled": true})).await;
    assert_eq!(get(&control, access(&begun), SYSTEMS).await.status, 401);
    patch(json!({"disabled": false})).await;
    assert_eq!(get(&control, access(&begun), SYSTEMS).await.status, 401, "it begins anew");
    assert_eq!(refresh(&control, &begun).await.status, 401);
    let begun = log_in(&control, "alice", PASSWORD).await;
    patch(json!({"must_change_password": true})).await;
    assert_eq!(get(&control, access(&begun), SYSTEMS).await.status, 403);
    patch(json!({"must_change_password": false})).await;
    assert_eq!(get(&control, access(&begun), SYSTEMS).await.status, 200);

    // A user who has a role is named by it.
    let bound = json!({"id": "b", "actor": "user:nobody", "role": "viewer"});
    let told = control.post("/role-bindings", &bound).await;
    assert_eq!(told.refusal(), (400, "invalid_argument", vec!["/actor"]), "{told:?}");
    let told = send(control.operate(Method::DELETE, "/api/v1/users/alice")).await;
    assert_eq!(told.status, 422, "{told:?}");
    assert!(told.json["detail"].as_str().unwrap().contains("\"alice-acme\""), "{told:?}");
    assert_eq!(control.delete("/role-bindings/alice-acme").await.status, 204);
    assert_eq!(get(&control, access(&begun), SYSTEMS).await.refusal().0, 403, "no role any more");
    assert_eq!(send(control.operate(Method::DELETE, "/api/v1/users/alice")).await.status, 204);
    assert_eq!(get(&control, access(&begun), SYSTEMS).await.status, 401);
    control.close().await;
}

#[tokio::test]
async fn a_user_of_several_tenants_says_which_is_meant() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    bind(&control, "alice", "acme", "viewer").await;
    bind(&control, "alice", "globex", "admin").await;
    let begin = async |tenant: &str| {
        let body = json!({"username": "alice", "password": PASSWORD, "tenant": tenant});
        post(&control, "/api/v1/login", &body).await
    };
    let none = log_in(&control, "alice", PASSWORD).await;
    assert!(none.status == 200 && none.json.get("tenant").is_none(), "{none:?}");
    for tenant in ["acme", "globex"] {
        let path = format!("/api/v1/tenants/{tenant}/systems");
        assert_eq!(get(&control, access(&none), &path).await.status, 200, "whose is in the path");
    }
    let acme = begin("acme").await;
    assert_eq!(get(&control, access(&acme), "/api/v1/events").await.status, 200);
    for tenant in ["gone", "nowhere", "-", ""] {
        let told = begin(tenant).await;
        assert_eq!(told.refusal(), (400, "invalid_argument", vec!["/tenant"]), "{tenant}");
    }
    let body = json!({"refresh_token": acme.json["refresh_token"], "tenant": "globex"});
    let globex = post(&control, "/api/v1/sessions/refresh", &body).await;
    assert_eq!((globex.status, &globex.json["tenant"]), (200, &json!("globex")), "{globex:?}");
    control.close().await;
}

#[tokio::test]
async fn no_two_users_have_one_address_and_both_names_let_in() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    let mail = |id: &str, mail: &str| {
        let body = json!({ "email": mail });
        send(merge(control.operate(Method::PATCH, &format!("/api/v1/users/{id}")), &body))
    };
    assert_eq!(mail("alice", "Alice@Example.com").await.json["email"], "alice@example.com");
    assert_eq!(log_in(&control, "ALICE@example.com", PASSWORD).await.status, 200);
    let made = send(control.operate(Method::POST, "/api/v1/users").json(&json!({"id": "bob"}))).await;
    assert_eq!((made.status, &made.json["has_password"]), (201, &json!(false)), "{made:?}");
    assert_eq!(mail("bob", "alice@example.com").await.refusal(), (400, "invalid_argument", vec!["/email"]));
    for bad in ["alice", "@example.com", "a@", "a@b@c", "a b@c", &format!("{}@b", "a".repeat(300))] {
        assert_eq!(mail("bob", bad).await.refusal(), (400, "invalid_argument", vec!["/email"]), "{bad}");
    }
    for sneaky in
        [json!({"sealed_password": "x"}), json!({"password": PASSWORD}), json!({"has_password": true})]
    {
        let told = send(merge(control.operate(Method::PATCH, "/api/v1/users/bob"), &sneaky)).await;
        assert_eq!(told.status, 400, "{told:?}");
    }
    // Two at once: one has it at most.
    let both = tokio::join!(mail("bob", "b@example.com"), mail("alice", "b@example.com"));
    let statuses = [both.0.status, both.1.status];
    assert!(statuses.iter().filter(|status| **status == 200).count() <= 1, "{statuses:?}");
    let users = control.world.catalog.list::<User>(None);
    let have = users.iter().filter(|e| e.value.email.as_deref() == Some("b@example.com")).count();
    assert!(have <= 1, "{users:?}");
    control.close().await;
}

#[tokio::test]
async fn a_hash_of_yesterday_is_made_anew() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    let sealed = async || {
        let Versioned { value, .. } =
            control.world.catalog.get::<User>(&model::FLEET, "alice").await.unwrap();
        sealer().open("user.-.alice", &value.sealed_password.unwrap()).unwrap().expose_secret().to_owned()
    };
    assert!(sealed().await.contains("m=64"));
    assert_eq!(log_in(&control, "alice", PASSWORD).await.status, 200);
    assert!(sealed().await.contains("m=19456"));
    assert_eq!(log_in(&control, "alice", PASSWORD).await.status, 200);
    control.close().await;
}
