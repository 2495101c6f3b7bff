//! Provider signatures: the vectors the providers publish, and every way a request can be wrong.
#![expect(clippy::expect_used, reason = "test")]

use auth::signature::{SignatureError, TOLERANCE_SECONDS, verify};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::resource::Verification;
use secrecy::SecretString;
use serde_json::{Value, json};

/// A request that its provider signed.
#[derive(Clone)]
struct Request {
    scheme: Value,
    secret: &'static str,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
    now_s: i64,
}

impl Request {
    fn new(
        scheme: Value,
        secret: &'static str,
        headers: &[(&'static str, &str)],
        body: &'static str,
        now_s: i64,
    ) -> Self {
        let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        Self { scheme, secret, headers, body, now_s }
    }

    fn verify_with(&self, secrets: &[&str]) -> Result<(), SignatureError> {
        self.verify_within(secrets, None)
    }

    fn verify_within(&self, secrets: &[&str], tolerance: Option<u32>) -> Result<(), SignatureError> {
        let verification =
            json!({"scheme": self.scheme, "sealed_secrets": [], "tolerance_seconds": tolerance});
        let verification: Verification = serde_json::from_value(verification).expect("a verification");
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            headers.append(HeaderName::from_static(name), value);
        }
        let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from(*s)).collect();
        verify(&verification, &secrets, &headers, self.body.as_bytes(), self.now_s * 1_000_000 + 999_999)
    }

    fn verify(&self) -> Result<(), SignatureError> {
        self.verify_with(&[self.secret])
    }

    /// The same with another value of a header; `None` leaves it out.
    fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut other = self.clone();
        match value {
            Some(value) => {
                let same = other.headers.iter_mut().filter(|(n, _)| *n == name);
                same.for_each(|(_, v)| value.clone_into(v));
            }
            None => other.headers.retain(|(n, _)| *n != name),
        }
        other
    }
}

/// docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
fn github() -> Request {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [("x-hub-signature-256", signature)];
    Request::new(json!({"type": "github"}), "It's a Secret to Everybody", &headers, "Hello, World!", 0)
}

