//! A token of a trusted issuer → who it speaks of.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use model::{Clock, Micros};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::source::{KeySource, KeySourceStatus};
use crate::{
    TokenError,
    jwt::{Expected, Parsed, claimed_issuer},
};

/// How long one attempt to get keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest mail address, tenant or role that a token may name, in bytes.
const CLAIM_BYTES_MAX: usize = 255;
/// The most roles that a token may name.
const ROLES_MAX: usize = 100;

/// How others may sign. There is no `none`, and no HMAC: its key would have to be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum OidcAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// With SHA-384.
    Rs384,
    /// With SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// With SHA-384.
    Ps384,
    /// With SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl From<OidcAlgorithm> for Algorithm {
    fn from(algorithm: OidcAlgorithm) -> Self {
        match algorithm {
            OidcAlgorithm::Rs256 => Self::RS256,
            OidcAlgorithm::Rs384 => Self::RS384,
            OidcAlgorithm::Rs512 => Self::RS512,
            OidcAlgorithm::Ps256 => Self::PS256,
            OidcAlgorithm::Ps384 => Self::PS384,
            OidcAlgorithm::Ps512 => Self::PS512,
            OidcAlgorithm::Es256 => Self::ES256,
            OidcAlgorithm::Es384 => Self::ES384,
            OidcAlgorithm::EdDsa => Self::EdDSA,
        }
    }
}

/// Where a token says what: the name of a claim, or, beginning with `/`, a JSON pointer (RFC 6901), such as `/ext/tenant_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// Who it is: a text. `sub` is checked in any case.
    pub subject: String,
    /// Its mail address: a text.
    pub email: String,
    /// Its tenant: a text.
    pub tenant: String,
    /// Its roles: a list of texts, or one text with spaces between.
    pub roles: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let [subject, email, tenant, roles] = ["sub", "email", "tenant_id", "roles"].map(str::to_owned);
        Self { subject, email, tenant, roles }
    }
}

/// An issuer that is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerOptions {
    /// Its name in tokens (`iss`), to the letter.
    pub issuer: String,
    /// Where its keys are: a JSON Web Key Set.
    pub keys_url: String,
    /// Whom its tokens must be for: any of these.
    pub audiences: Vec<String>,
    /// How it may sign.
    pub algorithms: Vec<OidcAlgorithm>,
    /// How far its clock may differ from ours.
    #[serde(default = "default_leeway_seconds")]
    pub leeway_seconds: u32,
    /// Where its tokens say what.
    #[serde(default)]
    pub claims: ClaimNames,
    /// The tenants that it speaks for; any if none is named.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// It may give roles that count in every tenant.
    #[serde(default)]
    pub fleet_wide: bool,
    /// Its keys may come over plain HTTP, from a gateway beside us for instance. Whoever can answer in its place is believed.
    #[serde(default)]
    pub allow_http: bool,
}

const fn default_leeway_seconds() -> u32 {
    30
}

/// Why an issuer cannot be trusted as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuer {issuer:?}: {problem}")]
pub struct SetupError {
    issuer: String,
    problem: &'static str,
}

/// Who a token speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcPrincipal {
    /// Who says so.
    pub issuer: String,
    /// Who it is, unique at the issuer.
    pub subject: String,
    /// Its mail address.
    pub email: Option<String>,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its roles, as the issuer calls them.
    pub roles: Vec<String>,
    /// Whether the issuer may give roles that count in every tenant.
    pub fleet_wide: bool,
    /// When the token ends.
    pub expires_at: Micros,
    /// The token's own id.
    pub token_id: Option<String>,
}

#[derive(Debug)]
struct Issuer {
    options: IssuerOptions,
    algorithms: Vec<Algorithm>,
    keys: KeySource,
}

/// Verifies tokens of trusted issuers by their published keys.
pub struct OidcVerifier {
    issuers: Vec<Issuer>,
    clock: Arc<dyn Clock>,
}

