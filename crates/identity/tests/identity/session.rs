//! Access tokens, refresh tokens and revocation.

use std::time::Duration;

use identity::{
    AccessOptions, AccessTokens, Grant, Holder, Purpose, RefreshError, RefreshPolicy, Session, SigningKeys,
    TokenError, refresh_id,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, jwk::JwkSet};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::{
    NOW, NOW_S, SECOND,
    keys::{RSA, signed, with},
};

const SEED: [u8; 32] = [7; 32];

fn base64(seed: [u8; 32]) -> SecretString {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(seed).into()
}

fn keys(seeds: &[[u8; 32]]) -> SigningKeys {
    let texts: Vec<SecretString> = seeds.iter().map(|seed| base64(*seed)).collect();
    SigningKeys::from_base64(&texts).unwrap()
}

fn tokens(seeds: &[[u8; 32]]) -> AccessTokens {
    AccessTokens::new(AccessOptions::new("https://er.example", "eventrunner"), keys(seeds))
}

fn user() -> Grant {
    let holder = Holder::User { session: "s1".into() };
    Grant { subject: "alice".into(), holder, purpose: Purpose::All, tenant: None, scopes: vec![] }
}

fn client() -> Grant {
    let scopes = vec!["publish".to_owned(), "read".to_owned()];
    Grant { subject: "c1".into(), holder: Holder::Client, purpose: Purpose::All, tenant: None, scopes }
}

fn issue(tokens: &AccessTokens, grant: Grant, now: i64) -> String {
    tokens.issue(&mut rand::rng(), grant, now).0.expose_secret().to_owned()
}

#[test]
fn tokens_say_what_was_granted_as_long_as_they_live() {
    let tokens = tokens(&[SEED]);
    let set_password = Grant { purpose: Purpose::SetPassword, ..user() };
    let at_home = Grant { tenant: Some("acme".into()), ..user() };
    for grant in [user(), client(), set_password, at_home] {
        let now = NOW + 123_457;
        let (token, said) = tokens.issue(&mut rand::rng(), grant.clone(), now);
        let token = token.expose_secret();
        for (at, expected) in [
            (now, Ok(())),
            (NOW + 604 * SECOND, Ok(())),
            (NOW + 605 * SECOND, Err(TokenError::Expired)),
            (NOW - 4 * SECOND, Ok(())),
            (NOW - 6 * SECOND, Err(TokenError::NotYet)),
        ] {
            let verified = tokens.verify(token, at);
            assert_eq!(verified.as_ref().map(drop).map_err(|e| *e), expected, "{at}");
            assert!(verified.is_err() || verified == Ok(said.clone()));
        }
        assert_eq!((said.grant, said.issued_at, said.expires_at), (grant, now, NOW + 600 * SECOND));
    }
    let ids: std::collections::BTreeSet<String> =
        (0..100).map(|_| tokens.issue(&mut rand::rng(), user(), NOW).1.id).collect();
    assert_eq!(ids.len(), 100);
}

#[test]
fn another_library_reads_our_tokens_by_our_published_keys() {
    let tokens = tokens(&[SEED]);
    let set: JwkSet = serde_json::from_value(tokens.public_keys()).unwrap();
    assert!(!tokens.public_keys().to_string().contains("\"d\""), "the public half alone");
    // Its own clock is the machine's.
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap() * SECOND;
    let token = issue(&tokens, client(), now);
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("at+jwt")));
    let jwk = set.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["eventrunner"]);
    validation.set_issuer(&["https://er.example"]);
    let read =
        jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap();
    assert_eq!((&read.claims["sub"], &read.claims["client_id"]), (&json!("c1"), &json!("c1")));
}

#[test]
fn keys_rotate_with_an_overlap() {
    let (old, new) = ([1; 32], [2; 32]);
    let before = issue(&tokens(&[old]), user(), NOW);
    // Known first, then it signs, then the old one goes.
    let known = tokens(&[old, new]);
    let signs = tokens(&[new, old]);
    let gone = tokens(&[new]);
    let after = issue(&signs, user(), NOW);
    for (replica, by_old, by_new) in [(&known, true, true), (&signs, true, true), (&gone, false, true)] {
        assert_eq!(replica.verify(&before, NOW).is_ok(), by_old);
        assert_eq!(replica.verify(&after, NOW).is_ok(), by_new);
    }
    assert_eq!(gone.verify(&before, NOW), Err(TokenError::UnknownKey));
    assert_eq!(signs.public_keys()["keys"].as_array().unwrap().len(), 2);
}

