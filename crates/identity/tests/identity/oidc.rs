//! Tokens that are accepted, and who they speak of.

use std::sync::Arc;

use identity::{ClaimNames, IssuerOptions, OidcAlgorithm, OidcPrincipal, OidcVerifier, TokenError};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use testkit::ManualClock;

use crate::{
    NOW, NOW_S,
    keys::{EC, ED, RSA, header, signed, with},
    server::KeyServer,
};

pub(crate) const ISSUER: &str = "https://issuer.example";

pub(crate) fn options(server: &KeyServer) -> IssuerOptions {
    IssuerOptions {
        issuer: ISSUER.into(),
        keys_url: server.url.clone(),
        audiences: vec!["eventrunner".into(), "eventrunner-api".into()],
        algorithms: vec![OidcAlgorithm::Rs256, OidcAlgorithm::Es256, OidcAlgorithm::EdDsa],
        leeway_seconds: 30,
        claims: ClaimNames::default(),
        tenants: vec![],
        fleet_wide: false,
        allow_http: true,
    }
}

pub(crate) fn verifier(issuers: Vec<IssuerOptions>) -> (OidcVerifier, ManualClock) {
    testkit::install_tls();
    let clock = ManualClock::at(NOW);
    (OidcVerifier::new(issuers, Arc::new(clock.clone())).unwrap(), clock)
}

/// What a good token says.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "eventrunner", "sub": "alice",
        "exp": NOW_S + 300, "nbf": NOW_S - 10, "iat": NOW_S - 10, "jti": "t1",
        "email": "alice@example.com", "tenant_id": "acme", "roles": ["admin", "user"],
    })
}

pub(crate) fn good() -> String {
    signed(&header(), &claims(), &RSA.signing, Algorithm::RS256)
}

fn alice() -> OidcPrincipal {
    OidcPrincipal {
        issuer: ISSUER.into(),
        subject: "alice".into(),
        email: Some("alice@example.com".into()),
        tenant: Some("acme".into()),
        roles: vec!["admin".into(), "user".into()],
        fleet_wide: false,
        expires_at: NOW + 300 * crate::SECOND,
        token_id: Some("t1".into()),
    }
}

#[tokio::test]
async fn good_tokens_say_who_it_is() {
    let server = KeyServer::start(&[RSA.jwk.clone(), EC.jwk.clone(), ED.jwk.clone()]).await;
    let (verifier, _) = verifier(vec![options(&server)]);
    assert_eq!(verifier.verify(&good()).await, Ok(alice()));
    for (algorithm, pair) in [(Algorithm::ES256, &EC), (Algorithm::EdDSA, &ED)] {
        let header = json!({"alg": algorithm, "kid": pair.jwk["kid"]});
        let token = signed(&header, &claims(), &pair.signing, algorithm);
        assert_eq!(verifier.verify(&token).await, Ok(alice()), "{algorithm:?}");
    }
    let roles =
        |roles: &[&str]| OidcPrincipal { roles: roles.iter().map(|r| (*r).to_owned()).collect(), ..alice() };
    let variants = [
        (vec![("aud", json!(["other", "eventrunner-api"]))], alice()),
        (vec![("roles", json!("admin  user"))], alice()),
        (vec![("roles", json!([]))], roles(&[])),
        (vec![("roles", json!(""))], roles(&[])),
        (vec![("roles", Value::Null)], roles(&[])),
        (vec![("nbf", Value::Null), ("iat", Value::Null)], alice()),
        (vec![("nbf", json!(NOW_S + 30))], alice()),
        (vec![("exp", json!(NOW_S - 29))], OidcPrincipal { expires_at: NOW - 29 * crate::SECOND, ..alice() }),
        (
            vec![("exp", json!(NOW_S as f64 + 0.5))],
            OidcPrincipal { expires_at: NOW + crate::SECOND / 2, ..alice() },
        ),
        (vec![("jti", Value::Null)], OidcPrincipal { token_id: None, ..alice() }),
        (
            vec![("email", Value::Null), ("tenant_id", Value::Null)],
            OidcPrincipal { email: None, tenant: None, ..alice() },
        ),
        (vec![("unknown", json!({"a": [1, {"b": null}]}))], alice()),
        (vec![("sub", json!("x".repeat(255)))], OidcPrincipal { subject: "x".repeat(255), ..alice() }),
    ];
    for (changes, expected) in variants {
        let token = signed(&header(), &with(claims(), &changes), &RSA.signing, Algorithm::RS256);
        assert_eq!(verifier.verify(&token).await, Ok(expected), "{changes:?}");
    }
    let status = verifier.status();
    assert_eq!((status.len(), status[0].confirmed_at, &status[0].failure), (1, Some(NOW), &None));
}

