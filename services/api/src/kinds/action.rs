//! Actions. Secret headers come in the clear, are sealed before they are kept, and never leave again.

use std::collections::BTreeMap;

use catalog::Resource as _;
use model::{
    SystemId,
    resource::{Action, Target, Webhook, WebhookMethod},
};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// Longest secret header, in bytes.
const SECRET_BYTES_MAX: usize = 4_096;

/// What is to be done in a system. Kept; nothing acts on it yet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system it is done in.
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
    /// How it is done.
    #[schema(value_type = ActionTargetDoc)]
    target: TargetSpec,
}

/// How an action is done. [`ActionTargetDoc`] describes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetSpec {
    r#type: TargetType,
    url: String,
    #[serde(default)]
    method: WebhookMethod,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing)]
    secret_headers: Option<BTreeMap<String, SecretString>>,
    #[serde(skip_deserializing)]
    secret_header_names: Vec<String>,
}

/// The only type there is so far.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TargetType {
    Webhook,
}

/// How an action is done: by an HTTP request.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ActionTarget)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what goes one way only, which serde's attributes would leave out")]
struct ActionTargetDoc {
    /// `webhook`.
    #[schema(example = "webhook")]
    r#type: String,
    /// Where to, `https` or `http`, without user and password.
    url: String,
    /// `GET`, `POST` (default), `PUT`, `PATCH` or `DELETE`.
    #[serde(default)]
    method: String,
    /// Headers, by their names in lower case.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Headers whose values are secret, in the clear. Left out, those that are kept stay; given, they take the place of all.
    /// Never answered.
    #[schema(write_only)]
    secret_headers: Option<BTreeMap<String, String>>,
    /// The names of the secret headers that are kept.
    #[schema(read_only)]
    secret_header_names: Option<Vec<String>>,
}

impl Managed for Action {
    type Spec = Spec;

    const COLLECTION: &'static str = "actions";
    const SCHEMA: &'static str = "Action";
    const READ_ONLY: &'static [&'static str] = &["/target/secret_header_names"];

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, target, meta } = self.clone();
        let Target::Webhook(Webhook { url, method, headers, secret_headers }) = target;
        let target = TargetSpec {
            r#type: TargetType::Webhook,
            url,
            method,
            headers,
            secret_headers: None,
            secret_header_names: secret_headers.into_keys().collect(),
        };
        Spec { system, name, description: meta.description, labels: meta.labels, target }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, target } = spec;
        let TargetSpec { r#type: TargetType::Webhook, url, method, headers, secret_headers, .. } = target;
        let kept = making.old.map(|Self { target: Target::Webhook(old), .. }| old.secret_headers.clone());
        let webhook = Webhook { url, method, headers, secret_headers: kept.unwrap_or_default() };
        let mut action = Self {
            tenant: making.tenant.clone(),
            system,
            id: super::id(making.id)?,
            name,
            target: Target::Webhook(webhook),
            meta: super::meta(description, labels),
        };
        if let Some(secrets) = secret_headers {
            let sealed = sealed(&secrets, &action.entry_key().to_string(), &making)?;
            let Target::Webhook(webhook) = &mut action.target;
            webhook.secret_headers = sealed;
        }
        Ok(Built::new(action))
    }
}

fn sealed(
    secrets: &BTreeMap<String, SecretString>,
    context: &str,
    making: &Making<'_, Action>,
) -> Result<BTreeMap<String, String>, Problem> {
    let seal = |(name, secret): (&String, &SecretString)| {
        let good = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
        let value = secret.expose_secret();
        // Once it is sealed the catalog cannot tell.
        if !(1..=SECRET_BYTES_MAX).contains(&value.len()) || !value.bytes().all(good) {
            let pointer = format!("/target/secret_headers/{}", name.replace('~', "~0").replace('/', "~1"));
            let detail = format!("must be 1 to {SECRET_BYTES_MAX} characters of visible ASCII");
            return Err(super::fault(pointer, detail));
        }
        let sealed = making.sealer.seal(context, secret).map_err(Problem::internal)?;
        Ok((name.clone(), sealed))
    };
    secrets.iter().map(seal).collect()
}
