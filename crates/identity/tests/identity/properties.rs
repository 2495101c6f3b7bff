//! What holds of any input.

use axum::http::HeaderMap;
use identity::{AccessOptions, AccessTokens, Grant, Holder, Purpose, SigningKeys, TokenError, oauth};
use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use crate::NOW;

fn tokens() -> (AccessTokens, String) {
    let tokens = AccessTokens::new(AccessOptions::new("issuer", "audience"), SigningKeys::generate());
    let grant = Grant {
        subject: "alice".into(),
        holder: Holder::Client,
        purpose: Purpose::All,
        tenant: None,
        scopes: vec![],
    };
    let token = tokens.issue(&mut rand::rng(), grant, NOW).0.expose_secret().to_owned();
    (tokens, token)
}

/// Every character of a token, changed to others that may stand there.
#[test]
fn a_token_that_is_changed_anywhere_is_refused() {
    let (tokens, token) = tokens();
    for at in 0..token.len() {
        for other in ["A", "w", "_", "."] {
            let changed = [&token[..at], other, &token[at + 1..]].concat();
            assert!(changed == token || tokens.verify(&changed, NOW).is_err(), "{changed}");
        }
        assert!(tokens.verify(&token[..at], NOW).is_err());
    }
    assert!(tokens.verify(&token, NOW).is_ok());
}

proptest! {
    #[test]
    fn no_text_is_a_token(text in "[ -~]{0,200}", dotted in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        let (tokens, _) = tokens();
        for text in [text, dotted] {
            prop_assert!(matches!(
                tokens.verify(&text, NOW),
                Err(TokenError::Form | TokenError::Json(_) | TokenError::Algorithm)
            ));
        }
    }

    #[test]
    fn any_request_for_a_token_is_answered(
        form in prop::collection::vec(any::<u8>(), 0..100),
        pairs in "((grant_type|client_id|client_secret|scope)=[a-z%+0-9_]{0,20}&){0,6}",
        authorization in prop::option::of("[ -~]{0,60}"),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        if let Some(value) = authorization {
            headers.insert("authorization", value.parse().unwrap());
        }
        for body in [form, pairs.into_bytes()] {
            if let Ok(request) = oauth::read_token_request(&headers, &body) {
                prop_assert!(!request.client_id.is_empty() && !request.client_secret.expose_secret().is_empty());
            }
        }
    }
}
