//! The routes of the seed, as its clients know them: the rows of what it did, each with a request and its exact answer.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    people::{PASSWORD, bind, log_in, post, user},
    world::{Control, Told, assert_answered, send},
};

const FORBIDDEN: &str = "Forbidden: Insufficient permissions";
const NO_ACCESS: &str = "You don't have access to this tenant";
const NO_KEY: &str = "an API key is needed: send it as \"Authorization: Bearer <key>\" or in X-API-Key";
/// What stands for any text in an expected answer.
const ANY: &str = "…";

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum As {
    Nobody,
    Operator,
    /// Of acme.
    Manager,
    /// Of acme, without `manage`.
    Small,
    /// Of a disabled tenant.
    Disabled,
}

impl As {
    fn key(self, control: &Control) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::Operator => Some(&control.keys.operator),
            Self::Manager => Some(&control.keys.acme),
            Self::Small => Some(&control.keys.small),
            Self::Disabled => Some(&control.keys.disabled),
        }
    }
}

fn request(control: &Control, who: Option<&str>, method: Method, path: &str) -> RequestBuilder {
    let request = control.world.http.request(method, control.world.url(path));
    who.into_iter().fold(request, |request, key| request.bearer_auth(key))
}

async fn ask(control: &Control, who: Option<&str>, method: Method, path: &str, body: &Value) -> Told {
    let request = request(control, who, method, path);
    send(if body.is_null() { request } else { request.json(body) }).await
}

/// Whether an answer is that, but for what may be anything.
fn is(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::String(_), Value::String(any)) if any == ANY => true,
        (Value::Object(a), Value::Object(e)) => {
            a.len() == e.len() && e.iter().all(|(name, e)| a.get(name).is_some_and(|a| is(a, e)))
        }
        (Value::Array(a), Value::Array(e)) => a.len() == e.len() && a.iter().zip(e).all(|(a, e)| is(a, e)),
        (answer, expected) => answer == expected,
    }
}

#[track_caller]
fn assert_is(told: &Told, (status, expected): (u16, &Value), what: &str) {
    let said = expected.get("data").is_some();
    let answer = if said { told.json.clone() } else { told.json["error"]["message"].clone() };
    assert!(told.status == status && is(&answer, expected), "{what}: {status} {expected}\n{told:?}");
    assert!(expected.is_null() || told.header("content-type") == "application/json", "{what}: {told:?}");
}

/// A user who was made.
fn newcomer(email: &str, role: &str, tenant: &str) -> Value {
    json!({
        "user_id": ANY, "tenant_ids": [tenant], "username": "ann", "email": email, "roles": [role], "active": true,
        "created_at": ANY, "updated_at": ANY, "password_reset": {"token": ANY, "expires_at": ANY},
    })
}

fn tenant(name: &str) -> Value {
    json!({"id": ANY, "name": name, "customers": [], "active": true, "created_at": ANY, "updated_at": ANY})
}

fn get(path: &str) -> (Method, &str, Value) {
    (Method::GET, path, Value::Null)
}

fn new(path: &str, body: Value) -> (Method, &str, Value) {
    (Method::POST, path, body)
}

/// A refusal.
fn no(status: u16, message: &str) -> (u16, Value) {
    (status, message.into())
}

fn wrong(what: &str) -> (u16, Value) {
    no(400, &format!("Invalid parameter(s): {what}"))
}

fn made(data: &Value) -> (u16, Value) {
    (201, json!({ "data": data }))
}

fn all(data: &[Value]) -> (u16, Value) {
    (200, json!({ "data": data }))
}

/// An answer that is not in the envelope.
fn bare(status: u16) -> (u16, Value) {
    (status, Value::Null)
}

