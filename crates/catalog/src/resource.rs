//! What a resource must tell of itself to be kept in the catalog.

use std::{fmt::Debug, sync::Arc};

use model::{
    SystemId, TenantId,
    resource::{ApiKey, EventType, Source, System, Tenant},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    EntryKey, FieldError, Kind,
    check::{self, Check},
    snapshot::{Entry, Space},
};

/// A resource of the catalog. Implemented for the five of [`model::resource`] and, as where they stand in a
/// snapshot is part of it, nowhere else.
pub trait Resource:
    sealed::Place + Serialize + DeserializeOwned + PartialEq + Debug + Send + Sync + 'static
{
    /// Which kind it is.
    const KIND: Kind;

    /// Whose it is.
    fn tenant(&self) -> &TenantId;

    /// Its id within the tenant, not encoded.
    fn id(&self) -> &str;

    /// The system it belongs to, which must exist.
    fn system(&self) -> Option<&SystemId> {
        None
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

pub(crate) mod sealed {
    use super::{ApiKey, Entry, Space};

    /// Where a kind stands in a tenant's space.
    pub trait Place: Sized {
        #[doc(hidden)]
        fn find<'a>(space: &'a Space, id: &str) -> Option<&'a Entry<Self>>;
        #[doc(hidden)]
        fn each(space: &Space) -> Box<dyn Iterator<Item = &Entry<Self>> + '_>;
        #[doc(hidden)]
        fn put(space: &mut Space, entry: Entry<Self>);
        #[doc(hidden)]
        fn take(space: &mut Space, id: &str);
        #[doc(hidden)]
        fn as_key(entry: &Entry<Self>) -> Option<Entry<ApiKey>> {
            let _ = entry;
            None
        }
    }
}

macro_rules! in_map {
    ($($resource:ident in $map:ident by $id:expr $(, $as_key:item)?;)*) => {$(
        impl sealed::Place for $resource {
            fn find<'a>(space: &'a Space, id: &str) -> Option<&'a Entry<Self>> {
                space.$map.get(id)
            }
            fn each(space: &Space) -> Box<dyn Iterator<Item = &Entry<Self>> + '_> {
                Box::new(space.$map.values())
            }
            fn put(space: &mut Space, entry: Entry<Self>) {
                let id: fn(&Self) -> _ = $id;
                space.$map.insert(id(&entry.value), entry);
            }
            fn take(space: &mut Space, id: &str) {
                space.$map.remove(id);
            }
            $($as_key)?
        }
    )*};
}

in_map! {
    System in systems by |s| s.id.clone();
    Source in sources by |s| s.id.clone();
    EventType in event_types by |t| t.name.clone();
    ApiKey in keys by |k| k.id.clone(),
        fn as_key(entry: &Entry<Self>) -> Option<Entry<ApiKey>> {
            Some(Entry { revision: entry.revision, value: Arc::clone(&entry.value) })
        };
}

impl sealed::Place for Tenant {
    fn find<'a>(space: &'a Space, id: &str) -> Option<&'a Entry<Self>> {
        space.tenant.as_ref().filter(|t| &*t.value.id == id)
    }
    fn each(space: &Space) -> Box<dyn Iterator<Item = &Entry<Self>> + '_> {
        Box::new(space.tenant.iter())
    }
    fn put(space: &mut Space, entry: Entry<Self>) {
        space.tenant = Some(entry);
    }
    fn take(space: &mut Space, _: &str) {
        space.tenant = None;
    }
}

impl Resource for Tenant {
    const KIND: Kind = Kind::Tenant;

    fn tenant(&self) -> &TenantId {
        &self.id
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn validate(&self) -> Vec<FieldError> {
        check::tenant(self)
    }
}

impl Resource for System {
    const KIND: Kind = Kind::System;

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn validate(&self) -> Vec<FieldError> {
        check::system(self)
    }
}

impl Resource for Source {
    const KIND: Kind = Kind::Source;

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn system(&self) -> Option<&SystemId> {
        Some(&self.system)
    }

    fn validate(&self) -> Vec<FieldError> {
        check::source(self)
    }

    fn validate_with(&self, check: &dyn Check) -> Vec<FieldError> {
        check.source(self)
    }
}

impl Resource for EventType {
    const KIND: Kind = Kind::EventType;

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn id(&self) -> &str {
        &self.name
    }

    fn system(&self) -> Option<&SystemId> {
        Some(&self.system)
    }

    fn validate(&self) -> Vec<FieldError> {
        check::event_type(self)
    }

    fn validate_with(&self, check: &dyn Check) -> Vec<FieldError> {
        check.event_type(self)
    }
}

impl Resource for ApiKey {
    const KIND: Kind = Kind::Key;

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn id(&self) -> &str {
        &self.id
    }

    fn system(&self) -> Option<&SystemId> {
        Some(&self.system)
    }

    fn validate(&self) -> Vec<FieldError> {
        check::api_key(self)
    }
}
