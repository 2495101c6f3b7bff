//! The port for taking away: by a tenant's retention, and on request.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use model::{Micros, TenantId};

use crate::Error;

/// Takes away what a store keeps. Each call may be repeated and ends at the same; none touches another tenant.
#[async_trait]
pub trait Erasure: Send + Sync + fmt::Debug + 'static {
    /// Takes away all of a tenant's: events, usage, indexes. When it returns, no read finds anything of what was written
    /// before the call, also after a restart.
    ///
    /// # Errors
    /// If it is not known to be done; erase again.
    async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), Error>;

    /// Takes away one event's data for good and keeps its attributes and its receipt. Says whether there is such an event.
    /// Usage is not touched: it was used. The event leaves its partition's [tail](crate::EventStore::tail), so that
    /// nobody publishes it again.
    ///
    /// # Errors
    /// If it is not known to be done; erase again.
    async fn erase_data(&self, tenant: &TenantId, source: &str, id: &str) -> Result<bool, Error>;

    /// Takes away a tenant's events received before a time, at least as far as whole blocks, buckets or files lie before
    /// it. A store whose rows expire by themselves has nothing to do.
    ///
    /// # Errors
    /// If it is not known to be done; expire again.
    async fn expire(&self, tenant: &TenantId, before_us: Micros) -> Result<(), Error>;
}

/// Takes away from several stores, one after the other.
#[derive(Debug)]
pub struct EraseAll(Vec<Arc<dyn Erasure>>);

impl EraseAll {
    /// Of these stores.
    #[must_use]
    pub fn new(stores: impl IntoIterator<Item = Arc<dyn Erasure>>) -> Self {
        Self(stores.into_iter().collect())
    }
}

#[async_trait]
impl Erasure for EraseAll {
    async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        for store in &self.0 {
            store.erase_tenant(tenant).await?;
        }
        Ok(())
    }

    async fn erase_data(&self, tenant: &TenantId, source: &str, id: &str) -> Result<bool, Error> {
        let mut found = false;
        for store in &self.0 {
            found |= store.erase_data(tenant, source, id).await?;
        }
        Ok(found)
    }

    async fn expire(&self, tenant: &TenantId, before_us: Micros) -> Result<(), Error> {
        for store in &self.0 {
            store.expire(tenant, before_us).await?;
        }
        Ok(())
    }
}
