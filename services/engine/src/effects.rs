//! What happens to a batch, each effect keyed by the event and repeated until it is durable. Rules will stand before
//! these, deliveries beside them.

use std::{future::IntoFuture as _, sync::Arc, time::Instant};

use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use bus::{Backoff, Bus};
use bytes::Bytes;
use catalog::Catalog;
use futures::FutureExt as _;
use model::Batch;
use runtime::{
    health::Component,
    metrics::{self, Histogram, IntCounter, Metric},
};
use store::Sink;

use crate::tenant_stream::{Part, TenantMessage, parts};

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
    parts: Vec<Part>,
    payload: Option<Bytes>,
    acks: Vec<Option<PublishAckFuture>>,
    at: Instant,
}

impl Effects {
    pub(crate) fn new(bus: Bus, catalog: Catalog, sink: Arc<dyn Sink>, health: Component) -> Self {
        Self { bus, catalog, sink, health, metrics: Metrics::new() }
    }

    /// Sends the batch to the tenant streams: the one effect whose order matters. `payload` is the message it was decoded
    /// from, if it was.
    pub(crate) async fn begin(&self, batch: Batch, payload: Option<Bytes>) -> Begun {
        let at = Instant::now();
        let snapshot = self.catalog.snapshot();
        let parts = parts(&snapshot, &batch);
        let mut acks = Vec::with_capacity(parts.len());
        for part in &parts {
            acks.push(match TenantMessage::of(&snapshot, &batch, part, payload.as_ref()) {
                Some(message) => self.send(message).await,
                None => None,
            });
        }
        Begun { batch, parts, payload, acks, at }
    }

    /// Ends when everything is durable. An outage of the broker or of a store is waited out.
    pub(crate) async fn finish(self, begun: Begun) {
        let at = begun.at;
        let (sequences, mut batch) = self.streamed(begun).await;
        let count = u64::try_from(batch.len()).unwrap_or_default();
        // The store keeps where each event is in its stream: receipts tell it, and a lost tail is found by it.
        batch.streamed = sequences;
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

    /// Waits for the tenant streams' acknowledgements and gives each event's sequence; what is missing one is sent again,
    /// in order.
    async fn streamed(&self, begun: Begun) -> (Vec<u64>, Batch) {
        let Begun { batch, parts, payload, mut acks, .. } = begun;
        let mut sequences = vec![0; batch.len()];
        let at = Instant::now();
        let mut backoff = Backoff::default();
        let mut missing: Vec<usize> = (0..parts.len()).collect();
        loop {
            let mut still = Vec::new();
            // Those of a batch are sent in the same moment: when the broker has died, the wait for one is the wait for all.
            let mut late = false;
            for number in missing {
                let Some(ack) = acks.get_mut(number).and_then(Option::take) else {
                    still.push(number);
                    continue;
                };
                let ack = ack.into_future();
                match if late { ack.now_or_never() } else { Some(ack.await) } {
                    Some(Ok(ack)) => parts[number].each(&batch, |index| sequences[index] = ack.sequence),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "tenant stream did not acknowledge");
                        late |= error.kind() == PublishErrorKind::TimedOut;
                        still.push(number);
                    }
                    None => still.push(number),
                }
            }
            if still.is_empty() {
                break;
            }
            backoff.wait().await;
            let snapshot = self.catalog.snapshot();
            for number in &still {
                if let Some(message) = TenantMessage::of(&snapshot, &batch, &parts[*number], payload.as_ref())
                {
                    acks[*number] = self.send(message).await;
                }
            }
            missing = still;
        }
        self.metrics.stream_seconds.observe(at.elapsed().as_secs_f64());
        (sequences, batch)
    }
}
