//! What an event costs in the embedded store: rows a second and microseconds of CPU an event.
//!
//! `cargo bench -p eventrunner-store [-- events=1000000 rounds=1 writers=4 only=embedded dir=/data]`
//!
//! Events of 512 bytes of data with random ids, in batches of 100 to 200, from several writers at a time, each of
//! which waits for its batch. CPU is that of the whole process, the engine's own threads included; events are made
//! while no clock runs. For comparison, two other layouts on the same engine (`others.rs`), which keep less than the
//! store does. Prints a table, and JSON as the last line.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod events;
mod others;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use model::{Batch, Durability, TenantId};
use store::{
    EventQuery, METER_EVENTS, Sink, UsageQuery,
    embedded::{Embedded, Options},
};

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Args {
    /// In each round.
    events: usize,
    /// Rounds of new events into the same store.
    rounds: u64,
    writers: usize,
    only: String,
    folder: Option<PathBuf>,
}

fn args() -> Args {
    let mut args = Args { events: 1_000_000, rounds: 1, writers: 4, only: String::new(), folder: None };
    for arg in std::env::args().skip(1) {
        match arg.split_once('=') {
            Some(("events", n)) => args.events = n.parse().unwrap(),
            Some(("rounds", n)) => args.rounds = n.parse().unwrap(),
            Some(("writers", n)) => args.writers = n.parse().unwrap(),
            Some(("only", name)) => name.clone_into(&mut args.only),
            Some(("dir", path)) => args.folder = Some(path.into()),
            // What cargo itself passes.
            _ => assert!(arg.starts_with("--"), "unknown argument {arg}"),
        }
    }
    args
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Resident memory in MiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

fn folder_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
            // Blocks in use, not the length: logs are laid out in advance.
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

#[derive(serde::Serialize)]
struct Outcome {
    scenario: &'static str,
    durability: Durability,
    events: usize,
    events_per_s: f64,
    cpu_us_per_event: f64,
    /// Of the last round alone: what it costs once there is much to look through.
    last_round_cpu_us_per_event: f64,
    disk_bytes_per_event: f64,
    batch_ms_p50: f64,
    batch_ms_p99: f64,
    /// Most memory in use, that of a round's batches included: ask for small rounds to see the store's own.
    rss_mib: u64,
    reopen_ms: f64,
}

/// What is written to.
enum Layout {
    Store(Embedded),
    Other(others::Other),
}

impl Layout {
    async fn open(scenario: &str, folder: &Path, durability: Durability) -> Self {
        match scenario {
            "an entry each" => Self::Other(others::Other::open::<others::EntryEach>(folder, durability)),
            "keys one by one" => Self::Other(others::Other::open::<others::KeysOneByOne>(folder, durability)),
            _ => Self::Store(Embedded::open(folder, durability, Options::default()).await.unwrap()),
        }
    }

    fn sink(&self) -> Arc<dyn Sink> {
        match self {
            Self::Store(store) => store.stores().sink,
            Self::Other(other) => Arc::new(other.clone()),
        }
    }

    async fn close(self) {
        match self {
            Self::Store(store) => store.close().await,
            Self::Other(other) => other.close(),
        }
    }
}

/// Writes batches from several writers; how long each batch took.
async fn write(args: &Args, sink: &Arc<dyn Sink>, batches: Vec<Arc<Batch>>) -> Vec<Duration> {
    let queue = Arc::new(Mutex::new(VecDeque::from(batches)));
    let writers = (0..args.writers).map(|_| {
        let (queue, sink) = (Arc::clone(&queue), Arc::clone(sink));
        tokio::spawn(async move {
            let mut took = Vec::new();
            loop {
                let Some(batch) = queue.lock().unwrap().pop_front() else { return took };
                let begun = Instant::now();
                sink.write(batch).await.unwrap();
                took.push(begun.elapsed());
            }
        })
    });
    let mut took = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        took.extend(writer.await.unwrap());
    }
    took
}

