//! JSON Web Tokens in the compact form, read strictly: what two readers could read differently is refused (RFC 8725).

mod claims;
mod json;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;

pub(crate) use self::claims::{Expected, issuer as claimed_issuer, seconds};
use self::json::Object;

/// The longest token that is looked at. A header line of a proxy holds 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
const KID_BYTES_MAX: usize = 256;

/// Why a token is refused. The caller is told that its token is not valid; this is for the operator, and repeats nothing
/// of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Not three parts of base64url.
    #[error("the token is not three parts of base64url")]
    Form,
    /// The header or the claims are no JSON object, or name something twice.
    #[error("the token's {0} is not a JSON object with each name once")]
    Json(&'static str),
    /// A header that asks for what we do not do (`crit`), or is of the wrong type.
    #[error("the token's header {0} is not acceptable")]
    Header(&'static str),
    /// Signed in a way that is not allowed here, or not signed.
    #[error("the token's algorithm is not allowed here")]
    Algorithm,
    /// It names no key.
    #[error("the token names no key")]
    NoKeyId,
    /// Nobody has the key it names.
    #[error("the token names a key that its issuer does not have")]
    UnknownKey,
    /// The keys of its issuer cannot be had.
    #[error("the keys of the token's issuer are not at hand")]
    KeysUnavailable,
    /// The signature is not that of the key.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing.
    #[error("the token has no {0}")]
    Missing(&'static str),
    /// A claim is of the wrong type or has no sense.
    #[error("the token's {0} is not understood")]
    Claim(&'static str),
    /// Nobody we trust.
    #[error("the token is of an issuer that is not trusted here")]
    Issuer,
    /// Of a tenant that is not its issuer's.
    #[error("the token is of a tenant that its issuer does not speak for")]
    Tenant,
    /// Meant for somebody else.
    #[error("the token is meant for another audience")]
    Audience,
    /// Not any more.
    #[error("the token has expired")]
    Expired,
    /// Not yet, by our clock.
    #[error("the token is not valid yet")]
    NotYet,
    /// It has been taken back.
    #[error("the token has been revoked")]
    Revoked,
}

/// A token taken apart, not believed yet.
pub(crate) struct Parsed<'t> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) claims: Object,
    /// What the signature is over.
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Parsed<'t> {
    pub(crate) fn read(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Form)?;
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Form)?;
        let mut header = object(header, "header")?;
        let claims = object(claims, "payload")?;
        // Critical extensions that are not understood make a token invalid (RFC 7515, 4.1.11); we understand none.
        if header.contains_key("crit") {
            return Err(TokenError::Header("crit"));
        }
        let algorithm = text(&mut header, "alg")?.ok_or(TokenError::Algorithm)?;
        let algorithm = algorithm.parse().map_err(|_| TokenError::Algorithm)?;
        let kid = text(&mut header, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
            return Err(TokenError::Header("kid"));
        }
        let typ = text(&mut header, "typ")?;
        Ok(Self { algorithm, kid, typ, claims, signed, signature })
    }

    /// Believes it if the key signed it. The algorithm must have been compared with what the key is for.
    pub(crate) fn verify(self, key: &DecodingKey) -> Result<Object, TokenError> {
        let signed = crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm);
        if signed.unwrap_or(false) { Ok(self.claims) } else { Err(TokenError::Signature) }
    }
}

fn object(part: &str, name: &'static str) -> Result<Object, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Form)?;
    json::object(&bytes).map_err(|_| TokenError::Json(name))
}

fn text(header: &mut Object, name: &'static str) -> Result<Option<String>, TokenError> {
    match header.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Header(name)),
    }
}
