//! Tokens that are refused, and why, against a server of keys. Each is a good token but for what its line says.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity::TokenError::{self, *};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::{
    NOW_S,
    keys::{EC, ED, RSA, SHORT, STRANGER, encoded, header, signed, signed_text, with},
    oidc::{ISSUER, claims, good, options, verifier},
    server::KeyServer,
};

type Case = (String, String, TokenError);

const RS256: Algorithm = Algorithm::RS256;

fn case(name: &str, token: impl Into<String>, expected: TokenError) -> Case {
    (name.to_owned(), token.into(), expected)
}

/// A good token with members of its header changed, signed by our RSA key as RS256.
fn with_header(members: &[(&str, Value)]) -> String {
    signed(&with(header(), members), &claims(), &RSA.signing, RS256)
}

fn with_claims(members: &[(&str, Value)]) -> String {
    signed(&header(), &with(claims(), members), &RSA.signing, RS256)
}

fn with_text(header_text: &str, claims_text: &str) -> String {
    signed_text(header_text, claims_text, &RSA.signing, RS256)
}

fn unsigned(header: &Value, signature: &str) -> String {
    format!("{}.{}.{signature}", encoded(header), encoded(&claims()))
}

fn forms() -> Vec<Case> {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let long = |length: usize| with_claims(&[("padding", json!("x".repeat(length)))]);
    vec![
        case("nothing", "", Form),
        case("a word", "token", Form),
        case("dots", "..", Json("header")),
        case("a header alone", parts[0], Form),
        case("no signature part", format!("{}.{}", parts[0], parts[1]), Form),
        case("four parts", format!("{good}.{}", parts[2]), Form),
        case("five parts, as of an encrypted one", "a.b.c.d.e", Form),
        case("cut within the claims", &good[..parts[0].len() + 20], Form),
        case("cut within the signature", &good[..good.len() - 2], Signature),
        case("padded", format!("{good}=="), Form),
        case("the other alphabet of base64", format!("{}.{}.+/+/", parts[0], parts[1]), Form),
        case("a blank before it", format!(" {good}"), Form),
        case("a line end after it", format!("{good}\n"), Form),
        case("not ASCII", format!("{good}é"), Form),
        case("longer than is looked at", long(6_000), TooLong),
        case("very long", long(1_000_000), TooLong),
        case("long nonsense", "x".repeat(1 << 20), TooLong),
    ]
}

