//! Who may do what. The only place that decides it.

use auth::Principal;
use catalog::Kind;
use model::resource::Scope;

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
    Resource(Kind),
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

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    /// It takes this scope.
    TooSmall(Scope),
    /// It is another's: to be answered as if it did not exist.
    Hidden,
}

/// Whether a caller may do that to things of that kind, of that tenant. Without a tenant it is about the list of
/// tenants, in which a caller that is no operator finds its own.
///
/// Decided by the caller's own scopes and tenant alone, so that neither the answer nor its time tells what others have.
pub(crate) fn may(principal: &Principal, verb: Verb, thing: Thing, tenant: Option<&str>) -> Verdict {
    if principal.has(Scope::Operate) {
        return Verdict::Allowed;
    }
    if !principal.has(Scope::Manage) {
        return Verdict::TooSmall(Scope::Manage);
    }
    if tenant.is_some_and(|tenant| *principal.tenant.id != *tenant) {
        return Verdict::Hidden;
    }
    if thing == Thing::Resource(Kind::Tenant) && verb.changes() {
        return Verdict::TooSmall(Scope::Operate);
    }
    Verdict::Allowed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn principal(scopes: &[Scope]) -> Principal {
        let tenant = serde_json::from_value(serde_json::json!({"id": "acme"})).unwrap();
        Principal {
            tenant: Arc::new(tenant),
            system: "shop".parse().unwrap(),
            key: "k".parse().unwrap(),
            scopes: scopes.to_vec(),
        }
    }

    #[test]
    fn the_table_of_decisions() {
        use Verdict::{Allowed, Hidden, TooSmall};
        let others = &[Scope::Publish, Scope::Read, Scope::Write][..];
        let (tenants, systems) = (Thing::Resource(Kind::Tenant), Thing::Resource(Kind::System));
        let table = [
            (others, Verb::Read, systems, Some("acme"), TooSmall(Scope::Manage)),
            (others, Verb::Read, systems, Some("globex"), TooSmall(Scope::Manage)),
            (others, Verb::Read, tenants, None, TooSmall(Scope::Manage)),
            (&[Scope::Manage], Verb::Read, systems, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Delete, systems, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Read, systems, Some("globex"), Hidden),
            (&[Scope::Manage], Verb::Create, systems, Some("globex"), Hidden),
            (&[Scope::Manage], Verb::Read, tenants, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Change, tenants, Some("acme"), TooSmall(Scope::Operate)),
            (&[Scope::Manage], Verb::Change, tenants, Some("globex"), Hidden),
            (&[Scope::Manage], Verb::Create, tenants, None, TooSmall(Scope::Operate)),
            (&[Scope::Manage], Verb::Read, tenants, None, Allowed),
            (&[Scope::Manage], Verb::Read, Thing::Audit, Some("acme"), Allowed),
            (&[Scope::Manage], Verb::Read, Thing::Audit, Some("globex"), Hidden),
            (&[Scope::Operate], Verb::Create, tenants, None, Allowed),
            (&[Scope::Operate], Verb::Delete, systems, Some("globex"), Allowed),
        ];
        for (scopes, verb, thing, tenant, expected) in table {
            let decided = may(&principal(scopes), verb, thing, tenant);
            assert_eq!(decided, expected, "{scopes:?} {verb:?} {thing:?} {tenant:?}");
        }
    }
}
