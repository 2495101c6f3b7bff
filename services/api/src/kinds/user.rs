//! Users: people who are known here.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Snapshot, tuples};
use model::{
    Clock as _, SystemClock,
    resource::{RoleBinding, User},
};
use relations::Permission;
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Gift, Making, Managed};

/// A person. The fleet's: role bindings say in which tenants they may do what, or whether everywhere. A password is none of this:
/// they set it themselves, by a one-time link.
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
    /// By which they may log in as well as by the id; no two have the same. Kept in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// Whether nothing of theirs is believed any more: password, sessions, tokens.
    #[serde(default)]
    disabled: bool,
    /// Whether they may do nothing before they have set another password.
    #[serde(default)]
    must_change_password: bool,
    /// Whether they have set a password.
    #[serde(default)]
    #[schema(read_only)]
    has_password: bool,
}

impl Managed for User {
    type Spec = Spec;

    const COLLECTION: &'static str = "users";
    const SCHEMA: &'static str = "User";
    const READ_ONLY: &'static [&'static str] = &["/has_password"];
    const GIVES: bool = true;

    fn spec(&self) -> Spec {
        let Self {
            id: _,
            name,
            email,
            disabled,
            must_change_password,
            sealed_password,
            signed_out_at_us: _,
            ended_sessions: _,
            meta,
        } = self.clone();
        let (description, labels) = (meta.description, meta.labels);
        let has_password = sealed_password.is_some();
        Spec { name, description, labels, email, disabled, must_change_password, has_password }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels, email, disabled, must_change_password, has_password: _ } = spec;
        let (id, meta) = (super::id(making.id)?, super::meta(description, labels));
        let email = email.map(|email| email.to_lowercase());
        let mut user = Self {
            id,
            name,
            email,
            disabled,
            must_change_password,
            sealed_password: None,
            signed_out_at_us: 0,
            ended_sessions: Vec::new(),
            meta,
        };
        if let Some(old) = making.old {
            user.sealed_password.clone_from(&old.sealed_password);
            user.signed_out_at_us = old.signed_out_at_us;
            user.ended_sessions.clone_from(&old.ended_sessions);
            if disabled && !old.disabled {
                // Whoever is let in again begins anew.
                user.end_all_sessions(SystemClock.now());
            }
        }
        Ok(Built::new(user))
    }

    /// Whoever opens the way to what a user may do must be able to do it themselves: by another address, or by letting them in
    /// again.
    fn gives(&self, old: Option<&Self>, snapshot: &Snapshot) -> Vec<Gift> {
        let Some(old) = old else { return Vec::new() };
        let same = |pointer: &str, same: bool| (!same).then(|| pointer.to_owned());
        let pointers = [
            same("/email", self.email == old.email),
            same("/disabled", self.disabled == old.disabled),
            same("/must_change_password", self.must_change_password == old.must_change_password),
        ];
        let permissions = permissions(snapshot, &self.id);
        let gift = |pointer| Gift { pointer, permissions: permissions.clone() };
        pointers.into_iter().flatten().map(gift).collect()
    }
}

/// All that bindings allow a user, wherever that is.
pub(crate) fn permissions(snapshot: &Snapshot, user: &str) -> BTreeSet<Permission> {
    let actor = format!("user:{user}");
    let all = snapshot.each::<RoleBinding>(None).map(|e| &e.value);
    let mut permissions = BTreeSet::new();
    for binding in all.filter(|binding| binding.actor == actor) {
        let custom = tuples::custom_roles(snapshot, &binding.tenant);
        let given = tuples::binding(binding).ok().and_then(|b| b.role.permissions(&custom).ok());
        permissions.extend(given.unwrap_or_default());
    }
    permissions
}
