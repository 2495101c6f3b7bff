//! Every operation of people in the OpenAPI document, for everybody who may not and for who may: an operation that has no row
//! here fails the test.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
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
    /// Whoever may see to sessions, fleet-wide.
    Operators,
}

struct Row {
    id: &'static str,
    method: Method,
    path: &'static str,
    whom: For,
    body: fn(&Told) -> Value,
    status: u16,
    /// Kind and action of its record, if it changes something.
    recorded: Option<(&'static str, &'static str)>,
}

const NOTHING: fn(&Told) -> Value = |_| Value::Null;

fn rows() -> Vec<Row> {
    let row = |id, method, path, whom, body, status, recorded| Row {
        id,
        method,
        path,
        whom,
        body,
        status,
        recorded,
    };
    use For::{Anybody, Callers, Operators, People};
    vec![
        row(
            "log_in",
            Method::POST,
            "/api/v1/login",
            Anybody,
            |_| json!({"username": "alice", "password": PASSWORD}),
            200,
            Some(("session", "create")),
        ),
        row(
            "refresh_session",
            Method::POST,
            "/api/v1/sessions/refresh",
            Anybody,
            |begun| json!({"refresh_token": begun.json["refresh_token"]}),
            200,
            None,
        ),
        row("get_me", Method::GET, "/api/v1/me", Callers, NOTHING, 200, None),
        row("list_my_sessions", Method::GET, "/api/v1/me/sessions", People, NOTHING, 200, None),
        row(
            "end_my_session",
            Method::DELETE,
            "/api/v1/me/sessions/{session}",
            People,
            NOTHING,
            204,
            Some(("session", "delete")),
        ),
        row("log_out", Method::POST, "/api/v1/logout", People, NOTHING, 204, Some(("session", "delete"))),
        row(
            "change_password",
            Method::PUT,
            "/api/v1/me/password",
            People,
            |_| json!({"current_password": PASSWORD, "new_password": "another horse, another staple"}),
            200,
            Some(("user", "change")),
        ),
        row("list_user_sessions", Method::GET, "/api/v1/users/alice/sessions", Operators, NOTHING, 200, None),
        row(
            "end_user_session",
            Method::DELETE,
            "/api/v1/users/alice/sessions/{session}",
            Operators,
            NOTHING,
            204,
            Some(("session", "delete")),
        ),
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

#[tokio::test]
async fn every_operation_of_people_is_refused_who_may_not_and_recorded_for_who_may() {
    let rows = rows();
    for id in documented() {
        assert!(rows.iter().any(|row| row.id == id), "{id} has no row in this test");
    }
    assert_eq!(documented().len(), rows.len(), "the document is whole");
    for row in rows {
        let control = Control::start().await;
        user(&control, "alice", PASSWORD).await;
        user(&control, "bob", PASSWORD).await;
        bind(&control, "alice", "acme", "viewer").await;
        let (begun, bobs) =
            (log_in(&control, "alice", PASSWORD).await, log_in(&control, "bob", PASSWORD).await);
        let path = row.path.replace("{session}", begun.json["session"].as_str().unwrap());
        let ask = async |credential: Option<&str>| {
            let request: RequestBuilder =
                control.world.http.request(row.method.clone(), control.world.url(&path));
            let body = (row.body)(&begun);
            let request = if body.is_null() { request } else { request.json(&body) };
            send(match credential {
                Some(credential) => request.bearer_auth(credential),
                None => request,
            })
            .await
        };
        let name = row.id;
        let token = |told: &Told| told.json["access_token"].as_str().unwrap().to_owned();
        let (alice, bob) = (token(&begun), token(&bobs));
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
        if row.path == "/api/v1/me/sessions/{session}" {
            assert_eq!(ask(Some(&bob)).await.refusal().0, 404, "{name}: another's");
        }
        let told = ask(match row.whom {
            For::Anybody => None,
            For::Callers | For::People => Some(&alice),
            For::Operators => Some(&control.keys.operator),
        })
        .await;
        assert_eq!(told.status, row.status, "{name}: {told:?}");
        let Some((kind, action)) = row.recorded else { continue };
        let by_whom = if row.whom == For::Operators { "tenants/ops" } else { "fleet" };
        let query = format!("/api/v1/{by_whom}/audit?limit=1000&kind={kind}&action={action}");
        let records = send(control.operate(Method::GET, &query)).await;
        let outcomes = |wanted: &str| {
            let records = records.json["records"].as_array().unwrap().iter();
            records.filter(|record| record["data"]["outcome"] == wanted).count()
        };
        assert!(outcomes("done") > 0 && outcomes("done") == outcomes("announced"), "{name}: {records:?}");
        if row.whom == For::People {
            assert!(outcomes("refused") > 0, "{name}: refusals are recorded: {records:?}");
        }
        control.close().await;
    }
}
