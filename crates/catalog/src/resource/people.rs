//! Users, and the roles they and others are given.

use model::{
    FLEET, TenantId, UserId,
    resource::{Meta, Role, RoleBinding, User},
};

use super::{Reference, Resource};
use crate::{FieldError, Kind, Snapshot, check};

impl Resource for User {
    common!(User, id: id);

    fn tenant(&self) -> &TenantId {
        &FLEET
    }

    fn validate(&self) -> Vec<FieldError> {
        check::user(self)
    }

    fn validate_among(&self, others: &Snapshot) -> Vec<FieldError> {
        check::email_of_others(self, others)
    }
}

impl Resource for Role {
    common!(Role, tenant: tenant, id: id);

    fn validate(&self) -> Vec<FieldError> {
        check::role(self)
    }
}

impl Resource for RoleBinding {
    common!(RoleBinding, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        // A fleet-wide binding may name any tenant's key, which is looked for when it is made.
        let key = self.actor.strip_prefix("key:").filter(|_| !self.tenant.is_fleet());
        let key = key.map(|id| Reference::new("/actor", Kind::Key, id));
        // What has not the form of an id of ours is somebody whom an issuer of tokens knows.
        let user = self.actor.strip_prefix("user:").filter(|id| id.parse::<UserId>().is_ok());
        let user = user.map(|id| Reference::new("/actor", Kind::User, id));
        key.into_iter().chain(user).chain(custom_roles(self, false)).collect()
    }

    fn fleet_references(&self) -> Vec<Reference<'_>> {
        custom_roles(self, true)
    }

    fn validate(&self) -> Vec<FieldError> {
        check::role_binding(self)
    }
}

/// The custom roles that a binding names: of its own place, or, where that is a tenant, of the fleet.
fn custom_roles(binding: &RoleBinding, fleets: bool) -> Vec<Reference<'_>> {
    let members = binding.actor.strip_prefix("role:");
    let names = [Some(("/role", &*binding.role)), members.map(|name| ("/actor", name))];
    let named = names.into_iter().flatten().filter_map(|(pointer, name)| {
        let (of_fleet, id) = match name.strip_prefix(relations::FLEETS) {
            // The fleet's own are at home there, whichever way they are named.
            Some(id) => (!binding.tenant.is_fleet(), id),
            None if name.parse::<relations::Role>().is_ok() => return None,
            None => (false, name),
        };
        (of_fleet == fleets).then_some(Reference::new(pointer, Kind::Role, id))
    });
    named.collect()
}