async fn measure(args: &Args, scenario: &'static str, durability: Durability) -> Outcome {
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let layout = Layout::open(scenario, folder.path(), durability).await;
    let again = scenario.ends_with("again");
    let (mut took, mut wall, mut spent, mut last, mut rss) =
        (Vec::new(), Duration::ZERO, Duration::ZERO, Duration::ZERO, 0);
    for round in 0..args.rounds {
        let batches = events::batches(args.events, round);
        if again {
            write(args, &layout.sink(), batches.clone()).await;
        }
        let (begun, cpu_before) = (Instant::now(), cpu());
        took.extend(write(args, &layout.sink(), batches).await);
        wall += begun.elapsed();
        last = cpu() - cpu_before;
        spent += last;
        rss = rss.max(memory());
    }
    // What is left to tidy up counts as well.
    let cpu_before = cpu();
    layout.close().await;
    spent += cpu() - cpu_before;
    let disk = folder_bytes(folder.path());
    let begun = Instant::now();
    let layout = Layout::open(scenario, folder.path(), durability).await;
    let reopen = begun.elapsed();
    let events = args.events * usize::try_from(args.rounds).unwrap();
    if let Layout::Store(store) = &layout {
        check(store, events).await;
    }
    layout.close().await;
    took.sort_unstable();
    Outcome {
        scenario,
        durability,
        events,
        events_per_s: events as f64 / wall.as_secs_f64(),
        cpu_us_per_event: spent.as_secs_f64() * 1e6 / events as f64,
        last_round_cpu_us_per_event: last.as_secs_f64() * 1e6 / args.events as f64,
        disk_bytes_per_event: disk as f64 / events as f64,
        batch_ms_p50: took[took.len() / 2].as_secs_f64() * 1e3,
        batch_ms_p99: took[took.len() * 99 / 100].as_secs_f64() * 1e3,
        rss_mib: rss,
        reopen_ms: reopen.as_secs_f64() * 1e3,
    }
}

/// A figure for events that are not there is worth nothing.
async fn check(store: &Embedded, events: usize) {
    let (mut count, mut sum) = (0, 0);
    for n in 0..8 {
        let tenant: TenantId = format!("tenant-{n}").parse().unwrap();
        count += store.stores().events.count(&tenant, &EventQuery::default()).await.unwrap();
        let buckets = store.stores().usage.sum(&tenant, METER_EVENTS, &UsageQuery::default()).await.unwrap();
        sum += buckets.iter().map(|b| b.value).sum::<u64>();
    }
    assert_eq!((count, sum), (u64::try_from(events).unwrap(), u64::try_from(events).unwrap()));
}

fn main() {
    let args = args();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runs = [
        ("embedded", Durability::Process),
        ("embedded", Durability::Disk),
        ("embedded, all again", Durability::Process),
        ("keys one by one", Durability::Process),
        ("an entry each", Durability::Process),
    ];
    println!(
        "{:<20} {:<8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "layout", "", "events/s", "cpu µs", "at last", "B/event", "p50 ms", "p99 ms", "MiB", "reopen ms"
    );
    let mut outcomes = Vec::new();
    for (scenario, durability) in runs {
        if !format!("{scenario} {durability}").contains(&args.only) {
            continue;
        }
        let o = runtime.block_on(measure(&args, scenario, durability));
        println!(
            "{:<20} {:<8} {:>9.0} {:>8.2} {:>8.2} {:>8.0} {:>8.2} {:>8.2} {:>8} {:>9.0}",
            o.scenario,
            o.durability.as_str(),
            o.events_per_s,
            o.cpu_us_per_event,
            o.last_round_cpu_us_per_event,
            o.disk_bytes_per_event,
            o.batch_ms_p50,
            o.batch_ms_p99,
            o.rss_mib,
            o.reopen_ms
        );
        outcomes.push(o);
    }
    println!("{}", serde_json::to_string(&outcomes).unwrap());
}
