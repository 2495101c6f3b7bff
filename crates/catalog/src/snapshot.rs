//! All resources as of one revision of the bucket.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use model::{
    BillingAccountId, FLEET, KeyId, Micros, PlanId, SourceId, SystemId, TenantId, Text, parse_rfc3339,
    resource::{ApiKey, BillingAccount, EventType, Limits, Plan, Source, System, Tenant, User},
};

use crate::{
    EntryKey, Kind, Resource,
    kinds::{Space, Table},
    resource::Deleted,
    shards::Shards,
};

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

/// See [`Snapshot::counts`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of all kinds.
    pub resources: usize,
    /// Subscriptions alone.
    pub subscriptions: usize,
}

/// All resources as of one revision. Immutable; take a new one with [`crate::Catalog::snapshot`] for each
/// request. Copying and changing one is cheap: what does not change is shared.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(crate) revision: u64,
    tenants: Shards<TenantId, Arc<Space>>,
    keys: Shards<KeyId, Entry<ApiKey>>,
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
        self.value(tenant, tenant)
    }

    /// A system of a tenant.
    #[must_use]
    pub fn system(&self, tenant: &TenantId, system: &SystemId) -> Option<&Arc<System>> {
        self.value(tenant, system)
    }

    /// A source of a tenant.
    #[must_use]
    pub fn source(&self, tenant: &TenantId, source: &SourceId) -> Option<&Arc<Source>> {
        self.value(tenant, source)
    }

    /// An event type of a tenant, by its CloudEvents `type`.
    #[must_use]
    pub fn event_type(&self, tenant: &TenantId, name: &str) -> Option<&Arc<EventType>> {
        self.value(tenant, name)
    }

    /// A plan of the fleet.
    #[must_use]
    pub fn plan(&self, plan: &PlanId) -> Option<&Arc<Plan>> {
        self.value(&FLEET, plan)
    }

    /// What is agreed with a party.
    #[must_use]
    pub fn billing_account(
        &self,
        tenant: &TenantId,
        account: &BillingAccountId,
    ) -> Option<&Arc<BillingAccount>> {
        self.value(tenant, account)
    }

    /// A person, by their id.
    #[must_use]
    pub fn user(&self, user: &str) -> Option<&Arc<User>> {
        self.value(&FLEET, user)
    }

    /// A person, by their address, in lower case. Looks at all of them.
    #[must_use]
    pub fn user_of_email(&self, email: &str) -> Option<&Arc<User>> {
        let has = |user: &&Arc<User>| user.email.as_deref() == Some(email);
        self.each(Some(&FLEET)).map(|e| &e.value).find(has)
    }

    /// What holds for a tenant: its own limits, its plan's, everybody's.
    #[must_use]
    pub fn limits(&self, tenant: &Tenant) -> Limits {
        let plan = tenant.plan.as_ref().and_then(|plan| self.plan(plan));
        Limits::resolve(&tenant.limits, plan.map(|plan| &plan.limits))
    }

    /// How many resources a tenant has: of all kinds, itself left out, and subscriptions alone.
    #[must_use]
    pub fn counts(&self, tenant: &TenantId) -> Counts {
        let Some(space) = self.space(tenant) else { return Counts::default() };
        let resources = space.len() - space.tenants.live.len();
        Counts { resources, subscriptions: space.subscriptions.live.len() }
    }

    fn value<R: Resource>(&self, tenant: &TenantId, id: &str) -> Option<&Arc<R>> {
        self.entry(tenant, id).map(|e| &e.value)
    }

    /// The API key of that id, whoever's it is. Takes a `KeyId` or a string that may be none.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&Arc<ApiKey>> {
        self.keys.get(key).map(|e| &e.value)
    }

    /// Each tenant, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.each(None).map(|e| &e.value)
    }

    /// Each source of all tenants, in no order.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.each(None).map(|e| &e.value)
    }

    /// Each event type of all tenants, in no order.
    pub fn event_types(&self) -> impl Iterator<Item = &Arc<EventType>> {
        self.each(None).map(|e| &e.value)
    }

    /// One resource with its revision.
    #[must_use]
    pub fn entry<R: Resource>(&self, tenant: &TenantId, id: &str) -> Option<&Entry<R>> {
        R::table(self.space(tenant)?).live.get(id)
    }

    /// One resource that was deleted.
    #[must_use]
    pub fn deleted<R: Resource>(&self, tenant: &TenantId, id: &str) -> Option<&Entry<Deleted<R>>> {
        R::table(self.space(tenant)?).deleted.get(id)
    }

    /// The resources of one kind, of one tenant or of all, in no order.
    pub fn each<'a, R: Resource>(
        &'a self,
        tenant: Option<&TenantId>,
    ) -> impl Iterator<Item = &'a Entry<R>> + use<'a, R> {
        self.spaces(tenant).flat_map(|space| R::table(space).live.values())
    }

    /// The deleted resources of one kind, of one tenant or of all, in no order.
    pub fn each_deleted<'a, R: Resource>(
        &'a self,
        tenant: Option<&TenantId>,
    ) -> impl Iterator<Item = &'a Entry<Deleted<R>>> + use<'a, R> {
        self.spaces(tenant).flat_map(|space| R::table(space).deleted.values())
    }

    /// The resources of one kind, of one tenant or of all, in order of tenant and id.
    #[must_use]
    pub fn list<R: Resource>(&self, tenant: Option<&TenantId>) -> Vec<Entry<R>> {
        let mut all: Vec<Entry<R>> = self.each(tenant).cloned().collect();
        all.sort_by(|a, b| (a.value.tenant(), a.value.id()).cmp(&(b.value.tenant(), b.value.id())));
        all
    }

    fn spaces<'a>(&'a self, tenant: Option<&TenantId>) -> impl Iterator<Item = &'a Space> + use<'a> {
        let one = tenant.map(|tenant| self.space(tenant));
        let all = one.is_none().then(|| self.tenants.values().map(|space| &**space));
        one.flatten().into_iter().chain(all.into_iter().flatten())
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
        let id = Text::from(entry.value.id());
        self.change::<R>(&tenant, |table| {
            table.deleted.remove(&id);
            table.live.insert(id, entry.clone());
        });
        if let Some(key) = (entry as &dyn Any).downcast_ref::<Entry<ApiKey>>() {
            self.keys.insert(key.value.id.clone(), key.clone());
        }
        true
    }

    /// Puts a resource among those that were deleted.
    pub(crate) fn insert_deleted<R: Resource>(&mut self, entry: Entry<Deleted<R>>) {
        let resource = &entry.value.resource;
        let (tenant, id) = (resource.tenant().clone(), Text::from(resource.id()));
        self.forget_key::<R>(&tenant, &id);
        self.change::<R>(&tenant, |table| {
            table.live.remove(&id);
            table.deleted.insert(id, entry);
        });
    }

    /// Takes away what stands under that id, deleted or not.
    pub(crate) fn remove<R: Resource>(&mut self, tenant: &TenantId, id: &str) {
        if self.entry::<R>(tenant, id).is_none() && self.deleted::<R>(tenant, id).is_none() {
            return;
        }
        self.forget_key::<R>(tenant, id);
        self.change::<R>(tenant, |table| {
            table.live.remove(id);
            table.deleted.remove(id);
        });
    }

    fn change<R: Resource>(&mut self, tenant: &TenantId, change: impl FnOnce(&mut Table<R>)) {
        if let Some(space) = self.tenants.get_mut(tenant) {
            let space = Arc::make_mut(space);
            space.needs_normalizer = OnceLock::new();
            space.metering = OnceLock::new();
            change(R::table_mut(space));
            if space.is_empty() {
                self.tenants.remove(tenant);
            }
        } else {
            let mut space = Space::default();
            change(R::table_mut(&mut space));
            self.tenants.insert(tenant.clone(), Arc::new(space));
        }
    }

    fn forget_key<R: Resource>(&mut self, tenant: &TenantId, id: &str) {
        if R::KIND == Kind::Key && self.keys.get(id).is_some_and(|k| k.value.tenant == *tenant) {
            self.keys.remove(id);
        }
    }

    pub(crate) fn space(&self, tenant: &TenantId) -> Option<&Space> {
        self.tenants.get(tenant).map(|space| &**space)
    }

    /// The tenants, and the fleet, whose roles, bindings or own being may not be what they were in `old`. What was not touched
    /// is passed by without a look at it.
    pub(crate) fn authority_differs(&self, old: &Self) -> Vec<TenantId> {
        let touched = self.tenants.differing(&old.tenants, Arc::ptr_eq);
        let differs = |id: &TenantId| match (self.space(id), old.space(id)) {
            (Some(new), Some(old)) => {
                !(new.roles.live.is_same(&old.roles.live)
                    && new.role_bindings.live.is_same(&old.role_bindings.live)
                    && new.tenants.live.is_same(&old.tenants.live))
            }
            _ => true,
        };
        touched.into_iter().filter(differs).collect()
    }

    /// Resources of all kinds.
    pub(crate) fn len(&self) -> usize {
        self.tenants.values().map(|s| s.len()).sum()
    }

    /// What would be left dangling if that entry were deleted, in no order.
    pub(crate) fn holders(&self, key: &EntryKey) -> Vec<EntryKey> {
        // What is the fleet's may be named in every tenant.
        let owner = (!key.tenant.is_fleet()).then_some(&key.tenant);
        self.spaces(owner).flat_map(|space| space.holders(key)).collect()
    }

    /// Whether there is such an entry, not deleted.
    pub(crate) fn has(&self, key: &EntryKey) -> bool {
        self.space(&key.tenant).is_some_and(|space| space.has(key.kind, &key.id))
    }

    /// What was deleted before that time, with its revision.
    pub(crate) fn deleted_before(&self, before_us: Micros) -> Vec<(EntryKey, u64)> {
        let deleted = self.tenants.values().flat_map(|space| space.deleted());
        deleted
            // What says no time is as old as can be.
            .filter(|(_, _, at)| parse_rfc3339(at).is_ok_and(|at| at < before_us) || at.is_empty())
            .map(|(key, revision, _)| (key, revision))
            .collect()
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
        let of = |kind, id| {
            let holders = snapshot.holders(&EntryKey::new(kind, &tenant("acme"), id));
            let mut ids: Vec<String> = holders.into_iter().map(|key| key.id).collect();
            ids.sort();
            ids
        };
        assert_eq!(of(Kind::System, "shop"), ["k1", "k2"]);
        assert_eq!(of(Kind::System, "other"), [""; 0]);
        assert_eq!(of(Kind::Tenant, "acme"), ["k1", "k2"]);
        assert_eq!(of(Kind::Key, "k1"), [""; 0]);
    }

    #[test]
    fn what_is_deleted_is_nowhere_but_among_the_deleted() {
        let mut snapshot = Snapshot::default().with(key("acme", "k1"));
        let deleted = Deleted { deleted_at: "2026-11-21T10:00:00Z".to_owned(), resource: key("acme", "k1") };
        snapshot.insert_deleted(Entry { revision: 7, value: Arc::new(deleted) });
        assert!(snapshot.key("k1").is_none() && snapshot.entry::<ApiKey>(&tenant("acme"), "k1").is_none());
        assert!(snapshot.list::<ApiKey>(None).is_empty() && snapshot.len() == 0);
        let system = EntryKey::new(Kind::System, &tenant("acme"), "shop");
        assert!(snapshot.holders(&system).is_empty(), "it holds nothing");
        assert_eq!(snapshot.deleted::<ApiKey>(&tenant("acme"), "k1").unwrap().revision, 7);
        let at = parse_rfc3339("2026-11-21T10:00:00Z").unwrap();
        assert!(snapshot.deleted_before(at).is_empty());
        assert_eq!(snapshot.deleted_before(at + 1)[0].1, 7);
        snapshot.remove::<ApiKey>(&tenant("acme"), "k1");
        assert!(snapshot.space(&tenant("acme")).is_none());
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
