//! Our token endpoint's requests and answers.

use axum::http::{HeaderMap, HeaderName, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use identity::oauth::{OauthError, TokenAnswer, read_token_request};
use secrecy::ExposeSecret as _;
use serde_json::json;

const FORM: &str = "application/x-www-form-urlencoded";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

#[test]
fn clients_are_read_from_the_form_or_from_basic() {
    let plain = [("content-type", FORM)];
    let given =
        |credentials: &str| [("content-type", FORM.to_owned()), ("authorization", basic(credentials))];
    let read = |pairs: &[(&str, &str)], body: &str| {
        let request = read_token_request(&headers(pairs), body.as_bytes()).unwrap();
        let secret = request.client_secret.expose_secret().to_owned();
        (request.client_id, secret, request.scope, request.by_basic)
    };
    let as_strs = |pairs: &[(&'static str, String); 2]| pairs.clone().map(|(name, value)| (name, value));
    let by_basic = |credentials: &str, body: &str| {
        let pairs = as_strs(&given(credentials));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        read(&pairs, body)
    };
    let expect = |id: &str, secret: &str, scope: Option<&str>, by_basic: bool| {
        (id.to_owned(), secret.to_owned(), scope.map(str::to_owned), by_basic)
    };
    let body = "grant_type=client_credentials&client_id=c&client_secret=s";
    assert_eq!(read(&plain, body), expect("c", "s", None, false));
    assert_eq!(read(&plain, &format!("{body}&scope=a+b%20c")), expect("c", "s", Some("a b c"), false));
    assert_eq!(read(&plain, &format!("{body}&unknown=1&unknown=2&scope=")), expect("c", "s", None, false));
    let with_charset = [("content-type", "application/X-WWW-form-urlencoded; charset=utf-8")];
    assert_eq!(read(&with_charset, body), expect("c", "s", None, false));
    let grant = "grant_type=client_credentials";
    assert_eq!(by_basic("c:s", grant), expect("c", "s", None, true));
    assert_eq!(by_basic("c:s", &format!("{grant}&client_id=c&client_secret=")), expect("c", "s", None, true));
    assert_eq!(by_basic("c:s:t", grant), expect("c", "s:t", None, true));
    assert_eq!(by_basic("c%3A1:s%2B+%C3%A9", grant), expect("c:1", "s+ é", None, true));
}

fn refuses(name: &str, pairs: &[(&str, &str)], body: &[u8], code: &str, by_basic: bool) {
    let error = read_token_request(&headers(pairs), body).unwrap_err();
    assert_eq!(error.code(), code, "{name}: {error}");
    assert_eq!(error.challenge().is_some(), by_basic, "{name}: {error}");
    let client = code == "invalid_client";
    let status = if client { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    assert_eq!(error.status(), status, "{name}");
    let answer = error.body();
    assert_eq!(answer["error"], code);
    // Only these characters may stand in a description (RFC 6749, section 5.2).
    let text = answer["error_description"].as_str().unwrap();
    assert!(text.chars().all(|c| (' '..='~').contains(&c) && !matches!(c, '"' | '\\')), "{text}");
}

const REQUEST: &str = "invalid_request";
const CLIENT: &str = "invalid_client";
const GRANT: &str = "unsupported_grant_type";

#[test]
fn a_table_of_refused_forms() {
    let cases: &[(&str, &[u8], &str)] = &[
        ("not UTF-8", b"grant_type=\xff", REQUEST),
        ("not UTF-8, encoded", b"grant_type=%ff", REQUEST),
        ("a bad escape", b"grant_type=%2", REQUEST),
        ("nothing", b"", REQUEST),
        ("no grant", b"client_id=c&client_secret=s", REQUEST),
        ("an empty grant", b"grant_type=&client_id=c&client_secret=s", REQUEST),
        ("a grant twice", b"grant_type=client_credentials&grant_type=password", REQUEST),
        ("a secret twice", b"grant_type=client_credentials&client_secret=a&client_secret=b", REQUEST),
        ("a secret alone", b"grant_type=client_credentials&client_secret=s", REQUEST),
        ("password", b"grant_type=password&username=a&password=b", GRANT),
        ("a grant in capitals", b"grant_type=CLIENT_CREDENTIALS", GRANT),
        ("no client", b"grant_type=client_credentials", CLIENT),
        ("an id alone", b"grant_type=client_credentials&client_id=c", CLIENT),
    ];
    for (name, body, code) in cases {
        refuses(name, &[("content-type", FORM)], body, code, false);
    }
    let body = b"grant_type=client_credentials&client_id=c&client_secret=s";
    let large = [body.as_slice(), b"&scope=", &[b'x'; 5_000]].concat();
    refuses("too large", &[("content-type", FORM)], &large, REQUEST, false);
    refuses("no type", &[], body, REQUEST, false);
    refuses("JSON", &[("content-type", "application/json")], body, REQUEST, false);
    refuses("two types", &[("content-type", FORM), ("content-type", FORM)], body, REQUEST, false);
}

#[test]
fn a_table_of_refused_clients() {
    let grant = b"grant_type=client_credentials".as_slice();
    let latin = format!("Basic {}", STANDARD.encode(b"c:\xff"));
    let cases = [
        ("a bearer", "Bearer x".to_owned()),
        ("no scheme", "Basic".to_owned()),
        ("not base64", "Basic !!".to_owned()),
        ("not UTF-8", latin),
        ("no colon", basic("c")),
        ("no id", basic(":s")),
        ("no secret", basic("c:")),
        ("a bad escape", basic("c%zz:s")),
    ];
    for (name, value) in cases {
        refuses(name, &[("content-type", FORM), ("authorization", &value)], grant, CLIENT, true);
    }
    let good = basic("c:s");
    let by_basic = [("content-type", FORM), ("authorization", good.as_str())];
    let both = b"grant_type=client_credentials&client_id=c&client_secret=s";
    refuses("both ways", &by_basic, both, REQUEST, false);
    refuses("two ids", &by_basic, b"grant_type=client_credentials&client_id=d", REQUEST, false);
    let twice = [by_basic[0], by_basic[1], by_basic[1]];
    refuses("two headers", &twice, grant, REQUEST, false);
    let codes = [OauthError::UnauthorizedClient, OauthError::InvalidScope].map(|error| error.code());
    assert_eq!(codes, ["unauthorized_client", "invalid_scope"]);
}

#[test]
fn the_answer_has_the_shape_of_the_standard() {
    let lifetime = std::time::Duration::from_secs(600);
    let answer = TokenAnswer { access_token: "t".into(), lifetime, scope: None };
    assert_eq!(answer.body(), json!({"access_token": "t", "token_type": "Bearer", "expires_in": 600}));
    let scoped = TokenAnswer { scope: Some("read".into()), ..answer };
    assert_eq!(scoped.body()["scope"], "read");
    assert_eq!(
        identity::oauth::NO_STORE.map(|(name, value)| format!("{name}: {value}")),
        ["cache-control: no-store", "pragma: no-cache"]
    );
}
