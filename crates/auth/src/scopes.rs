//! What the scopes of a key allow, in the words of the table of roles.

use std::fmt::Write as _;

use model::resource::Scope;
use relations::{Kind, Permission, Role, Verb};

/// What happens to events, which takes a scope of its own, whatever else a key may do. All other kinds are the catalog's.
const DATA: [Kind; 3] = [Kind::Event, Kind::DeadLetter, Kind::Usage];

/// The role that a scope stands for. A key has less than that role: what [`allows`] says.
const fn role(scope: Scope) -> Role {
    match scope {
        Scope::Publish => Role::EventPublisher,
        Scope::Read => Role::Viewer,
        Scope::Write => Role::Admin,
        Scope::Manage => Role::TenantAdmin,
        Scope::Operate => Role::Superuser,
    }
}

/// Whether a scope allows it. The only place that says what each scope may do.
#[must_use]
pub fn allows(scope: Scope, permission: Permission) -> bool {
    let data = DATA.contains(&permission.kind);
    // Whoever runs a tenant by a key need not read its events by the same key.
    let within = match scope {
        Scope::Publish | Scope::Read => data,
        Scope::Write => data && matches!(permission.verb, Verb::Update | Verb::Delete),
        Scope::Manage | Scope::Operate => !data,
    };
    within && role(scope).may(permission)
}

/// The scope to ask for: the least that allows all of these.
#[must_use]
pub fn scope_for(permissions: &[Permission]) -> Option<Scope> {
    Scope::ALL.into_iter().find(|scope| permissions.iter().all(|permission| allows(*scope, *permission)))
}

/// What scopes and roles allow, as the two tables of `docs/control-plane.md`, in Markdown.
#[must_use]
pub fn tables() -> String {
    let mut text = String::from("| scope | stands for | where | may |\n|---|---|---|---|\n");
    for scope in Scope::ALL {
        let place = if scope == Scope::Operate { "every tenant" } else { "its tenant" };
        let (name, role) = (scope.as_str(), role(scope).as_str());
        let _ = write!(text, "| `{name}` | `{role}` | {place} | ");
        let cells = Kind::ALL.iter().map(|kind| (kind, verbs(|p| allows(scope, p), *kind)));
        let cells = cells.filter(|(_, verbs)| !verbs.is_empty());
        let cells: Vec<_> =
            cells.map(|(kind, verbs)| format!("`{}`: {}", kind.as_str(), verbs.join(", "))).collect();
        let _ = writeln!(text, "{} |", cells.join("; "));
    }
    text.push_str("\n| kind |");
    Role::ALL.iter().for_each(|role| text.push_str(&format!(" `{}` |", role.as_str())));
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(Role::ALL.len())));
    for kind in Kind::ALL {
        let _ = write!(text, "| `{}` |", kind.as_str());
        for role in Role::ALL {
            let verbs = verbs(|p| role.may(p), *kind);
            let _ = write!(text, " {} |", if verbs.is_empty() { "–".to_owned() } else { verbs.join(", ") });
        }
        text.push('\n');
    }
    text
}

fn verbs(may: impl Fn(Permission) -> bool, kind: Kind) -> Vec<&'static str> {
    let verbs = Verb::ALL.iter().filter(|verb| may(Permission::new(**verb, kind)));
    verbs.map(|verb| verb.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_tables() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/control-plane.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&tables()), "docs/control-plane.md must hold, as it is:\n\n{}", tables());
    }

    #[test]
    fn each_permission_takes_one_scope_and_some_take_an_operator() {
        for permission in Permission::all() {
            let scopes: Vec<_> = Scope::ALL.into_iter().filter(|s| allows(*s, permission)).collect();
            assert!(matches!(scopes[..], [_] | [Scope::Manage, Scope::Operate]), "{permission}: {scopes:?}");
        }
        let needed = |texts: &[&str]| {
            let permissions: Vec<Permission> = texts.iter().map(|text| text.parse().unwrap()).collect();
            scope_for(&permissions)
        };
        let cases: &[(&[&str], Option<Scope>)] = &[
            (&["publish:event"], Some(Scope::Publish)),
            (&["read:event"], Some(Scope::Read)),
            (&["read:usage"], Some(Scope::Read)),
            (&["update:dead_letter"], Some(Scope::Write)),
            (&["delete:event"], Some(Scope::Write)),
            (&["read:system"], Some(Scope::Manage)),
            (&["create:api_key", "update:api_key"], Some(Scope::Manage)),
            (&["read:audit"], Some(Scope::Manage)),
            (&["update:tenant"], Some(Scope::Manage)),
            (&["update:tenant", "update:limit"], Some(Scope::Operate)),
            (&["create:tenant"], Some(Scope::Operate)),
            (&["read:event", "read:system"], None),
        ];
        for (permissions, expected) in cases {
            assert_eq!(needed(permissions), *expected, "{permissions:?}");
        }
    }
}