impl OidcVerifier {
    /// Trusts these issuers. Their keys are fetched when the first token comes. The process must have its TLS provider.
    ///
    /// # Errors
    /// If an issuer is described twice or not well.
    pub fn new(issuers: Vec<IssuerOptions>, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        check_issuers(&issuers)?;
        let mut trusted: Vec<Issuer> = Vec::new();
        for options in issuers {
            let failed = |problem| SetupError { issuer: options.issuer.clone(), problem };
            // A redirect could lead from HTTPS to HTTP, or to another server.
            let http = reqwest::Client::builder()
                .timeout(FETCH_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .https_only(!options.allow_http)
                .build()
                .map_err(|_| failed("there is no HTTP client: the process has no TLS provider"))?;
            let keys = KeySource::new(options.issuer.clone(), options.keys_url.clone(), http, clock.clone());
            let algorithms = options.algorithms.iter().map(|algorithm| (*algorithm).into()).collect();
            trusted.push(Issuer { options, algorithms, keys });
        }
        Ok(Self { issuers: trusted, clock })
    }

    /// Who a token speaks of, if a trusted issuer signed it, for us, and it is valid now.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn verify(&self, token: &str) -> Result<OidcPrincipal, TokenError> {
        let parsed = Parsed::read(token)?;
        let issuer = claimed_issuer(&parsed.claims)?;
        let issuer = self.issuers.iter().find(|i| i.options.issuer == issuer).ok_or(TokenError::Issuer)?;
        if !issuer.algorithms.contains(&parsed.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let kid = parsed.kid.as_deref().ok_or(TokenError::NoKeyId)?;
        let key = issuer.keys.find(kid, parsed.algorithm).await?;
        let claims = parsed.verify(&key)?;
        issuer.options.principal(&claims, self.clock.now())
    }

    /// How the issuers' keys are.
    #[must_use]
    pub fn status(&self) -> Vec<KeySourceStatus> {
        self.issuers.iter().map(|issuer| issuer.keys.status()).collect()
    }
}

/// Whether issuers can be trusted as they are described.
///
/// # Errors
/// The first that is described twice or not well.
pub fn check_issuers(issuers: &[IssuerOptions]) -> Result<(), SetupError> {
    for (at, options) in issuers.iter().enumerate() {
        let failed = |problem| SetupError { issuer: options.issuer.clone(), problem };
        options.check().map_err(failed)?;
        if issuers[..at].iter().any(|other| other.issuer == options.issuer) {
            return Err(failed("it is described twice"));
        }
    }
    Ok(())
}

impl IssuerOptions {
    fn check(&self) -> Result<(), &'static str> {
        let https = self.keys_url.starts_with("https://");
        if !https && !self.keys_url.starts_with("http://") {
            return Err("keys_url must be an http or https URL");
        }
        if !https && !self.allow_http {
            return Err(
                "keys_url is plain HTTP: whoever can answer in its place is believed; if that is nobody, set allow_http",
            );
        }
        if self.issuer.is_empty() || self.audiences.is_empty() || self.audiences.iter().any(String::is_empty)
        {
            return Err("issuer and audiences must be given");
        }
        if self.algorithms.is_empty() {
            return Err("algorithms must be given");
        }
        Ok(())
    }

    fn principal(&self, claims: &Map<String, Value>, now: Micros) -> Result<OidcPrincipal, TokenError> {
        let expected = Expected {
            issuer: &self.issuer,
            audiences: &self.audiences,
            leeway_seconds: self.leeway_seconds,
            now,
        };
        let said = expected.check(claims)?;
        let subject = text(claims, &self.claims.subject, "subject")?.ok_or(TokenError::Missing("subject"))?;
        let tenant = text(claims, &self.claims.tenant, "tenant")?;
        if !self.tenants.is_empty() && !tenant.as_ref().is_some_and(|tenant| self.tenants.contains(tenant)) {
            return Err(TokenError::Tenant);
        }
        Ok(OidcPrincipal {
            issuer: self.issuer.clone(),
            subject,
            email: text(claims, &self.claims.email, "email")?,
            tenant,
            roles: roles(claims, &self.claims.roles)?,
            fleet_wide: self.fleet_wide,
            expires_at: said.expires_at,
            token_id: said.id,
        })
    }
}

fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    // The first step of a pointer is a claim, the rest leads into it.
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(rest) => {
            let (first, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let first = first.replace("~1", "/").replace("~0", "~");
            claims.get(&first).and_then(|value| value.pointer(rest))
        }
    };
    // Oathkeeper's template leaves null where a session has no such thing.
    found.filter(|value| !value.is_null())
}

fn fits(text: &str) -> bool {
    (1..=CLAIM_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

fn text(claims: &Map<String, Value>, name: &str, what: &'static str) -> Result<Option<String>, TokenError> {
    match find(claims, name) {
        None => Ok(None),
        Some(Value::String(text)) if fits(text) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::Claim(what)),
    }
}

fn roles(claims: &Map<String, Value>, name: &str) -> Result<Vec<String>, TokenError> {
    let refused = TokenError::Claim("roles");
    let roles: Vec<String> = match find(claims, name) {
        None => vec![],
        Some(Value::String(text)) => {
            text.split(' ').filter(|role| !role.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(refused)?
        }
        Some(_) => return Err(refused),
    };
    if roles.len() <= ROLES_MAX && roles.iter().all(|role| fits(role)) { Ok(roles) } else { Err(refused) }
}

impl std::fmt::Debug for OidcVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.issuers.iter().map(|issuer| &issuer.options.issuer)).finish()
    }
}
