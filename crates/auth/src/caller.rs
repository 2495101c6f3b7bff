//! Who makes a request to the API, and what they may do.

use std::{fmt, sync::Arc};

use model::{
    KeyId, Micros,
    resource::{Scope, Tenant},
};
use relations::{Permission, Role};

use crate::{AuthError, Principal, scopes};

/// Whoever a request comes from, of a tenant that is not disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose it is, as of this request.
    pub tenant: Arc<Tenant>,
    /// Who it is.
    pub who: Who,
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
        /// When the token ends.
        expires_at: Micros,
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

impl From<Principal> for Caller {
    fn from(Principal { tenant, system: _, key: id, scopes }: Principal) -> Self {
        Self { tenant, who: Who::Key { id, scopes } }
    }
}

impl Caller {
    /// Whether it may do that to what its tenant has, and, if it [operates](Self::operates), to what any has.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match &self.who {
            Who::Key { scopes, .. } => scopes.iter().any(|scope| scopes::allows(*scope, permission)),
            Who::User { roles, .. } => roles.iter().any(|role| role.may(permission)),
        }
    }

    /// Whether what it may do it may do everywhere.
    #[must_use]
    pub fn operates(&self) -> bool {
        match &self.who {
            Who::Key { scopes, .. } => scopes.contains(&Scope::Operate),
            Who::User { roles, .. } => roles.contains(&Role::Superuser),
        }
    }

    /// Whether it may make a key with that scope: nobody gives what they lack, but for operators.
    #[must_use]
    pub fn may_give(&self, scope: Scope) -> bool {
        self.operates()
            || Permission::all().filter(|permission| scopes::allows(scope, *permission)).all(|p| self.may(p))
    }

    /// Insists on all of these.
    ///
    /// # Errors
    /// [`AuthError::ScopeNeeded`] or [`AuthError::RoleNeeded`] if it may not do one of them.
    pub fn require(&self, permissions: &[Permission]) -> Result<(), AuthError> {
        match permissions.iter().find(|permission| !self.may(**permission)) {
            None => Ok(()),
            Some(missing) => Err(self.lacks(permissions, *missing)),
        }
    }

    /// The refusal of who may not do one of them.
    fn lacks(&self, permissions: &[Permission], missing: Permission) -> AuthError {
        match &self.who {
            Who::Key { .. } => {
                // What no one scope allows takes the one for what is missing.
                let scope = scopes::scope_for(permissions).or_else(|| scopes::scope_for(&[missing]));
                AuthError::ScopeNeeded(scope.unwrap_or(Scope::Operate))
            }
            Who::User { .. } => AuthError::RoleNeeded(missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use relations::Permission;

    use super::*;

    fn caller(who: Who) -> Caller {
        let tenant = serde_json::from_value(serde_json::json!({"id": "acme"})).unwrap();
        Caller { tenant: Arc::new(tenant), who }
    }

    fn key(scopes: &[Scope]) -> Caller {
        caller(Who::Key { id: "k".parse().unwrap(), scopes: scopes.to_vec() })
    }

    fn user(roles: &[Role]) -> Caller {
        let (issuer, subject) = ("https://issuer.example".to_owned(), "alice@example.com".to_owned());
        caller(Who::User { issuer, subject, roles: roles.to_vec(), expires_at: 0 })
    }

    #[test]
    fn who_lacks_something_is_told_what() {
        let permission = |text: &str| text.parse::<Permission>().unwrap();
        let told =
            |caller: Caller, text: &str| caller.require(&[permission(text)]).map_err(|e| e.to_string());
        assert_eq!(told(key(&[Scope::Read]), "read:event"), Ok(()));
        assert_eq!(
            told(key(&[Scope::Read]), "read:system").unwrap_err(),
            "the API key lacks the scope manage"
        );
        assert_eq!(told(user(&[Role::Viewer]), "read:system"), Ok(()));
        assert_eq!(
            told(user(&[Role::Viewer, Role::EventPublisher]), "update:system").unwrap_err(),
            "update:system takes one of the roles superuser, tenant_admin, admin"
        );
        assert!(told(user(&[]), "read:system").is_err());
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
}
