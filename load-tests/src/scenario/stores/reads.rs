//! How long reads take.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use rand::RngExt as _;
use serde::Serialize;
use store::{EventQuery, Order, Stores};

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

/// Events by identity, any of those in the first `batches`; each must be there.
pub(super) async fn points(
    stores: &Stores,
    rows: &Rows,
    batches: u64,
    reads: u64,
) -> anyhow::Result<Latency> {
    let mut times = Histogram::new(3)?;
    for _ in 0..reads {
        let batch = rand::rng().random_range(0..batches);
        let (source, id) = rows.identity(batch, rand::rng().random_range(0..PER_BATCH));
        let at = Instant::now();
        let found = stores.events.get(rows.tenant(batch), source, &id).await?;
        record(&mut times, at)?;
        ensure!(found.is_some_and(|event| *event.event.id() == id), "event {id} is not there");
    }
    Ok(times.into())
}

/// Page after page from the newest.
pub(super) async fn first_pages(stores: &Stores, rows: &Rows, reads: u64) -> anyhow::Result<Latency> {
    pages(stores, rows, reads, Order::NewestFirst).await
}

/// Page after page from the oldest: where a walk from the newest ends.
pub(super) async fn last_pages(stores: &Stores, rows: &Rows, reads: u64) -> anyhow::Result<Latency> {
    // A seek from the newest end to the last of these pages, then on by cursor.
    let far = i64::try_from((reads + 2) * u64::from(PAGE) / PER_BATCH + 1)?;
    let until = Rows::received_at(u64::try_from(far)?);
    let query = EventQuery { until_us: Some(until), limit: PAGE, ..EventQuery::default() };
    walk(stores, rows, reads, query).await
}

async fn pages(stores: &Stores, rows: &Rows, reads: u64, order: Order) -> anyhow::Result<Latency> {
    walk(stores, rows, reads, EventQuery { order, limit: PAGE, ..EventQuery::default() }).await
}

async fn walk(stores: &Stores, rows: &Rows, reads: u64, mut query: EventQuery) -> anyhow::Result<Latency> {
    let mut times = Histogram::new(3)?;
    for _ in 0..reads {
        let at = Instant::now();
        let page = stores.events.page(rows.tenant(0), &query).await?;
        record(&mut times, at)?;
        ensure!(!page.events.is_empty(), "an empty page");
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    ensure!(!times.is_empty(), "there was nothing to read");
    Ok(Some(times).context("no page was read")?.into())
}
