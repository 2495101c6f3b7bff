//! Access tokens: JWTs as RFC 9068 has them, signed by EdDSA.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header};
use model::Micros;
use rand::CryptoRng;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::SigningKeys;
use crate::{
    TokenError,
    jwt::{Expected, Parsed, seconds},
    secret,
};

/// The type of our tokens (RFC 9068, section 2.1): no other JWT that our key may sign passes for one.
const TYPE: &str = "at+jwt";

/// How access tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessOptions {
    /// Who we are, as tokens name us: a URL.
    pub issuer: String,
    /// Whom they are for.
    pub audience: String,
    /// How long each is valid, and so how long a lost one is if nobody revokes it.
    pub lifetime: Duration,
    /// How far the clocks of replicas may differ.
    pub leeway: Duration,
}

impl AccessOptions {
    /// Tokens for ten minutes, with five seconds for clocks.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            lifetime: Duration::from_secs(600),
            leeway: Duration::from_secs(5),
        }
    }
}

/// Who holds a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "holder")]
pub enum Holder {
    /// A person, in a session.
    User {
        /// The session, which can be revoked as a whole.
        #[serde(rename = "sid")]
        session: String,
    },
    /// An OAuth client.
    Client,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Whatever its holder may do.
    #[default]
    All,
    /// To set a password, and nothing else: of one who must.
    SetPassword,
}

/// What a token is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The id of the user or client.
    pub subject: String,
    /// Who holds it.
    pub holder: Holder,
    /// What it is good for.
    pub purpose: Purpose,
    /// The tenant that its holder is at home in, of those who may be at home in several.
    pub tenant: Option<String>,
    /// What a client may do with it (RFC 9068, section 2.2.3); of a person bindings say that.
    pub scopes: Vec<String>,
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The grant.
    pub grant: Grant,
    /// The token's own id.
    pub id: String,
    /// When it was issued.
    pub issued_at: Micros,
    /// When it ends.
    pub expires_at: Micros,
}

/// The claims that are ours.
#[derive(Deserialize)]
struct Own {
    #[serde(flatten)]
    holder: Holder,
    #[serde(default)]
    purpose: Purpose,
    #[serde(default)]
    tenant: Option<String>,
    /// Names with spaces between (RFC 6749, section 3.3).
    #[serde(default)]
    scope: String,
}

/// Issues access tokens and verifies them.
#[derive(Debug)]
pub struct AccessTokens {
    options: AccessOptions,
    audiences: [String; 1],
    keys: SigningKeys,
}

impl AccessTokens {
    /// With these keys.
    #[must_use]
    pub fn new(options: AccessOptions, keys: SigningKeys) -> Self {
        Self { audiences: [options.audience.clone()], options, keys }
    }

    /// A new token, and what it says.
    pub fn issue(&self, rng: &mut impl CryptoRng, grant: Grant, now: Micros) -> (SecretString, Access) {
        let id = secret::generate_id(rng);
        let issued = seconds(now);
        let expires = issued.saturating_add_unsigned(self.options.lifetime.as_secs());
        let mut claims = json!({
            "iss": self.options.issuer,
            "aud": self.options.audience,
            "sub": grant.subject,
            // To the microsecond, so that what is issued right after a revocation is told from what it took back.
            "iat": now as f64 / 1e6,
            "nbf": issued,
            "exp": expires,
            "jti": id,
            "purpose": grant.purpose,
        });
        if let Some(tenant) = &grant.tenant {
            claims["tenant"] = tenant.as_str().into();
        }
        match &grant.holder {
            Holder::User { session } => {
                claims["holder"] = "user".into();
                claims["sid"] = session.as_str().into();
            }
            Holder::Client => {
                claims["holder"] = "client".into();
                // RFC 9068, section 2.2.
                claims["client_id"] = grant.subject.as_str().into();
                claims["scope"] = grant.scopes.join(" ").into();
            }
        }
        #[expect(clippy::expect_used, reason = "there is a first key, whose seed is of the right length")]
        let token = {
            let (kid, key) = self.keys.signing().expect("a signing key");
            let mut header = Header::new(Algorithm::EdDSA);
            header.typ = Some(TYPE.to_owned());
            header.kid = Some(kid.to_owned());
            jsonwebtoken::encode(&header, &claims, key).expect("claims are JSON")
        };
        (token.into(), Access { grant, id, issued_at: now, expires_at: expires * 1_000_000 })
    }

    /// What a token says, if we issued it and it is valid now. Whether it was taken back is for
    /// the catalog to say (`auth::people`, `auth::client`).
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(&self, token: &str, now: Micros) -> Result<Access, TokenError> {
        let parsed = Parsed::read(token)?;
        if parsed.algorithm != Algorithm::EdDSA {
            return Err(TokenError::Algorithm);
        }
        if parsed.typ.as_deref() != Some(TYPE) {
            return Err(TokenError::Header("typ"));
        }
        let kid = parsed.kid.as_deref().ok_or(TokenError::NoKeyId)?;
        let key = self.keys.find(kid).ok_or(TokenError::UnknownKey)?;
        let claims = parsed.verify(&key.verifying)?;
        let leeway_seconds = u32::try_from(self.options.leeway.as_secs()).unwrap_or(u32::MAX);
        let issuer = &self.options.issuer;
        let said = Expected { issuer, audiences: &self.audiences, leeway_seconds, now }.check(&claims)?;
        let own =
            Own::deserialize(serde_json::Value::Object(claims)).map_err(|_| TokenError::Claim("holder"))?;
        Ok(Access {
            grant: Grant {
                subject: said.subject,
                holder: own.holder,
                purpose: own.purpose,
                tenant: own.tenant,
                scopes: own.scope.split_whitespace().map(str::to_owned).collect(),
            },
            id: said.id.ok_or(TokenError::Missing("jti"))?,
            issued_at: said.issued_at.ok_or(TokenError::Missing("iat"))?,
            expires_at: said.expires_at,
        })
    }

    /// The public keys, as a JSON Web Key Set.
    #[must_use]
    pub fn public_keys(&self) -> serde_json::Value {
        self.keys.public()
    }

    /// Who we are, as tokens name us.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.options.issuer
    }

    /// How long a token is valid.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.options.lifetime
    }
}
