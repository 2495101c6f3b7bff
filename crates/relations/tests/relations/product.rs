//! Worlds of the product's own: roles given to somebody, and what they may do.

use std::collections::BTreeSet;

use relations::{
    Actor, Binding, CustomRoles, Permission, Role, RoleRef, Scope, Tuple, binding_tuples, question,
    tenant_tuples,
};

use crate::worlds::{Case, World};

fn user(id: &str) -> Actor {
    Actor::User(id.into())
}

fn tenant(id: &str) -> Scope {
    Scope::Tenant(id.into())
}

fn bind(tuples: &mut BTreeSet<Tuple>, custom: &CustomRoles, actor: Actor, role: RoleRef, scope: Scope) {
    tuples.extend(binding_tuples(&Binding { actor, role, scope }, custom).unwrap());
}

fn cases_of(rows: Vec<(Actor, &str, Scope, bool)>) -> Vec<Case> {
    let case = |(actor, permission, scope, expected): (Actor, &str, Scope, bool)| {
        Case::new(question(&actor, permission.parse().unwrap(), &scope).unwrap(), expected)
    };
    rows.into_iter().map(case).collect()
}

/// Built-in roles for a tenant and fleet-wide, of each kind of actor.
pub(crate) fn roles() -> World {
    let mut tuples = BTreeSet::new();
    for id in ["red", "blue"] {
        tuples.extend(tenant_tuples(id).unwrap());
    }
    let bindings = [
        (user("root"), Role::Superuser, Scope::Fleet),
        (user("watcher"), Role::Viewer, Scope::Fleet),
        (user("tessa"), Role::TenantAdmin, tenant("red")),
        (user("adam"), Role::Admin, tenant("red")),
        (user("una"), Role::User, tenant("red")),
        (user("both"), Role::Viewer, tenant("red")),
        (user("both"), Role::Admin, tenant("blue")),
        (Actor::Key("till".into()), Role::EventPublisher, tenant("red")),
        (Actor::Client("shop".into()), Role::Viewer, tenant("red")),
        (Actor::Service("engine".into()), Role::Admin, Scope::Fleet),
        (user("lost"), Role::Admin, tenant("orphan")),
    ];
    for (actor, role, scope) in bindings {
        bind(&mut tuples, &CustomRoles::new(), actor, RoleRef::BuiltIn(role), scope);
    }
    let red = || tenant("red");
    let blue = || tenant("blue");
    let cases = cases_of(vec![
        (user("root"), "create:tenant", Scope::Fleet, true),
        (user("root"), "read:event", red(), true),
        (user("root"), "delete:user", blue(), true),
        (user("root"), "update:fleet", Scope::Fleet, true),
        // Nobody has said that this tenant belongs to the fleet.
        (user("root"), "read:event", tenant("orphan"), false),
        (user("lost"), "read:event", tenant("orphan"), true),
        (user("watcher"), "read:event", red(), true),
        (user("watcher"), "read:event", blue(), true),
        (user("watcher"), "create:source", red(), false),
        (user("watcher"), "read:tenant", Scope::Fleet, true),
        (user("tessa"), "create:user", red(), true),
        (user("tessa"), "create:user", blue(), false),
        (user("tessa"), "create:tenant", Scope::Fleet, false),
        (user("tessa"), "create:tenant", red(), false),
        (user("tessa"), "read:tenant", Scope::Fleet, false),
        (user("tessa"), "read:audit", red(), true),
        (user("adam"), "create:api_key", red(), true),
        (user("adam"), "create:role_binding", red(), false),
        (user("adam"), "create:user", red(), false),
        (user("adam"), "publish:event", red(), true),
        (user("adam"), "read:event", blue(), false),
        (user("una"), "create:subscription", red(), true),
        (user("una"), "create:api_key", red(), false),
        (user("una"), "publish:event", red(), false),
        (user("both"), "create:source", red(), false),
        (user("both"), "create:source", blue(), true),
        (Actor::Key("till".into()), "publish:event", red(), true),
        (Actor::Key("till".into()), "read:event", red(), false),
        (Actor::Key("till".into()), "publish:event", blue(), false),
        (user("till"), "publish:event", red(), false),
        (Actor::Client("till".into()), "publish:event", red(), false),
        (Actor::Client("shop".into()), "read:usage", red(), true),
        (Actor::Client("shop".into()), "delete:dead_letter", red(), false),
        (Actor::Service("engine".into()), "publish:event", blue(), true),
        (user("engine"), "publish:event", blue(), false),
        (user("nobody"), "read:event", red(), false),
        (user("root"), "read:event", tenant("green"), false),
    ]);
    World { name: "roles", tuples, cases }
}