/// A row of the table: which feature, who asks for what, and what they are answered.
type Row<'a> = (&'a str, As, (Method, &'a str, Value), (u16, Value));

async fn assert_rows<'a>(control: &Control, rows: impl IntoIterator<Item = Row<'a>>) {
    for (row, who, (method, path, body), (status, expected)) in rows {
        let what = format!("{row} {who:?} {method} {path} {body}");
        let told = ask(control, who.key(control), method, path, &body).await;
        assert_is(&told, (status, &expected), &what);
    }
}

#[tokio::test]
async fn the_table_of_tenants_and_their_beginning() {
    use As::{Manager, Nobody, Operator, Small};
    let control = Control::start().await;
    let (tenants, superuser) = ("/api/tenants", "/superuser");
    let root = json!({"email": "root@example.com", "username": "ann"});
    let both =
        json!({"user": newcomer("root@example.com", "superuser", "-"), "tenant": tenant("Default Tenant")});
    let acme = json!({
        "id": "acme", "name": ANY, "customers": [], "active": true, "created_at": ANY, "updated_at": ANY,
    });
    #[rustfmt::skip] // A row a line.
    let rows = [
        // Whether it lives, and all that it depends on.
        ("A18", Nobody, get("/.well-known/alive"), bare(200)),
        ("A18", Nobody, get("/.well-known/health"), bare(200)),
        // The first superuser, once, and not for strangers.
        ("A26", Nobody, new(superuser, root.clone()), no(401, NO_KEY)),
        ("A26", Manager, new(superuser, root.clone()), no(403, FORBIDDEN)),
        ("A26", Operator, new(superuser, json!({})), no(400, "Missing parameter(s): email")),
        ("A26", Operator, new(superuser, root.clone()), made(&both)),
        ("A26", Operator, new(superuser, root), no(409, "Superuser already exists")),
        // Tenants, by superusers.
        ("A27", Nobody, new(tenants, json!({"name": "Initech"})), no(401, NO_KEY)),
        ("A27", Manager, new(tenants, json!({"name": "Initech"})), no(403, "Only superuser can create tenants")),
        ("A27", Operator, new(tenants, json!({"name": "Initech", "active": true})), made(&tenant("Initech"))),
        ("A27", Operator, new(tenants, json!({"name": "Initech"})), no(409, ANY)),
        ("A27", Manager, get(tenants), all(&[acme])),
        ("A27", Small, get(tenants), no(403, FORBIDDEN)),
        // What is missing, what is wrong.
        ("A17", Operator, new(tenants, json!({})), no(400, "Missing parameter(s): name")),
        ("A17", Operator, new(tenants, json!([])), wrong("body (must be an object)")),
        ("A17", Operator, new(tenants, json!({"name": 7})), wrong("name (invalid type: integer `7`, expected a string)")),
        ("A17", Operator, get("/api/tenants?x=1"), wrong("x (is not a parameter of this request)")),
        // Left behind.
        ("A25", Operator, get("/api/test"), bare(404)),
        ("A25", Operator, get("/callback?code=c&state=s"), bare(404)),
    ];
    assert_rows(&control, rows).await;
    control.close().await;
}

