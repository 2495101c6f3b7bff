//! Every operation of people in the OpenAPI document, for everybody who may not and for who may: an operation that has no row
//! here fails the test.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    oauth::FORM,
    people::{PASSWORD, bind, log_in, user},
    world::{Control, Told, send},
};

/// Who an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// Strangers: no credentials are looked at.
    Anybody,
    /// Whoever is somebody.
    Callers,
    /// People in a session.
    People,
    /// Whoever runs the tenant acme.
    Managers,
    /// Whoever may do so fleet-wide.
    Operators,
}

/// What is there before an operation is tried.
struct Before {
    begun: Told,
    invitation: Told,
    reset: Told,
    /// An API key of acme's.
    key: String,
}

struct Row {
    id: &'static str,
    method: Method,
    path: &'static str,
    whom: For,
    body: fn(&Before) -> Value,
    status: u16,
    /// Kind and action of its record, if it changes something.
    recorded: Option<(&'static str, &'static str)>,
}

const NOTHING: fn(&Before) -> Value = |_| Value::Null;
const OTHER: &str = "another horse, another staple";

fn row(
    (id, method, path): (&'static str, Method, &'static str),
    whom: For,
    body: fn(&Before) -> Value,
    status: u16,
) -> Row {
    Row { id, method, path, whom, body, status, recorded: None }
}

impl Row {
    fn recorded(self, kind: &'static str, action: &'static str) -> Self {
        Self { recorded: Some((kind, action)), ..self }
    }
}

fn rows() -> Vec<Row> {
    use For::{Anybody, Callers, Managers, Operators, People};
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let invitations = "/api/v1/tenants/acme/invitations";
    let log_in: fn(&Before) -> Value = |_| json!({"username": "alice", "password": PASSWORD});
    let refresh: fn(&Before) -> Value = |b| json!({"refresh_token": b.begun.json["refresh_token"]});
    let change: fn(&Before) -> Value = |_| json!({"current_password": PASSWORD, "new_password": OTHER});
    let redeem: fn(&Before) -> Value = |b| json!({"token": b.reset.json["token"], "new_password": OTHER});
    let accept: fn(&Before) -> Value =
        |b| json!({"token": b.invitation.json["token"], "username": "newcomer", "password": OTHER});
    let token: fn(&Before) -> Value = |b| super::oauth::form(&b.key, None).into();
    vec![
        row(("log_in", post.clone(), "/api/v1/login"), Anybody, log_in, 200).recorded("session", "create"),
        row(("refresh_session", post.clone(), "/api/v1/sessions/refresh"), Anybody, refresh, 200),
        row(("get_me", get.clone(), "/api/v1/me"), Callers, NOTHING, 200),
        row(("list_my_sessions", get.clone(), "/api/v1/me/sessions"), People, NOTHING, 200),
        row(("end_my_session", delete.clone(), "/api/v1/me/sessions/{session}"), People, NOTHING, 204)
            .recorded("session", "delete"),
        row(("log_out", post.clone(), "/api/v1/logout"), People, NOTHING, 204).recorded("session", "delete"),
        row(("change_password", put, "/api/v1/me/password"), People, change, 200).recorded("user", "change"),
        row(("list_user_sessions", get.clone(), "/api/v1/users/alice/sessions"), Operators, NOTHING, 200),
        row(
            ("end_user_session", delete.clone(), "/api/v1/users/alice/sessions/{session}"),
            Operators,
            NOTHING,
            204,
        )
        .recorded("session", "delete"),
        row(
            ("create_password_reset", post.clone(), "/api/v1/users/alice/password-resets"),
            Operators,
            NOTHING,
            201,
        )
        .recorded("password-reset", "create"),
        row(("redeem_password_reset", post.clone(), "/api/v1/password-resets/redeem"), Anybody, redeem, 200)
            .recorded("user", "change"),
        row(("list_tenant_users", get.clone(), "/api/v1/tenants/acme/users"), Managers, NOTHING, 200),
        row(("list_invitations", get, invitations), Managers, NOTHING, 200),
        row(("create_invitation", post.clone(), invitations), Managers, |_| json!({"role": "viewer"}), 201)
            .recorded("invitation", "create"),
        row(
            ("delete_invitation", delete, "/api/v1/tenants/acme/invitations/{invitation}"),
            Managers,
            NOTHING,
            204,
        )
        .recorded("invitation", "delete"),
        row(("accept_invitation", post, "/api/v1/invitations/accept"), Anybody, accept, 200)
            .recorded("user", "create"),
        row(("create_token", Method::POST, "/oauth2/token"), Anybody, token, 200),
        row(("get_public_keys", Method::GET, "/.well-known/jwks.json"), Anybody, NOTHING, 200),
    ]
}

/// The operations of the document that are of people.
fn documented() -> Vec<String> {
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    let items = document["paths"].as_object().unwrap().values();
    let operations = items.flat_map(|item| item.as_object().unwrap().values());
    let of_people = operations.filter(|operation| operation["tags"][0] == "people");
    of_people.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect()
}

