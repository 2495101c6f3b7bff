//! Our own token endpoint for OAuth clients: the grant `client_credentials` (RFC 6749, section 4.4).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// The largest request: three short parameters.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// A request for a token, its client not verified yet.
#[derive(Debug)]
pub struct TokenRequest {
    /// Who asks.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// What it wants to be able to do; all it may when absent.
    pub scope: Option<String>,
    /// It came by HTTP Basic: a refusal answers in kind.
    pub by_basic: bool,
}

/// Why a request for a token is refused (RFC 6749, section 5.2). The text is for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OauthError {
    /// Not a proper request.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// No client, an unknown one, or a wrong secret: which of them is not said.
    #[error("the client is not known, or its secret is wrong")]
    InvalidClient {
        /// It came by HTTP Basic.
        by_basic: bool,
    },
    /// The client may not use this grant.
    #[error("the client may not use this grant")]
    UnauthorizedClient,
    /// A grant we do not have.
    #[error("the only grant here is client_credentials")]
    UnsupportedGrantType,
    /// A scope the client may not have.
    #[error("the scope is unknown, or more than the client may have")]
    InvalidScope,
}

impl OauthError {
    /// The value of `error`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient { .. } => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
        }
    }

    /// 401 for a client that is not believed, else 400.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::InvalidClient { .. } => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"error": self.code(), "error_description": self.to_string()})
    }

    /// The answer's `WWW-Authenticate`: where the client tried HTTP Basic.
    #[must_use]
    pub const fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::InvalidClient { by_basic: true } => Some("Basic realm=\"eventrunner\", charset=\"UTF-8\""),
            _ => None,
        }
    }
}

/// Headers of every answer of a token endpoint (RFC 6749, section 5.1).
pub const NO_STORE: [(header::HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];

/// A token given.
#[derive(Debug)]
pub struct TokenAnswer {
    /// The token.
    pub access_token: SecretString,
    /// How long it is valid.
    pub lifetime: Duration,
    /// What it is good for, if that is not what was asked.
    pub scope: Option<String>,
}

impl TokenAnswer {
    /// The body of the answer (RFC 6749, section 5.1). It holds the token.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({
            "access_token": self.access_token.expose_secret(),
            "token_type": "Bearer",
            "expires_in": self.lifetime.as_secs(),
        });
        if let Some(scope) = &self.scope {
            body["scope"] = scope.as_str().into();
        }
        body
    }
}

/// Reads a request for a token: a form, and the client in it or in HTTP Basic (RFC 6749, section 2.3.1).
///
/// # Errors
/// What is wrong with it.
pub fn read_token_request(headers: &HeaderMap, body: &[u8]) -> Result<TokenRequest, OauthError> {
    use OauthError::InvalidRequest;
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let form = match (types.next(), types.next()) {
        (Some(one), None) => one.to_str().is_ok_and(|text| {
            let name = text.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        }),
        _ => false,
    };
    if !form {
        return Err(InvalidRequest("the request must be of the type application/x-www-form-urlencoded"));
    }
    if body.len() > BODY_BYTES_MAX {
        return Err(InvalidRequest("the request is too large"));
    }
    let text = std::str::from_utf8(body).map_err(|_| InvalidRequest("the request is not UTF-8"))?;
    let form = Form::read(text)?;
    let basic = basic(headers)?;
    let grant_type = form.grant_type.ok_or(InvalidRequest("grant_type is missing"))?;
    if grant_type != "client_credentials" {
        return Err(OauthError::UnsupportedGrantType);
    }
    let by_basic = basic.is_some();
    let (client_id, client_secret) = match (basic, form.client_secret) {
        (Some(_), Some(_)) => return Err(InvalidRequest("the client must authenticate in one way only")),
        (Some((id, secret)), None) if form.client_id.as_ref().is_none_or(|other| *other == id) => {
            (id, secret)
        }
        (Some(_), None) => return Err(InvalidRequest("client_id is not that of the Authorization header")),
        (None, Some(secret)) => (form.client_id.ok_or(InvalidRequest("client_id is missing"))?, secret),
        (None, None) => return Err(OauthError::InvalidClient { by_basic }),
    };
    Ok(TokenRequest { client_id, client_secret, scope: form.scope, by_basic })
}

#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<SecretString>,
    scope: Option<String>,
}

impl Form {
    fn read(text: &str) -> Result<Self, OauthError> {
        let mut form = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            // A parameter without a value counts as left out (section 3.1).
            if value.is_empty() {
                continue;
            }
            let repeated = match name.as_str() {
                "grant_type" => form.grant_type.replace(value).is_some(),
                "client_id" => form.client_id.replace(value).is_some(),
                "client_secret" => form.client_secret.replace(value.into()).is_some(),
                "scope" => form.scope.replace(value).is_some(),
                // Parameters that are not known are passed over (section 3.2).
                _ => false,
            };
            if repeated {
                return Err(OauthError::InvalidRequest("a parameter is given more than once"));
            }
        }
        Ok(form)
    }
}

/// `application/x-www-form-urlencoded` (RFC 6749, appendix B).
fn decode(text: &str) -> Result<String, OauthError> {
    let spaced = text.replace('+', " ");
    let malformed = spaced.match_indices('%').any(|(at, _)| {
        let digits = spaced.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = percent_decode_str(&spaced).decode_utf8();
    match decoded {
        Ok(decoded) if !malformed => Ok(decoded.into_owned()),
        _ => Err(OauthError::InvalidRequest("a parameter is not properly encoded")),
    }
}

/// The client in `Authorization: Basic`: id and secret, each encoded as in a form, then joined and encoded in base64.
fn basic(headers: &HeaderMap) -> Result<Option<(String, SecretString)>, OauthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(OauthError::InvalidRequest("the Authorization header is given more than once"));
    }
    let refused = OauthError::InvalidClient { by_basic: true };
    let (scheme, encoded) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(refused)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(refused);
    }
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = SecretString::from(decoded.ok_or(refused)?);
    let (id, secret) = decoded.expose_secret().split_once(':').ok_or(refused)?;
    let (id, secret) = (decode(id).map_err(|_| refused)?, decode(secret).map_err(|_| refused)?);
    if id.is_empty() || secret.is_empty() { Err(refused) } else { Ok(Some((id, secret.into()))) }
}