/// Our own key signs these: what is wrong is what they say.
#[test]
fn a_table_of_refused_access_tokens() {
    let tokens = tokens(&[SEED]);
    let prefix = hex::decode("302e020100300506032b657004220420").unwrap();
    let key = EncodingKey::from_ed_der(&[prefix, SEED.to_vec()].concat());
    let kid = tokens.public_keys()["keys"][0]["kid"].clone();
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
    let claims = json!({
        "iss": "https://er.example", "aud": "eventrunner", "sub": "alice", "iat": NOW_S, "nbf": NOW_S,
        "exp": NOW_S + 60, "jti": "j", "holder": "user", "sid": "s1", "purpose": "all",
    });
    let of = |in_header: &[(&str, Value)], in_claims: &[(&str, Value)]| {
        signed(&with(header.clone(), in_header), &with(claims.clone(), in_claims), &key, Algorithm::EdDSA)
    };
    assert!(tokens.verify(&of(&[], &[]), NOW).is_ok());
    assert!(tokens.verify(&of(&[], &[("purpose", Value::Null)]), NOW).is_ok());
    let hmac = |secret: &[u8]| {
        let header = with(header.clone(), &[("alg", json!("HS256"))]);
        signed(&header, &claims, &EncodingKey::from_secret(secret), Algorithm::HS256)
    };
    let x = tokens.public_keys()["keys"][0]["x"].as_str().unwrap().to_owned();
    let by_rsa =
        signed(&with(header.clone(), &[("alg", json!("RS256"))]), &claims, &RSA.signing, Algorithm::RS256);
    let no_holder = TokenError::Claim("holder");
    let cases = [
        ("another key", signed(&header, &claims, &other_key(), Algorithm::EdDSA), TokenError::Signature),
        ("HMAC with the public key", hmac(x.as_bytes()), TokenError::Algorithm),
        ("HMAC with the key itself", hmac(&SEED), TokenError::Algorithm),
        ("RSA", by_rsa, TokenError::Algorithm),
        ("an identity token of the same key", of(&[("typ", json!("JWT"))], &[]), TokenError::Header("typ")),
        ("no type", of(&[("typ", Value::Null)], &[]), TokenError::Header("typ")),
        ("no key id", of(&[("kid", Value::Null)], &[]), TokenError::NoKeyId),
        ("an unknown key id", of(&[("kid", json!("x"))], &[]), TokenError::UnknownKey),
        ("another fleet's", of(&[], &[("iss", json!("https://other.example"))]), TokenError::Issuer),
        ("for somebody else", of(&[], &[("aud", json!("other"))]), TokenError::Audience),
        ("no end", of(&[], &[("exp", Value::Null)]), TokenError::Missing("exp")),
        ("no issue", of(&[], &[("iat", Value::Null)]), TokenError::Missing("iat")),
        ("no id", of(&[], &[("jti", Value::Null)]), TokenError::Missing("jti")),
        ("no holder", of(&[], &[("holder", Value::Null)]), no_holder),
        ("an unknown holder", of(&[], &[("holder", json!("root"))]), no_holder),
        ("a user without a session", of(&[], &[("sid", Value::Null)]), no_holder),
        ("an unknown purpose", of(&[], &[("purpose", json!("everything"))]), no_holder),
    ];
    for (name, token, expected) in cases {
        assert_eq!(tokens.verify(&token, NOW), Err(expected), "{name}");
    }
}

fn other_key() -> EncodingKey {
    let prefix = hex::decode("302e020100300506032b657004220420").unwrap();
    EncodingKey::from_ed_der(&[prefix, [9; 32].to_vec()].concat())
}

#[test]
fn a_refresh_token_is_good_once() {
    let (rng, policy) = (&mut rand::rng(), RefreshPolicy::default());
    let (mut session, first) = Session::begin(rng, "alice", Purpose::All, NOW);
    assert_eq!(refresh_id(first.expose_secret()), Some(session.id.as_str()));
    let mut used = vec![];
    let mut current = first;
    for n in 1..=40 {
        let now = NOW + n * SECOND;
        let (next, token) = session.refresh(rng, current.expose_secret(), policy, now).unwrap();
        assert_eq!((next.refreshed_at, &next.id, next.began_at), (now, &session.id, NOW));
        used.push(std::mem::replace(&mut current, token));
        session = serde_json::from_value(serde_json::to_value(&next).unwrap()).unwrap();
    }
    let now = NOW + 60 * SECOND;
    let mut refresh = |session: &Session, token: &str| session.refresh(rng, token, policy, now).map(drop);
    for (n, token) in used.iter().rev().enumerate() {
        // So many are remembered; older ones are merely unknown.
        let expected = if n < 32 { RefreshError::Reused } else { RefreshError::Unknown };
        assert_eq!(refresh(&session, token.expose_secret()), Err(expected), "{n} ago");
    }
    let (other, stranger) = Session::begin(&mut rand::rng(), "mallory", Purpose::All, NOW);
    for bad in [
        "",
        "err_",
        stranger.expose_secret(),
        &current.expose_secret()[1..],
        &format!("{}x", current.expose_secret()),
    ] {
        assert_eq!(refresh(&session, bad), Err(RefreshError::Unknown));
    }
    let swapped = current.expose_secret().replace(&session.id, &other.id);
    assert_eq!(refresh(&other, &swapped), Err(RefreshError::Unknown));

    let revoked = session.revoked(now);
    assert_eq!(refresh(&revoked, current.expose_secret()), Err(RefreshError::Revoked));
    assert_eq!(
        refresh(&revoked, stranger.expose_secret()),
        Err(RefreshError::Unknown),
        "only its holder learns that"
    );
    assert_eq!(revoked.revoked(now + 1), revoked);
    assert_eq!(refresh(&session, current.expose_secret()), Ok(()));
}

#[test]
fn sessions_end() {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let policy = RefreshPolicy { idle: minutes(10), whole: minutes(25) };
    let at = |minute: i64| NOW + minute * 60 * SECOND;
    let rng = &mut rand::rng();
    let (session, token) = Session::begin(rng, "alice", Purpose::All, NOW);
    let mut go = |session: &Session, token: &SecretString, now| {
        session.refresh(rng, token.expose_secret(), policy, now)
    };
    assert_eq!(go(&session, &token, at(10)).map(drop), Err(RefreshError::Expired));
    let (session, token) = go(&session, &token, at(9)).unwrap();
    let (session, token) = go(&session, &token, at(18)).unwrap();
    assert_eq!(session.expires_at(policy), at(25), "whatever its use");
    assert_eq!(go(&session, &token, at(25)).map(drop), Err(RefreshError::Expired));
    assert!(go(&session, &token, at(25) - 1).is_ok());
}
