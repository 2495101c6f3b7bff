//! The roles and bindings of a snapshot as relation tuples: what an authorizer is to know.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{
    FLEET, TenantId,
    resource::{Role, RoleBinding},
};
use relations::{
    Actor, Binding, Changes, CustomRoles, InvalidBinding, Permission, RoleRef, Scope, Tuple, binding_tuples,
    tenant_tuples,
};

use crate::Snapshot;

/// Where the roles count that somebody gives: a tenant, or the fleet.
#[must_use]
pub fn place(owner: &TenantId) -> Scope {
    if owner.is_fleet() { Scope::Fleet } else { Scope::Tenant(owner.to_string()) }
}

/// What the custom roles may do that can be given in a place: its own and the fleet's. What a permission of a newer version means
/// is not known here, and gives nothing.
#[must_use]
pub fn custom_roles(snapshot: &Snapshot, owner: &TenantId) -> CustomRoles {
    let fleet = FLEET.clone();
    let owners = BTreeSet::from([owner, &fleet]);
    let roles = owners.into_iter().flat_map(|owner| snapshot.each::<Role>(Some(owner)));
    let meant =
        |role: &Role| role.permissions.iter().flat_map(|text| Permission::meant_by(text)).flatten().collect();
    roles.map(|e| ((place(&e.value.tenant), e.value.id.to_string()), meant(&e.value))).collect()
}

/// A binding in the words of the authorizer.
///
/// # Errors
/// If its actor or role is none.
pub fn binding(binding: &RoleBinding) -> Result<Binding, InvalidBinding> {
    let scope = place(&binding.tenant);
    let actor = Actor::named(&binding.actor, &scope)?;
    let role = RoleRef::named(&binding.role, &scope)?;
    Ok(Binding { actor, role, scope })
}

/// The tuples of a tenant, or of the fleet. A binding that cannot be, because its role is gone, has none.
#[must_use]
pub fn of(snapshot: &Snapshot, owner: &TenantId) -> BTreeSet<Tuple> {
    let mut tuples = match snapshot.tenant(owner) {
        Some(tenant) => tenant_tuples(&tenant.id).unwrap_or_default(),
        None if owner.is_fleet() => BTreeSet::new(),
        None => return BTreeSet::new(),
    };
    let mut bindings = snapshot.each::<RoleBinding>(Some(owner)).peekable();
    if bindings.peek().is_some() {
        let custom = custom_roles(snapshot, owner);
        let each = bindings.filter_map(|e| binding_tuples(&binding(&e.value).ok()?, &custom).ok());
        tuples.extend(each.flatten());
    }
    tuples
}

/// What makes the tuples of `new` of those of `old`. Only tenants are looked at in which something has changed, but all of them after
/// a change of the fleet's roles, which may have been given in any.
#[must_use]
pub fn changes(old: &Snapshot, new: &Snapshot) -> Changes {
    let mut owners: BTreeSet<TenantId> = new.authority_differs(old).into_iter().collect();
    if owners.contains(&FLEET) && fleet_roles(old) != fleet_roles(new) {
        owners.extend(new.each::<RoleBinding>(None).map(|e| e.value.tenant.clone()));
    }
    let mut changes = Changes::default();
    for owner in owners {
        let between = Changes::between(&of(old, &owner), &of(new, &owner));
        changes.insert.extend(between.insert);
        changes.delete.extend(between.delete);
    }
    changes
}

fn fleet_roles(snapshot: &Snapshot) -> BTreeMap<&str, &[String]> {
    let roles = snapshot.each::<Role>(Some(&FLEET));
    roles.map(|e| (e.value.id.as_str(), e.value.permissions.as_slice())).collect()
}

/// The bindings of a place by which somebody may do something there: those that name them, and those that name all who have a
/// custom role that they have. What is given fleet-wide counts in a tenant too, and is asked for with the fleet.
#[must_use]
pub fn reasons(
    snapshot: &Snapshot,
    owner: &TenantId,
    actor: &Actor,
    permission: Permission,
) -> Vec<Arc<RoleBinding>> {
    let custom = custom_roles(snapshot, owner);
    let bindings: Vec<(Arc<RoleBinding>, Binding)> = snapshot
        .each::<RoleBinding>(Some(owner))
        .filter_map(|e| Some((Arc::clone(&e.value), binding(&e.value).ok()?)))
        .collect();
    let mut names = BTreeSet::from([actor.clone()]);
    loop {
        let known = names.len();
        for (_, Binding { actor, role, scope }) in &bindings {
            if let (true, RoleRef::Custom { owner, name }) = (names.contains(actor), role) {
                let (owner, name, scope) = (owner.clone(), name.clone(), scope.clone());
                names.insert(Actor::Members { owner, name, scope });
            }
        }
        if names.len() == known {
            break;
        }
    }
    let gives = |binding: &Binding| {
        let permissions = binding.role.permissions(&custom);
        names.contains(&binding.actor) && permissions.is_ok_and(|all| all.contains(&permission))
    };
    bindings.into_iter().filter(|(_, binding)| gives(binding)).map(|(binding, _)| binding).collect()
}

/// All tuples of a snapshot.
#[must_use]
pub fn all(snapshot: &Snapshot) -> BTreeSet<Tuple> {
    changes(&Snapshot::default(), snapshot).insert
}

#[cfg(test)]
mod tests {
    use model::resource::Tenant;
    use serde_json::{Value, json};

    use super::*;
    use crate::Resource;

    fn read<R: Resource>(value: Value) -> R {
        serde_json::from_value(value).unwrap()
    }

