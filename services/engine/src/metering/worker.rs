//! From the stream into the usage store, many messages at once: the store gathers them into few large writes.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bus::{
    Backoff, Bus, Turn, dead,
    reader::{Incoming, Work, Worker},
};
use prost::Message as _;
use proto::hops;
use runtime::{
    health::Component,
    metrics::{self, Histogram, IntCounter, Metric},
};
use store::{Error, UsageRecord, UsageStore};

use super::{NAME, wire};

#[derive(Debug, Clone)]
pub(crate) struct MeterWorker {
    bus: Bus,
    usage: Arc<dyn UsageStore>,
    health: Component,
    records: IntCounter,
    seconds: Histogram,
}

impl MeterWorker {
    pub(crate) fn new(bus: Bus, usage: Arc<dyn UsageStore>, health: Component) -> Self {
        let records = metrics::counter(Metric::StoreWrittenRecords, &["usage"]);
        let seconds = metrics::histogram(Metric::StoreCommitDuration, &["usage"]);
        Self { bus, usage, health, records, seconds }
    }

    async fn meter(self, records: Vec<UsageRecord>, message: Incoming) {
        let (at, mut backoff, mut failed) = (Instant::now(), Backoff::default(), false);
        let count = u64::try_from(records.len()).unwrap_or_default();
        loop {
            match self.usage.write(records.clone()).await {
                Ok(()) => break,
                // It would be refused for ever: an operator looks at it.
                Err(error @ Error::Invalid(_)) => {
                    dead::bury(&self.bus, NAME, message, error.to_string()).await.settled().await;
                    return;
                }
                Err(error) => {
                    if !failed {
                        self.health.ready(false, format!("the usage store does not take records: {error}"));
                        tracing::warn!(%error, sequence = message.sequence, "usage not metered, trying again");
                    }
                    failed = true;
                }
            }
            backoff.wait().await;
        }
        if failed {
            self.health.ready(true, "");
        }
        self.records.inc_by(count);
        self.seconds.observe(at.elapsed().as_secs_f64());
    }
}

#[async_trait]
impl Worker for MeterWorker {
    async fn begin(&mut self, message: Incoming, _: Turn) -> Work {
        let decoded = hops::UsageBatch::decode(message.payload.clone()).map_err(|e| e.to_string());
        match decoded.and_then(wire::unpack) {
            Ok(records) => Box::pin(self.clone().meter(records, message)),
            Err(reason) => {
                let outgoing = dead::bury(&self.bus, NAME, message, reason).await;
                Box::pin(async move {
                    outgoing.settled().await;
                })
            }
        }
    }
}
