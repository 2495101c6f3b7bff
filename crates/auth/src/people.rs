//! People who come by an access token of ours.

use std::{collections::BTreeSet, sync::Arc};

use catalog::Snapshot;
use identity::{Access, Holder, Purpose, TokenError};
use model::{
    FLEET, TenantId,
    resource::{RoleBinding, Tenant, User},
};

use crate::{AuthError, Caller, Who};

/// The person of an access token, if nothing has been taken from them since it was issued.
///
/// # Errors
/// [`AuthError::Token`] if the user is gone or disabled, or their session is over.
pub fn person(snapshot: &Snapshot, access: &Access) -> Result<Arc<User>, AuthError> {
    let user = snapshot.user(&access.grant.subject).filter(|user| !user.disabled);
    let user = user.filter(|user| access.issued_at > user.signed_out_at_us);
    let user = user.filter(|user| match &access.grant.holder {
        Holder::User { session } => !user.has_ended(session),
        Holder::Client => false,
    });
    user.cloned().ok_or(AuthError::Token(TokenError::Revoked))
}

/// The same, if they need not set another password first.
///
/// # Errors
/// As [`person`]; [`AuthError::PasswordNeeded`] if they must.
pub fn may_act(snapshot: &Snapshot, access: &Access) -> Result<Arc<User>, AuthError> {
    let user = person(snapshot, access)?;
    if user.must_change_password || access.grant.purpose == Purpose::SetPassword {
        return Err(AuthError::PasswordNeeded);
    }
    Ok(user)
}

/// The caller that an access token of a person speaks of.
///
/// # Errors
/// As [`may_act`]; [`AuthError::NoTenant`] or [`AuthError::TenantDisabled`] if the tenant they are at home in is gone or disabled.
pub fn caller(snapshot: &Snapshot, issuer: &str, access: &Access) -> Result<Caller, AuthError> {
    let user = may_act(snapshot, access)?;
    let tenant = match &access.grant.tenant {
        None => fleet(),
        Some(id) => {
            let tenant = id.parse().ok().and_then(|id: TenantId| snapshot.tenant(&id).cloned());
            tenant.ok_or(AuthError::NoTenant)?
        }
    };
    if tenant.disabled {
        return Err(AuthError::TenantDisabled(tenant.id.clone()));
    }
    let who = Who::User {
        issuer: issuer.to_owned(),
        subject: user.id.to_string(),
        // What they may do is said by bindings alone.
        roles: Vec::new(),
        fleet_wide: true,
        expires_at: access.expires_at,
        access: Some(Arc::new(access.clone())),
    };
    Ok(Caller::new(tenant, who))
}

/// Stands for the tenant of whoever is at home in none.
fn fleet() -> Arc<Tenant> {
    static NONE: std::sync::LazyLock<Arc<Tenant>> = std::sync::LazyLock::new(|| {
        Arc::new(Tenant {
            id: FLEET.clone(),
            name: String::new(),
            disabled: false,
            placement: model::resource::DEFAULT_PLACEMENT.to_owned(),
            plan: None,
            limits: model::resource::TenantLimits::default(),
            retention_days: 0,
            tenant_stream: model::resource::TenantStream::default(),
            meta: model::resource::Meta::default(),
        })
    });
    Arc::clone(&NONE)
}

/// Where bindings give a user anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Homes {
    /// In these tenants, in order.
    pub tenants: Vec<TenantId>,
    /// In all of them.
    pub fleet_wide: bool,
}

/// Where bindings give a user anything. Looks at all bindings there are.
#[must_use]
pub fn homes(snapshot: &Snapshot, user: &User) -> Homes {
    let actor = format!("user:{}", user.id);
    // Whatever comes by a custom role comes by a binding of the same place that gives them that role.
    let named = snapshot.each::<RoleBinding>(None).filter(|e| e.value.actor == actor);
    let places: BTreeSet<TenantId> = named.map(|e| e.value.tenant.clone()).collect();
    let fleet_wide = places.contains(&FLEET);
    let tenants = places.into_iter().filter(|id| !id.is_fleet() && snapshot.tenant(id).is_some()).collect();
    Homes { tenants, fleet_wide }
}

impl Homes {
    /// Whether somebody may choose to be at home there.
    #[must_use]
    pub fn may_be(&self, tenant: &TenantId) -> bool {
        self.fleet_wide || self.tenants.contains(tenant)
    }

