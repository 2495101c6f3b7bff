//! Who may do what. The only place that decides it.

use auth::{AuthError, Authority, Caller};
use relations::{Kind, Permission, Scope as Place};

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
    /// What holds for a tenant.
    Limits,
    /// A person's session.
    Session,
    /// An OAuth client's token.
    Token,
    /// Who is at some work.
    Lease,
    /// An invitation to a tenant.
    Invitation,
    /// A link by which a user sets a password.
    PasswordReset,
    /// An invoice, and what takes it back.
    Invoice,
}

impl Thing {
    /// As it stands in the audit.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Resource(kind) => kind.as_str(),
            Self::Audit => "audit",
            Self::Limits => "limit",
            Self::Session => "session",
            Self::Token => "token",
            Self::Lease => "lease",
            Self::Invitation => "invitation",
            Self::PasswordReset => "password-reset",
            Self::Invoice => "invoice",
        }
    }
}

impl Thing {
    /// Whether it is the fleet's and read by whoever may read such things at home.
    pub(super) const fn is_for_all_to_see(self) -> bool {
        matches!(self, Self::Resource(catalog::Kind::Plan))
    }

    /// As the table of roles calls it.
    const fn kind(self) -> Kind {
        match self {
            Self::Audit => Kind::Audit,
            Self::Limits => Kind::Limit,
            Self::Invoice => Kind::Invoice,
            Self::Session | Self::Token => Kind::Session,
            // Who may change systems may change what is made of them.
            Self::Lease => Kind::System,
            Self::Invitation | Self::PasswordReset => Kind::User,
            Self::Resource(kind) => match kind {
                catalog::Kind::Tenant => Kind::Tenant,
                catalog::Kind::System => Kind::System,
                catalog::Kind::Customer => Kind::Customer,
                catalog::Kind::BillingAccount => Kind::BillingAccount,
                catalog::Kind::Source => Kind::Source,
                catalog::Kind::EventType => Kind::EventType,
                catalog::Kind::Key => Kind::ApiKey,
                catalog::Kind::NatsCredential => Kind::NatsCredential,
                catalog::Kind::Plan => Kind::Plan,
                catalog::Kind::User => Kind::User,
                catalog::Kind::Action => Kind::Action,
                catalog::Kind::Subscription => Kind::Subscription,
                catalog::Kind::RuleSet => Kind::RuleSet,
                catalog::Kind::Component => Kind::Component,
                catalog::Kind::Workflow => Kind::Workflow,
                catalog::Kind::Feed => Kind::Feed,
                catalog::Kind::Meter => Kind::Meter,
                catalog::Kind::Role => Kind::Role,
                catalog::Kind::RoleBinding => Kind::RoleBinding,
            },
        }
    }
}

/// What it takes: all of these.
pub(super) fn needed(verb: Verb, thing: Thing) -> Vec<Permission> {
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
    match thing {
        // Whoever is invited gets a role.
        Thing::Invitation if verb == Verb::Create => {
            needed.push(Permission::new(relations::Verb::Create, Kind::RoleBinding));
        }
        // Another password changes the user.
        Thing::PasswordReset if verb == Verb::Create => {
            needed.push(Permission::new(relations::Verb::Update, Kind::User));
        }
        _ => {}
    }
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

/// Whose the thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner<'a> {
    /// Nobody's: the list of tenants, in which a caller that may not read all finds its own; and what is for all to see.
    Nobody,
    /// The fleet's.
    Fleet,
    /// A tenant's; of one that is there, or that nobody knows of.
    Tenant {
        /// Its id, as it was named.
        id: &'a str,
        /// Whether the snapshot has it.
        exists: bool,
    },
}

