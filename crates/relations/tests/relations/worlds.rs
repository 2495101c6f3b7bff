//! The cases: worlds of tuples that know nothing of each other, and what follows from them.

use std::collections::BTreeSet;

use libtest_mimic::Failed;
use relations::{
    Actor, Authorizer, Binding, CustomRoles, Permission, Role, RoleRef, Scope, Tuple, binding_tuples,
    question, tenant_tuples,
};

use crate::wait;

pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) tuples: BTreeSet<Tuple>,
    pub(crate) cases: Vec<Case>,
}

pub(crate) struct Case {
    pub(crate) title: String,
    question: Tuple,
    expected: bool,
}

impl Case {
    fn new(question: Tuple, expected: bool) -> Self {
        Self { title: format!("{question} {}", if expected { "yes" } else { "no" }), question, expected }
    }

    pub(crate) fn run(&self, authorizer: &dyn Authorizer) -> Result<(), Failed> {
        let alone = wait(authorizer.check(&self.question)).map_err(|e| e.to_string())?;
        let together = wait(authorizer.check_all(&[self.question.clone(), self.question.clone()]));
        let together = together.map_err(|e| e.to_string())?;
        if alone != self.expected || together != [self.expected; 2] {
            return Err(format!("alone {alone}, among others {together:?}").into());
        }
        Ok(())
    }
}

pub(crate) fn all() -> Vec<World> {
    let mut worlds: Vec<World> = PLAIN.iter().map(plain).collect();
    worlds.extend([many(), chains(), roles(), custom_roles(), every_role()]);
    worlds
}

