//! Who may do what. The only place that decides it.

use auth::{AuthError, Caller};
use relations::{Kind, Permission};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Create,
    Replace,
    Change,
    Delete,
    Undelete,
}

impl Verb {
    /// As it stands in the audit.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
        }
    }

    /// Whether it may change something.
    pub(crate) const fn changes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// What it is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    /// Resources of a kind.
    Resource(catalog::Kind),
    /// A tenant's audit.
    Audit,
}

impl Thing {
    /// As it stands in the audit.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Resource(kind) => kind.as_str(),
            Self::Audit => "audit",
        }
    }
}

impl Thing {
    /// As the table of roles calls it.
    const fn kind(self) -> Kind {
        match self {
            Self::Audit => Kind::Audit,
            Self::Resource(kind) => match kind {
                catalog::Kind::Tenant => Kind::Tenant,
                catalog::Kind::System => Kind::System,
                catalog::Kind::Customer => Kind::Customer,
                catalog::Kind::Source => Kind::Source,
                catalog::Kind::EventType => Kind::EventType,
                catalog::Kind::Key => Kind::ApiKey,
            },
        }
    }
}

/// What it takes: all of these.
fn needed(verb: Verb, thing: Thing) -> Vec<Permission> {
    let kind = thing.kind();
    let verbs: &[relations::Verb] = match verb {
        Verb::Read => &[relations::Verb::Read],
        Verb::Create => &[relations::Verb::Create],
        // It makes what is not there.
        Verb::Replace => &[relations::Verb::Create, relations::Verb::Update],
        Verb::Change | Verb::Undelete => &[relations::Verb::Update],
        Verb::Delete => &[relations::Verb::Delete],
    };
    let mut needed: Vec<_> = verbs.iter().map(|verb| Permission::new(*verb, kind)).collect();
    // A tenant holds its own limits, and whether it is disabled.
    if kind == Kind::Tenant && verb.changes() {
        needed.push(Permission::new(relations::Verb::Update, Kind::Limit));
    }
    needed
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    /// It takes more.
    TooSmall(AuthError),
    /// It is another's: to be answered as if it did not exist.
    Hidden,
}