/// Whether a caller may do that to things of that kind.
///
/// Decided by what the caller brings and was given, so that neither the answer nor its time tells what others
/// have: whoever may not even read such things, neither there nor at home, is told so whosever they are, and others'
/// are hidden from everybody else.
///
/// # Errors
/// [`AuthError::Undecided`] if the authorizer does not answer.
pub(crate) async fn may(
    authority: &Authority,
    caller: &Caller,
    verb: Verb,
    thing: Thing,
    owner: Owner<'_>,
) -> Result<Verdict, AuthError> {
    let (read, needed) = (needed(Verb::Read, thing), needed(verb, thing));
    let home = caller.home();
    let place = match owner {
        Owner::Tenant { id, .. } if *caller.tenant.id == *id => home,
        Owner::Tenant { id, exists } => {
            if !authority.may_abroad(caller, &read, id, exists).await? {
                return Ok(match authority.require(caller, &read, &home).await {
                    Ok(()) => Verdict::Hidden,
                    Err(error) => refusal(error)?,
                });
            }
            if authority.may_abroad(caller, &needed, id, exists).await? {
                return Ok(Verdict::Allowed);
            }
            // So that it says what is missing.
            if exists { Place::Tenant(id.to_owned()) } else { Place::Fleet }
        }
        Owner::Nobody if verb == Verb::Read && !authority.may(caller, &read, &Place::Fleet).await? => home,
        Owner::Nobody | Owner::Fleet => Place::Fleet,
    };
    // Of the fleet nothing is hidden, so that it is said what is missing for what was asked.
    let order = if place == Place::Fleet { [&needed, &read] } else { [&read, &needed] };
    for permissions in order {
        if let Err(error) = authority.require(caller, permissions, &place).await {
            return refusal(error);
        }
    }
    Ok(Verdict::Allowed)
}

