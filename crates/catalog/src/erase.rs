//! Taking a whole tenant out of the bucket, for good.

use std::time::Duration;

use async_nats::jetstream::kv;
use futures::TryStreamExt as _;
use model::TenantId;

use crate::{Catalog, Error, Kind, error::unavailable};

impl Catalog {
    /// How many entries the bucket has of a tenant.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn held(&self, tenant: &TenantId) -> Result<u64, Error> {
        let store = self.store().await?;
        let mut held = 0;
        for key in self.keys_of(store, tenant).await? {
            let entry = store.entry(key).await.map_err(unavailable)?;
            held += u64::from(entry.is_some_and(|e| e.operation == kv::Operation::Put));
        }
        Ok(held)
    }

    /// Takes away all entries of a tenant, with what they were before. Those who follow the bucket have `settle` to hear
    /// of it, before even the names of the entries go; who misses that reads all entries again.
    ///
    /// # Errors
    /// If the broker does not acknowledge it; erase again.
    pub async fn erase(&self, tenant: &TenantId, settle: Duration) -> Result<(), Error> {
        let store = self.store().await?;
        let mut keys = self.keys_of(store, tenant).await?;
        if keys.is_empty() {
            return Ok(());
        }
        // The tenant last: no snapshot has entries of a tenant that is not there.
        keys.sort_by_key(|key| key.starts_with(Kind::Tenant.as_str()));
        for key in keys {
            store.purge(key).await.map_err(unavailable)?;
        }
        self.wait_until(|snapshot| snapshot.tenant(tenant).is_none()).await;
        tokio::time::sleep(settle).await;
        store.stream.purge().filter(self.subjects_of(tenant)).await.map(drop).map_err(unavailable)
    }

    fn subjects_of(&self, tenant: &TenantId) -> String {
        format!("$KV.{}.*.{tenant}.>", self.inner.options.bucket)
    }

    /// The keys that the bucket remembers of a tenant, deleted ones as well.
    async fn keys_of(&self, store: &kv::Store, tenant: &TenantId) -> Result<Vec<String>, Error> {
        let subjects = store.stream.info_with_subjects(self.subjects_of(tenant)).await;
        let subjects: Vec<(String, usize)> =
            subjects.map_err(unavailable)?.try_collect().await.map_err(unavailable)?;
        let prefix = format!("$KV.{}.", self.inner.options.bucket);
        Ok(subjects
            .iter()
            .filter_map(|(subject, _)| subject.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect())
    }
}