/// Who has which role that somebody has made.
fn given_custom_roles() -> BTreeSet<Tuple> {
    let permissions = |texts: &[&str]| -> BTreeSet<Permission> {
        texts.iter().flat_map(|text| Permission::meant_by(text).unwrap()).collect()
    };
    let own = RoleRef::Custom { owner: tenant("one"), name: "auditor".into() };
    let shared = RoleRef::Custom { owner: Scope::Fleet, name: "auditor".into() };
    let custom: CustomRoles = [
        ((tenant("one"), "auditor".to_owned()), permissions(&["read:audit", "*:source"])),
        ((Scope::Fleet, "auditor".to_owned()), permissions(&["read:audit"])),
        ((Scope::Fleet, "helper".to_owned()), permissions(&["delete:session"])),
    ]
    .into();
    let mut tuples = BTreeSet::new();
    for id in ["one", "two"] {
        tuples.extend(tenant_tuples(id).unwrap());
    }
    bind(&mut tuples, &custom, user("owen"), own, tenant("one"));
    bind(&mut tuples, &custom, user("sara"), shared.clone(), tenant("two"));
    bind(&mut tuples, &custom, user("flo"), shared.clone(), Scope::Fleet);
    bind(&mut tuples, &custom, Actor::Key("k".into()), shared, tenant("one"));
    // All who have a role, given another.
    let named = |text: &str, place: &Scope| Actor::named(text, place).unwrap();
    bind(
        &mut tuples,
        &custom,
        named("role:auditor", &tenant("one")),
        RoleRef::BuiltIn(Role::EventPublisher),
        tenant("one"),
    );
    bind(
        &mut tuples,
        &custom,
        named("role:fleet/auditor", &tenant("two")),
        RoleRef::BuiltIn(Role::User),
        tenant("two"),
    );
    bind(
        &mut tuples,
        &custom,
        named("role:auditor", &Scope::Fleet),
        RoleRef::named("helper", &Scope::Fleet).unwrap(),
        Scope::Fleet,
    );
    tuples
}

/// Roles that somebody has made.
pub(crate) fn custom_roles() -> World {
    let one = || tenant("one");
    let two = || tenant("two");
    let cases = cases_of(vec![
        (user("owen"), "read:audit", one(), true),
        (user("owen"), "delete:source", one(), true),
        (user("owen"), "read:event", one(), false),
        (user("owen"), "read:audit", two(), false),
        (user("owen"), "read:audit", Scope::Fleet, false),
        (user("sara"), "read:audit", two(), true),
        (user("sara"), "read:audit", one(), false),
        // By the role that all who have hers are given there.
        (user("sara"), "read:source", two(), true),
        (user("sara"), "read:api_key", two(), false),
        (user("flo"), "read:audit", one(), true),
        (user("flo"), "read:audit", two(), true),
        (user("flo"), "read:audit", Scope::Fleet, true),
        (user("flo"), "read:source", one(), false),
        (Actor::Key("k".into()), "read:audit", one(), true),
        (Actor::Key("k".into()), "read:source", one(), false),
        (Actor::Key("k".into()), "read:audit", two(), false),
        (user("owen"), "publish:event", one(), true),
        (user("owen"), "publish:event", two(), false),
        // Who has a role fleet-wide is none of those who have it here.
        (user("flo"), "publish:event", one(), false),
        (Actor::Key("k".into()), "publish:event", one(), false),
        (user("sara"), "create:workflow", two(), true),
        (user("sara"), "create:workflow", one(), false),
        (user("flo"), "create:workflow", two(), false),
        (user("flo"), "delete:session", one(), true),
        (user("flo"), "delete:session", Scope::Fleet, true),
        (user("sara"), "delete:session", two(), false),
    ]);
    World { name: "custom roles", tuples: given_custom_roles(), cases }
}

/// The table of roles, one question for each verb that some role knows of a few kinds.
pub(crate) fn every_role() -> World {
    let scope = tenant("table");
    let mut tuples = tenant_tuples("table").unwrap();
    let mut cases = Vec::new();
    for role in Role::ALL {
        let actor = user(&format!("a-{}", role.as_str()));
        let given = if role == Role::Superuser { Scope::Fleet } else { scope.clone() };
        bind(&mut tuples, &CustomRoles::new(), actor.clone(), RoleRef::BuiltIn(role), given);
        for permission in ["publish:event", "read:event", "delete:user", "create:api_key", "update:workflow"]
        {
            let permission: Permission = permission.parse().unwrap();
            cases.push(Case::new(question(&actor, permission, &scope).unwrap(), role.may(permission)));
        }
    }
    World { name: "the table", tuples, cases }
}
