//! The port for taking away, as walks of small transactions.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{Micros, TenantId};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    Embedded,
    disk::Disk,
    erase::{Change, Changed},
    keys::Kind,
    tail,
    writer::Message,
};
use crate::{Erasure, Error};

/// Batches of the tail written anew in one transaction.
const SLOTS_MAX: usize = 512;
/// Single events are often erased one after another: room is freed for all of them together.
const TIDY_AFTER: Duration = Duration::from_secs(10);

#[async_trait]
impl Erasure for Embedded {
    async fn erase_tenant(&self, tenant: &TenantId) -> Result<(), Error> {
        let end = self.change(Change::Look).await?.next.unwrap_or(u64::MAX);
        self.take_blocks(tenant, Kind::Events, end, None).await?;
        self.take_blocks(tenant, Kind::Usage, end, None).await?;
        self.repeat(|| Change::Traces { tenant: tenant.clone() }).await?;
        let of = tenant.clone();
        let slots = self.read(move |disk, _| tail::slots_with(disk, &of)).await?;
        for slots in slots.chunks(SLOTS_MAX) {
            let change = Change::Tail { tenant: tenant.clone(), slots: slots.to_vec() };
            self.change(change).await?;
        }
        self.tidy().await
    }

    async fn erase_data(&self, tenant: &TenantId, source: &str, id: &str) -> Result<bool, Error> {
        let (tenant, source, id) = (tenant.clone(), source.to_owned(), id.to_owned());
        let changed = self.change(Change::Data { tenant, source, id }).await?;
        if changed.found {
            let inner = Arc::downgrade(&self.inner);
            tokio::spawn(async move {
                tokio::time::sleep(TIDY_AFTER).await;
                let Some(inner) = inner.upgrade() else { return };
                if let Err(error) = (Self { inner }).tidy().await {
                    tracing::warn!(%error, "room of erased data not freed yet");
                }
            });
        }
        Ok(changed.found)
    }

    async fn expire(&self, tenant: &TenantId, before_us: Micros) -> Result<(), Error> {
        let end = self.change(Change::Look).await?.next.unwrap_or(u64::MAX);
        self.take_blocks(tenant, Kind::Events, end, Some(before_us)).await?;
        self.repeat(|| Change::Bounds { tenant: tenant.clone(), before_us }).await?;
        self.tidy().await
    }
}

impl Embedded {
    async fn change(&self, change: Change) -> Result<Changed, Error> {
        let closed = || Error::Unavailable("the store is closed".into());
        let (done, result) = oneshot::channel();
        let queue = self.inner.queue.as_ref().ok_or_else(closed)?;
        queue.send(Message::Change(change, done)).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }

    async fn repeat(&self, change: impl Fn() -> Change) -> Result<(), Error> {
        while self.change(change()).await?.next.is_some() {}
        Ok(())
    }

    async fn take_blocks(
        &self,
        tenant: &TenantId,
        kind: Kind,
        end: u64,
        before_us: Option<Micros>,
    ) -> Result<(), Error> {
        let mut next = Some(0);
        while let Some(from) = next {
            let change = Change::Blocks { tenant: tenant.clone(), kind, from, end, before_us };
            next = self.change(change).await?.next;
        }
        Ok(())
    }

    /// Frees the room of what was taken away, if there is any, also before the last start.
    async fn tidy(&self) -> Result<(), Error> {
        let _one = self.inner.tidying.lock().await;
        let Some(last) = self.change(Change::Look).await?.untidy else { return Ok(()) };
        let disk = self.inner.shared.disk.load_full();
        let disk = disk.ok_or_else(|| Error::Unavailable("the store is not open".into()))?;
        let tidied = spawn_blocking(move || disk.tidy()).await;
        let tidied = tidied.map_err(|e| Error::Unavailable(format!("freeing room did not end: {e}")))?;
        tidied.map_err(Disk::read_error)?;
        // What was taken away meanwhile is for the next time.
        self.change(Change::Tidied(last)).await.map(drop)
    }
}
