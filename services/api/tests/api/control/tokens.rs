//! People who come by signed tokens.

use identity::IssuerOptions;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{
    issuer::{Issuer, Pair, message},
    world::{Control, send},
};

const SYSTEMS: &str = "/api/v1/tenants/acme/systems";

/// What others behind gateways believe.
const NAMES_OF_IDENTITIES: [&str; 8] = [
    "x-user-id",
    "x-user",
    "x-user-email",
    "x-tenant-id",
    "x-forwarded-user",
    "x-auth-request-email",
    "x-authenticated-user",
    "remote-user",
];

/// A request with headers that only name somebody.
pub(super) fn as_somebody(request: RequestBuilder) -> RequestBuilder {
    NAMES_OF_IDENTITIES.into_iter().fold(request, |request, name| request.header(name, "alice@example.com"))
}

#[tokio::test]
async fn the_roles_of_a_token_decide_as_a_keys_scopes_do() {
    let issuer = Issuer::start("https://issuer.example").await;
    let control = Control::start_trusting(vec![issuer.options()]).await;
    let ask = async |tenant: &str, roles: &[&str], method: Method, path: &str, body: Value| {
        let request = control.request(&issuer.token(tenant, roles), method, path);
        let told = send(if body.is_null() { request } else { request.json(&body) }).await;
        (told.status, told.json["code"].as_str().unwrap_or_default().to_owned(), told)
    };
    let new = |id: &str| json!({ "id": id });
    let key = |scope: &str| json!({"system": "shop", "scopes": [scope]});
    let keys = "/api/v1/tenants/acme/keys";
    let table = [
        ("acme", &["viewer"][..], Method::GET, SYSTEMS, Value::Null, 200),
        ("acme", &["viewer"], Method::GET, "/api/v1/events", Value::Null, 200),
        ("acme", &["viewer"], Method::GET, "/api/v1/dead-letters", Value::Null, 200),
        ("acme", &["viewer"], Method::GET, "/api/v1/usage/acme/records", Value::Null, 200),
        ("acme", &["viewer"], Method::POST, SYSTEMS, new("a"), 403),
        ("acme", &["viewer"], Method::GET, keys, Value::Null, 403),
        ("acme", &["viewer"], Method::DELETE, "/api/v1/dead-letters?all=true", Value::Null, 403),
        ("acme", &["event_publisher"], Method::GET, SYSTEMS, Value::Null, 200),
        ("acme", &["event_publisher"], Method::GET, "/api/v1/events", Value::Null, 403),
        ("acme", &["viewer", "admin"], Method::POST, SYSTEMS, new("b"), 201),
        ("acme", &["admin"], Method::POST, keys, key("read"), 201),
        ("acme", &["admin"], Method::POST, keys, key("manage"), 403),
        ("acme", &["admin"], Method::GET, "/api/v1/tenants/acme/audit", Value::Null, 403),
        ("acme", &["admin"], Method::DELETE, "/api/v1/dead-letters?all=true", Value::Null, 200),
        ("acme", &["tenant_admin"], Method::POST, keys, key("manage"), 201),
        ("acme", &["tenant_admin"], Method::POST, keys, key("operate"), 403),
        ("acme", &["tenant_admin"], Method::POST, "/api/v1/tenants", new("mine"), 403),
        ("acme", &["tenant_admin"], Method::GET, "/api/v1/tenants/globex/systems", Value::Null, 404),
        ("acme", &["superuser"], Method::GET, SYSTEMS, Value::Null, 403),
        ("acme", &["emperor", "Admin", "tenant_admin "], Method::GET, SYSTEMS, Value::Null, 403),
        ("acme", &[], Method::GET, SYSTEMS, Value::Null, 403),
        ("gone", &["tenant_admin"], Method::GET, SYSTEMS, Value::Null, 403),
        ("nowhere", &["tenant_admin"], Method::GET, SYSTEMS, Value::Null, 403),
    ];
    for (tenant, roles, method, path, body, expected) in table {
        let (status, code, told) = ask(tenant, roles, method.clone(), path, body).await;
        assert_eq!(status, expected, "{roles:?} of {tenant}, {method} {path}: {code} {told:?}");
    }
    let made = control.audit("acme", "actor=user:alice@example.com&outcome=done&kind=system").await;
    let actor = json!({"kind": "user", "tenant": "acme", "id": "alice@example.com", "issuer": issuer.name});
    assert_eq!(made.iter().map(|record| &record["actor"]).collect::<Vec<_>>(), [&actor]);
    assert!(control.audit("acme", "actor=key:alice@example.com").await.is_empty());
    control.close().await;
}

