//! What tenants' NATS clients log in with. The credentials file is told once, to who made it.

use std::collections::BTreeMap;

use model::{
    Clock as _, ErrorCode, NatsCredentialId, SystemClock,
    resource::{Begin, NatsCredential},
};
use rand::{RngExt as _, distr::Alphanumeric};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Built, Making, Managed},
};

/// Of the chosen ids, which stand in the names of consumers.
const ID_LENGTH: usize = 16;

/// A credentials file with which a tenant's NATS clients read its stream, by a consumer of their own: `<tenant>~<id>`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Where its consumer begins: `start`, with the oldest that the stream holds, or `new`. Not to be changed.
    #[serde(default)]
    #[schema(value_type = String)]
    begin: Begin,
}

impl Managed for NatsCredential {
    type Spec = Spec;

    const COLLECTION: &'static str = "nats-credentials";
    const SCHEMA: &'static str = "NatsCredential";
    const ID_IS_CHOSEN: bool = false;
    const SHOWN_ONCE: Option<(&'static str, &'static str)> = Some(("credentials", "The credentials file"));

    fn spec(&self) -> Spec {
        let Self { tenant: _, id: _, name, begin, signing_key: _, meta } = self.clone();
        Spec { name, description: meta.description, labels: meta.labels, begin }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels, begin } = spec;
        let meta = super::meta(description, labels);
        if let Some(old) = making.old {
            if begin != old.begin {
                return Err(super::fault("/begin", "its consumer has begun already: make another"));
            }
            return Ok(Built::new(Self { name, meta, ..old.clone() }));
        }
        let operator = making.operator.ok_or_else(|| {
            Problem::new(
                ErrorCode::Unprocessable,
                "this fleet lets no NATS clients of tenants in: it has no `accounts.operator_seed`",
            )
        })?;
        let id = rand::rng().sample_iter(Alphanumeric).take(ID_LENGTH).map(char::from).collect::<String>();
        let id: NatsCredentialId = id.to_ascii_lowercase().parse().map_err(Problem::internal)?;
        let tenant = making.tenant.clone();
        let now = SystemClock.now() / 1_000_000;
        let (reader, file) = operator.new_reader(&tenant, &id, begin, now).map_err(Problem::internal)?;
        let resource = Self { tenant, id, name, begin, signing_key: reader.signing_key, meta };
        Ok(Built { resource, shown_once: Some(("credentials", file)) })
    }

    async fn settle(app: &App, revision: u64) {
        if let Some(accounts) = &app.accounts {
            accounts.settled(revision).await;
        }
    }
}
