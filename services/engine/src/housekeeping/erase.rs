//! Carrying out an order to erase a tenant. Each step may be repeated, so an engine that takes over an order begins it anew.

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::kv::Store;
use bus::{
    Backoff,
    purge::{self, Mark},
    topology::{EVENTS, RAW, USAGE},
};
use model::{Clock as _, SystemClock, TenantId, format_rfc3339, resource::Tenant};
use runtime::metrics::{self, Metric};
use store::{EventQuery, Order as Walk, UsageQuery};

use super::{
    Error, Housekeeper,
    order::{Order, Step},
};

/// Times it is all done before it is said to have failed: what was in flight may come after it was taken away.
const ATTEMPTS: u32 = 3;
/// How often the queues are looked at while they are worked off.
const LOOK: Duration = Duration::from_millis(100);
/// A count that takes longer is not worth waiting for.
const COUNT_TIMEOUT: Duration = Duration::from_secs(10);
/// Things counted that are left: more than these are as bad.
const LEFT_MAX: u32 = 1_000;

const CATALOG: &str = "catalog";
const STORED: &str = "stored events";
const METERED: &str = "usage records";

impl Housekeeper {
    /// Carries an order out, waiting for what does not answer.
    ///
    /// # Errors
    /// If the broker does not take down how far it is.
    pub(super) async fn erase(&self, store: &Store, mut order: Order) -> Result<(), Error> {
        tracing::info!(tenant = %order.tenant, "erasing a tenant");
        order.removed.clear();
        let mut backoff = Backoff::default();
        while let Err(error) = self.try_erase(store, &mut order).await {
            tracing::warn!(tenant = %order.tenant, %error, "tenant not erased yet, trying again");
            order.detail = error.to_string();
            order.write(store).await?;
            backoff.wait().await;
        }
        let erased = order.step == Step::Erased;
        metrics::counter(Metric::HousekeepingErasures, &[if erased { "done" } else { "failed" }]).inc();
        if erased {
            tracing::info!(tenant = %order.tenant, "tenant erased");
        } else {
            tracing::error!(tenant = %order.tenant, left = ?order.left, "tenant not wholly erased");
        }
        Ok(())
    }

    async fn try_erase(&self, store: &Store, order: &mut Order) -> Result<(), Error> {
        let tenant = order.tenant.clone();
        let settle = Duration::from_millis(self.options.erasure_settle_ms);
        say(store, order, Step::Disabling, "").await?;
        self.disable(&tenant).await?;
        tokio::time::sleep(settle).await;
        for _ in 0..ATTEMPTS {
            self.work_off(store, order).await?;
            say(store, order, Step::Erasing, "").await?;
            self.count(&tenant, &mut order.removed).await?;
            purge::purge(&self.bus, &tenant).await?;
            self.stores.erasure.erase_tenant(&tenant).await?;
            order.left = self.left(&tenant).await?;
            if order.left.values().all(|left| *left == 0) {
                break;
            }
        }
        let mut gone = order.left.values().all(|left| *left == 0);
        if gone {
            // The last to go: until then the entry holds the doors shut.
            order.removed.insert(CATALOG.to_owned(), self.catalog.held(&tenant).await?);
            self.catalog.erase(&tenant, settle).await?;
            order.left = self.left(&tenant).await?;
            let entries = self.catalog.held(&tenant).await?;
            order.left.insert(CATALOG.to_owned(), entries);
            gone = order.left.values().all(|left| *left == 0);
        }
        order.finished_at = Some(format_rfc3339(SystemClock.now()));
        let (step, detail) = match gone {
            true => (Step::Erased, ""),
            false => (Step::Failed, "something came while it was erased: is a door not stopped?"),
        };
        say(store, order, step, detail).await
    }

    async fn disable(&self, tenant: &TenantId) -> Result<(), Error> {
        loop {
            let found = match self.catalog.get::<Tenant>(tenant, tenant).await {
                Ok(found) => found,
                // Gone already, or nothing that opens a door.
                Err(catalog::Error::NotFound { .. } | catalog::Error::Unreadable { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if found.value.disabled {
                return Ok(());
            }
            let disabled = Tenant { disabled: true, ..found.value };
            match self.catalog.put(&disabled, Some(found.revision)).await {
                Err(catalog::Error::Stale { .. }) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// Waits until everything that was accepted before has gone its whole way.
    async fn work_off(&self, store: &Store, order: &mut Order) -> Result<(), Error> {
        // In this order: what leaves one of them enters the next.
        for stream in [RAW, EVENTS, USAGE] {
            let Some(mark) = Mark::of(&self.bus, stream).await? else { continue };
            let mut told = None;
            loop {
                let left = mark.left(&self.bus).await?;
                if left == 0 {
                    break;
                }
                if told != Some(left) {
                    say(
                        store,
                        order,
                        Step::Draining,
                        &format!("{left} messages of {stream} are to be worked first"),
                    )
                    .await?;
                    told = Some(left);
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// What there is now, added to what there was before.
    async fn count(&self, tenant: &TenantId, counted: &mut BTreeMap<String, u64>) -> Result<(), Error> {
        let mut now = purge::held(&self.bus, tenant).await?;
        let query = EventQuery::default();
        let events = self.stores.events.count(tenant, &query);
        if let Ok(Ok(events)) = tokio::time::timeout(COUNT_TIMEOUT, events).await {
            now.insert(STORED.to_owned(), events);
        }
        for (place, count) in now {
            *counted.entry(place).or_default() += count;
        }
        Ok(())
    }

    /// What can be found, by place.
    async fn left(&self, tenant: &TenantId) -> Result<BTreeMap<String, u64>, Error> {
        let mut left = purge::held(&self.bus, tenant).await?;
        left.insert(STORED.to_owned(), self.events_left(tenant).await?);
        left.insert(METERED.to_owned(), self.records_left(tenant).await?);
        Ok(left)
    }

    async fn events_left(&self, tenant: &TenantId) -> Result<u64, Error> {
        let mut query = EventQuery { order: Walk::OldestFirst, limit: LEFT_MAX, ..EventQuery::default() };
        loop {
            let page = self.stores.events.page(tenant, &query).await?;
            query.cursor = page.next;
            if !page.events.is_empty() || query.cursor.is_none() {
                return Ok(u64::try_from(page.events.len()).unwrap_or(u64::MAX));
            }
        }
    }

    async fn records_left(&self, tenant: &TenantId) -> Result<u64, Error> {
        let sums = self.stores.usage.sum(tenant, store::METER_EVENTS, &UsageQuery::default()).await?;
        let mut query = UsageQuery { limit: LEFT_MAX, ..UsageQuery::default() };
        loop {
            let page = self.stores.usage.list(tenant, &query).await?;
            query.cursor = page.next;
            if !page.records.is_empty() || query.cursor.is_none() {
                // A sum without records would be something left as well.
                let found = page.records.len().max(sums.len());
                return Ok(u64::try_from(found).unwrap_or(u64::MAX));
            }
        }
    }
}

async fn say(store: &Store, order: &mut Order, step: Step, detail: &str) -> Result<(), Error> {
    order.step = step;
    detail.clone_into(&mut order.detail);
    Ok(order.write(store).await?)
}