/// Two users with a session each, an invitation and a link.
async fn prepare(control: &Control) -> (Before, Told) {
    user(control, "alice", PASSWORD).await;
    user(control, "bob", PASSWORD).await;
    bind(control, "alice", "acme", "viewer").await;
    let begun = log_in(control, "alice", PASSWORD).await;
    let invitation = control.post("/invitations", &json!({"role": "viewer"})).await;
    let reset = send(control.operate(Method::POST, "/api/v1/users/alice/password-resets")).await;
    assert_eq!((invitation.status, reset.status), (201, 201), "{invitation:?} {reset:?}");
    let key = control.keys.acme.clone();
    (Before { begun, invitation, reset, key }, log_in(control, "bob", PASSWORD).await)
}

#[tokio::test]
async fn every_operation_of_people_is_refused_who_may_not_and_recorded_for_who_may() {
    let rows = rows();
    for id in documented() {
        assert!(rows.iter().any(|row| row.id == id), "{id} has no row in this test");
    }
    assert_eq!(documented().len(), rows.len(), "the document is whole");
    for row in rows {
        let control = Control::start().await;
        let (before, bobs) = prepare(&control).await;
        let begun = &before.begun;
        let path = row.path.replace("{session}", begun.json["session"].as_str().unwrap());
        let path = path.replace("{invitation}", before.invitation.json["id"].as_str().unwrap());
        let ask = async |credential: Option<&str>| {
            let request: RequestBuilder =
                control.world.http.request(row.method.clone(), control.world.url(&path));
            let body = (row.body)(&before);
            let request = match &body {
                Value::Null => request,
                Value::String(form) => request.header("content-type", FORM).body(form.clone()),
                json => request.json(json),
            };
            send(match credential {
                Some(credential) => request.bearer_auth(credential),
                None => request,
            })
            .await
        };
        let name = row.id;
        let token = |told: &Told| told.json["access_token"].as_str().unwrap().to_owned();
        let (alice, bob) = (token(begun), token(&bobs));
        let tampered = format!("{}x", &alice[..alice.len() - 1]);
        if row.whom != For::Anybody {
            let nobodys = format!("er_{}_{}", "a".repeat(16), "A".repeat(43));
            for nobody in [None, Some(&*nobodys), Some(&*tampered), Some("e30.e30.e30")] {
                let told = ask(nobody).await;
                assert_eq!(told.refusal().0, 401, "{name} {nobody:?}: {told:?}");
            }
        }
        if row.whom == For::People {
            for key in [&control.keys.acme, &control.keys.operator] {
                assert_eq!(ask(Some(key)).await.refusal().0, 403, "{name}: a key is nobody's session");
            }
        }
        if row.whom == For::Operators {
            for small in [&control.keys.small, &control.keys.acme, &control.keys.globex, &alice, &bob] {
                assert_eq!(ask(Some(small)).await.refusal().0, 403, "{name}");
            }
        }
        if row.whom == For::Managers {
            for small in [&control.keys.small, &control.keys.disabled, &alice] {
                assert_eq!(ask(Some(small)).await.refusal().0, 403, "{name}");
            }
            assert_eq!(ask(Some(&control.keys.globex)).await.refusal().0, 404, "{name}: hidden");
        }
        if row.path == "/api/v1/me/sessions/{session}" {
            assert_eq!(ask(Some(&bob)).await.refusal().0, 404, "{name}: another's");
        }
        let told = ask(match row.whom {
            For::Anybody => None,
            For::Callers | For::People => Some(&alice),
            For::Managers => Some(&control.keys.acme),
            For::Operators => Some(&control.keys.operator),
        })
        .await;
        assert_eq!(told.status, row.status, "{name}: {told:?}");
        row.assert_recorded(&control).await;
        control.close().await;
    }
}

impl Row {
    /// Whether the audit has what was done, and what was refused.
    async fn assert_recorded(&self, control: &Control) {
        let Self { id: name, whom, recorded, .. } = self;
        let Some((kind, action)) = recorded else { return };
        let by_whom = match whom {
            For::Operators => "tenants/ops",
            For::Managers => "tenants/acme",
            For::Anybody | For::Callers | For::People => "fleet",
        };
        let query = format!("/api/v1/{by_whom}/audit?limit=1000&kind={kind}&action={action}");
        let records = send(control.operate(Method::GET, &query)).await;
        let outcomes = |wanted: &str| {
            let records = records.json["records"].as_array().unwrap().iter();
            records.filter(|record| record["data"]["outcome"] == wanted).count()
        };
        assert!(outcomes("done") > 0 && outcomes("done") == outcomes("announced"), "{name}: {records:?}");
        if *whom == For::People {
            assert!(outcomes("refused") > 0, "{name}: refusals are recorded: {records:?}");
        }
    }
}
