//! Who has a role in a tenant.

use std::{collections::BTreeMap, sync::Arc};

use catalog::Snapshot;
use model::{
    TenantId,
    resource::{RoleBinding, User},
};

/// The users whom bindings of the tenant name, in order of their ids, each with these.
pub(crate) fn members(snapshot: &Snapshot, tenant: &TenantId) -> Vec<(Arc<User>, Vec<Arc<RoleBinding>>)> {
    let mut members: BTreeMap<String, (Arc<User>, Vec<Arc<RoleBinding>>)> = BTreeMap::new();
    for entry in snapshot.list::<RoleBinding>(Some(tenant)) {
        let named = entry.value.actor.strip_prefix("user:").and_then(|id| snapshot.user(id));
        let Some(user) = named else { continue };
        let member = members.entry(user.id.to_string()).or_insert_with(|| (Arc::clone(user), Vec::new()));
        member.1.push(Arc::clone(&entry.value));
    }
    members.into_values().collect()
}
