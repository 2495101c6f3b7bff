//! What happens to a batch, each effect keyed by the event and repeated until it is durable. Rules will stand before
//! these, deliveries beside them.

use std::{future::IntoFuture as _, sync::Arc, time::Instant};

use async_nats::jetstream::context::PublishAckFuture;
use bus::{Backoff, Bus};
use catalog::{Catalog, Snapshot};
use model::{Batch, Stamp, resource::DEFAULT_PLACEMENT};
use runtime::{
    health::Component,
    metrics::{self, Histogram, IntCounter, Metric},
};
use store::Sink;

use crate::tenant_stream::TenantMessage;

/// What the effects need. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Effects {
    bus: Bus,
    catalog: Catalog,
    sink: Arc<dyn Sink>,
    health: Component,
    metrics: Metrics,
}

#[derive(Debug, Clone)]
struct Metrics {
    batch_events: Histogram,
    finished: IntCounter,
    stored: IntCounter,
    streamed: IntCounter,
    store_seconds: Histogram,
    stream_seconds: Histogram,
    batch_seconds: Histogram,
}

impl Metrics {
    fn new() -> Self {
        let stage = |name| metrics::histogram(Metric::EngineStageDuration, &[name]);
        Self {
            batch_events: metrics::histogram(Metric::EngineBatchSize, &[]),
            finished: metrics::counter(Metric::EngineEvents, &[]),
            stored: metrics::counter(Metric::EngineStoredEvents, &[]),
            streamed: metrics::counter(Metric::EngineStreamedEvents, &[]),
            store_seconds: stage("store"),
            stream_seconds: stage("stream"),
            batch_seconds: stage("batch"),
        }
    }
}

/// A batch whose messages to the tenant streams have been sent, in order, and not yet acknowledged.
#[derive(Debug)]
pub(crate) struct Begun {
    batch: Batch,
    acks: Vec<Option<PublishAckFuture>>,
    at: Instant,
}

impl Effects {
    pub(crate) fn new(bus: Bus, catalog: Catalog, sink: Arc<dyn Sink>, health: Component) -> Self {
        Self { bus, catalog, sink, health, metrics: Metrics::new() }
    }

    /// Sends the batch to the tenant streams: the one effect whose order matters.
    pub(crate) async fn begin(&self, batch: Batch) -> Begun {
        let at = Instant::now();
        let snapshot = self.catalog.snapshot();
        let mut acks = Vec::with_capacity(batch.len());
        for (_, stamp, event) in batch.events() {
            let message = TenantMessage::new(placement(&snapshot, stamp), stamp, event);
            acks.push(self.send(message).await);
        }
        Begun { batch, acks, at }
    }

    /// Ends when everything is durable. An outage of the broker or of a store is waited out.
    pub(crate) async fn finish(self, begun: Begun) {
        let Begun { mut batch, acks, at } = begun;
        let count = u64::try_from(batch.len()).unwrap_or_default();
        // The store keeps where each event is in its stream: receipts tell it, and a lost tail is found by it.
        batch.streamed = self.streamed(&batch, acks).await;
        self.store(batch.into()).await;
        #[expect(clippy::cast_precision_loss, reason = "a count of a few thousand")]
        self.metrics.batch_events.observe(count as f64);
        self.metrics.batch_seconds.observe(at.elapsed().as_secs_f64());
        self.metrics.finished.inc_by(count);
        self.metrics.stored.inc_by(count);
        self.metrics.streamed.inc_by(count);
    }

    async fn send(&self, message: TenantMessage) -> Option<PublishAckFuture> {
        let TenantMessage { subject, headers, payload } = message;
        self.bus.jetstream().publish_with_headers(subject, headers, payload).await.ok()
    }

    async fn store(&self, batch: Arc<Batch>) {
        let at = Instant::now();
        let mut backoff = Backoff::default();
        let mut failed = false;
        while let Err(error) = self.sink.write(Arc::clone(&batch)).await {
            if !failed {
                tracing::warn!(%error, partition = batch.partition, sequence = batch.sequence, "batch not stored, trying again");
                self.health.ready(false, format!("the store does not take events: {error}"));
            }
            failed = true;
            backoff.wait().await;
        }
        if failed {
            tracing::info!(partition = batch.partition, sequence = batch.sequence, "batch stored after all");
            self.health.ready(true, "");
        }
        self.metrics.store_seconds.observe(at.elapsed().as_secs_f64());
    }

    /// Waits for the tenant streams' acknowledgements and gives the sequences; what is missing one is sent again, in
    /// order.
    async fn streamed(&self, batch: &Batch, mut acks: Vec<Option<PublishAckFuture>>) -> Vec<u64> {
        let mut sequences = vec![0; acks.len()];
        let at = Instant::now();
        let mut backoff = Backoff::default();
        let mut missing: Vec<usize> = (0..acks.len()).collect();
        loop {
            let mut still = Vec::new();
            for index in missing {
                let Some(ack) = acks.get_mut(index).and_then(Option::take) else {
                    still.push(index);
                    continue;
                };
                match ack.into_future().await {
                    Ok(ack) => sequences[index] = ack.sequence,
                    Err(error) => {
                        tracing::debug!(%error, "tenant stream did not acknowledge");
                        still.push(index);
                    }
                }
            }
            if still.is_empty() {
                break;
            }
            backoff.wait().await;
            let snapshot = self.catalog.snapshot();
            for (index, (_, stamp, event)) in batch.events().enumerate() {
                if still.binary_search(&index).is_ok()
                    && let Some(slot) = acks.get_mut(index)
                {
                    *slot = self.send(TenantMessage::new(placement(&snapshot, stamp), stamp, event)).await;
                }
            }
            missing = still;
        }
        self.metrics.stream_seconds.observe(at.elapsed().as_secs_f64());
        sequences
    }
}

/// A tenant that has left the catalog meanwhile still gets its events where they would have gone by default.
pub(crate) fn placement<'a>(snapshot: &'a Snapshot, stamp: &Stamp) -> &'a str {
    snapshot.tenant(&stamp.tenant).map_or(DEFAULT_PLACEMENT, |t| &t.placement)
}
