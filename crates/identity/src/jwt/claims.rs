//! The claims that say whose a token is, for whom, and when (RFC 7519, section 4.1).

use model::Micros;
use serde_json::Value;

use super::{TokenError, json::Object};

const MICROS: i64 = 1_000_000;
/// 9999-12-31T23:59:59Z: no time of a token lies later.
const SECONDS_MAX: f64 = 253_402_300_799.0;
/// The longest subject (OpenID Connect Core, section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// Whole seconds, as the claims count them.
pub(crate) const fn seconds(at: Micros) -> i64 {
    at.div_euclid(MICROS)
}

/// What a token must say to be believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'e> {
    pub(crate) issuer: &'e str,
    /// Any of them.
    pub(crate) audiences: &'e [String],
    /// How far clocks may differ.
    pub(crate) leeway_seconds: u32,
    pub(crate) now: Micros,
}

/// What it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) subject: String,
    pub(crate) expires_at: Micros,
    pub(crate) issued_at: Option<Micros>,
    pub(crate) id: Option<String>,
}

/// The issuer that an unverified token claims, to know whose keys to ask for.
pub(crate) fn issuer(claims: &Object) -> Result<&str, TokenError> {
    match claims.get("iss") {
        None => Err(TokenError::Missing("iss")),
        Some(Value::String(issuer)) => Ok(issuer),
        Some(_) => Err(TokenError::Claim("iss")),
    }
}

impl Expected<'_> {
    /// Holds the claims of a verified token against it.
    pub(crate) fn check(self, claims: &Object) -> Result<Registered, TokenError> {
        if issuer(claims)? != self.issuer {
            return Err(TokenError::Issuer);
        }
        self.check_audience(claims)?;
        let leeway = i64::from(self.leeway_seconds) * MICROS;
        let expires_at = time(claims, "exp")?.ok_or(TokenError::Missing("exp"))?;
        if expires_at.saturating_add(leeway) <= self.now {
            return Err(TokenError::Expired);
        }
        let (begins_at, issued_at) = (time(claims, "nbf")?, time(claims, "iat")?);
        // One issued in the future is no better than one that begins there.
        if begins_at.max(issued_at).is_some_and(|at| at > self.now.saturating_add(leeway)) {
            return Err(TokenError::NotYet);
        }
        let subject = text(claims, "sub")?.ok_or(TokenError::Missing("sub"))?;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
            return Err(TokenError::Claim("sub"));
        }
        Ok(Registered { subject, expires_at, issued_at, id: text(claims, "jti")? })
    }

    fn check_audience(&self, claims: &Object) -> Result<(), TokenError> {
        let ours = |audience: &str| self.audiences.iter().any(|a| a == audience);
        let meant = match claims.get("aud") {
            None => return Err(TokenError::Missing("aud")),
            Some(Value::String(audience)) => ours(audience),
            Some(Value::Array(audiences)) => {
                let texts: Option<Vec<&str>> = audiences.iter().map(Value::as_str).collect();
                texts.ok_or(TokenError::Claim("aud"))?.into_iter().any(ours)
            }
            Some(_) => return Err(TokenError::Claim("aud")),
        };
        if meant { Ok(()) } else { Err(TokenError::Audience) }
    }
}

/// A claim that is a text, or not there.
pub(crate) fn text(claims: &Object, name: &'static str) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// A NumericDate: seconds since 1970, perhaps with a fraction.
fn time(claims: &Object, name: &'static str) -> Result<Option<Micros>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds =
        value.as_f64().filter(|s| (0.0..=SECONDS_MAX).contains(s)).ok_or(TokenError::Claim(name))?;
    #[expect(clippy::cast_possible_truncation, reason = "in range: SECONDS_MAX microseconds fit")]
    Ok(Some((seconds * 1e6).round() as Micros))
}