    fn role(owner: &str, id: &str, permissions: &[&str]) -> Role {
        read(json!({"tenant": owner, "id": id, "permissions": permissions}))
    }

    fn bound(owner: &str, id: &str, actor: &str, role: &str) -> RoleBinding {
        read(json!({"tenant": owner, "id": id, "actor": actor, "role": role}))
    }

    fn texts(tuples: impl IntoIterator<Item = Tuple>) -> Vec<String> {
        tuples.into_iter().map(|tuple| tuple.to_string()).collect()
    }

    #[test]
    fn a_change_changes_the_tuples_that_follow_from_it() {
        let mut now = Snapshot::default();
        let mut step = |next: Snapshot| {
            let changes = changes(&now, &next);
            let told = (texts(changes.insert.clone()), texts(changes.delete.clone()));
            let mut tuples = all(&now);
            tuples.retain(|tuple| !changes.delete.contains(tuple));
            tuples.extend(changes.insert);
            assert_eq!(tuples, all(&next));
            now = next.clone();
            (next, told)
        };
        let (now, told) = step(Snapshot::default().with::<Tenant>(read(json!({"id": "acme"}))));
        assert_eq!(told.0, ["tenant:acme#parent@fleet:eventrunner"]);
        let (now, told) = step(now.with(bound("acme", "b1", "user:alice@example.com", "viewer")));
        assert_eq!(told.0, ["tenant:acme#viewer@user:alice@example.com"]);
        let (now, told) = step(now.with(role("acme", "auditor", &["read:audit"])));
        assert_eq!(told, (vec![], vec![]), "a role that nobody has");
        let (now, told) = step(now.with(bound("acme", "b2", "key:k1", "auditor")));
        let auditors = "role:acme/auditor/acme#member";
        let reads = |what: &str| format!("tenant:acme#read_{what}@{auditors}");
        assert_eq!(told.0, [format!("{auditors}@key:k1"), reads("audit")]);
        let (now, told) = step(now.with(role("acme", "auditor", &["read:usage"])));
        assert_eq!(told, (vec![reads("usage")], vec![reads("audit")]));
        let (now, told) = step(now.with(bound("acme", "b3", "role:auditor", "event_publisher")));
        assert_eq!(told.0, [format!("tenant:acme#event_publisher@{auditors}")]);
        let (now, _) = step(now.with(role("-", "helper", &["read:event"])));
        let (now, told) = step(now.with(bound("acme", "b4", "user:bob", "fleet/helper")));
        let helpers = "role:*/helper/acme#member";
        assert_eq!(told.0, [format!("{helpers}@user:bob"), format!("tenant:acme#read_event@{helpers}")]);
        let (now, told) = step(now.with(role("-", "helper", &["read:system"])));
        assert_eq!(told.0, [format!("tenant:acme#read_system@{helpers}")], "of every tenant");
        let (now, told) = step(now.with(bound("-", "root", "client:ops", "superuser")));
        assert_eq!(told.0, ["fleet:eventrunner#superuser@client:ops"]);
        let acme: TenantId = "acme".parse().unwrap();
        let mut without = now;
        without.remove::<RoleBinding>(&acme, "b1");
        let (now, told) = step(without);
        assert_eq!(told.1, ["tenant:acme#viewer@user:alice@example.com"]);
        let (now, told) =
            step(now.with::<model::resource::System>(read(json!({"tenant": "acme", "id": "s"}))));
        assert_eq!(told, (vec![], vec![]));
        let mut gone = now;
        gone.remove::<Tenant>(&acme, "acme");
        let (_, told) = step(gone);
        assert_eq!((told.0.len(), told.1.len()), (0, 6), "a tenant that is gone closes: {told:?}");
    }

    #[test]
    fn it_is_said_why_somebody_may() {
        let snapshot = Snapshot::default()
            .with::<Tenant>(read(json!({"id": "acme"})))
            .with(role("acme", "auditor", &["read:audit"]))
            .with(role("acme", "senior", &["read:usage"]))
            .with(bound("acme", "b1", "user:alice", "senior"))
            .with(bound("acme", "b2", "role:senior", "auditor"))
            .with(bound("acme", "b3", "role:auditor", "senior"))
            .with(bound("acme", "b4", "user:alice", "viewer"))
            .with(bound("acme", "b5", "user:bob", "tenant_admin"))
            .with(bound("-", "root", "user:alice", "superuser"));
        let why = |owner: &TenantId, text: &str| {
            let alice = Actor::User("alice".to_owned());
            let found = reasons(&snapshot, owner, &alice, text.parse().unwrap());
            let mut ids: Vec<String> = found.iter().map(|binding| binding.id.to_string()).collect();
            ids.sort();
            ids
        };
        let acme = "acme".parse().unwrap();
        assert_eq!(why(&acme, "read:audit"), ["b2"]);
        assert_eq!(why(&acme, "read:usage"), ["b1", "b3", "b4"]);
        assert_eq!(why(&acme, "delete:event"), [""; 0]);
        assert_eq!(why(&FLEET, "delete:event"), ["root"]);
    }

    #[test]
    fn what_cannot_be_gives_nothing() {
        let snapshot = Snapshot::default()
            .with::<Tenant>(read(json!({"id": "acme"})))
            .with(bound("acme", "b1", "user:alice", "superuser"))
            .with(bound("acme", "b2", "user:alice", "missing"))
            .with(bound("acme", "b3", "nobody", "viewer"))
            .with(bound("other", "b4", "user:alice", "viewer"));
        assert_eq!(texts(all(&snapshot)), ["tenant:acme#parent@fleet:eventrunner"]);
    }
}
