//! Sources. Signing secrets come in the clear, are sealed before they are kept, and never leave again.

use std::collections::BTreeMap;

use catalog::Resource as _;
use model::{
    SystemId,
    resource::{SignatureScheme, Source, Verification},
};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// Longest signing secret, in bytes.
const SECRET_BYTES_MAX: usize = 1_024;

/// A door of a system.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system it is a door of.
    #[schema(value_type = String)]
    system: SystemId,
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// A provider whose mapping and signature scheme fill in what is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preset: Option<String>,
    /// How raw requests become CloudEvents (docs/mappings.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    mapping: Option<Value>,
    /// How the provider proves who it is. Without it an API key is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<VerificationDoc>)]
    verification: Option<VerificationSpec>,
    /// Headers kept with a raw event besides those its preset and mapping read, lower case.
    #[serde(default)]
    keep_headers: Vec<String>,
}

/// How a provider proves that a request is its own. [`VerificationDoc`] describes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerificationSpec {
    scheme: Scheme,
    #[serde(default, skip_serializing)]
    secrets: Option<Vec<SecretString>>,
    #[serde(skip_deserializing)]
    secret_count: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance_seconds: Option<u32>,
}

/// How a provider proves that a request is its own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Verification)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what goes one way only, which serde's attributes would leave out")]
struct VerificationDoc {
    /// The scheme: an object whose `type` is `github`, `stripe`, `slack`, `shopify`, `standard-webhooks`, `hmac` or
    /// `token`.
    #[schema(value_type = Object)]
    scheme: Scheme,
    /// Signing secrets in the clear, any of which may match. Left out, those that are kept stay. Never answered.
    #[schema(write_only)]
    secrets: Option<Vec<String>>,
    /// How many secrets are kept.
    #[schema(read_only)]
    secret_count: Option<u64>,
    /// Oldest accepted signature where the scheme signs a time, in seconds; 300 when absent.
    tolerance_seconds: Option<u32>,
}

/// A scheme without members that nobody knows: the catalog's own type passes over them, for newer entries' sake.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "SignatureScheme")]
struct Scheme(SignatureScheme);

impl Clone for Scheme {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl From<Scheme> for SignatureScheme {
    fn from(scheme: Scheme) -> Self {
        scheme.0
    }
}

impl TryFrom<Value> for Scheme {
    type Error = String;

    fn try_from(given: Value) -> Result<Self, String> {
        let scheme: SignatureScheme = serde_json::from_value(given.clone()).map_err(|e| e.to_string())?;
        // Every member of a scheme is written, so what is not written is none.
        let known = serde_json::to_value(&scheme).map_err(|e| e.to_string())?;
        let unknown = given.as_object().and_then(|all| all.keys().find(|name| known.get(name).is_none()));
        match unknown {
            Some(name) => Err(format!("unknown field `{name}`")),
            None => Ok(Self(scheme)),
        }
    }
}

impl Managed for Source {
    type Spec = Spec;

    const COLLECTION: &'static str = "sources";
    const SCHEMA: &'static str = "Source";
    const READ_ONLY: &'static [&'static str] = &["/verification/secret_count"];

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, preset, mapping, verification, keep_headers, meta } =
            self.clone();
        let verification = verification.map(|v| VerificationSpec {
            scheme: Scheme(v.scheme),
            secrets: None,
            secret_count: v.sealed_secrets.len(),
            tolerance_seconds: v.tolerance_seconds,
        });
        let (description, labels) = (meta.description, meta.labels);
        Spec { system, name, description, labels, preset, mapping, verification, keep_headers }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, preset, mapping, verification, keep_headers } = spec;
        let mut source = Self {
            tenant: making.tenant.clone(),
            system,
            id: super::id(making.id)?,
            name,
            preset,
            mapping,
            verification: None,
            keep_headers,
            meta: super::meta(description, labels),
        };
        let context = source.entry_key().to_string();
        source.verification = verification.map(|v| verified(v, &context, &making)).transpose()?;
        Ok(Built::new(source))
    }
}

fn verified(
    spec: VerificationSpec,
    context: &str,
    making: &Making<'_, Source>,
) -> Result<Verification, Problem> {
    let sealed_secrets = match spec.secrets {
        Some(secrets) => sealed(&secrets, context, making)?,
        None => {
            let old = making.old.and_then(|old| old.verification.as_ref());
            let kept = old.map(|v| v.sealed_secrets.clone()).unwrap_or_default();
            if kept.is_empty() {
                return Err(super::fault("/verification/secrets", "is required"));
            }
            kept
        }
    };
    let Scheme(scheme) = spec.scheme;
    Ok(Verification { scheme, sealed_secrets, tolerance_seconds: spec.tolerance_seconds })
}

fn sealed(
    secrets: &[SecretString],
    context: &str,
    making: &Making<'_, Source>,
) -> Result<Vec<String>, Problem> {
    // The catalog would say the same of what is sealed, under a name that callers do not know.
    if !(1..=catalog::SECRETS_MAX).contains(&secrets.len()) {
        let detail = format!("must be 1 to {}", catalog::SECRETS_MAX);
        return Err(super::fault("/verification/secrets", detail));
    }
    let bad = |secret: &SecretString| !(1..=SECRET_BYTES_MAX).contains(&secret.expose_secret().len());
    if let Some(at) = secrets.iter().position(bad) {
        let detail = format!("must be 1 to {SECRET_BYTES_MAX} bytes long");
        return Err(super::fault(format!("/verification/secrets/{at}"), detail));
    }
    let sealed = secrets.iter().map(|secret| making.sealer.seal(context, secret));
    sealed.collect::<Result<_, _>>().map_err(Problem::internal)
}
