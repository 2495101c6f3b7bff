//! Who makes a request to the API, and what they may do.

use std::{collections::BTreeSet, fmt, sync::Arc};

use identity::Access;
use model::{
    KeyId, Micros,
    resource::{Scope, Tenant},
};
use relations::{Actor, Permission, Role, Scope as Place};

use crate::{AuthError, Principal, scopes};

/// Whoever a request comes from, of a tenant that is not disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose it is, as of this request.
    pub tenant: Arc<Tenant>,
    /// Who it is.
    pub who: Who,
    /// What it may do where the request acts, bindings and all; none as long as nobody asked.
    pub held: Option<Arc<Held>>,
}

/// What somebody may do in a place: by scopes or roles that they brought, and by bindings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// In that place.
    pub there: BTreeSet<Permission>,
    /// Whether they may do everything everywhere.
    pub everything: bool,
}

/// A key, or a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The holder of an API key.
    Key {
        /// The key's id.
        id: KeyId,
        /// What it was made for.
        scopes: Vec<Scope>,
    },
    /// The bearer of a signed token.
    User {
        /// Who signed it.
        issuer: String,
        /// Who it speaks of; unique at the issuer.
        subject: String,
        /// What they are there; roles that nobody knows are left out.
        roles: Vec<Role>,
        /// Whether the issuer may speak for the whole fleet: then its subjects are the fleet's own users.
        fleet_wide: bool,
        /// When the token ends.
        expires_at: Micros,
        /// What the token says, if it is one of ours: it may be taken back while a stream is open by it.
        access: Option<Arc<Access>>,
    },
}

/// `key:<id>` or `user:<subject>`.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { id, .. } => write!(f, "key:{id}"),
            Self::User { subject, .. } => write!(f, "user:{subject}"),
        }
    }
}

impl Who {
    /// What bindings call them: `key:<id>`, `user:<subject>`, or, of an issuer that does not speak for the fleet,
    /// `user:<issuer>|<subject>`: else one that is believed for a customer's people could name anybody.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Key { id, .. } => Actor::Key(id.to_string()),
            Self::User { subject, fleet_wide: true, .. } => Actor::User(subject.clone()),
            Self::User { issuer, subject, .. } => Actor::User(format!("{issuer}|{subject}")),
        }
    }

    /// The same, as bindings write it.
    #[must_use]
    pub fn named(&self) -> String {
        match self {
            Self::Key { id, .. } => format!("key:{id}"),
            Self::User { subject, fleet_wide: true, .. } => format!("user:{subject}"),
            Self::User { issuer, subject, .. } => format!("user:{issuer}|{subject}"),
        }
    }
}

impl From<Principal> for Caller {
    fn from(Principal { tenant, limits: _, system: _, customer: _, key: id, scopes }: Principal) -> Self {
        Self::new(tenant, Who::Key { id, scopes })
    }
}

impl Caller {
    /// One of whom no more is known than what they brought.
    #[must_use]
    pub fn new(tenant: Arc<Tenant>, who: Who) -> Self {
        Self { tenant, who, held: None }
    }

    /// Its own tenant; the fleet of who is at home in none.
    #[must_use]
    pub fn home(&self) -> Place {
        catalog::tuples::place(&self.tenant.id)
    }

    /// Whether the scopes or roles it brought let it do that there: they count in its own tenant, those of
    /// [operators](Self::operates) everywhere. Bindings may let it do more ([`crate::Authority`]).
    #[must_use]
    pub fn brings(&self, permission: Permission, place: &Place) -> bool {
        let at_home = matches!(place, Place::Tenant(id) if **id == *self.tenant.id);
        match &self.who {
            Who::Key { scopes, .. } => scopes
                .iter()
                .any(|scope| (at_home || *scope == Scope::Operate) && scopes::allows(*scope, permission)),
            Who::User { roles, .. } => {
                roles.iter().any(|role| (at_home || *role == Role::Superuser) && role.may(permission))
            }
        }
    }

    /// All that it may do there by what it brought.
    #[must_use]
    pub fn brought(&self, place: &Place) -> Held {
        let there = Permission::all().filter(|permission| self.brings(*permission, place)).collect();
        Held { there, everything: self.operates() }
    }

    /// Whether it brought what lets it act everywhere.
    #[must_use]
    pub fn operates(&self) -> bool {
        match &self.who {
            Who::Key { scopes, .. } => scopes.contains(&Scope::Operate),
            Who::User { roles, .. } => roles.contains(&Role::Superuser),
        }
    }