/// What is answered to who may not, unless nobody can say.
fn refusal(error: AuthError) -> Result<Verdict, AuthError> {
    match error {
        AuthError::Undecided(_) => Err(error),
        error => Ok(Verdict::TooSmall(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use auth::Who;
    use catalog::Snapshot;
    use model::{
        TenantId,
        resource::{RoleBinding, Scope},
    };
    use relations::Role;
    use serde_json::json;

    use super::*;

    const SYSTEMS: Thing = Thing::Resource(catalog::Kind::System);
    const TENANTS: Thing = Thing::Resource(catalog::Kind::Tenant);
    const KEYS: Thing = Thing::Resource(catalog::Kind::Key);
    const PLANS: Thing = Thing::Resource(catalog::Kind::Plan);

    fn caller(who: Who) -> Caller {
        let tenant = serde_json::from_value(serde_json::json!({"id": "acme"})).unwrap();
        Caller::new(Arc::new(tenant), who)
    }

    /// Where acme and globex are, and what is given besides.
    async fn decide(
        given: Snapshot,
        caller: &Caller,
        verb: Verb,
        thing: Thing,
        tenant: Option<&str>,
    ) -> Verdict {
        let there = ["acme", "globex"].into_iter().fold(given, |snapshot, id| {
            snapshot.with::<model::resource::Tenant>(serde_json::from_value(json!({ "id": id })).unwrap())
        });
        let owner = match tenant {
            None => Owner::Nobody,
            Some("-") => Owner::Fleet,
            Some(id) => {
                let exists = id.parse::<TenantId>().is_ok_and(|id| there.tenant(&id).is_some());
                Owner::Tenant { id, exists }
            }
        };
        let there = Arc::new(there);
        let authority = Authority::embedded(Arc::new(move || there.clone()));
        may(&authority, caller, verb, thing, owner).await.unwrap()
    }

    #[tokio::test]
    async fn the_table_of_decisions_for_keys() {
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
            (others, Verb::Read, PLANS, None, too_small(Scope::Manage)),
            (&[Scope::Manage], Verb::Read, PLANS, None, Allowed),
            (&[Scope::Manage], Verb::Create, PLANS, None, too_small(Scope::Operate)),
            (&[Scope::Operate], Verb::Create, PLANS, None, Allowed),
            (&[Scope::Operate], Verb::Create, TENANTS, None, Allowed),
            (&[Scope::Operate], Verb::Delete, SYSTEMS, Some("globex"), Allowed),
        ];
        for (scopes, verb, thing, tenant, expected) in table {
            let who = Who::Key { id: "k".parse().unwrap(), scopes: scopes.to_vec() };
            let decided = decide(Snapshot::default(), &caller(who), verb, thing, tenant).await;
            assert_eq!(decided, expected, "{scopes:?} {verb:?} {thing:?} {tenant:?}");
        }
    }

    #[tokio::test]
    async fn the_table_of_decisions_for_roles() {
        use Verdict::{Allowed, Hidden};
        let lacks = |permission: &str| Verdict::TooSmall(AuthError::RoleNeeded(permission.parse().unwrap()));
        let lacks_fleet_wide =
            |permission: &str| Verdict::TooSmall(AuthError::FleetRoleNeeded(permission.parse().unwrap()));
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
            (&[Role::User], Verb::Read, PLANS, None, lacks("read:plan")),
            (&[Role::TenantAdmin], Verb::Read, PLANS, None, Allowed),
            (&[Role::TenantAdmin], Verb::Change, PLANS, None, lacks_fleet_wide("update:plan")),
            (&[Role::Superuser], Verb::Delete, PLANS, None, Allowed),
            (&[Role::Superuser], Verb::Delete, KEYS, Some("globex"), Allowed),
            (&[Role::Superuser], Verb::Create, TENANTS, None, Allowed),
        ];
        for (roles, verb, thing, tenant, expected) in table {
            let (issuer, subject) = (String::new(), "alice".to_owned());
            let who = Who::User {
                issuer,
                subject,
                roles: roles.to_vec(),
                fleet_wide: false,
                expires_at: 0,
                access: None,
            };
            let decided = decide(Snapshot::default(), &caller(who), verb, thing, tenant).await;
            assert_eq!(decided, expected, "{roles:?} {verb:?} {thing:?} {tenant:?}");
        }
    }

    /// Bindings add to what somebody brings, where they are made, and hide and refuse nothing that was not before.
    #[tokio::test]
    async fn the_table_of_decisions_by_bindings() {
        use Verdict::{Allowed, Hidden};
        const ROLES: Thing = Thing::Resource(catalog::Kind::Role);
        let lacks = |permission: &str| Verdict::TooSmall(AuthError::RoleNeeded(permission.parse().unwrap()));
        let fleet_lacks =
            |permission: &str| Verdict::TooSmall(AuthError::FleetRoleNeeded(permission.parse().unwrap()));
        let table = [
            (&[][..], Verb::Read, SYSTEMS, Some("acme"), lacks("read:system")),
            (&[("acme", "viewer")], Verb::Read, SYSTEMS, Some("acme"), Allowed),
            (&[("acme", "viewer")], Verb::Create, SYSTEMS, Some("acme"), lacks("create:system")),
            (&[("acme", "viewer")], Verb::Read, SYSTEMS, Some("globex"), Hidden),
            (&[("acme", "viewer")], Verb::Read, SYSTEMS, Some("nowhere"), Hidden),
            (&[("globex", "viewer")], Verb::Read, SYSTEMS, Some("acme"), lacks("read:system")),
            (&[("globex", "viewer")], Verb::Read, SYSTEMS, Some("globex"), Allowed),
            (&[("globex", "viewer")], Verb::Create, SYSTEMS, Some("globex"), lacks("create:system")),
            (&[("globex", "viewer")], Verb::Read, KEYS, Some("globex"), lacks("read:api_key")),
            (&[("globex", "viewer")], Verb::Read, SYSTEMS, Some("nowhere"), lacks("read:system")),
            (&[("globex", "admin")], Verb::Delete, KEYS, Some("globex"), Allowed),
            (&[("acme", "tenant_admin")], Verb::Create, TENANTS, None, fleet_lacks("create:tenant")),
            (&[("acme", "tenant_admin")], Verb::Read, TENANTS, None, Allowed),
            (&[("acme", "tenant_admin")], Verb::Create, ROLES, Some("-"), fleet_lacks("create:role")),
            (&[("-", "viewer")], Verb::Read, SYSTEMS, Some("globex"), Allowed),
            (&[("-", "viewer")], Verb::Create, SYSTEMS, Some("globex"), lacks("create:system")),
            (&[("-", "viewer")], Verb::Create, SYSTEMS, Some("nowhere"), fleet_lacks("create:system")),
            (&[("-", "viewer")], Verb::Create, ROLES, Some("-"), fleet_lacks("create:role")),
            (&[("-", "superuser")], Verb::Delete, KEYS, Some("globex"), Allowed),
            (&[("-", "superuser")], Verb::Undelete, TENANTS, Some("nowhere"), Allowed),
            (&[("-", "superuser")], Verb::Create, TENANTS, None, Allowed),
            (&[("-", "superuser")], Verb::Create, ROLES, Some("-"), Allowed),
        ];
        for (given, verb, thing, tenant, expected) in table {
            let snapshot = given.iter().fold(Snapshot::default(), |snapshot, (owner, role)| {
                let actor = "user:https://issuer.example|alice";
                let binding = json!({"tenant": owner, "id": "b", "actor": actor, "role": role});
                snapshot.with::<RoleBinding>(serde_json::from_value(binding).unwrap())
            });
            let (issuer, subject) = ("https://issuer.example".to_owned(), "alice".to_owned());
            let who =
                Who::User { issuer, subject, roles: vec![], fleet_wide: false, expires_at: 0, access: None };
            let decided = decide(snapshot, &caller(who), verb, thing, tenant).await;
            assert_eq!(decided, expected, "{given:?} {verb:?} {thing:?} {tenant:?}");
        }
    }
}
