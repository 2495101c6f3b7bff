//! What a resource must tell of itself to be kept in the catalog.

use std::{borrow::Cow, fmt::Debug};

use model::{
    FLEET, TenantId,
    resource::{
        Action, ApiKey, BillingAccount, Component, Customer, EventType, Feed, Meta, Meter, NatsCredential,
        Plan, RuleSet, Source, Subscription, System, Tenant, Workflow,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    EntryKey, FieldError, Kind, Snapshot,
    check::{self, Check},
};

/// A resource of the catalog. Implemented for those of [`model::resource`] and, as where they stand in a
/// snapshot is part of it, nowhere else.
pub trait Resource:
    sealed::Place + Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: Kind;

    /// Whose it is; [`FLEET`] for what is the fleet's.
    fn tenant(&self) -> &TenantId;

    /// Its id within the tenant, not encoded.
    fn id(&self) -> &str;

    /// For people.
    fn name(&self) -> &str;

    /// What every resource has.
    fn meta(&self) -> &Meta;

    /// The same, to be written.
    fn meta_mut(&mut self) -> &mut Meta;

    /// What it names besides its tenant: each must exist, and cannot be deleted as long as this one is there.
    fn references(&self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    /// What it names of the fleet's, where it is a tenant's: the same holds for these.
    fn fleet_references(&self) -> Vec<Reference<'_>> {
        Vec::new()
    }

    /// The rules that need nothing but the resource itself.
    fn validate(&self) -> Vec<FieldError>;

    /// The rules that need what else there is.
    fn validate_among(&self, others: &Snapshot) -> Vec<FieldError> {
        let _ = others;
        Vec::new()
    }

    /// The rules of other crates.
    fn validate_with(&self, check: &dyn Check) -> Vec<FieldError> {
        let _ = check;
        Vec::new()
    }

    /// Takes over from what it takes the place of.
    fn succeed(&mut self, old: &Self) {
        let _ = old;
    }

    /// Why it must not take the place of what there is.
    fn succession_faults(&self, old: &Self, check: &dyn Check) -> Vec<FieldError> {
        let _ = (old, check);
        Vec::new()
    }

    /// The key it stands under.
    fn entry_key(&self) -> EntryKey {
        EntryKey::new(Self::KIND, self.tenant(), self.id())
    }
}

/// The entries that a resource names, with the place where it does.
pub(crate) fn named<R: Resource>(resource: &R) -> Vec<(Cow<'static, str>, EntryKey)> {
    let own = resource.references().into_iter().map(|r| (r.entry_key(resource.tenant()), r.pointer));
    let fleets = resource.fleet_references().into_iter().map(|r| (r.entry_key(&FLEET), r.pointer));
    own.chain(fleets).map(|(key, pointer)| (pointer, key)).collect()
}

/// One resource named by another: of the same tenant, or the fleet's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Where it is named: a JSON pointer.
    pub pointer: Cow<'static, str>,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: &'a str,
}

impl<'a> Reference<'a> {
    fn new(pointer: &'static str, kind: Kind, id: &'a str) -> Self {
        Self { pointer: pointer.into(), kind, id }
    }

    fn system(id: &'a str) -> Self {
        Self::new("/system", Kind::System, id)
    }

    /// The key of what is named by something of `tenant`.
    pub(crate) fn entry_key(&self, tenant: &TenantId) -> EntryKey {
        let owner = if self.kind.is_fleet_wide() { &FLEET } else { tenant };
        EntryKey::new(self.kind, owner, self.id)
    }
}

/// A resource that was deleted: it keeps its id and can be undeleted until it is purged. In the bucket the resource is a member
/// of this one, so that a program that knows nothing of deleted resources cannot take one for a living one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deleted<R> {
    /// When, RFC 3339.
    pub deleted_at: String,
    /// What it was.
    #[serde(rename = "deleted")]
    pub resource: R,
}

pub(crate) mod sealed {
    use crate::kinds::{Space, Table};

    /// Where a kind stands in a tenant's space.
    pub trait Place: Sized {
        #[doc(hidden)]
        fn table(space: &Space) -> &Table<Self>;
        #[doc(hidden)]
        fn table_mut(space: &mut Space) -> &mut Table<Self>;
    }
}

/// What is the same for every kind whose tenant and id are fields of those names.
macro_rules! common {
    ($kind:ident, tenant: $tenant:ident, id: $id:ident) => {
        common!($kind, id: $id);

        fn tenant(&self) -> &TenantId {
            &self.$tenant
        }
    };
    ($kind:ident, id: $id:ident) => {
        const KIND: Kind = Kind::$kind;

        fn id(&self) -> &str {
            &self.$id
        }

        fn name(&self) -> &str {
            &self.name
        }

        fn meta(&self) -> &Meta {
            &self.meta
        }

        fn meta_mut(&mut self) -> &mut Meta {
            &mut self.meta
        }
    };
}

mod people;

impl Resource for Tenant {
    common!(Tenant, tenant: id, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        of_plan(self.plan.as_ref())
    }

    fn validate(&self) -> Vec<FieldError> {
        check::tenant(self)
    }