/// docs.slack.dev, "Verifying requests from Slack".
fn slack() -> Request {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let headers = [
        ("x-slack-signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        ("x-slack-request-timestamp", "1531420618"),
    ];
    Request::new(json!({"type": "slack"}), "8f742231b10e8888abcd99yyyzzz85a5", &headers, body, 1_531_420_618)
}

/// The vector of the Standard Webhooks reference libraries.
fn standard_webhooks() -> Request {
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    Request::new(
        json!({"type": "standard-webhooks"}),
        secret,
        &headers,
        r#"{"test": 2432232314}"#,
        1_614_265_330,
    )
}

/// Stripe publishes no vector with its secret; computed with Python's `hmac`.
fn stripe() -> Request {
    let signature = "t=1492774577,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39";
    let body = r#"{"id":"evt_1","object":"event"}"#;
    Request::new(
        json!({"type": "stripe"}),
        "whsec_test_secret",
        &[("stripe-signature", signature)],
        body,
        1_492_774_577,
    )
}

/// Shopify publishes none either; computed with Python's `hmac`.
fn shopify() -> Request {
    let headers = [("x-shopify-hmac-sha256", "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY=")];
    Request::new(json!({"type": "shopify"}), "hush", &headers, r#"{"id":1}"#, 0)
}

/// RFC 4231, test case 2.
fn hmac(algorithm: &str, encoding: &str, prefix: &str, signature: &str) -> Request {
    let scheme = json!({"type": "hmac", "header": "x-sign", "algorithm": algorithm, "encoding": encoding, "prefix": prefix});
    Request::new(scheme, "Jefe", &[("x-sign", signature)], "what do ya want for nothing?", 0)
}

const RFC_4231_HEX: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

fn token() -> Request {
    Request::new(
        json!({"type": "token", "header": "x-gitlab-token"}),
        "gl-secret",
        &[("x-gitlab-token", "gl-secret")],
        "{}",
        0,
    )
}

fn all() -> Vec<Request> {
    vec![
        github(),
        slack(),
        standard_webhooks(),
        stripe(),
        shopify(),
        hmac("sha256", "hex", "", RFC_4231_HEX),
        hmac("sha256", "hex", "sha256=", &format!("sha256={}", RFC_4231_HEX.to_uppercase())),
        hmac("sha256", "base64", "v1,", "v1,W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"),
        hmac(
            "sha512",
            "hex",
            "",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        token(),
    ]
}

fn malformed(result: &Result<(), SignatureError>) -> bool {
    matches!(result, Err(SignatureError::Malformed { .. }))
}

#[test]
fn every_vector_verifies_and_no_other_secret_or_body_does() {
    for request in all() {
        let name = request.scheme.to_string();
        assert_eq!(request.verify(), Ok(()), "{name}");
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(request.verify_with(&[other]), Err(SignatureError::Mismatch), "{name}");
        // Rotation: any one may match, wherever it stands.
        assert_eq!(request.verify_with(&[other, request.secret]), Ok(()), "{name}");
        assert_eq!(request.verify_with(&[request.secret, other]), Ok(()), "{name}");
        if request.scheme["type"] != "token" {
            let tampered = Request { body: "tampered", ..request.clone() };
            assert_eq!(tampered.verify(), Err(SignatureError::Mismatch), "{name}");
            let emptied = Request { body: "", ..request.clone() };
            assert_eq!(emptied.verify(), Err(SignatureError::Mismatch), "{name}");
        }
    }
}

#[test]
fn without_a_usable_secret_nothing_verifies() {
    for request in all() {
        let name = request.scheme.to_string();
        assert_eq!(request.verify_with(&[]), Err(SignatureError::NoSecret), "{name}");
        assert_eq!(request.verify_with(&["", ""]), Err(SignatureError::NoSecret), "{name}");
    }
    for secret in ["whsec_", "whsec_not base64!", "whsec_*"] {
        assert_eq!(standard_webhooks().verify_with(&[secret]), Err(SignatureError::NoSecret), "{secret}");
    }
    // One that cannot be read does not hide one that can.
    let secrets = ["whsec_*", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];
    assert_eq!(standard_webhooks().verify_with(&secrets), Ok(()));
}

#[test]
fn every_header_of_a_scheme_is_needed_readable_and_short() {
    for request in all() {
        for (name, _) in request.headers.clone() {
            let case = format!("{} without {name}", request.scheme);
            assert_eq!(
                request.with(name, None).verify(),
                Err(SignatureError::Missing(name.to_owned())),
                "{case}"
            );
            assert!(malformed(&request.with(name, Some("é")).verify()), "{case}");
            assert!(malformed(&request.with(name, Some("")).verify()), "{case}");
            assert!(malformed(&request.with(name, Some(&"1".repeat(5_000))).verify()), "{case}");
        }
    }
}

#[test]
fn several_signatures_may_stand_in_a_request() {
    let wrong_hex = "00".repeat(32);
    let wrong_base64 = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    let standard = standard_webhooks();
    let right = &standard.headers[2].1;
    let lists = [
        format!("v1,{wrong_base64} v2,{wrong_base64} {right} v1,{wrong_base64}"),
        format!("v1a,{wrong_base64} {right}"),
        format!("{right}  "),
    ];
    for list in &lists {
        assert_eq!(standard.with("webhook-signature", Some(list)).verify(), Ok(()), "{list}");
    }
    let stripe = stripe();
    let right = stripe.headers[0].1.replace("t=1492774577,", "");
    for list in [
        format!("t=1492774577,v1={wrong_hex},{right}"),
        format!("{right},t=1492774577"),
        format!("t=1492774577, v1={wrong_hex}, {right}, x"),
    ] {
        assert_eq!(stripe.with("stripe-signature", Some(&list)).verify(), Ok(()), "{list}");
    }
    let generic = hmac("sha256", "hex", "", &format!("{wrong_hex}, {RFC_4231_HEX}"));
    assert_eq!(generic.verify(), Ok(()));
    let mut twice = github();
    twice.headers.insert(0, ("x-hub-signature-256", format!("sha256={wrong_hex}")));
    assert_eq!(twice.verify(), Ok(()));
    // Only so many are tried.
    let many = format!("{}{RFC_4231_HEX}", format!("{wrong_hex},").repeat(16));
    assert_eq!(hmac("sha256", "hex", "", &many).verify(), Err(SignatureError::Mismatch));
}

#[test]
fn signatures_of_another_form_are_none() {
    let cases = [
        github().with(
            "x-hub-signature-256",
            Some("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        ),
        github().with("x-hub-signature-256", Some("sha1=757107ea")),
        github().with("x-hub-signature-256", Some("sha256=")),
        github().with("x-hub-signature-256", Some("sha256=xyz")),
        slack().with("x-slack-signature", Some("v1=a2114d57")),
        shopify().with("x-shopify-hmac-sha256", Some("!")),
        stripe().with("stripe-signature", Some("t=1492774577,v0=00")),
        stripe().with("stripe-signature", Some("v1=00")),
        stripe().with("stripe-signature", Some("t=1492774577,t=1492774577,v1=00")),
        stripe().with("stripe-signature", Some("t=,v1=00")),
        stripe().with("stripe-signature", Some("t=-1,v1=00")),
        stripe().with("stripe-signature", Some("t=99999999999999999999,v1=00")),
        standard_webhooks().with("webhook-signature", Some("v1a,AAAA")),
        standard_webhooks().with("webhook-signature", Some("v1,")),
        standard_webhooks().with("webhook-timestamp", Some("hello")),
        standard_webhooks().with("webhook-timestamp", Some("+1614265330")),
        slack().with("x-slack-request-timestamp", Some("1531420618.5")),
    ];
    for request in cases {
        let result = request.verify();
        assert!(malformed(&result), "{:?}: {result:?}", request.headers);
    }
    // A truncated signature is a signature, and the wrong one.
    let short = github().with("x-hub-signature-256", Some("sha256=757107ea"));
    assert_eq!(short.verify(), Err(SignatureError::Mismatch));
}

#[test]
fn what_is_signed_must_not_be_ambiguous() {
    let doubles = [
        (slack(), "x-slack-request-timestamp", "1531420618"),
        (standard_webhooks(), "webhook-id", "other"),
        (standard_webhooks(), "webhook-timestamp", "1614265330"),
        (token(), "x-gitlab-token", "other"),
    ];
    for (mut request, name, second) in doubles {
        request.headers.push((name, second.to_owned()));
        assert!(malformed(&request.verify()), "{name}");
    }
}

#[test]
fn signed_times_are_near_by_both_ways() {
    let tolerance = i64::from(TOLERANCE_SECONDS);
    for request in [slack(), stripe(), standard_webhooks()] {
        let at = |offset: i64| Request { now_s: request.now_s + offset, ..request.clone() };
        assert_eq!(at(tolerance).verify(), Ok(()));
        assert_eq!(at(-tolerance).verify(), Ok(()));
        let old = SignatureError::TooOld { age_seconds: 301, tolerance_seconds: 300 };
        assert_eq!(at(tolerance + 1).verify(), Err(old));
        let ahead = SignatureError::InFuture { ahead_seconds: 301, tolerance_seconds: 300 };
        assert_eq!(at(-tolerance - 1).verify(), Err(ahead));
        // The source's own tolerance.
        assert_eq!(at(3_600).verify_within(&[request.secret], Some(3_600)), Ok(()));
        assert!(at(2).verify_within(&[request.secret], Some(1)).is_err());
    }
    // A replay under a fresh time, or another id, is not what was signed.
    let fresh = slack().with("x-slack-request-timestamp", Some("1531420619"));
    assert_eq!(fresh.verify(), Err(SignatureError::Mismatch));
    let fresh = standard_webhooks().with("webhook-timestamp", Some("1614265331"));
    assert_eq!(fresh.verify(), Err(SignatureError::Mismatch));
    let other = standard_webhooks().with("webhook-id", Some("msg_other"));
    assert_eq!(other.verify(), Err(SignatureError::Mismatch));
    let fresh = stripe();
    let signature = fresh.headers[0].1.replace("1492774577", "1492774578");
    assert_eq!(fresh.with("stripe-signature", Some(&signature)).verify(), Err(SignatureError::Mismatch));
}

#[test]
fn svix_sends_the_same_under_its_own_names() {
    let mut request = standard_webhooks();
    for ((name, _), svix) in request.headers.iter_mut().zip(["svix-id", "svix-timestamp", "svix-signature"]) {
        *name = svix;
    }
    assert_eq!(request.verify(), Ok(()));
}

#[test]
fn refusals_hold_no_secret() {
    for request in all() {
        let wrong = Request { body: "tampered", ..request.clone() };
        for result in [wrong.verify(), request.verify_with(&[""]), request.verify_with(&["AAAA"])] {
            let shown =
                format!("{result:?} {}", result.clone().map_or_else(|e| e.to_string(), |()| String::new()));
            assert!(!shown.contains(request.secret), "{shown}");
        }
    }
}
