//! API keys. The key itself is told once, to who made it.

use std::collections::BTreeMap;

use auth::{Caller, NewKey};
use model::{
    CustomerId, ErrorCode, SystemId,
    resource::{ApiKey, Meta, Scope},
};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// What a producer, a consumer or a manager authenticates with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system it is bound to.
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
    /// What it may do: `publish`, `read`, `write`, `manage`, `operate`. None that its maker's key lacks, unless that is an
    /// operator's.
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// The customer on whose behalf it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    customer: Option<CustomerId>,
}

impl Managed for ApiKey {
    type Spec = Spec;

    const COLLECTION: &'static str = "keys";
    const SCHEMA: &'static str = "ApiKey";
    const ID_IS_CHOSEN: bool = false;
    const SHOWN_ONCE: Option<(&'static str, &'static str)> = Some(("key", "The key itself"));
    const GIVES: bool = true;

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, hash: _, scopes, customer, meta } = self.clone();
        Spec { system, name, description: meta.description, labels: meta.labels, scopes, customer }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, mut scopes, customer } = spec;
        let held = making.old.map(|old| &*old.scopes).unwrap_or_default();
        check_scopes(&scopes, held, making.caller)?;
        scopes.sort_unstable();
        scopes.dedup();
        let meta = super::meta(description, labels);
        if let Some(old) = making.old {
            let old = old.clone();
            return Ok(Built::new(Self { system, name, scopes, customer, meta, ..old }));
        }
        let new = NewKey { tenant: making.tenant.clone(), system, name, scopes, created_at: String::new() };
        let (key, shown_once) = auth::generate(&mut rand::rng(), new);
        let meta = Meta { created_at: key.meta.created_at, ..meta };
        Ok(Built { resource: Self { customer, meta, ..key }, shown_once: Some(("key", shown_once)) })
    }

    /// An operator's key is changed and revoked by operators; none is restored by who could not have made it.
    fn guard(&self, caller: &Caller, restores: bool) -> Result<(), Problem> {
        if self.scopes.contains(&Scope::Operate) && !caller.may_give_everything() {
            return Err(Problem::new(ErrorCode::Forbidden, "only an operator may touch an operator's key"));
        }
        if restores { check_scopes(&self.scopes, &[], caller) } else { Ok(()) }
    }
}

/// Nobody gives a key a scope that their own lacks. What it has already may stay.
fn check_scopes(wanted: &[Scope], has: &[Scope], caller: &Caller) -> Result<(), Problem> {
    let lacks = |scope: &Scope| !caller.may_give(*scope) && !has.contains(scope);
    match wanted.iter().position(lacks) {
        None => Ok(()),
        Some(at) => {
            let detail = format!("your key lacks it too: {}", wanted[at].as_str());
            Err(Problem::new(ErrorCode::Forbidden, "a key cannot be given what its maker lacks")
                .field(format!("/scopes/{at}"), detail))
        }
    }
}
