//! All resources as of one revision of the bucket.

use std::sync::Arc;

use model::{
    KeyId, SourceId, SystemId, TenantId,
    resource::{ApiKey, EventType, Source, System, Tenant},
};

use crate::{EntryKey, Kind, Resource, shards::Shards};

/// A resource and the revision of the bucket at which it was written.
#[derive(Debug)]
pub struct Entry<R> {
    /// What a `put` or `delete` expects.
    pub revision: u64,
    /// The resource. The same `Arc` from snapshot to snapshot until the resource itself changes, so that what is
    /// derived from it can be cached by pointer.
    pub value: Arc<R>,
}

impl<R> Clone for Entry<R> {
    fn clone(&self) -> Self {
        Self { revision: self.revision, value: self.value.clone() }
    }
}

/// All resources as of one revision. Immutable; take a new one with [`crate::Catalog::snapshot`] for each
/// request. Copying and changing one is cheap: what does not change is shared.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(crate) revision: u64,
    tenants: Shards<TenantId, Arc<Space>>,
    keys: Shards<KeyId, Entry<ApiKey>>,
}

/// Everything of one tenant. Public only because a sealed trait speaks of it.
#[derive(Clone, Default, Debug)]
pub struct Space {
    pub(crate) tenant: Option<Entry<Tenant>>,
    pub(crate) systems: Shards<SystemId, Entry<System>>,
    pub(crate) sources: Shards<SourceId, Entry<Source>>,
    pub(crate) event_types: Shards<String, Entry<EventType>>,
    pub(crate) keys: Shards<KeyId, Entry<ApiKey>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The revision of the bucket up to which changes are in.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The tenant of that id.
    #[must_use]
    pub fn tenant(&self, tenant: &TenantId) -> Option<&Arc<Tenant>> {
        self.space(tenant)?.tenant.as_ref().map(|e| &e.value)
    }

    /// A system of a tenant.
    #[must_use]
    pub fn system(&self, tenant: &TenantId, system: &SystemId) -> Option<&Arc<System>> {
        self.space(tenant)?.systems.get(system).map(|e| &e.value)
    }

    /// A source of a tenant.
    #[must_use]
    pub fn source(&self, tenant: &TenantId, source: &SourceId) -> Option<&Arc<Source>> {
        self.space(tenant)?.sources.get(source).map(|e| &e.value)
    }

    /// An event type of a tenant, by its CloudEvents `type`.
    #[must_use]
    pub fn event_type(&self, tenant: &TenantId, name: &str) -> Option<&Arc<EventType>> {
        self.space(tenant)?.event_types.get(name).map(|e| &e.value)
    }

    /// The API key of that id, whoever's it is. Takes a `KeyId` or a string that may be none.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&Arc<ApiKey>> {
        self.keys.get(key).map(|e| &e.value)
    }

    /// Each tenant, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.iter().filter_map(|(_, space)| space.tenant.as_ref().map(|e| &e.value))
    }

    /// Each source of all tenants, in no order.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.tenants.iter().flat_map(|(_, space)| space.sources.values().map(|e| &e.value))
    }

    /// Each event type of all tenants, in no order.
    pub fn event_types(&self) -> impl Iterator<Item = &Arc<EventType>> {
        self.tenants.iter().flat_map(|(_, space)| space.event_types.values().map(|e| &e.value))
    }

    /// One resource with its revision.
    #[must_use]
    pub fn entry<R: Resource>(&self, tenant: &TenantId, id: &str) -> Option<&Entry<R>> {
        R::find(self.space(tenant)?, id)
    }

    /// The resources of one kind, of one tenant or of all, in order of tenant and id.
    #[must_use]
    pub fn list<R: Resource>(&self, tenant: Option<&TenantId>) -> Vec<Entry<R>> {
        let mut all: Vec<Entry<R>> = match tenant {
            Some(tenant) => {
                self.space(tenant).into_iter().flat_map(|space| R::each(space)).cloned().collect()
            }
            None => self.tenants.iter().flat_map(|(_, space)| R::each(space)).cloned().collect(),
        };
        all.sort_by(|a, b| (a.value.tenant(), a.value.id()).cmp(&(b.value.tenant(), b.value.id())));
        all
    }

    /// The same with `resource` in it, at the next revision: for tests and tools that have no broker.
    #[must_use]
    pub fn with<R: Resource>(mut self, resource: R) -> Self {
        self.revision += 1;
        let revision = self.revision;
        self.insert(&Entry { revision, value: Arc::new(resource) });
        self
    }

    /// Puts a resource where it belongs. False, and nothing done, if it is a key whose id another tenant's key has:
    /// the older one stays, else a tenant could take another's key away.
    pub(crate) fn insert<R: Resource>(&mut self, entry: &Entry<R>) -> bool {
        let tenant = entry.value.tenant().clone();
        if R::KIND == Kind::Key && self.keys.get(entry.value.id()).is_some_and(|k| k.value.tenant != tenant) {
            return false;
        }
        if let Some(space) = self.tenants.get_mut(&tenant) {
            R::put(Arc::make_mut(space), entry.clone());
        } else {
            let mut space = Space::default();
            R::put(&mut space, entry.clone());
            self.tenants.insert(tenant, Arc::new(space));
        }
        if let Some(key) = R::as_key(entry) {
            self.keys.insert(key.value.id.clone(), key);
        }
        true
    }

    pub(crate) fn remove<R: Resource>(&mut self, tenant: &TenantId, id: &str) {
        if self.entry::<R>(tenant, id).is_none() {
            return;
        }
        if let Some(space) = self.tenants.get_mut(tenant) {
            let space = Arc::make_mut(space);
            R::take(space, id);
            if space.is_empty() {
                self.tenants.remove(tenant);
            }
        }
        if R::KIND == Kind::Key && self.keys.get(id).is_some_and(|k| k.value.tenant == *tenant) {
            self.keys.remove(id);
        }
    }

    pub(crate) fn space(&self, tenant: &TenantId) -> Option<&Space> {
        self.tenants.get(tenant).map(|space| &**space)
    }

    /// Resources of all kinds.
    pub(crate) fn len(&self) -> usize {
        self.tenants.iter().map(|(_, s)| s.len()).sum()
    }
}