    /// Whether it may give somebody else a permission where the request acts: nobody gives what they lack, but for operators.
    #[must_use]
    pub fn may_give_permission(&self, permission: Permission) -> bool {
        self.operates()
            || match &self.held {
                Some(held) => held.there.contains(&permission),
                None => self.brings(permission, &self.home()),
            }
    }

    /// Whether it may give what counts everywhere, such as an operator's scope.
    #[must_use]
    pub fn may_give_everything(&self) -> bool {
        self.operates() || self.held.as_ref().is_some_and(|held| held.everything)
    }

    /// Whether it may make a key with that scope.
    #[must_use]
    pub fn may_give(&self, scope: Scope) -> bool {
        match scope {
            Scope::Operate => self.may_give_everything(),
            scope => Permission::all()
                .filter(|permission| scopes::allows(scope, *permission))
                .all(|permission| self.may_give_permission(permission)),
        }
    }

    /// The refusal of who may not do one of them.
    #[must_use]
    pub fn lacks(&self, permissions: &[Permission], missing: Permission, place: &Place) -> AuthError {
        match (&self.who, place) {
            (Who::Key { .. }, Place::Fleet) => AuthError::ScopeNeeded(Scope::Operate),
            (Who::Key { .. }, Place::Tenant(_)) => {
                // What no one scope allows takes the one for what is missing.
                let scope = scopes::scope_for(permissions).or_else(|| scopes::scope_for(&[missing]));
                AuthError::ScopeNeeded(scope.unwrap_or(Scope::Operate))
            }
            (Who::User { .. }, Place::Fleet) => AuthError::FleetRoleNeeded(missing),
            (Who::User { .. }, Place::Tenant(_)) => AuthError::RoleNeeded(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(who: Who) -> Caller {
        let tenant = serde_json::from_value(serde_json::json!({"id": "acme"})).unwrap();
        Caller::new(Arc::new(tenant), who)
    }

    fn key(scopes: &[Scope]) -> Caller {
        caller(Who::Key { id: "k".parse().unwrap(), scopes: scopes.to_vec() })
    }

    fn user(roles: &[Role]) -> Caller {
        let (issuer, subject) = ("https://issuer.example".to_owned(), "alice@example.com".to_owned());
        caller(Who::User {
            issuer,
            subject,
            roles: roles.to_vec(),
            fleet_wide: false,
            expires_at: 0,
            access: None,
        })
    }

    #[test]
    fn nobody_gives_what_they_lack() {
        let may_give =
            |caller: Caller| Scope::ALL.into_iter().filter(|s| caller.may_give(*s)).collect::<Vec<_>>();
        use Scope::{Manage, Operate, Publish, Read, Write};
        for scopes in [&[Publish][..], &[Read, Manage], &[Publish, Write], &[Manage], &[]] {
            assert_eq!(may_give(key(scopes)), scopes, "a key gives its own scopes");
        }
        assert_eq!(may_give(key(&[Operate])), Scope::ALL);
        let bound = |there: Vec<Permission>, everything| {
            let held = Held { there: there.into_iter().collect(), everything };
            may_give(Caller { held: Some(Arc::new(held)), ..key(&[Manage]) })
        };
        assert_eq!(bound(Role::Viewer.permissions().collect(), false), [Read], "what it has where it acts");
        assert_eq!(bound(Role::Superuser.permissions().collect(), false), [Publish, Read, Write, Manage]);
        assert_eq!(bound(Role::Superuser.permissions().collect(), true), Scope::ALL);
        assert_eq!(may_give(user(&[Role::Superuser])), Scope::ALL);
        assert_eq!(may_give(user(&[Role::TenantAdmin])), [Publish, Read, Write, Manage]);
        assert_eq!(may_give(user(&[Role::Admin])), [Publish, Read, Write]);
        assert_eq!(may_give(user(&[Role::User])), [Read]);
        assert_eq!(may_give(user(&[Role::EventPublisher])), [Publish]);
    }

    #[test]
    fn principals_say_which_they_are() {
        assert_eq!(key(&[]).who.to_string(), "key:k");
        assert_eq!(user(&[]).who.to_string(), "user:alice@example.com");
    }

    #[test]
    fn an_issuer_names_only_whom_it_may() {
        let Who::User { issuer, subject, roles, expires_at, .. } = user(&[]).who else { panic!("a key") };
        assert_eq!(user(&[]).who.actor(), Actor::User("https://issuer.example|alice@example.com".to_owned()));
        let ours = Who::User { issuer, subject, roles, fleet_wide: true, expires_at, access: None };
        assert_eq!(ours.actor(), Actor::User("alice@example.com".to_owned()));
        assert_eq!(key(&[]).who.actor(), Actor::Key("k".to_owned()));
    }
}
