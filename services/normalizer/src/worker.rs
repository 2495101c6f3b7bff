//! One partition's worker: normalize and send in order; the acknowledgements are awaited beside later messages.

use std::time::Instant;

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID};
use async_trait::async_trait;
use bus::{
    Bus, Outgoing, Turn, dead,
    reader::{Incoming, Work, Worker},
};
use catalog::Catalog;
use futures::future::join_all;
use model::{Clock as _, SystemClock};
use prost::Message as _;
use proto::hops;
use runtime::metrics::{self, Histogram, IntCounter, Metric};

use crate::{Normalized, Normalizer, service::NAME, traced::Traced};

#[derive(Debug)]
pub(crate) struct NormalizerWorker {
    bus: Bus,
    catalog: Catalog,
    normalizer: Normalizer,
    counts: Counts,
}

#[derive(Debug)]
struct Counts {
    received: IntCounter,
    passed: IntCounter,
    mapped: IntCounter,
    dead: IntCounter,
    batch_seconds: Histogram,
}

impl NormalizerWorker {
    pub(crate) fn new(bus: Bus, catalog: Catalog) -> Self {
        let result = |result| metrics::counter(Metric::NormalizerEvents, &[result]);
        let counts = Counts {
            received: metrics::counter(Metric::ConsumerReceivedEvents, &[NAME]),
            passed: result("passed"),
            mapped: result("mapped"),
            dead: result("dead"),
            batch_seconds: metrics::histogram(Metric::NormalizerBatchDuration, &[]),
        };
        Self { bus, catalog, normalizer: Normalizer::default(), counts }
    }

    fn normalize(&mut self, raw: hops::RawBatch, message: &Incoming) -> Normalized {
        let mut done = self.normalizer.normalize(raw, &self.catalog.snapshot());
        let now = SystemClock.now();
        done.batch.raw_sequence = message.sequence;
        done.batch.raw_stored_at_us = message.stored_at_us;
        done.batch.normalized_at_us = now;
        let dead = u64::try_from(done.dead.len()).unwrap_or_default();
        self.counts.received.inc_by(done.passed + done.mapped + dead);
        self.counts.passed.inc_by(done.passed);
        self.counts.mapped.inc_by(done.mapped);
        self.counts.dead.inc_by(dead);
        for letter in &mut done.dead {
            letter.at_us = now;
            letter.sequence = message.sequence;
            letter.partition = message.partition;
            metrics::counter(Metric::NormalizerDeadEvents, &[&dead::text(&letter.code)]).inc();
        }
        done
    }
}

#[async_trait]
impl Worker for NormalizerWorker {
    async fn begin(&mut self, message: Incoming, turn: Turn) -> Work {
        let at = Instant::now();
        let mut raw = match hops::RawBatch::decode(message.payload.clone()) {
            Ok(raw) => raw,
            Err(error) => {
                let outgoing = dead::bury(&self.bus, NAME, message, error.to_string()).await;
                return Box::pin(async move {
                    outgoing.settled().await;
                });
            }
        };
        let mut traced = Traced::begin(&mut raw, &message);
        let mut done = self.normalize(raw, &message);
        traced.sending(&mut done);
        let mut outgoing = Vec::with_capacity(1 + done.dead.len());
        if !done.batch.groups.is_empty() {
            // Within the broker's window, a RAW message worked twice is one EVENTS message.
            let mut headers = HeaderMap::new();
            headers.insert(NATS_MESSAGE_ID, format!("raw.{}", message.sequence).as_str());
            let subject = format!("events.{}", message.partition);
            let payload = done.batch.encode_to_vec().into();
            outgoing.push(Outgoing::in_turn(turn, &self.bus, subject, headers, payload).await);
        }
        for letter in &done.dead {
            outgoing.push(dead::send(&self.bus, letter).await);
        }
        let batch_seconds = self.counts.batch_seconds.clone();
        Box::pin(async move {
            join_all(outgoing.into_iter().map(Outgoing::settled)).await;
            let seconds = at.elapsed().as_secs_f64();
            batch_seconds.observe(seconds);
            traced.end(seconds);
        })
    }
}