#[tokio::test]
async fn the_table_of_users_and_clients() {
    use As::{Disabled, Manager, Nobody, Operator, Small};
    let control = Control::start().await;
    let (users, own, login) = ("/api/tenants/acme/users", "/api/users", "/api/login");
    let clients = "/api/admin/credentials";
    let ann = |n: u8, roles: &[&str]| json!({"email": format!("Ann{n}@Example.com"), "username": "ann", "roles": roles});
    let is_ann = |n: u8, role: &str| made(&newcomer(&format!("ann{n}@example.com"), role, "acme"));
    let client = |name: &str| made(&json!({"client_id": ANY, "client_secret": ANY, "name": name}));
    let mut member = newcomer(ANY, ANY, "acme");
    member.as_object_mut().unwrap().remove("password_reset");
    let till = json!({"client_id": ANY, "name": "till", "created_at": ANY});
    #[rustfmt::skip] // A row a line.
    let rows = [
        // Users, by who runs the tenant.
        ("A21", Nobody, new(users, ann(1, &["user"])), no(401, NO_KEY)),
        ("A21", Small, new(users, ann(1, &["user"])), no(403, FORBIDDEN)),
        ("A21", Disabled, new(own, ann(1, &["user"])), no(403, FORBIDDEN)),
        ("A21", Manager, new(users, ann(1, &["user"])), is_ann(1, "user")),
        ("A21", Manager, new(users, ann(1, &["user"])), wrong("email (is the address of another user)")),
        ("A21", Manager, new(own, ann(2, &[])), is_ann(2, "user")),
        ("A21", Operator, new("/api/users?tenant_id=acme", ann(3, &["tenant_admin"])), is_ann(3, "tenant_admin")),
        ("A21", Manager, new("/api/tenants/acme/users?tenant_id=acme", ann(4, &["user", "user"])), is_ann(4, "user")),
        ("A21", Manager, new("/api/tenants/acme/users?tenant_id=b", ann(5, &[])), wrong("tenant_id (is not the path's)")),
        ("A21", Manager, new(users, ann(5, &["tenant_admin"])), no(403, FORBIDDEN)),
        ("A21", Manager, new("/api/tenants/globex/users", ann(5, &["user"])), no(403, NO_ACCESS)),
        ("A21", Manager, new("/api/tenants/nobody/users", ann(5, &["user"])), no(403, NO_ACCESS)),
        ("A21", Manager, new("/api/users?tenant_id=globex", ann(5, &["user"])), no(403, NO_ACCESS)),
        ("A21", Manager, new(users, json!({"username": "ann"})), no(400, "Missing parameter(s): email")),
        ("A21", Manager, new(users, ann(5, &["owner"])), wrong("roles/0 (there is no role \"owner\" of acme)")),
        // And who they are.
        ("A22", Nobody, get(users), no(401, NO_KEY)),
        ("A22", Small, get(users), no(403, FORBIDDEN)),
        ("A22", Manager, get(users), all(&vec![member; 4])),
        ("A22", Manager, get("/api/tenants/globex/users"), no(403, NO_ACCESS)),
        ("A22", Manager, get("/api/tenants/nobody/users"), no(403, NO_ACCESS)),
        // Credentials.
        ("A23", Nobody, new(clients, json!({"name": "till"})), no(401, NO_KEY)),
        ("A23", Small, new(clients, json!({"name": "till"})), no(403, FORBIDDEN)),
        ("A23", Manager, new(clients, json!({"name": "till"})), client("till")),
        ("A23", Manager, new(clients, json!({"scopes": ["operate"]})), no(403, FORBIDDEN)),
        ("A23", Manager, new(clients, json!({"scopes": ["all"]})), no(400, ANY)),
        ("A23", Operator, new(clients, Value::Null), client(ANY)),
        // And which are one's own.
        ("A24", Nobody, get(clients), no(401, NO_KEY)),
        ("A24", Small, get(clients), no(403, FORBIDDEN)),
        ("A24", Manager, get(clients), all(&[till])),
        // By a password that nobody has.
        ("A28", Nobody, new(login, json!({"email": "ann1@example.com", "password": "x"})), no(401, "Invalid credentials")),
        ("A28", Nobody, new(login, json!({"email": "ann1@example.com"})), no(400, "Missing parameter(s): password")),
    ];
    assert_rows(&control, rows).await;
    control.close().await;
}

/// A19: what a gateway would say is said by anybody.
#[tokio::test]
async fn headers_that_name_somebody_are_nobody() {
    let control = Control::start().await;
    let names = ["X-User-ID", "X-Tenant-ID", "X-User-Email", "X-User-Role", "X-User-Roles", "X-Customer-ID"];
    for (who, status) in [(None, 401), (Some(&*control.keys.small), 403)] {
        for (method, path) in [(Method::GET, "/api/tenants"), (Method::POST, "/api/tenants/acme/users")] {
            for value in ["superuser", "acme"] {
                let request =
                    request(&control, who, method.clone(), path).json(&json!({"email": "a@example.com"}));
                let request = names.into_iter().fold(request, |request, name| request.header(name, value));
                assert_eq!(send(request).await.status, status, "{method} {path}");
            }
        }
    }
    control.close().await;
}

