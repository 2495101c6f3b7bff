//! The signature headers of every provider: nothing panics, and nothing is believed that was not signed.
//! The input is header lines, an empty line, and the body.
#![no_main]

use auth::signature::verify;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use model::resource::Verification;

const NOW_US: i64 = 1_700_000_000_000_000;

fuzz_target!(|input: &[u8]| {
    let split = input.windows(2).position(|w| w == b"\n\n");
    let (head, body) = split.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|b| *b == b'\n').take(64) {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), "a secret nobody knows: 3f0c9a".into()];
    for scheme in [
        serde_json::json!({"type": "github"}),
        serde_json::json!({"type": "stripe"}),
        serde_json::json!({"type": "slack"}),
        serde_json::json!({"type": "shopify"}),
        serde_json::json!({"type": "standard-webhooks"}),
        serde_json::json!({"type": "hmac", "header": "x-signature", "algorithm": "sha512", "encoding": "base64"}),
    ] {
        let verification = serde_json::json!({"scheme": scheme, "sealed_secrets": []});
        let verification: Verification = serde_json::from_value(verification).expect("a scheme");
        assert!(verify(&verification, &secrets, &headers, body, NOW_US).is_err(), "forged: {scheme}");
    }
});