#[tokio::test]
async fn an_issuer_may_make_superusers_if_it_is_told_so() {
    let issuer = Issuer::start("https://issuer.example").await;
    let control = Control::start_trusting(vec![IssuerOptions { fleet_wide: true, ..issuer.options() }]).await;
    let token = issuer.token("ops", &["superuser"]);
    assert_eq!(send(control.request(&token, Method::GET, SYSTEMS)).await.status, 200);
    let request = control.request(&token, Method::POST, "/api/v1/tenants").json(&json!({"id": "initech"}));
    assert_eq!(send(request).await.status, 201);
    control.close().await;
}

#[tokio::test]
async fn what_is_no_good_token_opens_nothing() {
    let issuer = Issuer::start("https://issuer.example").await;
    let control = Control::start_trusting(vec![issuer.options()]).await;
    let with = |name: &str, value: Value| {
        let mut claims = issuer.claims("acme", &["tenant_admin"]);
        claims[name] = value;
        claims
    };
    let good = issuer.claims("acme", &["tenant_admin"]);
    assert_eq!(send(control.request(&issuer.pair.sign(&good), Method::GET, SYSTEMS)).await.status, 200);
    let unsigned = |algorithm: &str| message(&json!({"alg": algorithm, "kid": "k1"}), &good) + ".";
    let signature = issuer.pair.sign(&good).rsplit_once('.').unwrap().1.to_owned();
    let bad = [
        ("expired", issuer.pair.sign(&with("exp", json!(1_700_000_000)))),
        ("wrongly signed", Pair::new("k1").sign(&good)),
        ("by a key that nobody has", Pair::new("k2").sign(&good)),
        ("alg none", unsigned("none")),
        ("alg none with a signature", unsigned("none") + &signature),
        ("unsigned", unsigned("ES256")),
        ("another's audience", issuer.pair.sign(&with("aud", json!("others")))),
        ("another issuer", issuer.pair.sign(&with("iss", json!("https://stranger.example")))),
        ("another's signature", unsigned("ES256") + &Pair::new("k1").sign(&good)[..86]),
        ("nothing", "..".to_owned()),
    ];
    for (case, token) in bad {
        for path in [SYSTEMS, "/api/v1/events"] {
            let told = send(control.request(&token, Method::GET, path)).await;
            let (status, code, _) = told.refusal();
            assert_eq!((status, code), (401, "unauthenticated"), "{case}: {told:?}");
            assert_eq!(told.json["detail"], "the token is not valid", "{case}: and not why");
        }
    }
    for path in [SYSTEMS, "/api/v1/events"] {
        let told = send(as_somebody(control.world.http.get(control.world.url(path)))).await;
        assert_eq!(told.refusal().0, 401, "names are believed: {told:?}");
    }
    control.close().await;
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_no_yes_and_those_that_were_stay_good() {
    let (mut issuer, mut away) =
        (Issuer::start("https://issuer.example").await, Issuer::start("https://away.example").await);
    away.go_away().await;
    let control = Control::start_trusting(vec![issuer.options(), away.options()]).await;
    let ask = async |issuer: &Issuer, path: &str| {
        send(control.request(&issuer.token("acme", &["viewer"]), Method::GET, path)).await
    };
    for path in [SYSTEMS, "/api/v1/events"] {
        let told = ask(&away, path).await;
        assert_eq!(told.refusal(), (503, "unavailable", vec![]), "{told:?}");
        assert!(told.json["detail"].as_str().unwrap().contains("issuer"), "{told:?}");
    }
    assert_eq!(ask(&issuer, SYSTEMS).await.status, 200);
    issuer.go_away().await;
    for _ in 0..3 {
        assert_eq!(ask(&issuer, SYSTEMS).await.status, 200);
    }
    control.close().await;
}