/// A20, A21, A23, A28, A30: the whole way of a tenant, from its making to a token for its client.
#[tokio::test]
async fn a_tenants_whole_way() {
    let control = Control::start().await;
    let operator = Some(&*control.keys.operator);
    let made = ask(&control, operator, Method::POST, "/api/tenants", &json!({"name": "Initech"})).await;
    let tenant = made.json["data"]["id"].as_str().unwrap().to_owned();
    uuid::Uuid::parse_str(&tenant).unwrap();
    let users = format!("/api/tenants/{tenant}/users");
    let bill = json!({"email": "bill@initech.example", "username": "bill", "roles": ["tenant_admin"]});
    let made = ask(&control, operator, Method::POST, &users, &bill).await;
    let token = &made.json["data"]["password_reset"]["token"];
    let redeem = json!({"token": token, "new_password": PASSWORD});
    assert_eq!(post(&control, "/api/v1/password-resets/redeem", &redeem).await.status, 200);
    assert_eq!(post(&control, "/api/v1/password-resets/redeem", &redeem).await.status, 401, "once");
    let credentials = json!({"email": "bill@initech.example", "password": PASSWORD});
    let begun = post(&control, "/api/login", &credentials).await;
    assert_eq!((begun.status, begun.header("cache-control")), (201, "no-store"));
    assert_answered("SeedLoginAnswer", &begun.json);
    assert_eq!(begun.json["data"].as_object().unwrap().len(), 2);
    let bill = begun.json["data"]["token"].as_str();
    let refresh = json!({"refresh_token": begun.json["data"]["session_token"]});
    assert_eq!(post(&control, "/api/v1/sessions/refresh", &refresh).await.status, 200);

    // Who runs the tenant makes users of it, and gives no more than they have.
    let milton = json!({"email": "milton@initech.example", "roles": ["event_publisher"]});
    assert_eq!(ask(&control, bill, Method::POST, "/api/users", &milton).await.status, 201);
    let root = json!({"email": "root@initech.example", "roles": ["superuser"]});
    let refused = ask(&control, bill, Method::POST, "/api/users", &root).await;
    assert!(refused.status == 400 || refused.status == 403, "{refused:?}");
    let listed = ask(&control, bill, Method::GET, &users, &Value::Null).await;
    let mut emails: Vec<_> =
        listed.json["data"].as_array().unwrap().iter().map(|u| u["email"].as_str().unwrap()).collect();
    emails.sort_unstable();
    assert_eq!(emails, ["bill@initech.example", "milton@initech.example"], "and not root");
    let others = ask(&control, bill, Method::GET, "/api/tenants/acme/users", &Value::Null).await;
    assert_is(&others, (403, &json!(NO_ACCESS)), "another's");

    // A client is a key, and its token publishes.
    let made = ask(&control, bill, Method::POST, "/api/admin/credentials", &json!({"name": "till"})).await;
    let [id, secret] = ["client_id", "client_secret"].map(|name| made.json["data"][name].as_str().unwrap());
    let form = super::oauth::form(secret, None);
    let request = control.world.http.post(control.world.url("/oauth2/token"));
    let token = send(request.header("content-type", super::oauth::FORM).body(form)).await;
    assert_eq!((token.status, &token.json["scope"]), (200, &json!("publish read")), "{token:?}");
    let keys =
        ask(&control, bill, Method::GET, &format!("/api/v1/tenants/{tenant}/keys/{id}"), &Value::Null).await;
    assert_eq!(
        (&keys.json["system"], &keys.json["scopes"]),
        (&json!("eventrunner"), &json!(["publish", "read"]))
    );
    let by_operator = ask(&control, operator, Method::GET, "/api/admin/credentials", &Value::Null).await;
    assert_eq!(by_operator.json, json!({"data": []}), "bill's are bill's");

    // All of it is in the audit, each thing under its own name.
    for (kind, count) in [("user", 1), ("role-binding", 1), ("system", 1), ("key", 1), ("password-reset", 1)]
    {
        let records = control.audit(&tenant, &format!("kind={kind}&action=create&outcome=done")).await;
        assert!(records.len() >= count, "{kind}: {records:?}");
    }
    let records = control.audit(&tenant, "").await;
    assert!(!Value::from(records).to_string().contains(secret));
    control.close().await;
}