    fn validate_among(&self, others: &Snapshot) -> Vec<FieldError> {
        check::retention(self, others)
    }
}

impl Resource for System {
    common!(System, tenant: tenant, id: id);

    fn validate(&self) -> Vec<FieldError> {
        check::system(self)
    }
}

impl Resource for Customer {
    common!(Customer, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        of_plan(self.plan.as_ref())
    }

    fn validate(&self) -> Vec<FieldError> {
        check::customer(self)
    }
}

impl Resource for BillingAccount {
    common!(BillingAccount, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        let customer = self.customer.as_ref().map(|id| Reference::new("/customer", Kind::Customer, id));
        let plans = self.plans.iter().enumerate().map(|(at, assignment)| Reference {
            pointer: format!("/plans/{at}/plan").into(),
            kind: Kind::Plan,
            id: &assignment.plan,
        });
        plans.chain(customer).collect()
    }

    fn validate(&self) -> Vec<FieldError> {
        check::billing_account(self)
    }

    fn validate_among(&self, others: &Snapshot) -> Vec<FieldError> {
        check::currencies(self, others)
    }

    fn succession_faults(&self, old: &Self, _: &dyn Check) -> Vec<FieldError> {
        check::same_account(self, old)
    }
}

impl Resource for Source {
    common!(Source, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        vec![Reference::system(&self.system)]
    }

    fn validate(&self) -> Vec<FieldError> {
        check::source(self)
    }

    fn validate_with(&self, check: &dyn Check) -> Vec<FieldError> {
        check.source(self)
    }
}

impl Resource for EventType {
    common!(EventType, tenant: tenant, id: name);

    fn references(&self) -> Vec<Reference<'_>> {
        vec![Reference::system(&self.system)]
    }

    fn validate(&self) -> Vec<FieldError> {
        check::event_type(self)
    }

    fn validate_with(&self, check: &dyn Check) -> Vec<FieldError> {
        check.event_type(self)
    }

    fn succeed(&mut self, old: &Self) {
        EventType::succeed(self, old);
    }

    fn succession_faults(&self, old: &Self, check: &dyn Check) -> Vec<FieldError> {
        check.succession(self, old)
    }
}

impl Resource for ApiKey {
    common!(Key, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        let mut references = vec![Reference::system(&self.system)];
        references.extend(self.customer.as_ref().map(|id| Reference::new("/customer", Kind::Customer, id)));
        references
    }

    fn validate(&self) -> Vec<FieldError> {
        check::api_key(self)
    }
}

impl Resource for NatsCredential {
    common!(NatsCredential, tenant: tenant, id: id);

    fn validate(&self) -> Vec<FieldError> {
        check::nats_credential(self)
    }
}

impl Resource for Plan {
    common!(Plan, id: id);

    fn tenant(&self) -> &TenantId {
        &FLEET
    }

    fn validate(&self) -> Vec<FieldError> {
        check::plan(self)
    }
}

fn of_plan(plan: Option<&model::PlanId>) -> Vec<Reference<'_>> {
    plan.map(|id| Reference::new("/plan", Kind::Plan, id)).into_iter().collect()
}

impl Resource for Action {
    common!(Action, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        vec![Reference::system(&self.system)]
    }

    fn validate(&self) -> Vec<FieldError> {
        check::action(self)
    }
}

impl Resource for Subscription {
    common!(Subscription, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        let mut references =
            vec![Reference::system(&self.system), Reference::new("/action", Kind::Action, &self.action)];
        references.extend(self.event_types.iter().enumerate().map(|(at, id)| Reference {
            pointer: format!("/event_types/{at}").into(),
            kind: Kind::EventType,
            id,
        }));
        references
    }

    fn validate(&self) -> Vec<FieldError> {
        check::subscription(self)
    }
}

impl Resource for RuleSet {
    common!(RuleSet, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        self.system.as_ref().map(|id| Reference::system(id)).into_iter().collect()
    }

    fn validate(&self) -> Vec<FieldError> {
        check::rule_set(self)
    }
}

impl Resource for Component {
    common!(Component, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        vec![Reference::system(&self.system)]
    }

    fn validate(&self) -> Vec<FieldError> {
        check::component(self)
    }
}

impl Resource for Workflow {
    common!(Workflow, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        self.system.as_ref().map(|id| Reference::system(id)).into_iter().collect()
    }

    fn validate(&self) -> Vec<FieldError> {
        check::workflow(self)
    }
}

impl Resource for Feed {
    common!(Feed, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        let mut references = vec![Reference::system(&self.system)];
        references.extend(self.source.as_ref().map(|id| Reference::new("/source", Kind::Source, id)));
        references
    }

    fn validate(&self) -> Vec<FieldError> {
        check::feed(self)
    }
}

impl Resource for Meter {
    common!(Meter, tenant: tenant, id: id);

    fn validate(&self) -> Vec<FieldError> {
        check::meter(self)
    }

    fn validate_among(&self, others: &Snapshot) -> Vec<FieldError> {
        check::meters(self, others)
    }

    fn succession_faults(&self, old: &Self, _: &dyn Check) -> Vec<FieldError> {
        check::meter_succession(self, old)
    }
}
