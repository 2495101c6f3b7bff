//! The API behind a real Ory Oathkeeper, with the files of `deploy/ory`.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use auth::{Authority, AuthorizerKind, AuthorizerOptions};
use identity::IssuerOptions;
use relations::{Changes, Tuple};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{Keto, Oathkeeper};

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

/// Starts an Oathkeeper before the API, with the files of `deploy/ory`.
fn open(gate: &mut Oathkeeper, organisation: &Issuer, own: &Pair, control: &Control) {
    let keys_of_the_organisation = "https://issuer.example/.well-known/jwks.json";
    let configuration = put(&deployed("oathkeeper.yml"), keys_of_the_organisation, &organisation.keys_url);
    let rules = put(&deployed("rules.yml"), "http://eventrunner-api:8081", &control.world.url(""));
    let keys = json!({"keys": [own.private()]}).to_string();
    gate.start(&[("oathkeeper.yml", &configuration), ("rules.yml", &rules), ("id_token.jwks.json", &keys)]);
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
    open(&mut gate, &organisation, &gates_own, &control);
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
    let tools = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let asked = at_the_gate(Method::POST, "/mcp").header("accept", "application/json, text/event-stream");
    assert_eq!(send(asked.bearer_auth(&viewer).json(&tools)).await.status, 200, "MCP as well");
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

/// Alice, who brings no role, behind the gate: what a real Keto says decides.
#[tokio::test]
async fn gateway_and_keto_let_in_who_has_a_tuple_as_long_as_they_have_it() {
    if !Oathkeeper::is_installed() || !Keto::is_installed() {
        eprintln!("left out: Oathkeeper or Keto is not installed; make test-gateway compiles them");
        return;
    }
    let organisation = Issuer::start(ORGANISATION).await;
    let mut gate = Oathkeeper::prepare();
    let mut keto = Keto::start(&deployed("namespaces.keto.ts"));
    let asked = AuthorizerOptions {
        kind: AuthorizerKind::Keto,
        read_url: keto.read_url(),
        write_url: keto.write_url(),
        ..AuthorizerOptions::default()
    };
    let authority = Authority::open(&asked, Arc::new(Arc::default)).unwrap();
    let by_hand = authority.to_be_told().unwrap();
    let issuer = IssuerOptions { fleet_wide: true, ..trusting(GATE, &gate.keys_url()) };
    let control = Control::start_over(crate::world::options(), vec![issuer], Some(authority)).await;
    open(&mut gate, &organisation, &Pair::new("gate"), &control);
    let alice = organisation.token("acme", &[]);
    let status = async || {
        let request = control.world.http.get(format!("{}{SYSTEMS}", gate.proxy_url())).bearer_auth(&alice);
        send(request).await.status
    };
    let becomes = async |expected: u16, within: Duration| {
        let since = Instant::now();
        while status().await != expected {
            assert!(since.elapsed() < within, "not {expected} after {:?}", since.elapsed());
        }
    };
    let second = Duration::from_secs(1);

    // By a binding, which Keto is told of.
    assert_eq!(status().await, 403, "no tuple");
    let bound = json!({"id": "alice", "actor": "user:alice@example.com", "role": "viewer"});
    assert_eq!(control.post("/role-bindings", &bound).await.status, 201);
    becomes(200, second).await;
    assert_eq!(control.delete("/role-bindings/alice").await.status, 204);
    becomes(403, second).await;

    // By a tuple, as Keto's own tools write them.
    let tuple: Tuple = "tenant:acme#viewer@user:alice@example.com".parse().unwrap();
    let one = BTreeSet::from([tuple]);
    by_hand.apply(Changes { insert: one.clone(), ..Changes::default() }).await.unwrap();
    assert_eq!(status().await, 200, "at once");
    by_hand.apply(Changes { delete: one, ..Changes::default() }).await.unwrap();
    assert_eq!(status().await, 403, "at once");

    // Keto is away: nobody is let in for that, and who needs no tuple is.
    keto.kill();
    assert_eq!(status().await, 503);
    let given = |role: &str| json!({"id": "again", "actor": "user:alice@example.com", "role": role});
    assert_eq!(control.get("/systems").await.status, 200, "by a key's scope");
    let told = control.post("/role-bindings", &given("admin")).await;
    assert_eq!(told.status, 503, "whether its maker may is not known: {told:?}");
    assert_eq!(control.post("/role-bindings", &given("viewer")).await.status, 201, "by a key's scopes");
    let health = send(control.world.http.get(control.world.url("/.well-known/health"))).await.json;
    let named =
        health["dependencies"].as_array().unwrap().iter().find(|d| d["name"] == "authorizer").unwrap();
    assert_eq!((&named["kind"], &named["status"]), (&json!("keto"), &json!("DOWN")));
    // It comes back with nothing, and is told everything.
    keto.restart();
    becomes(200, crate::world::PATIENCE).await;
    control.close().await;
}