/// Whether a caller may do that to things of that kind, of that tenant. Without a tenant it is about the list of
/// tenants, in which a caller that is no operator finds its own.
///
/// Decided by the caller's own scopes or roles and tenant alone, so that neither the answer nor its time tells what others
/// have: whoever may not even read such things is told so whosever they are, and others' are hidden from everybody else.
pub(crate) fn may(caller: &Caller, verb: Verb, thing: Thing, tenant: Option<&str>) -> Verdict {
    if let Err(error) = caller.require(&needed(Verb::Read, thing)) {
        return Verdict::TooSmall(error);
    }
    if !caller.operates() && tenant.is_some_and(|tenant| *caller.tenant.id != *tenant) {
        return Verdict::Hidden;
    }
    caller.require(&needed(verb, thing)).map_or_else(Verdict::TooSmall, |()| Verdict::Allowed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use auth::Who;
    use model::resource::Scope;
    use relations::Role;

    use super::*;

    const SYSTEMS: Thing = Thing::Resource(catalog::Kind::System);
    const TENANTS: Thing = Thing::Resource(catalog::Kind::Tenant);
    const KEYS: Thing = Thing::Resource(catalog::Kind::Key);

    fn caller(who: Who) -> Caller {
        let tenant = serde_json::from_value(serde_json::json!({"id": "acme"})).unwrap();
        Caller { tenant: Arc::new(tenant), who }
    }

    #[test]
    fn the_table_of_decisions_for_keys() {
        use Verdict::{Allowed, Hidden};
        let too_small = |scope| Verdict::TooSmall(AuthError::ScopeNeeded(scope));
        let (manage, operate) = (too_small(Scope::Manage), too_small(Scope::Operate));
        let others = &[Scope::Publish, Scope::Read, Scope::Write][..];
        let table = [
            (others, Verb::Read, SYSTEMS, Some("acme"), manage.clone()),
            (others, Verb::Read, SYSTEMS, Some("globex"), manage.clone()),
            (others, Verb::Change, TENANTS, Some("globex"), manage.clone()),
            (others, Verb::Read, TENANTS, None, manage),
            (&[Scope::Manage], Verb::Read, SYSTEMS, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Delete, SYSTEMS, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Read, SYSTEMS, Some("globex"), Hidden),
            (&[Scope::Manage], Verb::Create, SYSTEMS, Some("globex"), Hidden),
            (&[Scope::Manage], Verb::Read, TENANTS, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Change, TENANTS, Some("acme"), operate.clone()),
            (&[Scope::Manage], Verb::Replace, TENANTS, Some("acme"), operate.clone()),
            (&[Scope::Manage], Verb::Delete, TENANTS, Some("acme"), operate.clone()),
            (&[Scope::Manage], Verb::Undelete, TENANTS, Some("acme"), operate.clone()),
            (&[Scope::Manage], Verb::Change, TENANTS, Some("globex"), Hidden),
            (&[Scope::Manage], Verb::Create, TENANTS, None, operate),
            (&[Scope::Manage], Verb::Read, TENANTS, None, Allowed),
            (&[Scope::Manage], Verb::Read, Thing::Audit, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Read, Thing::Audit, Some("globex"), Hidden),
            (&[Scope::Operate], Verb::Create, TENANTS, None, Allowed),
            (&[Scope::Operate], Verb::Delete, SYSTEMS, Some("globex"), Allowed),
        ];
        for (scopes, verb, thing, tenant, expected) in table {
            let who = Who::Key { id: "k".parse().unwrap(), scopes: scopes.to_vec() };
            let decided = may(&caller(who), verb, thing, tenant);
            assert_eq!(decided, expected, "{scopes:?} {verb:?} {thing:?} {tenant:?}");
        }
    }

    #[test]
    fn the_table_of_decisions_for_roles() {
        use Verdict::{Allowed, Hidden};
        let lacks = |permission: &str| Verdict::TooSmall(AuthError::RoleNeeded(permission.parse().unwrap()));
        let table = [
            (&[][..], Verb::Read, SYSTEMS, Some("acme"), lacks("read:system")),
            (&[], Verb::Read, SYSTEMS, Some("globex"), lacks("read:system")),
            (&[Role::Viewer], Verb::Read, SYSTEMS, Some("acme"), Allowed),
            (&[Role::Viewer], Verb::Read, SYSTEMS, Some("globex"), Hidden),
            (&[Role::Viewer], Verb::Create, SYSTEMS, Some("acme"), lacks("create:system")),
            (&[Role::Viewer], Verb::Create, SYSTEMS, Some("globex"), Hidden),
            (&[Role::Viewer], Verb::Read, KEYS, Some("acme"), lacks("read:api_key")),
            (&[Role::EventPublisher], Verb::Read, TENANTS, None, lacks("read:tenant")),
            (&[Role::EventPublisher, Role::Viewer], Verb::Read, TENANTS, None, Allowed),
            (&[Role::Admin], Verb::Replace, SYSTEMS, Some("acme"), Allowed),
            (&[Role::Admin], Verb::Read, Thing::Audit, Some("acme"), lacks("read:audit")),
            (&[Role::TenantAdmin], Verb::Read, Thing::Audit, Some("acme"), Allowed),
            (&[Role::TenantAdmin], Verb::Change, TENANTS, Some("acme"), lacks("update:limit")),
            (&[Role::TenantAdmin], Verb::Delete, KEYS, Some("globex"), Hidden),
            (&[Role::Superuser], Verb::Delete, KEYS, Some("globex"), Allowed),
            (&[Role::Superuser], Verb::Create, TENANTS, None, Allowed),
        ];
        for (roles, verb, thing, tenant, expected) in table {
            let (issuer, subject) = (String::new(), "alice".to_owned());
            let who = Who::User { issuer, subject, roles: roles.to_vec(), expires_at: 0 };
            let decided = may(&caller(who), verb, thing, tenant);
            assert_eq!(decided, expected, "{roles:?} {verb:?} {thing:?} {tenant:?}");
        }
    }
}
