//! The embedded authorizer's limits, and the bindings that cannot be.

use std::sync::Arc;

use relations::{
    Actor, Authorizer, Binding, Changes, CustomRoles, Decision, Embedded, InvalidBinding, Limits, Permission,
    Role, RoleRef, Scope, Tuples, binding_tuples, check_role_name,
};

use crate::{SCHEMA, wait};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("embedded: each limit cuts where it says", limits_cut),
    ("embedded: a snapshot stays as it was", snapshots_stay),
    ("bindings that cannot be are refused", refused_bindings),
    ("a change of a custom role changes the tuples of its bindings", roles_change),
    ("the product's schema has each role and permission", schema_is_whole),
];

fn limits_cut() {
    let mut tuples = Tuples::default();
    for n in 0..10 {
        tuples.insert(format!("group:c{n}#member@group:c{}#member", n + 1).parse().unwrap());
        tuples.insert(format!("resource:w#access@group:w{n}#member").parse().unwrap());
        tuples.insert(format!("group:w{n}#member@user:w{n}").parse().unwrap());
    }
    tuples.insert("group:c10#member@user:deep".parse().unwrap());
    let decide =
        |question: &str, limits: Limits| SCHEMA.decide(&tuples, &question.parse().unwrap(), limits).unwrap();
    let depth = |depth_max: u8| Limits { depth_max, ..Limits::default() };
    assert_eq!(decide("group:c0#member@user:deep", depth(10)), Decision::Allowed);
    assert_eq!(decide("group:c0#member@user:deep", depth(9)), Decision::DeniedAtLimit);
    assert_eq!(decide("group:c0#member@user:else", depth(10)), Decision::Denied);
    let breadth = |breadth_max: usize| Limits { breadth_max, ..Limits::default() };
    assert_eq!(decide("resource:w#access@user:w9", breadth(10)), Decision::Allowed);
    assert_eq!(decide("resource:w#access@user:w9", breadth(9)), Decision::DeniedAtLimit);
    assert_eq!(decide("resource:w#access@user:w8", breadth(9)), Decision::Allowed);
    let visits = |visits_max: usize| Limits { visits_max, ..Limits::default() };
    assert_eq!(decide("resource:w#access@user:w9", visits(11)), Decision::Allowed);
    assert_eq!(decide("resource:w#access@user:w9", visits(10)), Decision::DeniedAtLimit);
    assert_eq!(decide("resource:w#access@user:w9", visits(0)), Decision::DeniedAtLimit);
}

fn snapshots_stay() {
    let authorizer = Embedded::new(Arc::clone(&SCHEMA), Limits::default());
    let tuple = || "resource:r#access@user:u".parse().unwrap();
    let before = authorizer.snapshot();
    wait(authorizer.apply(Changes { insert: [tuple()].into(), ..Changes::default() })).unwrap();
    assert!(!before.contains(&tuple()) && authorizer.snapshot().contains(&tuple()));
    authorizer.replace(Tuples::default());
    assert_eq!(authorizer.decide(&tuple()), Ok(Decision::Denied));
}

fn refused_bindings() {
    let acme = || Scope::Tenant("acme".into());
    let custom = |owner: Scope, name: &str| RoleRef::Custom { owner, name: name.into() };
    let user = |id: &str| Actor::User(id.into());
    let roles: CustomRoles =
        [((acme(), "auditor".to_owned()), Permission::meant_by("read:audit").unwrap())].into();
    let bind = |actor, role, scope| binding_tuples(&Binding { actor, role, scope }, &roles).unwrap_err();
    let superuser = RoleRef::BuiltIn(Role::Superuser);
    assert_eq!(bind(user("a"), superuser, acme()), InvalidBinding::SuperuserOfTenant);
    let elsewhere = Scope::Tenant("other".into());
    let foreign = [elsewhere, Scope::Fleet].map(|scope| bind(user("a"), custom(acme(), "auditor"), scope));
    assert!(foreign.iter().all(|error| matches!(error, InvalidBinding::Foreign { .. })), "{foreign:?}");
    let missing = bind(user("a"), custom(acme(), "nobody"), acme());
    assert_eq!(missing.to_string(), "there is no role \"nobody\" of the tenant acme");
    for bad in ["", "a#b", "a b", "(a", &"x".repeat(513)] {
        let error = bind(user(bad), RoleRef::BuiltIn(Role::Viewer), acme());
        assert!(matches!(error, InvalidBinding::Id(_)), "{bad:?}: {error}");
    }
    for bad in ["", "Auditor", "a/b", "a b", "admin", "*", "a#b", &"x".repeat(64)] {
        assert!(check_role_name(bad).is_err(), "{bad:?}");
        assert!(
            matches!(bind(user("a"), custom(acme(), bad), acme()), InvalidBinding::RoleName(_)),
            "{bad:?}"
        );
    }
    assert!(check_role_name("read-only_2").is_ok());
    // Nobody was ever given anything by a name that cannot stand in a tuple.
    let authorizer = Embedded::new(Arc::new(relations::product_schema()), Limits::default());
    let read = "read:event".parse().unwrap();
    assert_eq!(wait(relations::may(&authorizer, &user("a#b"), read, &acme())), Ok(false));
}

fn roles_change() {
    let owner = Scope::Tenant("acme".into());
    let binding = Binding {
        actor: Actor::User("a".into()),
        role: RoleRef::Custom { owner: owner.clone(), name: "r".into() },
        scope: owner.clone(),
    };
    let tuples = |permission: &str| {
        let roles = [((owner.clone(), "r".to_owned()), Permission::meant_by(permission).unwrap())].into();
        binding_tuples(&binding, &roles).unwrap()
    };
    let (old, new) = (tuples("read:source"), tuples("*:event"));
    let changes = Changes::between(&old, &new);
    let texts = |tuples: &std::collections::BTreeSet<_>| {
        tuples.iter().map(relations::Tuple::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        texts(&changes.insert),
        [
            "tenant:acme#delete_event@role:acme/r/acme#member",
            "tenant:acme#publish_event@role:acme/r/acme#member",
            "tenant:acme#read_event@role:acme/r/acme#member"
        ]
    );
    assert_eq!(texts(&changes.delete), ["tenant:acme#read_source@role:acme/r/acme#member"]);
    assert!(Changes::between(&new, &new).is_empty());
}

fn schema_is_whole() {
    let schema = relations::product_schema();
    let text = schema.to_keto();
    for role in Role::ALL {
        let actors = r#"(user | key | client | service | SubjectSet<role, "member">)[]"#;
        assert!(text.contains(&format!("    {}: {actors}\n", role.as_str())));
    }
    for permission in Permission::all() {
        let expected = format!("    {}: (ctx: Context): boolean =>\n", permission.relation());
        assert_eq!(text.matches(&expected).count(), 2, "of the fleet and of tenants: {permission}");
    }
}
