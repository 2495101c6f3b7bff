//! How long reads take.

use std::time::Instant;

use anyhow::ensure;
use hdrhistogram::Histogram;
use rand::RngExt as _;
use serde::Serialize;
use store::{EventQuery, Order, Stores, UsageQuery};

use super::rows::{PER_BATCH, Rows};

/// Events of a page.
const PAGE: u32 = 100;

/// Times in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

impl From<Histogram<u64>> for Latency {
    fn from(times: Histogram<u64>) -> Self {
        Self { p50_us: times.value_at_quantile(0.5), p99_us: times.value_at_quantile(0.99) }
    }
}

fn record(times: &mut Histogram<u64>, since: Instant) -> anyhow::Result<()> {
    Ok(times.record(u64::try_from(since.elapsed().as_micros())?)?)
}

/// Reads one tenant's rows, one read after the other.
pub(super) struct Reader<'a> {
    pub(super) stores: &'a Stores,
    pub(super) rows: &'a Rows,
    /// How many of each kind.
    pub(super) reads: u64,
    /// Events, or else usage.
    pub(super) events: bool,
}

impl Reader<'_> {
    /// Events by identity, any of those in the first `batches`; each must be there.
    pub(super) async fn points(&self, batches: u64) -> anyhow::Result<Latency> {
        let mut times = Histogram::new(3)?;
        for _ in 0..self.reads {
            let batch = rand::rng().random_range(0..batches);
            let (source, id) = self.rows.identity(batch, rand::rng().random_range(0..PER_BATCH));
            let at = Instant::now();
            let found = self.stores.events.get(self.rows.tenant(batch), source, &id).await?;
            record(&mut times, at)?;
            ensure!(found.is_some_and(|event| *event.event.id() == id), "event {id} is not there");
        }
        Ok(times.into())
    }

    /// Page after page of the newest events, or of the first usage records.
    pub(super) async fn first_pages(&self) -> anyhow::Result<Latency> {
        if self.events {
            return self.events(EventQuery { limit: PAGE, ..EventQuery::default() }).await;
        }
        self.usage(UsageQuery { limit: PAGE, ..UsageQuery::default() }).await
    }

    /// Page after page where a walk from the first ends.
    pub(super) async fn last_pages(&self, batches: u64) -> anyhow::Result<Latency> {
        let tenants = self.rows.tenants();
        // As many batches of this tenant as the pages take, and one more.
        let span = ((self.reads + 1) * u64::from(PAGE)).div_ceil(PER_BATCH) * tenants;
        if self.events {
            let until_us = Some(Rows::received_at(span.min(batches)));
            let query =
                EventQuery { until_us, order: Order::NewestFirst, limit: PAGE, ..EventQuery::default() };
            return self.events(query).await;
        }
        let since_us = Some(Rows::received_at(batches.saturating_sub(span)));
        self.usage(UsageQuery { since_us, limit: PAGE, ..UsageQuery::default() }).await
    }

    async fn events(&self, mut query: EventQuery) -> anyhow::Result<Latency> {
        let mut times = Histogram::new(3)?;
        while times.len() < self.reads {
            let at = Instant::now();
            let page = self.stores.events.page(self.rows.tenant(0), &query).await?;
            // On the way to where the walk begins: a page does a bounded amount of work.
            if !page.events.is_empty() {
                record(&mut times, at)?;
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        Ok(times.into())
    }

    async fn usage(&self, mut query: UsageQuery) -> anyhow::Result<Latency> {
        let mut times = Histogram::new(3)?;
        for _ in 0..self.reads {
            let at = Instant::now();
            let page = self.stores.usage.list(self.rows.tenant(0), &query).await?;
            record(&mut times, at)?;
            ensure!(!page.records.is_empty() || page.next.is_none(), "an empty page of usage");
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        Ok(times.into())
    }
}
