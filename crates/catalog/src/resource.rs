//! What a resource must tell of itself to be kept in the catalog.

use std::fmt::Debug;

use model::{
    TenantId,
    resource::{ApiKey, Customer, EventType, Meta, Source, System, Tenant},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    EntryKey, FieldError, Kind,
    check::{self, Check},
};

/// A resource of the catalog. Implemented for those of [`model::resource`] and, as where they stand in a
/// snapshot is part of it, nowhere else.
pub trait Resource:
    sealed::Place + Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: Kind;

    /// Whose it is.
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

    /// The rules that need nothing but the resource itself.
    fn validate(&self) -> Vec<FieldError>;

    /// The rules of other crates.
    fn validate_with(&self, check: &dyn Check) -> Vec<FieldError> {
        let _ = check;
        Vec::new()
    }

    /// The key it stands under.
    fn entry_key(&self) -> EntryKey {
        EntryKey::new(Self::KIND, self.tenant(), self.id())
    }
}

/// One resource named by another of the same tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Where it is named: a JSON pointer.
    pub pointer: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: &'a str,
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
        const KIND: Kind = Kind::$kind;

        fn tenant(&self) -> &TenantId {
            &self.$tenant
        }

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

impl Resource for Tenant {
    common!(Tenant, tenant: id, id: id);

    fn validate(&self) -> Vec<FieldError> {
        check::tenant(self)
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

    fn validate(&self) -> Vec<FieldError> {
        check::customer(self)
    }
}

impl Resource for Source {
    common!(Source, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        vec![Reference { pointer: "/system", kind: Kind::System, id: &self.system }]
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
        vec![Reference { pointer: "/system", kind: Kind::System, id: &self.system }]
    }

    fn validate(&self) -> Vec<FieldError> {
        check::event_type(self)
    }

    fn validate_with(&self, check: &dyn Check) -> Vec<FieldError> {
        check.event_type(self)
    }
}

impl Resource for ApiKey {
    common!(Key, tenant: tenant, id: id);

    fn references(&self) -> Vec<Reference<'_>> {
        let system = Reference { pointer: "/system", kind: Kind::System, id: &self.system };
        let customer = self.customer.as_ref();
        let customer = customer.map(|id| Reference { pointer: "/customer", kind: Kind::Customer, id });
        [Some(system), customer].into_iter().flatten().collect()
    }

    fn validate(&self) -> Vec<FieldError> {
        check::api_key(self)
    }
}
