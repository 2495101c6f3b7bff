//! An API key in a request.

use http::{HeaderMap, header::AUTHORIZATION};

use crate::AuthError;

const API_KEY: &str = "x-api-key";

/// The API key a request carries: `Authorization: Bearer <key>` (RFC 6750, section 2.1) or `X-API-Key:
/// <key>`. Nothing when it carries neither.
///
/// # Errors
/// If a header is there and holds no key, or if two different keys are given.
pub fn credentials(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let bearers = headers.get_all(AUTHORIZATION).iter().map(|value| {
        let value = readable("Authorization", value)?;
        let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            present("Authorization", key)
        } else {
            Err(AuthError::MalformedHeader {
                header: "Authorization",
                problem: "must be of the scheme Bearer",
            })
        }
    });
    let keys =
        headers.get_all(API_KEY).iter().map(|value| present("X-API-Key", readable("X-API-Key", value)?));
    let mut found = None;
    for key in bearers.chain(keys) {
        let key = key?;
        if found.replace(key).is_some_and(|earlier| earlier != key) {
            return Err(AuthError::Conflicting);
        }
    }
    Ok(found)
}

fn readable<'h>(header: &'static str, value: &'h http::HeaderValue) -> Result<&'h str, AuthError> {
    value.to_str().map_err(|_| AuthError::MalformedHeader { header, problem: "must be visible ASCII" })
}

fn present<'h>(header: &'static str, key: &'h str) -> Result<&'h str, AuthError> {
    let key = key.trim();
    if key.is_empty() {
        return Err(AuthError::MalformedHeader { header, problem: "holds no key" });
    }
    if key.contains([' ', ',']) {
        return Err(AuthError::MalformedHeader { header, problem: "must hold one key and nothing else" });
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use model::ErrorCode;

    use super::*;

    type Case = (&'static [(&'static str, &'static [u8])], Result<Option<&'static str>, ErrorCode>);

    #[test]
    fn one_key_or_none() {
        let cases: &[Case] = &[
            (&[], Ok(None)),
            (&[("authorization", b"Bearer k")], Ok(Some("k"))),
            (&[("authorization", b"bEARER  k ")], Ok(Some("k"))),
            (&[("x-api-key", b"k")], Ok(Some("k"))),
            (&[("x-api-key", b"k"), ("authorization", b"Bearer k")], Ok(Some("k"))),
            (&[("x-api-key", b"k"), ("x-api-key", b"k")], Ok(Some("k"))),
            (&[("x-api-key", b"k"), ("authorization", b"Bearer j")], Err(ErrorCode::Malformed)),
            (&[("x-api-key", b"k"), ("x-api-key", b"j")], Err(ErrorCode::Malformed)),
            (&[("authorization", b"Bearer k"), ("authorization", b"Bearer j")], Err(ErrorCode::Malformed)),
            (&[("authorization", b"Basic dTpw")], Err(ErrorCode::Unauthenticated)),
            (&[("authorization", b"Basic dTpw"), ("x-api-key", b"k")], Err(ErrorCode::Unauthenticated)),
            (&[("authorization", b"Bearer")], Err(ErrorCode::Unauthenticated)),
            (&[("authorization", b"Bearer ")], Err(ErrorCode::Unauthenticated)),
            (&[("authorization", b"Bearer a b")], Err(ErrorCode::Unauthenticated)),
            (&[("authorization", b"Bearer a,b")], Err(ErrorCode::Unauthenticated)),
            (&[("authorization", b"")], Err(ErrorCode::Unauthenticated)),
            (&[("x-api-key", b"")], Err(ErrorCode::Unauthenticated)),
            (&[("x-api-key", b"\xff")], Err(ErrorCode::Unauthenticated)),
        ];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *given {
                headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
            }
            assert_eq!(credentials(&headers).map_err(|e| e.code()), *expected, "{given:?}");
        }
    }
}
