//! Each store alone: how fast it takes rows beside a bare loader on the same engine in the same run, and how long point
//! reads and pages take as it grows.

mod clickhouse;
mod cql;
mod embedded;
mod reads;
mod rows;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use async_trait::async_trait;
use clap::{Args, ValueEnum};
use serde::Serialize;
use store::Stores;
use tempfile::TempDir;
use tokio::task::JoinSet;

use self::{
    reads::{Latency, Reader},
    rows::{PER_BATCH, Rows},
};

/// The scenario's options.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which stores
    #[arg(long = "store", value_enum, default_values_t = [Kind::Embedded])]
    kinds: Vec<Kind>,
    /// Events to write to each
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Tenants they belong to
    #[arg(long, default_value_t = 1)]
    tenants: u64,
    /// Bytes of each event's data
    #[arg(long, default_value_t = 512)]
    data_bytes: usize,
    /// Batches of a hundred events under way at once [default: as many as the engine has of each store]
    #[arg(long)]
    under_way: Option<usize>,
    /// Point reads, and pages at each position, that are timed
    #[arg(long, default_value_t = 500)]
    reads: u64,
    /// Folder for the data; must be on a real disk for figures to mean anything
    #[arg(long, value_name = "FOLDER", default_value = "target/load")]
    dir: PathBuf,
}

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Events and usage in a folder.
    Embedded,
    /// Events in a CQL server.
    Cql,
    /// Usage in a ClickHouse server.
    Clickhouse,
}

/// A store with its engine running.
#[async_trait]
trait Subject: Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// The store, opened anew.
    async fn open(&mut self) -> anyhow::Result<Stores>;

    /// Batches the engine has under way at once.
    fn under_way(&self) -> usize {
        64
    }

    /// Whether it keeps events; else it keeps usage.
    fn keeps_events(&self) -> bool {
        true
    }

    /// Writes the rows of these batches as fast as the engine's own client takes them, to a place of their own.
    async fn bare(&mut self, rows: &Rows, batches: Range<u64>) -> anyhow::Result<()>;

    /// Ends everything.
    async fn close(&mut self);
}

/// What was measured of one.
#[derive(Debug, Serialize)]
struct Figures {
    store: &'static str,
    rows_per_s: u64,
    baseline_rows_per_s: u64,
    ratio: f64,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    point_read: Option<Latency>,
    /// Pages of a hundred events, newest first; of usage records, from the first.
    first_pages: Latency,
    /// The same at the other end.
    last_pages: Latency,
    /// The first pages when a tenth of the events was there.
    first_pages_at_a_tenth: Latency,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    stores: Vec<Figures>,
}

/// Runs it. Whether nothing was wrong.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    std::fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    let mut stores = Vec::new();
    for kind in &options.kinds {
        let folder = TempDir::with_prefix_in("stores-", std::fs::canonicalize(&options.dir)?)?;
        let mut subject = subject(*kind, folder.path());
        let figures = measure(&options, subject.as_mut()).await;
        subject.close().await;
        let figures = figures?;
        print(&figures);
        stores.push(figures);
    }
    println!("{}", serde_json::to_string(&Report { scenario: "stores", stores })?);
    Ok(true)
}

fn subject(kind: Kind, folder: &Path) -> Box<dyn Subject> {
    match kind {
        Kind::Embedded => Box::new(embedded::Embedded::new(folder)),
        Kind::Cql => Box::new(cql::OfCql::default()),
        Kind::Clickhouse => Box::new(clickhouse::OfClickHouse::default()),
    }
}

async fn measure(options: &Options, subject: &mut dyn Subject) -> anyhow::Result<Figures> {
    let rows = Arc::new(Rows::new(options.tenants, options.data_bytes));
    let batches = options.events.div_ceil(PER_BATCH).max(10);
    let under_way = options.under_way.unwrap_or_else(|| subject.under_way());
    // The bare loader takes a tenth before and a tenth after: a machine is seldom as idle at one end as at the other.
    let part = batches / 10;
    let mut bare = Duration::ZERO;
    let mut run_bare = async |subject: &mut dyn Subject, range: Range<u64>| {
        eprintln!("{}: a bare loader writes {} rows", subject.name(), (range.end - range.start) * PER_BATCH);
        let at = Instant::now();
        subject.bare(&rows, range).await?;
        bare += at.elapsed();
        anyhow::Ok(())
    };
    let stores = subject.open().await?;
    run_bare(subject, 0..part).await?;
    eprintln!("{}: writing {} events", subject.name(), batches * PER_BATCH);
    let mut took = write(&stores, &rows, 0..part, under_way).await?;
    let reader =
        Reader { stores: &stores, rows: &rows, reads: options.reads, events: subject.keeps_events() };
    let first_pages_at_a_tenth = reader.first_pages().await?;
    took += write(&stores, &rows, part..batches, under_way).await?;
    run_bare(subject, part..part * 2).await?;
    eprintln!("{}: reading", subject.name());
    let events = batches * PER_BATCH;
    let (rows_per_s, baseline) = (super::rate(events, took), super::rate(part * 2 * PER_BATCH, bare));
    Ok(Figures {
        store: subject.name(),
        rows_per_s,
        baseline_rows_per_s: baseline,
        ratio: super::ratio(rows_per_s, baseline),
        events,
        point_read: if subject.keeps_events() { Some(reader.points(batches).await?) } else { None },
        first_pages: reader.first_pages().await?,
        last_pages: reader.last_pages(batches).await?,
        first_pages_at_a_tenth,
    })
}

/// Writes batches, so many at once, as the engine does.
async fn write(
    stores: &Stores,
    rows: &Arc<Rows>,
    batches: Range<u64>,
    under_way: usize,
) -> anyhow::Result<Duration> {
    let at = Instant::now();
    let mut writes = JoinSet::new();
    for number in batches {
        if writes.len() >= under_way.max(1)
            && let Some(done) = writes.join_next().await
        {
            done??;
        }
        let (sink, rows) = (Arc::clone(&stores.sink), Arc::clone(rows));
        writes.spawn(async move { sink.write(rows.batch(number)).await });
    }
    while let Some(done) = writes.join_next().await {
        done??;
    }
    Ok(at.elapsed())
}

fn print(figures: &Figures) {
    println!("{}, {} events", figures.store, figures.events);
    println!("  written               {:>10} events/s", figures.rows_per_s);
    println!("  bare loader           {:>10} events/s", figures.baseline_rows_per_s);
    println!("  ratio                 {:>10.2}", figures.ratio);
    let latencies = [
        ("point read", figures.point_read.as_ref()),
        ("first pages", Some(&figures.first_pages)),
        ("last pages", Some(&figures.last_pages)),
        ("first, at a tenth", Some(&figures.first_pages_at_a_tenth)),
    ];
    for (what, latency) in latencies.into_iter().filter_map(|(what, latency)| Some((what, latency?))) {
        println!("  {what:<20}  {:>10} µs median, {} µs p99", latency.p50_us, latency.p99_us);
    }
}
