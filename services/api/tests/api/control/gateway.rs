//! The API behind a real Ory Oathkeeper, with the files of `deploy/ory`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::Oathkeeper;

use super::{
    issuer::{Issuer, Pair, message, trusting},
    tokens::as_somebody,
    world::{Control, send},
};

/// The issuers that `deploy/ory/oathkeeper.yml` names.
const ORGANISATION: &str = "https://issuer.example/";
const GATE: &str = "https://oathkeeper.example/";

const SYSTEMS: &str = "/api/v1/tenants/acme/systems";

fn deployed(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/ory");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// A file of `deploy/ory` with a value of here in place of one of its own.
fn put(text: &str, theirs: &str, ours: &str) -> String {
    assert!(text.contains(theirs), "the file names no {theirs}");
    text.replace(theirs, ours)
}

#[tokio::test]
async fn gateway_lets_in_who_has_a_token_and_nobody_gets_around_it() {
    if !Oathkeeper::is_installed() {
        eprintln!("left out: Oathkeeper is not installed; make test-gateway compiles it");
        return;
    }
    let organisation = Issuer::start(ORGANISATION).await;
    let gates_own = Pair::new("gate");
    let mut gate = Oathkeeper::prepare();
    let control = Control::start_trusting(vec![trusting(GATE, &gate.keys_url())]).await;
    let keys_of_the_organisation = "https://issuer.example/.well-known/jwks.json";
    let configuration = put(&deployed("oathkeeper.yml"), keys_of_the_organisation, &organisation.keys_url);
    let rules = put(&deployed("rules.yml"), "http://eventrunner-api:8081", &control.world.url(""));
    let keys = json!({"keys": [gates_own.private()]}).to_string();
    gate.start(&[("oathkeeper.yml", &configuration), ("rules.yml", &rules), ("id_token.jwks.json", &keys)]);
    let at_the_gate = |method: Method, path: &str| {
        control.world.http.request(method, format!("{}{path}", gate.proxy_url()))
    };

    // By the gate.
    let token = organisation.token("acme", &["admin"]);
    let made = at_the_gate(Method::POST, SYSTEMS).bearer_auth(&token).json(&json!({"id": "gated"}));
    let made = send(made).await;
    assert_eq!((made.status, &made.json["id"]), (201, &json!("gated")), "{made:?}\n{}", gate.log());
    let audit = control.audit("acme", "kind=system&id=gated&outcome=done").await;
    let actor = json!({"kind": "user", "tenant": "acme", "id": "alice@example.com", "issuer": GATE});
    assert_eq!(audit[0]["actor"], actor, "by Oathkeeper's own token");
    let viewer = organisation.token("acme", &["viewer"]);
    assert_eq!(send(at_the_gate(Method::GET, SYSTEMS).bearer_auth(&viewer)).await.status, 200);
    let refused =
        send(at_the_gate(Method::POST, SYSTEMS).bearer_auth(&viewer).json(&json!({"id": "x"}))).await;
    assert_eq!(refused.refusal().0, 403);
    let no_claims = organisation.pair.sign(&{
        let mut claims = organisation.claims("acme", &[]);
        claims.as_object_mut().unwrap().retain(|name, _| !["tenant_id", "roles"].contains(&&**name));
        claims
    });
    assert_eq!(send(at_the_gate(Method::GET, SYSTEMS).bearer_auth(&no_claims)).await.status, 403);
    for request in [
        at_the_gate(Method::GET, SYSTEMS),
        as_somebody(at_the_gate(Method::GET, SYSTEMS)),
        at_the_gate(Method::GET, SYSTEMS)
            .bearer_auth(Pair::new("k1").sign(&organisation.claims("acme", &[]))),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "at the gate");
    }

    // Around it.
    assert_eq!(send(as_somebody(control.world.http.get(control.world.url(SYSTEMS)))).await.status, 401);
    let gates_claims = |name: &str, value: Value| {
        let mut claims = organisation.claims("acme", &["admin"]);
        claims["iss"] = GATE.into();
        claims[name] = value;
        claims
    };
    let good = gates_claims("jti", json!("1"));
    assert_eq!(send(control.request(&gates_own.sign(&good), Method::GET, SYSTEMS)).await.status, 200);
    let bad = [
        ("the organisation's own", token),
        ("expired", gates_own.sign(&gates_claims("exp", json!(1_700_000_000)))),
        ("wrongly signed", Pair::new("gate").sign(&good)),
        ("alg none", message(&json!({"alg": "none", "kid": "gate"}), &good) + "."),
        ("another's audience", gates_own.sign(&gates_claims("aud", json!(["others"])))),
    ];
    for (case, token) in bad {
        let told = send(control.request(&token, Method::GET, SYSTEMS)).await;
        assert_eq!(told.refusal().0, 401, "{case}: {told:?}");
    }
    control.close().await;
}