type Plain = (&'static str, &'static [&'static str], &'static [(&'static str, bool)]);

fn plain((name, tuples, cases): &Plain) -> World {
    let parse = |text: &str| text.parse::<Tuple>().unwrap();
    World {
        name,
        tuples: tuples.iter().map(|text| parse(text)).collect(),
        cases: cases.iter().map(|(text, expected)| Case::new(parse(text), *expected)).collect(),
    }
}

const PLAIN: &[Plain] = &[
    (
        "the seed's tuple",
        &["api:resource:usage#access@user:alice@example.com", "resource:usage#access@user:alice@example.com"],
        &[
            ("resource:usage#access@user:alice@example.com", true),
            ("resource:usage#access@user:bob@example.com", false),
            ("resource:usage#access@user:alice@example.org", false),
            ("resource:usage#access@user:alice", false),
            ("resource:usage#access@alice@example.com", false),
            ("resource:usages#access@user:alice@example.com", false),
            ("api:resource:usage#access@user:alice@example.com", true),
            ("api:resource:usage#access@user:bob@example.com", false),
            ("api:usage#access@user:alice@example.com", false),
            ("api:resource#access@user:alice@example.com", false),
        ],
    ),
    (
        "subjects of each form",
        &[
            "resource:forms#access@bare",
            "resource:forms#access@user:named",
            "resource:forms#access@group:set#member",
            "resource:forms#access@mail@example.com",
            "resource:forms#access@user:urn:example:a@b",
            "resource:forms#access@user:Ünïcode",
            "resource:forms#access@user:it's-\"quoted\"%",
        ],
        &[
            ("resource:forms#access@bare", true),
            ("resource:forms#access@user:bare", false),
            ("resource:forms#access@named", false),
            ("resource:forms#access@user:named", true),
            ("resource:forms#access@group:named", false),
            ("resource:forms#access@group:set#member", true),
            ("resource:forms#access@group:set", false),
            ("resource:forms#access@set", false),
            ("resource:forms#access@mail@example.com", true),
            ("resource:forms#access@user:urn:example:a@b", true),
            ("resource:forms#access@user:urn:example:a", false),
            ("resource:forms#access@user:Ünïcode", true),
            ("resource:forms#access@user:ünïcode", false),
            ("resource:forms#access@user:it's-\"quoted\"%", true),
            ("resource:forms#access@user:BARE", false),
            ("resource:Forms#access@bare", false),
        ],
    ),
    (
        "groups in groups",
        &[
            "resource:plant#access@group:staff#member",
            "group:staff#member@group:night#member",
            "group:night#member@group:guards#member",
            "group:guards#member@user:gus",
            "group:night#member@user:nora",
            "group:staff#member@user:stan",
            "group:empty#member@group:void#member",
            "resource:vault#access@group:empty#member",
            "resource:gate#access@group:staff",
        ],
        &[
            ("resource:plant#access@user:stan", true),
            ("resource:plant#access@user:nora", true),
            ("resource:plant#access@user:gus", true),
            ("resource:plant#access@user:eve", false),
            ("resource:plant#access@group:guards#member", true),
            ("resource:plant#access@group:guards", false),
            ("group:staff#member@user:gus", true),
            ("group:guards#member@user:stan", false),
            ("resource:vault#access@user:stan", false),
            ("resource:gate#access@user:stan", false),
            ("resource:gate#access@group:staff", true),
        ],
    ),
    (
        "cycles",
        &[
            "group:a#member@group:b#member",
            "group:b#member@group:c#member",
            "group:c#member@group:a#member",
            "group:b#member@user:bea",
            "group:self#member@group:self#member",
            "group:self#member@user:sam",
            "folder:egg#parent@folder:hen",
            "folder:hen#parent@folder:egg",
            "folder:hen#viewer@user:henry",
        ],
        &[
            ("group:a#member@user:bea", true),
            ("group:c#member@user:bea", true),
            ("group:a#member@user:eve", false),
            ("group:self#member@user:sam", true),
            ("group:self#member@user:eve", false),
            ("folder:egg#read@user:henry", true),
            ("folder:hen#read@user:henry", true),
            ("folder:egg#read@user:eve", false),
        ],
    ),
    (
        "rewrites",
        &[
            "doc:plan#owner@user:olga",
            "doc:plan#viewer@group:readers#member",
            "group:readers#member@user:rita",
            "doc:plan#parent@folder:inner",
            "folder:inner#parent@folder:outer",
            "folder:inner#viewer@user:ines",
            "folder:outer#viewer@group:outsiders#member",
            "group:outsiders#member@user:otto",
            "doc:plan#edit@user:direct",
            "doc:other#viewer@user:victor",
        ],
        &[
            ("doc:plan#owner@user:olga", true),
            ("doc:plan#edit@user:olga", true),
            ("doc:plan#read@user:olga", true),
            ("doc:plan#viewer@user:olga", false),
            ("doc:plan#read@user:rita", true),
            ("doc:plan#edit@user:rita", false),
            ("doc:plan#read@user:ines", true),
            ("doc:plan#viewer@user:ines", false),
            ("doc:plan#read@user:otto", true),
            ("doc:plan#edit@user:otto", false),
            ("folder:inner#read@user:otto", true),
            ("folder:outer#read@user:ines", false),
            ("doc:plan#edit@user:direct", true),
            ("doc:plan#read@user:direct", true),
            ("doc:plan#owner@user:direct", false),
            ("doc:plan#read@user:victor", false),
            ("doc:plan#read@group:readers#member", true),
            ("doc:plan#parent@folder:inner", true),
            ("doc:plan#parent@folder:outer", false),
            ("doc:nowhere#read@user:olga", false),
        ],
    ),
];

/// A group of many, and many groups on one resource.
fn many() -> World {
    let mut tuples = BTreeSet::new();
    for n in 0..150 {
        tuples.insert(format!("group:many#member@user:m{n}").parse().unwrap());
        tuples.insert(format!("resource:hall#access@group:g{n}#member").parse().unwrap());
        tuples.insert(format!("group:g{n}#member@user:h{n}").parse().unwrap());
    }
    let cases = [
        ("group:many#member@user:m0", true),
        ("group:many#member@user:m149", true),
        ("group:many#member@user:m150", false),
        ("resource:hall#access@user:h0", true),
        ("resource:hall#access@user:h149", true),
        ("resource:hall#access@user:m1", false),
    ];
    let cases = cases.map(|(text, expected)| Case::new(text.parse().unwrap(), expected));
    World { name: "many", tuples, cases: cases.into() }
}

/// Chains that end before any limit, and one that goes beyond each.
fn chains() -> World {
    let mut tuples = BTreeSet::new();
    for (name, length) in [("short", 3), ("long", 10), ("endless", 60)] {
        for n in 0..length {
            tuples.insert(format!("group:{name}{n}#member@group:{name}{}#member", n + 1).parse().unwrap());
        }
        tuples.insert(format!("group:{name}{length}#member@user:last").parse().unwrap());
    }
    let cases = [
        ("group:short0#member@user:last", true),
        ("group:long0#member@user:last", true),
        ("group:endless0#member@user:last", false),
        ("group:endless55#member@user:last", true),
    ];
    let cases = cases.map(|(text, expected)| Case::new(text.parse().unwrap(), expected));
    World { name: "chains", tuples, cases: cases.into() }
}

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
fn roles() -> World {
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

/// Roles that somebody has made.
fn custom_roles() -> World {
    let permissions = |texts: &[&str]| -> BTreeSet<Permission> {
        texts.iter().flat_map(|text| Permission::meant_by(text).unwrap()).collect()
    };
    let own = RoleRef::Custom { owner: tenant("one"), name: "auditor".into() };
    let shared = RoleRef::Custom { owner: Scope::Fleet, name: "auditor".into() };
    let custom: CustomRoles = [
        ((tenant("one"), "auditor".to_owned()), permissions(&["read:audit", "*:source"])),
        ((Scope::Fleet, "auditor".to_owned()), permissions(&["read:audit"])),
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
        (user("sara"), "read:source", two(), false),
        (user("flo"), "read:audit", one(), true),
        (user("flo"), "read:audit", two(), true),
        (user("flo"), "read:audit", Scope::Fleet, true),
        (user("flo"), "read:source", one(), false),
        (Actor::Key("k".into()), "read:audit", one(), true),
        (Actor::Key("k".into()), "read:source", one(), false),
        (Actor::Key("k".into()), "read:audit", two(), false),
    ]);
    World { name: "custom roles", tuples, cases }
}

/// The table of roles, one question for each verb that some role knows of a few kinds.
fn every_role() -> World {
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
