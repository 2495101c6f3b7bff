//! What happens to a batch, each effect keyed by the event and repeated until it is durable. Rules will stand before
//! these, deliveries beside them.

use std::{iter, sync::Arc, time::Instant};

use bus::{
    Backoff, Turn,
    pipe::{Pipe, Sent},
};
use bytes::Bytes;
use catalog::{Catalog, Snapshot};
use model::Batch;
use runtime::{
    health::Component,
    metrics::{self, Histogram, IntCounter, Metric},
};
use store::Sink;

use crate::{
    own_meters,
    read_back::{LastPack, NoAnswer, ReadBack},
    tenant_stream::{self, Part, parts},
    traced::Traced,
};

/// What the effects need. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Effects {
    pipe: Pipe,
    streams: ReadBack,
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
    unmetered: own_meters::Counters,
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
            unmetered: own_meters::Counters::new(),
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
    sent: Sent,
    turn: Turn,
    at: Instant,
    traced: Traced,
}

impl Effects {
    pub(crate) fn new(
        pipe: Pipe,
        streams: ReadBack,
        catalog: Catalog,
        sink: Arc<dyn Sink>,
        health: Component,
    ) -> Self {
        Self { pipe, streams, catalog, sink, health, metrics: Metrics::new() }
    }

    /// Sends the batch to the tenant streams: the one effect whose order matters, and which has its turn. `payload` is the message
    /// it was decoded from, if it was.
    pub(crate) async fn begin(&self, turn: Turn, batch: Batch, payload: Option<Bytes>) -> Begun {
        let at = Instant::now();
        let snapshot = self.catalog.snapshot();
        let parts = parts(&snapshot, &batch);
        let traced = Traced::begin(&snapshot, &batch);
        let sent = self.send(&snapshot, (&batch, &traced), parts.iter(), payload.as_ref()).await;
        Begun { batch, parts, payload, sent, turn, at, traced }
    }

    async fn send<'a>(
        &self,
        snapshot: &Snapshot,
        (batch, traced): (&Batch, &Traced),
        parts: impl ExactSizeIterator<Item = &'a Part>,
        payload: Option<&Bytes>,
    ) -> Sent {
        let mut shipment = self.pipe.shipment(parts.len()).await;
        for part in parts {
            tenant_stream::add(&mut shipment, snapshot, (batch, traced), part, payload);
        }
        shipment.send().await
    }

    /// Ends when everything is durable. An outage of the broker or of a store is waited out.
    pub(crate) async fn finish(self, begun: Begun) {
        let at = begun.at;
        let (sequences, mut batch, traced) = self.streamed(begun).await;
        let count = u64::try_from(batch.len()).unwrap_or_default();
        // The store keeps where each event is in its stream: receipts tell it, and a lost tail is found by it.
        batch.streamed = sequences;
        own_meters::measure(&self.catalog.snapshot(), &mut batch, &self.metrics.unmetered);
        self.store(batch.into(), &traced).await;
        #[expect(clippy::cast_precision_loss, reason = "a count of a few thousand")]
        self.metrics.batch_events.observe(count as f64);
        let seconds = at.elapsed().as_secs_f64();
        self.metrics.batch_seconds.observe(seconds);
        traced.exemplar("batch", seconds);
        self.metrics.finished.inc_by(count);
        self.metrics.stored.inc_by(count);
        self.metrics.streamed.inc_by(count);
    }

    async fn store(&self, batch: Arc<Batch>, traced: &Traced) {
        let at = Instant::now();
        let _storing = traced.storing();
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
        let seconds = at.elapsed().as_secs_f64();
        self.metrics.store_seconds.observe(seconds);
        traced.exemplar("store", seconds);
    }

    /// Waits for the tenant streams' acknowledgements and gives each event's sequence; what is missing one is sent again,
    /// in order. So is what had one and is gone: the broker that refused the rest may have died, and may have lost a part
    /// of what it acknowledged before, in the middle of the batch, where nobody looks later (`mend` looks at its end).
    async fn streamed(&self, begun: Begun) -> (Vec<u64>, Batch, Traced) {
        let Begun { batch, parts, payload, mut sent, mut turn, mut traced, .. } = begun;
        let mut sequences = vec![0; batch.len()];
        let at = Instant::now();
        let mut missing: Vec<&Part> = parts.iter().collect();
        let mut sent_again = false;
        loop {
            let acknowledged = sent.acknowledged().await.into_iter().chain(iter::repeat(None));
            let mut still = Vec::new();
            for (part, sequence) in missing.into_iter().zip(acknowledged) {
                match sequence {
                    Some(sequence) => part.each(&batch, |index| sequences[index] = sequence),
                    None => still.push(part),
                }
            }
            if still.is_empty() && sent_again {
                still = self.gone(&batch, &parts, &sequences).await;
            }
            if still.is_empty() {
                break;
            }
            tracing::debug!(messages = still.len(), "tenant streams did not acknowledge");
            turn.refused().await;
            let snapshot = self.catalog.snapshot();
            sent = self.send(&snapshot, (&batch, &traced), still.iter().copied(), payload.as_ref()).await;
            (missing, sent_again) = (still, true);
        }
        let seconds = at.elapsed().as_secs_f64();
        self.metrics.stream_seconds.observe(seconds);
        traced.sent(seconds);
        (sequences, batch, traced)
    }

    /// Which parts are not where they were acknowledged. Waits out an outage of the broker.
    async fn gone<'a>(&self, batch: &Batch, parts: &'a [Part], sequences: &[u64]) -> Vec<&'a Part> {
        let mut backoff = Backoff::default();
        loop {
            match self.try_gone(batch, parts, sequences).await {
                Ok(gone) => return gone,
                Err(error) => tracing::debug!(%error, "could not read tenant streams back, trying again"),
            }
            backoff.wait().await;
        }
    }

    async fn try_gone<'a>(
        &self,
        batch: &Batch,
        parts: &'a [Part],
        sequences: &[u64],
    ) -> Result<Vec<&'a Part>, NoAnswer> {
        let mut last = LastPack::default();
        let mut gone = Vec::new();
        for part in parts {
            let Some((stamp, event, index)) = part.first(batch) else { continue };
            let Some(&sequence) = sequences.get(index) else { continue };
            if !self.streams.is_there(stamp, event, sequence, &mut last).await? {
                gone.push(part);
            }
        }
        Ok(gone)
    }
}
