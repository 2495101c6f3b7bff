//! The stream in which usage records wait for their store.

use std::{
    future::IntoFuture as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use bus::Bus;
use model::TenantId;
use prost::Message as _;
use runtime::metrics::{self, IntCounter, Metric};
use store::{
    Aggregation, Error, GroupUsage, Grouping, UsageBucket, UsagePage, UsageQuery, UsageRecord, UsageStore,
};

/// Most records in a message: some 300 KB, well below what a broker takes.
const RECORDS_MAX: usize = 2_000;

/// A usage store that keeps what is written in the broker, until the store behind it has it; reads go to that one.
#[derive(Debug)]
pub(crate) struct UsageQueue {
    bus: Bus,
    partitions: u32,
    next: AtomicU32,
    behind: Arc<dyn UsageStore>,
    batches: IntCounter,
    failed: IntCounter,
}

impl UsageQueue {
    pub(crate) fn new(bus: Bus, partitions: u32, behind: Arc<dyn UsageStore>) -> Self {
        let counter = |metric| metrics::counter(metric, &["usage"]);
        Self {
            bus,
            partitions: partitions.max(1),
            next: AtomicU32::new(0),
            behind,
            batches: counter(Metric::BusPublishedBatches),
            failed: counter(Metric::BusFailedBatches),
        }
    }

    async fn publish(&self, records: &[UsageRecord]) -> Result<(), Error> {
        // No order and no owner matters here: an even load does.
        let partition = self.next.fetch_add(1, Ordering::Relaxed) % self.partitions;
        let payload = super::wire::pack(records).encode_to_vec();
        let published = async {
            let ack = self.bus.jetstream().publish(format!("usage.{partition}"), payload.into()).await?;
            ack.into_future().await
        };
        match published.await {
            Ok(_) => {
                self.batches.inc();
                Ok(())
            }
            Err(error) => {
                self.failed.inc();
                Err(Error::Unavailable(format!("the stream in which usage waits does not take it: {error}")))
            }
        }
    }
}

#[async_trait]
impl UsageStore for UsageQueue {
    async fn write(&self, records: Vec<UsageRecord>) -> Result<(), Error> {
        for part in records.chunks(RECORDS_MAX) {
            self.publish(part).await?;
        }
        Ok(())
    }

    async fn aggregate(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        query: &UsageQuery,
    ) -> Result<Vec<UsageBucket>, Error> {
        self.behind.aggregate(tenant, meter, aggregation, query).await
    }

    async fn grouped(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        by: Grouping,
        query: &UsageQuery,
    ) -> Result<Vec<GroupUsage>, Error> {
        self.behind.grouped(tenant, meter, aggregation, by, query).await
    }

    async fn list(&self, tenant: &TenantId, query: &UsageQuery) -> Result<UsagePage, Error> {
        self.behind.list(tenant, query).await
    }
}