#[tokio::test]
async fn claims_are_found_where_the_issuer_puts_them() {
    let server = KeyServer::start(std::slice::from_ref(&RSA.jwk)).await;
    let names = ClaimNames {
        subject: "/ext/user".into(),
        email: "/session/identity/traits/email".into(),
        tenant: "https://er.example/tenant".into(),
        roles: "/ext/ro~1les".into(),
    };
    let (verifier, _) = verifier(vec![IssuerOptions { claims: names, ..options(&server) }]);
    let nested = [
        ("ext", json!({"user": "u-1", "ro/les": ["viewer"]})),
        ("session", json!({"identity": {"traits": {"email": "a@b.example"}}})),
        ("https://er.example/tenant", json!("blue")),
    ];
    let token = signed(&header(), &with(claims(), &nested), &RSA.signing, Algorithm::RS256);
    let who = verifier.verify(&token).await.unwrap();
    assert_eq!((who.subject.as_str(), who.email.as_deref()), ("u-1", Some("a@b.example")));
    assert_eq!((who.tenant.as_deref(), who.roles), (Some("blue"), vec!["viewer".to_owned()]));
    assert_eq!(verifier.verify(&good()).await, Err(TokenError::Missing("subject")));
}

#[tokio::test]
async fn each_issuer_has_its_own_keys_and_rules() {
    let first = KeyServer::start(std::slice::from_ref(&RSA.jwk)).await;
    let second = KeyServer::start(std::slice::from_ref(&ED.jwk)).await;
    let other = "https://other.example";
    let second_options = IssuerOptions {
        issuer: other.into(),
        audiences: vec!["other-audience".into()],
        algorithms: vec![OidcAlgorithm::EdDsa],
        ..options(&second)
    };
    let (verifier, _) = verifier(vec![options(&first), second_options]);
    let ed = json!({"alg": "EdDSA", "kid": "ed"});
    let of = |header: &Value, issuer: &str, audience: &str, algorithm| {
        let claims = with(claims(), &[("iss", json!(issuer)), ("aud", json!(audience))]);
        let key = if algorithm == Algorithm::EdDSA { &ED } else { &RSA };
        signed(header, &claims, &key.signing, algorithm)
    };
    let rsa = header();
    let cases = [
        (of(&rsa, ISSUER, "eventrunner", Algorithm::RS256), None),
        (of(&ed, other, "other-audience", Algorithm::EdDSA), None),
        (of(&ed, other, "eventrunner", Algorithm::EdDSA), Some(TokenError::Audience)),
        (of(&rsa, other, "other-audience", Algorithm::RS256), Some(TokenError::Algorithm)),
        (of(&ed, ISSUER, "eventrunner", Algorithm::EdDSA), Some(TokenError::UnknownKey)),
        (of(&ed, "https://third.example", "eventrunner", Algorithm::EdDSA), Some(TokenError::Issuer)),
    ];
    for (token, expected) in cases {
        assert_eq!(verifier.verify(&token).await.err(), expected);
    }
}

#[test]
fn issuers_must_be_described_well() {
    testkit::install_tls();
    let good = || IssuerOptions {
        issuer: ISSUER.into(),
        keys_url: "https://issuer.example/keys".into(),
        audiences: vec!["a".into()],
        algorithms: vec![OidcAlgorithm::Rs256],
        leeway_seconds: 30,
        claims: ClaimNames::default(),
        tenants: vec![],
        fleet_wide: false,
        allow_http: false,
    };
    let set_up = |issuers: Vec<IssuerOptions>| OidcVerifier::new(issuers, Arc::new(ManualClock::default()));
    assert!(set_up(vec![good()]).is_ok() && set_up(vec![]).is_ok());
    let bad = [
        (vec![good(), good()], "described twice"),
        (vec![IssuerOptions { issuer: String::new(), ..good() }], "must be given"),
        (vec![IssuerOptions { audiences: vec![], ..good() }], "must be given"),
        (vec![IssuerOptions { audiences: vec![String::new()], ..good() }], "must be given"),
        (vec![IssuerOptions { algorithms: vec![], ..good() }], "algorithms"),
        (vec![IssuerOptions { keys_url: "file:///etc/passwd".into(), ..good() }], "http or https"),
        (vec![IssuerOptions { keys_url: "http://issuer.example/keys".into(), ..good() }], "plain HTTP"),
    ];
    for (issuers, expected) in bad {
        let error = set_up(issuers).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let read = |text: &str| serde_json::from_str::<IssuerOptions>(text);
    let least =
        r#"{"issuer": "i", "keys_url": "https://k", "audiences": ["a"], "algorithms": ["RS256", "EdDSA"]}"#;
    assert_eq!(read(least).unwrap().claims.tenant, "tenant_id");
    for algorithm in ["HS256", "none", "rs256", ""] {
        assert!(read(&least.replace("RS256", algorithm)).is_err(), "{algorithm}");
    }
    assert!(read(&least.replace("\"issuer\"", "\"isuer\"")).is_err());
}

#[tokio::test]
async fn an_issuer_speaks_for_its_tenants_only() {
    let server = KeyServer::start(std::slice::from_ref(&RSA.jwk)).await;
    let options = IssuerOptions { tenants: vec!["acme".into()], fleet_wide: true, ..options(&server) };
    let (verifier, _) = verifier(vec![options]);
    assert_eq!(verifier.verify(&good()).await, Ok(OidcPrincipal { fleet_wide: true, ..alice() }));
    for tenant in [json!("globex"), json!("ACME"), Value::Null] {
        let claims = with(claims(), &[("tenant_id", tenant.clone())]);
        let token = signed(&header(), &claims, &RSA.signing, Algorithm::RS256);
        assert_eq!(verifier.verify(&token).await, Err(TokenError::Tenant), "{tenant}");
    }
}
