//! The built-in roles: who may do what.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::permission::{Kind, Permission, Verb};

/// The roles that every fleet has. A role is given for one tenant, or fleet-wide: then it counts in every tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the fleet: may do everything everywhere. Only given fleet-wide.
    Superuser,
    /// Runs a tenant: its people and credentials too.
    TenantAdmin,
    /// Builds: everything that events pass through, and the keys of systems; no people.
    Admin,
    /// Works with what is built: reads all of it and changes what does not open a door.
    User,
    /// Sends events, as a system does.
    EventPublisher,
    /// Reads.
    Viewer,
}

/// What each role may do: **r**ead, **c**reate, **u**pdate, **d**elete, **p**ublish; `-` nothing. This table is all there
/// is: checks, tuples, Keto's namespaces and the documentation are made of it.
#[rustfmt::skip]
const TABLE: &[(Kind, [&str; 6])] = &[
    // kind                superuser  tenant_admin  admin    user     event_publisher  viewer
    // -- the fleet -----------------------------------------------------------------------------
    (Kind::Fleet,          ["ru",     "-",          "-",     "-",     "-",             "-"]),
    (Kind::Tenant,         ["rcud",   "ru",         "r",     "r",     "-",             "r"]),
    (Kind::Limit,          ["ru",     "r",          "r",     "r",     "-",             "r"]),
    (Kind::Plan,           ["rcud",   "r",          "r",     "-",     "-",             "-"]),
    (Kind::BillingAccount, ["rcud",   "r",          "r",     "-",     "-",             "-"]),
    (Kind::Invoice,        ["rc",     "r",          "r",     "-",     "-",             "-"]),
    // -- people and credentials ----------------------------------------------------------------
    (Kind::Customer,       ["rcud",   "rcud",       "r",     "r",     "-",             "r"]),
    (Kind::User,           ["rcud",   "rcud",       "r",     "-",     "-",             "-"]),
    (Kind::Session,        ["rd",     "rd",         "-",     "-",     "-",             "-"]),
    (Kind::Role,           ["rcud",   "rcud",       "r",     "-",     "-",             "-"]),
    (Kind::RoleBinding,    ["rcud",   "rcud",       "r",     "-",     "-",             "-"]),
    (Kind::ApiKey,         ["rcud",   "rcud",       "rcud",  "-",     "-",             "-"]),
    (Kind::OauthClient,    ["rcud",   "rcud",       "rcud",  "-",     "-",             "-"]),
    (Kind::NatsCredential, ["rcud",   "rcud",       "rcud",  "-",     "-",             "-"]),
    (Kind::Audit,          ["r",      "r",          "-",     "-",     "-",             "-"]),
    // -- what events pass through --------------------------------------------------------------
    (Kind::System,         ["rcud",   "rcud",       "rcud",  "r",     "r",             "r"]),
    (Kind::EventType,      ["rcud",   "rcud",       "rcud",  "r",     "r",             "r"]),
    (Kind::Source,         ["rcud",   "rcud",       "rcud",  "r",     "r",             "r"]),
    (Kind::Action,         ["rcud",   "rcud",       "rcud",  "rcud",  "-",             "r"]),
    (Kind::Subscription,   ["rcud",   "rcud",       "rcud",  "rcud",  "-",             "r"]),
    (Kind::RuleSet,        ["rcud",   "rcud",       "rcud",  "rcud",  "-",             "r"]),
    (Kind::Component,      ["rcud",   "rcud",       "rcud",  "r",     "-",             "r"]),
    (Kind::Workflow,       ["rcud",   "rcud",       "rcud",  "rcud",  "-",             "r"]),
    (Kind::Feed,           ["rcud",   "rcud",       "rcud",  "rcud",  "-",             "r"]),
    (Kind::Meter,          ["rcud",   "rcud",       "rcud",  "r",     "-",             "r"]),
    // -- events --------------------------------------------------------------------------------
    (Kind::Event,          ["rdp",    "rdp",        "rdp",   "r",     "p",             "r"]),
    (Kind::DeadLetter,     ["rud",    "rud",        "rud",   "r",     "-",             "r"]),
    (Kind::Usage,          ["r",      "r",          "r",     "r",     "-",             "r"]),
];

impl Role {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 6] =
        [Self::Superuser, Self::TenantAdmin, Self::Admin, Self::User, Self::EventPublisher, Self::Viewer];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superuser => "superuser",
            Self::TenantAdmin => "tenant_admin",
            Self::Admin => "admin",
            Self::User => "user",
            Self::EventPublisher => "event_publisher",
            Self::Viewer => "viewer",
        }
    }

    /// What it may do.
    pub fn permissions(self) -> impl Iterator<Item = Permission> {
        let column = self as usize;
        TABLE.iter().flat_map(move |(kind, cells)| {
            let verbs = Verb::ALL.iter().filter(move |verb| cells[column].contains(letter(**verb)));
            verbs.map(|verb| Permission::new(*verb, *kind))
        })
    }

    /// Whether it may do that.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        let row = TABLE.iter().find(|(kind, _)| *kind == permission.kind);
        row.is_some_and(|(_, cells)| cells[self as usize].contains(letter(permission.verb)))
    }

    /// The roles that may do that.
    pub fn that_may(permission: Permission) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |role| role.may(permission))
    }
}

const fn letter(verb: Verb) -> char {
    match verb {
        Verb::Read => 'r',
        Verb::Create => 'c',
        Verb::Update => 'u',
        Verb::Delete => 'd',
        Verb::Publish => 'p',
    }
}

/// Not the name of a built-in role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no built-in role {0:?}; there are superuser, tenant_admin, admin, user, event_publisher and viewer"
)]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_whole() {
        let kinds: Vec<Kind> = TABLE.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, Kind::ALL, "each kind has its row, in order");
        for (kind, cells) in TABLE {
            for cell in cells {
                let in_order: String =
                    Verb::ALL.iter().map(|v| letter(*v)).filter(|l| cell.contains(*l)).collect();
                assert!(*cell == "-" || in_order == **cell, "{kind:?}: {cell}");
            }
        }
        for (column, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, column);
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("{:?}", role.as_str()));
        }
        assert!("Superuser".parse::<Role>().is_err());
    }

    #[test]
    fn roles_grow() {
        let all = |role: Role| role.permissions().collect::<BTreeSet<_>>();
        for [greater, lesser] in [
            [Role::Superuser, Role::TenantAdmin],
            [Role::TenantAdmin, Role::Admin],
            [Role::Admin, Role::User],
            [Role::User, Role::Viewer],
            [Role::Admin, Role::EventPublisher],
        ] {
            assert!(all(greater).is_superset(&all(lesser)) && all(greater) != all(lesser), "{greater:?}");
        }
        assert!(Role::Viewer.permissions().all(|permission| permission.verb == Verb::Read));
        let gives = [Kind::User, Kind::Role, Kind::RoleBinding];
        let may_give =
            |role: Role| role.permissions().any(|p| gives.contains(&p.kind) && p.verb != Verb::Read);
        assert_eq!(
            Role::ALL.into_iter().filter(|role| may_give(*role)).collect::<Vec<_>>(),
            [Role::Superuser, Role::TenantAdmin],
            "whoever may make users or bind roles can make themselves anything"
        );
    }
}
