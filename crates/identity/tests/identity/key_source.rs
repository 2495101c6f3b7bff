//! Keys are fetched once, asked for again when they age or change, and kept through an outage.

use std::time::Duration;

use axum::http::StatusCode;
use identity::{IssuerOptions, MAX_KEYS_BYTES, OidcVerifier, TokenError};
use jsonwebtoken::Algorithm;
use serde_json::json;
use testkit::ManualClock;

use crate::{
    NOW,
    keys::{EC, ED, RSA, header, signed, with},
    oidc::{claims, good, options},
    server::{Answer, KeyServer, answer},
};

async fn start(keys: &[serde_json::Value]) -> (KeyServer, OidcVerifier, ManualClock) {
    let server = KeyServer::start(keys).await;
    // Tokens that live as long as these tests pretend to.
    let options = IssuerOptions { leeway_seconds: 10 * 24 * 60 * 60, ..options(&server) };
    let (verifier, clock) = crate::oidc::verifier(vec![options]);
    (server, verifier, clock)
}

fn by_ed() -> String {
    signed(&json!({"alg": "EdDSA", "kid": "ed"}), &claims(), &ED.signing, Algorithm::EdDSA)
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_crowd_at_the_start_asks_once() {
    let (server, verifier, _) = start(std::slice::from_ref(&RSA.jwk)).await;
    assert!(server.requests().is_empty(), "nobody asks before a token comes");
    let token = good();
    let crowd = futures_join(50, || verifier.verify(&token)).await;
    assert!(crowd.iter().all(Result::is_ok));
    assert_eq!(server.requests(), [None]);
}

async fn futures_join<F: Future>(count: usize, mut make: impl FnMut() -> F) -> Vec<F::Output> {
    futures::future::join_all((0..count).map(|_| make())).await
}

#[tokio::test]
async fn keys_that_age_are_confirmed_by_their_tag() {
    let (server, verifier, clock) = start(std::slice::from_ref(&RSA.jwk)).await;
    let tag = || ("etag", "\"v1\"".to_owned());
    server.change(|answer| answer.headers = vec![tag(), ("cache-control", "max-age=600".into())]);
    for (advance_s, requests) in [(0, 1), (599, 1), (1, 2), (599, 2), (1, 3)] {
        clock.advance(Duration::from_secs(advance_s));
        assert!(verifier.verify(&good()).await.is_ok());
        assert_eq!(server.requests().len(), requests, "after {advance_s} s more");
    }
    let v1 = Some("\"v1\"".to_owned());
    assert_eq!(server.requests(), [None, v1.clone(), v1], "the same is not sent again");
    assert_eq!(verifier.status()[0].confirmed_at, Some(NOW + 1_200 * crate::SECOND));
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (server, verifier, clock) = start(std::slice::from_ref(&RSA.jwk)).await;
    assert!(verifier.verify(&good()).await.is_ok());
    // Rotation with an overlap: the old key stays for a while.
    server.answer(answer(&[ED.jwk.clone(), RSA.jwk.clone()]));
    assert_eq!(verifier.verify(&by_ed()).await, Err(TokenError::UnknownKey), "asked a moment ago");
    clock.advance(Duration::from_secs(5));
    assert!(verifier.verify(&by_ed()).await.is_ok() && verifier.verify(&good()).await.is_ok());
    assert_eq!(server.requests().len(), 2);
    // And then it goes.
    server.answer(answer(std::slice::from_ref(&ED.jwk)));
    clock.advance(HOUR);
    assert!(verifier.verify(&by_ed()).await.is_ok());
    assert_eq!(verifier.verify(&good()).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn tokens_cannot_make_us_knock() {
    let (server, verifier, clock) = start(std::slice::from_ref(&RSA.jwk)).await;
    let unknown = |n: u32| {
        let header = with(header(), &[("kid", json!(format!("guess-{n}")))]);
        signed(&header, &claims(), &EC.signing, Algorithm::ES256).replace("ES256", "RS256")
    };
    for second in 0..10 {
        for n in 0..20 {
            assert!(verifier.verify(&unknown(second * 100 + n)).await.is_err());
        }
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(server.requests().len(), 2, "once in five seconds");
    // Also an outage is not hammered at.
    server.change(|answer| answer.status = StatusCode::SERVICE_UNAVAILABLE);
    clock.advance(HOUR);
    for _ in 0..20 {
        assert!(verifier.verify(&good()).await.is_ok());
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn the_last_good_keys_are_kept_through_an_outage() {
    let (server, verifier, clock) = start(std::slice::from_ref(&RSA.jwk)).await;
    assert!(verifier.verify(&good()).await.is_ok());
    let failures: Vec<(&str, Answer)> = vec![
        ("500", Answer { status: StatusCode::INTERNAL_SERVER_ERROR, ..answer(&[]) }),
        ("404", Answer { status: StatusCode::NOT_FOUND, ..answer(std::slice::from_ref(&EC.jwk)) }),
        ("no keys", answer(&[])),
        ("no list", Answer { body: "{}".into(), ..answer(&[]) }),
        ("no JSON", Answer { body: "<html>".into(), ..answer(&[]) }),
        ("only keys nobody can use", answer(&[json!({"kty": "oct", "kid": "rsa", "k": "AAAA"})])),
        (
            "304 to no question",
            Answer { status: StatusCode::NOT_MODIFIED, body: String::new(), ..answer(&[]) },
        ),
        (
            "a redirect",
            Answer {
                status: StatusCode::FOUND,
                headers: vec![("location", server.url.clone())],
                ..answer(std::slice::from_ref(&EC.jwk))
            },
        ),
        (
            "too large",
            Answer { body: format!("{{\"keys\": [{}]}}", " ".repeat(MAX_KEYS_BYTES)), ..answer(&[]) },
        ),
    ];
    for (what, failure) in failures {
        server.answer(failure);
        clock.advance(HOUR);
        assert!(verifier.verify(&good()).await.is_ok(), "{what}");
        let status = verifier.status().remove(0);
        assert!(status.failure.is_some() && status.confirmed_at == Some(NOW), "{what}: {status:?}");
    }
    // Not for ever.
    clock.advance(15 * HOUR);
    assert!(verifier.verify(&good()).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(verifier.verify(&good()).await, Err(TokenError::KeysUnavailable));
    // And it is over when it is over.
    server.answer(answer(std::slice::from_ref(&RSA.jwk)));
    clock.advance(Duration::from_secs(5));
    assert!(verifier.verify(&good()).await.is_ok());
    assert_eq!(verifier.status()[0].failure, None);
}

#[tokio::test]
async fn without_keys_nobody_is_believed() {
    let (server, verifier, clock) = start(std::slice::from_ref(&RSA.jwk)).await;
    server.change(|answer| answer.status = StatusCode::BAD_GATEWAY);
    assert_eq!(verifier.verify(&good()).await, Err(TokenError::KeysUnavailable));
    let failure = verifier.status()[0].failure.clone().unwrap();
    assert!(failure.contains("502"), "{failure}");
    server.change(|answer| answer.status = StatusCode::OK);
    assert_eq!(verifier.verify(&good()).await, Err(TokenError::KeysUnavailable), "asked a moment ago");
    clock.advance(Duration::from_secs(5));
    assert!(verifier.verify(&good()).await.is_ok());
}
