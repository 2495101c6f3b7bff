//! Sessions in a browser: cookies that no script reads, and a token that no other site knows.
//!
//! A cookie comes with whatever makes the browser send a request. So what changes something is only believed with the header
//! `X-CSRF-Token`, whose value another site's page can neither read nor guess: it follows from the session by a key of ours.
//! Without it the cookie is not looked at.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use catalog::Sealer;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, Method, header};
use identity::Holder;
use model::Micros;
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::Begun;
use crate::app::App;

/// The cookie of the access token. Its prefix has the browser insist that it is secure and of this host alone (RFC 6265bis, 4.1.3.2).
pub(crate) const ACCESS: &str = "__Host-eventrunner-access";
/// The cookie of the refresh token.
const REFRESH: &str = "__Host-eventrunner-refresh";
/// The header that says that the request is of one of our own pages.
const CSRF: &str = "x-csrf-token";
/// What keys are made for, beside sealing.
const PURPOSE: &str = "csrf tokens";

/// A request whose credentials came in a cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByCookie;

/// Makes and knows CSRF tokens.
#[derive(Debug)]
pub(crate) struct Csrf(Vec<SecretString>);

impl Csrf {
    pub(crate) fn new(sealer: &Sealer) -> Self {
        Self(sealer.derive(PURPOSE))
    }

    fn mac(key: &SecretString, session: &str) -> Result<Hmac<Sha256>, Problem> {
        let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes());
        let mut mac = mac.map_err(Problem::internal)?;
        mac.update(session.as_bytes());
        Ok(mac)
    }

    /// The token of a session.
    pub(crate) fn of(&self, session: &str) -> Result<String, Problem> {
        let key = self.0.first().ok_or_else(|| Problem::internal("there is no sealing key"))?;
        Ok(URL_SAFE_NO_PAD.encode(Self::mac(key, session)?.finalize().into_bytes()))
    }

    /// Whether a request has the token of that session.
    pub(crate) fn is_with(&self, headers: &HeaderMap, session: &str) -> bool {
        let given = headers.get(CSRF).and_then(|value| URL_SAFE_NO_PAD.decode(value.as_bytes()).ok());
        let Some(given) = given else { return false };
        self.0.iter().any(|key| Self::mac(key, session).is_ok_and(|mac| mac.verify_slice(&given).is_ok()))
    }
}

/// Takes the access token out of its cookie, for requests that carry nothing else.
pub(crate) async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let carries = headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key");
    if !carries
        && let Some(token) = cookie(headers, ACCESS)
        && is_meant(&app, &request, token)
        && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}"))
    {
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
        request.extensions_mut().insert(ByCookie);
    }
    next.run(request).await
}

/// Whether one of our own pages makes the request, or it changes nothing.
fn is_meant(app: &App, request: &Request, token: &str) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    match app.tokens.own(token, app.clock.now()) {
        Some(Ok(access)) => match &access.grant.holder {
            Holder::User { session } => app.people.csrf.is_with(request.headers(), session),
            Holder::Client => false,
        },
        _ => false,
    }
}

/// A cookie of a request.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The refresh token of a request's cookie, if one of our own pages makes the request.
pub(crate) fn refresh_token<'h>(app: &App, headers: &'h HeaderMap) -> Option<&'h str> {
    let token = cookie(headers, REFRESH)?;
    let (_, _, session) = super::sessions::taken_apart(token)?;
    app.people.csrf.is_with(headers, session).then_some(token)
}

/// What sets the cookies of a session.
pub(crate) fn set(begun: &Begun) -> Vec<HeaderValue> {
    let until = |at: Micros| at.saturating_sub(begun.said.issued_at).max(0).div_euclid(1_000_000);
    [
        (ACCESS, &begun.access, until(begun.said.expires_at)),
        (REFRESH, &begun.refresh, until(begun.refresh_expires_at)),
    ]
    .into_iter()
    .filter_map(|(name, value, seconds)| line(name, value.expose_secret(), seconds))
    .collect()
}

/// What takes the cookies away.
pub(crate) fn unset() -> Vec<HeaderValue> {
    [ACCESS, REFRESH].into_iter().filter_map(|name| line(name, "", 0)).collect()
}

fn line(name: &str, value: &str, seconds: i64) -> Option<HeaderValue> {
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use catalog::SealingKey;

    use super::*;

    #[test]
    fn a_csrf_token_is_of_one_session_and_keys_rotate() {
        let key = |byte| SealingKey::from_bytes([byte; 32]);
        let (old, new) = (Csrf::new(&Sealer::new(key(1))), Csrf::new(&Sealer::new(key(2)).opening(key(1))));
        let with = |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CSRF, token.parse().unwrap());
            headers
        };
        let token = old.of("s1").unwrap();
        assert!(old.is_with(&with(&token), "s1") && new.is_with(&with(&token), "s1"));
        assert!(!old.is_with(&with(&new.of("s1").unwrap()), "s1"), "a key that it does not have");
        for bad in ["", "x", &token[1..], &format!("{token}A"), &old.of("s2").unwrap()] {
            assert!(!old.is_with(&with(bad), "s1"), "{bad}");
        }
        assert!(!old.is_with(&HeaderMap::new(), "s1"));
    }

    #[test]
    fn cookies_are_read_as_browsers_send_them() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; b=x=y;c=".parse().unwrap());
        headers.append(header::COOKIE, "d=4".parse().unwrap());
        for (name, expected) in
            [("a", Some("1")), ("b", Some("x=y")), ("c", Some("")), ("d", Some("4")), ("e", None)]
        {
            assert_eq!(cookie(&headers, name), expected, "{name}");
        }
    }
}