/// Every operation of the document is of a row here, and is refused who may not.
#[tokio::test]
async fn every_operation_is_refused_who_may_not() {
    let control = Control::start().await;
    user(&control, "alice", PASSWORD).await;
    bind(&control, "alice", "acme", "viewer").await;
    let begun = log_in(&control, "alice", PASSWORD).await;
    let alice = begun.json["access_token"].as_str().unwrap();
    let tampered = format!("{}x", &alice[..alice.len() - 1]);
    let document: Value = serde_json::from_str(&api::openapi().to_json().unwrap()).unwrap();
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path, method, operation))
    });
    let mut seen = 0;
    for (path, method, operation) in operations.filter(|(_, _, operation)| operation["tags"][0] == "seed") {
        seen += 1;
        let id = operation["operationId"].as_str().unwrap();
        for (status, response) in operation["responses"].as_object().unwrap() {
            let failure = response["content"]["application/json"]["schema"]["$ref"]
                == "#/components/schemas/SeedFailure";
            assert_eq!(failure, status.starts_with(['4', '5']), "{id} {status}");
        }
        let method: Method = method.to_uppercase().parse().unwrap();
        let path = path.replace("{tenant}", "acme");
        let body = json!({"email": "new@example.com", "name": "new", "password": "wrong"});
        let body = if method == Method::GET { Value::Null } else { body };
        if id == "log_in_seed" {
            assert_eq!(ask(&control, None, method, &path, &body).await.status, 401);
            continue;
        }
        for nobody in [None, Some("nobody's"), Some(&*tampered)] {
            let told = ask(&control, nobody, method.clone(), &path, &body).await;
            assert_eq!(told.status, 401, "{id} {nobody:?}: {told:?}");
            assert!(told.headers.contains_key("www-authenticate"), "{id}");
        }
        for small in [&*control.keys.small, &*control.keys.disabled, alice] {
            if small == alice && id == "list_seed_tenants" {
                continue;
            }
            let told = ask(&control, Some(small), method.clone(), &path, &body).await;
            assert_eq!(told.status, 403, "{id}: {told:?}");
            assert_answered("SeedFailure", &told.json);
        }
    }
    assert_eq!(seen, 9, "the document is whole");
    control.close().await;
}

/// What is sent again under its key is done once; without one it is told that it is done.
#[tokio::test]
async fn idempotency_keys_count_as_everywhere() {
    let control = Control::start().await;
    let once = |path: &'static str, body: Value| {
        let request = control.operate(Method::POST, path).header("idempotency-key", "k1");
        send(request.json(&body))
    };
    for (path, body, other) in [
        ("/api/tenants", json!({"name": "Initech"}), json!({"name": "Other"})),
        ("/api/tenants/acme/users", json!({"email": "a@example.com"}), json!({"email": "b@example.com"})),
        ("/api/admin/credentials", json!({"name": "till"}), json!({"name": "tills"})),
    ] {
        let (first, again) = (once(path, body.clone()).await, once(path, body).await);
        assert_eq!((first.status, again.status), (201, 201), "{path}: {first:?} {again:?}");
        assert_eq!(
            (first.json, again.header("idempotency-replayed")),
            (again.json.clone(), "true"),
            "{path}"
        );
        assert_eq!(once(path, other).await.status, 422, "{path}");
    }
    control.close().await;
}