fn headers() -> Vec<Case> {
    let good = claims().to_string();
    vec![
        case("a header that is no JSON", with_text("{", &good), Json("header")),
        case("a header that is a list", with_text("[]", &good), Json("header")),
        case(
            "two algorithms",
            with_text(r#"{"alg":"RS256","alg":"none","kid":"rsa"}"#, &good),
            Json("header"),
        ),
        case("two keys", with_text(r#"{"alg":"RS256","kid":"x","kid":"rsa"}"#, &good), Json("header")),
        case("no algorithm", with_header(&[("alg", Value::Null)]), Algorithm),
        case("an algorithm that is a number", with_header(&[("alg", json!(256))]), Header("alg")),
        case("an algorithm nobody knows", with_header(&[("alg", json!("RS257"))]), Algorithm),
        case("an algorithm in lower case", with_header(&[("alg", json!("rs256"))]), Algorithm),
        case("no key id", with_header(&[("kid", Value::Null)]), NoKeyId),
        case("an unknown key id", with_header(&[("kid", json!("rsa2"))]), UnknownKey),
        case("an empty key id", with_header(&[("kid", json!(""))]), UnknownKey),
        case("a key id that is a path", with_header(&[("kid", json!("../../dev/null"))]), UnknownKey),
        case("a key id that is a query", with_header(&[("kid", json!("x' OR '1'='1"))]), UnknownKey),
        case("a key id that is a number", with_header(&[("kid", json!(1))]), Header("kid")),
        case("a long key id", with_header(&[("kid", json!("k".repeat(257)))]), Header("kid")),
        case("a type that is a list", with_header(&[("typ", json!(["JWT"]))]), Header("typ")),
        case("a critical extension", with_header(&[("crit", json!(["exp"]))]), Header("crit")),
        case("an empty list of critical extensions", with_header(&[("crit", json!([]))]), Header("crit")),
    ]
}

fn unsigned_ones() -> Vec<Case> {
    let good = good();
    let signature = good.rsplit_once('.').unwrap().1;
    let none = json!({"alg": "none", "kid": "rsa"});
    let mut cases = vec![case("none, with a signature", unsigned(&none, signature), Algorithm)];
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": name, "kid": "rsa"});
        cases.push(case(&format!("algorithm {name:?}"), unsigned(&header, ""), Algorithm));
    }
    cases
}

/// What a public key must not be taken for.
fn confusions() -> Vec<Case> {
    let hmac = |secret: &[u8], kid: &str| {
        let header = json!({"alg": "HS256", "kid": kid});
        signed(&header, &claims(), &EncodingKey::from_secret(secret), Algorithm::HS256)
    };
    let modulus = RSA.jwk["n"].as_str().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(modulus).unwrap();
    let rs512 = with(header(), &[("alg", json!("RS512"))]);
    let es256 = json!({"alg": "ES256", "kid": "rsa"});
    let short = with(header(), &[("kid", json!("short"))]);
    let cut = json!({"alg": "EdDSA", "kid": "cut"});
    let of = |header: &Value, key: &EncodingKey, algorithm| signed(header, &claims(), key, algorithm);
    vec![
        case("HMAC by the public key's JSON", hmac(RSA.jwk.to_string().as_bytes(), "rsa"), Algorithm),
        case("HMAC by the public key's modulus", hmac(&bytes, "rsa"), Algorithm),
        case("HMAC by the modulus' text", hmac(modulus.as_bytes(), "rsa"), Algorithm),
        case("HMAC by nothing", hmac(b"", "rsa"), Algorithm),
        case("HMAC by a secret that is published", hmac(b"published", "oct"), Algorithm),
        case("a way the issuer may not sign", of(&rs512, &RSA.signing, Algorithm::RS512), Algorithm),
        case("an elliptic signature, an RSA key", of(&es256, &EC.signing, Algorithm::ES256), Algorithm),
        case("RSA with an elliptic key", with_header(&[("kid", json!("ec"))]), Algorithm),
        case("a key that is for another algorithm", with_header(&[("kid", json!("only-384"))]), Algorithm),
        case("a key to encrypt", with_header(&[("kid", json!("enc"))]), UnknownKey),
        case("a key that may not verify", with_header(&[("kid", json!("wrap"))]), UnknownKey),
        case("a key that is too short", of(&short, &SHORT.signing, RS256), UnknownKey),
        case("a key that is cut off", of(&cut, &ED.signing, Algorithm::EdDSA), UnknownKey),
    ]
}

fn signatures() -> Vec<Case> {
    let good = good();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = with_claims(&[("sub", json!("mallory"))]);
    let others = other.rsplit_once('.').unwrap().1;
    let tampered = encoded(&with(claims(), &[("roles", json!(["superuser"]))]));
    let retyped = encoded(&with(header(), &[("typ", json!("x"))]));
    let ec = json!({"alg": "ES256", "kid": "ec"});
    let ed = json!({"alg": "EdDSA", "kid": "ed"});
    let zeros = |count: usize| URL_SAFE_NO_PAD.encode(vec![0; count]);
    let by_stranger =
        |members: &[(&str, Value)]| signed(&with(header(), members), &claims(), &STRANGER.signing, RS256);
    let (jwk, jku) = (STRANGER.jwk.clone(), json!("http://127.0.0.1:1/keys"));
    vec![
        case("somebody else's key", by_stranger(&[]), Signature),
        case("somebody else's key, in the token", by_stranger(&[("jwk", jwk)]), Signature),
        case("somebody else's key, at an address", by_stranger(&[("jku", jku)]), Signature),
        case("somebody else's key, certified", by_stranger(&[("x5c", json!(["MIIB"]))]), Signature),
        case("other claims", format!("{}.{tampered}.{signature}", encoded(&header())), Signature),
        case("another header", format!("{retyped}.{}.{signature}", encoded(&claims())), Signature),
        case("another token's signature", format!("{message}.{others}"), Signature),
        case("an empty signature", format!("{message}."), Signature),
        case("a signature of zeros", format!("{message}.{}", zeros(256)), Signature),
        case("an elliptic signature of zeros", unsigned(&ec, &zeros(64)), Signature),
        case("an elliptic signature that is too long", unsigned(&ec, &zeros(72)), Signature),
        case("an Edwards signature of zeros", unsigned(&ed, &zeros(64)), Signature),
    ]
}

fn payloads() -> Vec<Case> {
    let header = header().to_string();
    let claims = claims().to_string();
    let twice = |member: &str| claims.replacen('{', &format!("{{{member},"), 1);
    vec![
        case("claims that are no JSON", with_text(&header, "alice"), Json("payload")),
        case("claims that are a text", with_text(&header, "\"alice\""), Json("payload")),
        case("claims that are a list", with_text(&header, "[]"), Json("payload")),
        case("no claims", with_text(&header, ""), Json("payload")),
        case("claims and more", with_text(&header, &format!("{claims}{{}}")), Json("payload")),
        case("two subjects", with_text(&header, &twice(r#""sub":"root""#)), Json("payload")),
        case(
            "two subjects, one disguised",
            with_text(&header, &twice(r#""\u0073ub":"root""#)),
            Json("payload"),
        ),
        case("two ends", with_text(&header, &twice(r#""exp":99999999999"#)), Json("payload")),
        case(
            "a name twice, deep inside",
            with_text(&header, &twice(r#""x":{"y":[{"a":1,"a":2}]}"#)),
            Json("payload"),
        ),
        case(
            "nested too deep",
            with_text(&header, &twice(&format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200)))),
            Json("payload"),
        ),
        case("no claim at all", with_text(&header, "{}"), Missing("iss")),
    ]
}

fn who() -> Vec<Case> {
    let one = |name: &'static str, value: Value| with_claims(&[(name, value)]);
    vec![
        case("no issuer", one("iss", Value::Null), Missing("iss")),
        case("an unknown issuer", one("iss", json!("https://evil.example")), Issuer),
        case("the issuer with a slash", one("iss", json!(format!("{ISSUER}/"))), Issuer),
        case("the issuer in capitals", one("iss", json!(ISSUER.to_uppercase())), Issuer),
        case("a list of issuers", one("iss", json!([ISSUER])), Claim("iss")),
        case("no audience", one("aud", Value::Null), Missing("aud")),
        case("another audience", one("aud", json!("somebody")), Audience),
        case("the audience in capitals", one("aud", json!("EventRunner")), Audience),
        case("part of the audience", one("aud", json!("eventrunner-")), Audience),
        case("audiences without ours", one("aud", json!(["a", "b"])), Audience),
        case("no audiences", one("aud", json!([])), Audience),
        case("an audience that is a number", one("aud", json!(1)), Claim("aud")),
        case("our audience beside a number", one("aud", json!(["eventrunner", 1])), Claim("aud")),
        case("an audience that is an object", one("aud", json!({"eventrunner": true})), Claim("aud")),
        case("no subject", one("sub", Value::Null), Missing("sub")),
        case("an empty subject", one("sub", json!("")), Claim("sub")),
        case("a subject that is a number", one("sub", json!(7)), Claim("sub")),
        case("a long subject", one("sub", json!("x".repeat(256))), Claim("sub")),
        case("a subject with a line end", one("sub", json!("alice\nroot")), Claim("subject")),
        case("a mail address that is a list", one("email", json!(["a@b.example"])), Claim("email")),
        case("an empty mail address", one("email", json!("")), Claim("email")),
        case("a tenant that is a number", one("tenant_id", json!(1)), Claim("tenant")),
        case("a tenant that is a list", one("tenant_id", json!(["acme", "other"])), Claim("tenant")),
        case("roles that are a number", one("roles", json!(1)), Claim("roles")),
        case("roles that are an object", one("roles", json!({"admin": true})), Claim("roles")),
        case("a role that is a number", one("roles", json!(["admin", 1])), Claim("roles")),
        case("too many roles", one("roles", json!(vec!["r"; 101])), Claim("roles")),
        case("a role without a name", one("roles", json!([""])), Claim("roles")),
        case("a token id that is a number", one("jti", json!(1)), Claim("jti")),
    ]
}

fn times() -> Vec<Case> {
    let one = |name: &'static str, value: Value| with_claims(&[(name, value)]);
    vec![
        case("no end", one("exp", Value::Null), Missing("exp")),
        case("ended long ago", one("exp", json!(NOW_S - 3600)), Expired),
        case("ended as long ago as clocks may differ", one("exp", json!(NOW_S - 30)), Expired),
        case("an end of zero", one("exp", json!(0)), Expired),
        case("an end before 1970", one("exp", json!(-1)), Claim("exp")),
        case("an end that is a text", one("exp", json!((NOW_S + 300).to_string())), Claim("exp")),
        case("an end that is true", one("exp", json!(true)), Claim("exp")),
        case("an end in milliseconds", one("exp", json!((NOW_S + 300) * 1000)), Claim("exp")),
        case("an end beyond all times", one("exp", json!(1e300)), Claim("exp")),
        case("not valid yet", one("nbf", json!(NOW_S + 31)), NotYet),
        case("a beginning that is a text", one("nbf", json!("now")), Claim("nbf")),
        case("issued in the future", one("iat", json!(NOW_S + 31)), NotYet),
        case("an issue that is an object", one("iat", json!({})), Claim("iat")),
    ]
}

#[tokio::test]
async fn refused_tokens() {
    let keys = [
        RSA.jwk.clone(),
        EC.jwk.clone(),
        ED.jwk.clone(),
        SHORT.jwk.clone(),
        RSA.jwk_with(&[("kid", json!("enc")), ("use", json!("enc"))]),
        RSA.jwk_with(&[("kid", json!("wrap")), ("use", Value::Null), ("key_ops", json!(["wrapKey"]))]),
        RSA.jwk_with(&[("kid", json!("only-384")), ("alg", json!("RS384"))]),
        ED.jwk_with(&[("kid", json!("cut")), ("x", json!("AAAA"))]),
        json!({"kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode("published")}),
        json!({"kty": "future", "kid": "future"}),
        json!("no key at all"),
    ];
    let server = KeyServer::start(&keys).await;
    let (verifier, _) = verifier(vec![options(&server)]);
    assert!(verifier.verify(&good()).await.is_ok(), "but for what a line says, tokens are good");

    let cases: Vec<Case> =
        [forms(), headers(), unsigned_ones(), confusions(), signatures(), payloads(), who(), times()]
            .into_iter()
            .flatten()
            .collect();
    assert!(cases.len() >= 100, "{}", cases.len());
    let names: BTreeSet<&String> = cases.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), cases.len());
    let mut wrong = Vec::new();
    for (name, token, expected) in &cases {
        let found = verifier.verify(token).await;
        if found.as_ref().err() != Some(expected) {
            wrong.push(format!("{name}: {found:?}, not {expected:?}"));
        }
        // What the operator reads holds nothing of what the caller sent.
        if let Err(error) = found {
            let text = format!("{error} {error:?}");
            assert!(token.len() < 10 || !text.contains(token.as_str()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(verifier.verify(&good()).await.is_ok(), "and nothing of it stays");
    assert_eq!(server.requests().len(), 1, "unknown keys made nobody knock in that moment");
}