impl Space {
    fn len(&self) -> usize {
        usize::from(self.tenant.is_some())
            + self.systems.len()
            + self.sources.len()
            + self.event_types.len()
            + self.keys.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Snapshot {
    /// What would be left without what it needs if that entry were deleted: `2 sources, 1 key`.
    pub(crate) fn dependents(&self, key: &EntryKey) -> Option<String> {
        let space = self.space(&key.tenant)?;
        let of = |system: &SystemId| key.kind == Kind::Tenant || **system == *key.id;
        let counts = match key.kind {
            Kind::Tenant | Kind::System => [
                (if key.kind == Kind::Tenant { space.systems.len() } else { 0 }, "system"),
                (space.sources.values().filter(|s| of(&s.value.system)).count(), "source"),
                (space.event_types.values().filter(|t| of(&t.value.system)).count(), "event type"),
                (space.keys.values().filter(|k| of(&k.value.system)).count(), "key"),
            ],
            Kind::Source | Kind::EventType | Kind::Key => return None,
        };
        let some: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }))
            .collect();
        (!some.is_empty()).then(|| some.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(tenant: &str, id: &str) -> ApiKey {
        serde_json::from_value(json!({
            "tenant": tenant, "system": "shop", "id": id, "hash": "0", "scopes": ["publish"],
        }))
        .unwrap()
    }

    fn tenant(id: &str) -> TenantId {
        id.parse().unwrap()
    }

    #[test]
    fn finds_what_was_put_and_old_snapshots_stay_as_they_were() {
        let source: Source =
            serde_json::from_value(json!({"tenant": "acme", "system": "shop", "id": "till"})).unwrap();
        let event_type: EventType =
            serde_json::from_value(json!({"tenant": "acme", "system": "shop", "name": "com.x"})).unwrap();
        let before = Snapshot::default().with(source).with(event_type).with(key("acme", "k1"));
        let mut after = before.clone();
        after.remove::<ApiKey>(&tenant("acme"), "k1");
        after.remove::<Source>(&tenant("acme"), "till");
        assert!(before.key("k1").is_some() && after.key("k1").is_none());
        let till: SourceId = "till".parse().unwrap();
        assert!(
            before.source(&tenant("acme"), &till).is_some() && after.source(&tenant("acme"), &till).is_none()
        );
        assert!(after.event_type(&tenant("acme"), "com.x").is_some());
        assert!(after.event_type(&tenant("other"), "com.x").is_none());
        assert_eq!((before.len(), after.len()), (3, 1));
        after.remove::<EventType>(&tenant("acme"), "com.x");
        assert!(after.space(&tenant("acme")).is_none(), "nothing is kept of a tenant without anything");
    }

    #[test]
    fn a_tenant_cannot_take_anothers_key() {
        let mut snapshot = Snapshot::default().with(key("acme", "k1"));
        assert!(!snapshot.insert(&Entry { revision: 9, value: Arc::new(key("evil", "k1")) }));
        snapshot.remove::<ApiKey>(&tenant("evil"), "k1");
        assert_eq!(snapshot.key("k1").unwrap().tenant, tenant("acme"));
    }

    #[test]
    fn says_what_depends_on_an_entry() {
        let snapshot = Snapshot::default().with(key("acme", "k1")).with(key("acme", "k2"));
        let of = |kind, id| snapshot.dependents(&EntryKey::new(kind, &tenant("acme"), id));
        assert_eq!(of(Kind::System, "shop").unwrap(), "2 keys");
        assert_eq!(of(Kind::System, "other"), None);
        assert_eq!(of(Kind::Tenant, "acme").unwrap(), "2 keys");
        assert_eq!(of(Kind::Key, "k1"), None);
    }

    #[test]
    fn lists_in_order() {
        let snapshot = Snapshot::default().with(key("b", "k1")).with(key("a", "k3")).with(key("a", "k2"));
        let ids = |t: Option<&TenantId>| -> Vec<String> {
            snapshot.list::<ApiKey>(t).iter().map(|e| e.value.id.to_string()).collect()
        };
        assert_eq!(ids(None), ["k2", "k3", "k1"]);
        assert_eq!(ids(Some(&tenant("a"))), ["k2", "k3"]);
    }
}