    /// Where they are at home unless they choose: in the only tenant there is for them.
    #[must_use]
    pub fn only(&self) -> Option<&TenantId> {
        match &*self.tenants {
            [only] if !self.fleet_wide => Some(only),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use identity::Grant;
    use serde_json::{Value, json};

    use super::*;

    fn snapshot(user: Value, disabled: bool) -> Snapshot {
        let read = |value| serde_json::from_value::<Tenant>(value).unwrap();
        let user: User = serde_json::from_value(user).unwrap();
        Snapshot::default()
            .with(read(json!({"id": "acme", "disabled": disabled})))
            .with(read(json!({"id": "globex"})))
            .with(user)
    }

    fn access(tenant: Option<&str>, purpose: Purpose) -> Access {
        let holder = Holder::User { session: "s1".to_owned() };
        let tenant = tenant.map(str::to_owned);
        let grant = Grant { subject: "alice".to_owned(), holder, purpose, tenant, scopes: vec![] };
        Access { grant, id: "t1".to_owned(), issued_at: 100, expires_at: 200 }
    }

    #[test]
    fn a_person_is_believed_as_long_as_the_catalog_says_nothing_else() {
        let revoked = Err(AuthError::Token(TokenError::Revoked));
        let who = |user: Value, access: &Access| {
            caller(&snapshot(user, false), "https://er.example", access).map(|c| c.tenant.id.to_string())
        };
        let plain = access(None, Purpose::All);
        assert_eq!(who(json!({"id": "alice"}), &plain), Ok("-".to_owned()));
        assert_eq!(who(json!({"id": "alice"}), &access(Some("acme"), Purpose::All)), Ok("acme".to_owned()));
        assert_eq!(who(json!({"id": "bob"}), &plain), revoked);
        assert_eq!(who(json!({"id": "alice", "disabled": true}), &plain), revoked);
        assert_eq!(who(json!({"id": "alice", "signed_out_at_us": 100}), &plain), revoked);
        let ended =
            |session: &str| json!({"id": "alice", "ended_sessions": [{"id": session, "until_us": 0}]});
        assert_eq!(who(ended("s1"), &plain), revoked);
        assert_eq!(who(ended("s2"), &plain), Ok("-".to_owned()));
        assert_eq!(who(json!({"id": "alice", "signed_out_at_us": 99}), &plain), Ok("-".to_owned()));
        let needed = Err(AuthError::PasswordNeeded);
        assert_eq!(who(json!({"id": "alice", "must_change_password": true}), &plain), needed);
        assert_eq!(who(json!({"id": "alice"}), &access(None, Purpose::SetPassword)), needed);
        for nowhere in ["nowhere", "-", "", "ACME"] {
            let there = access(Some(nowhere), Purpose::All);
            assert_eq!(who(json!({"id": "alice"}), &there), Err(AuthError::NoTenant));
        }
        let disabled = snapshot(json!({"id": "alice"}), true);
        let there = caller(&disabled, "https://er.example", &access(Some("acme"), Purpose::All));
        assert!(matches!(there, Err(AuthError::TenantDisabled(_))));
        let client = Access { grant: Grant { holder: Holder::Client, ..plain.grant.clone() }, ..plain };
        assert_eq!(who(json!({"id": "alice"}), &client), revoked);
    }

    #[test]
    fn somebody_is_at_home_where_bindings_say() {
        let bound = |tenant: &str, actor: &str| -> RoleBinding {
            serde_json::from_value(json!({"tenant": tenant, "id": "b", "actor": actor, "role": "viewer"}))
                .unwrap()
        };
        let none = snapshot(json!({"id": "alice"}), false);
        let alice = none.user("alice").unwrap().clone();
        let found = |snapshot: &Snapshot| {
            let homes = homes(snapshot, &alice);
            let names: Vec<String> = homes.tenants.iter().map(ToString::to_string).collect();
            (names.join(" "), homes.fleet_wide, homes.only().map(ToString::to_string))
        };
        assert_eq!(found(&none), (String::new(), false, None));
        let others = none.with(bound("acme", "user:bob")).with(bound("nowhere", "user:alice"));
        assert_eq!(found(&others), (String::new(), false, None));
        let one = others.with(bound("globex", "user:alice"));
        assert_eq!(found(&one), ("globex".to_owned(), false, Some("globex".to_owned())));
        let two = one.clone().with(bound("acme", "user:alice"));
        assert_eq!(found(&two), ("acme globex".to_owned(), false, None));
        let all = one.with(bound("-", "user:alice"));
        assert_eq!(found(&all), ("globex".to_owned(), true, None));
    }
}
