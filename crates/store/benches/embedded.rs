//! What an event costs in the embedded store: rows a second and microseconds of CPU an event.
//!
//! `cargo bench -p eventrunner-store [-- events=1000000 writers=4 only=embedded dir=/data]`
//!
//! Events of 512 bytes of data with random ids in batches of 100 to 200, from several writers at a time, each of
//! which waits for its batch. CPU is that of the whole process, the engine's own threads included, until
//! the store is closed; events are made before the clock starts. Prints a table, and JSON as the last line.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use model::{Batch, CloudEvent, Durability, Group, Stamp, TenantId};
use store::{
    EventQuery, METER_EVENTS, UsageQuery,
    embedded::{Embedded, Options},
};

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Args {
    events: usize,
    writers: usize,
    only: String,
    folder: Option<PathBuf>,
}

fn args() -> Args {
    let mut args = Args { events: 1_000_000, writers: 4, only: String::new(), folder: None };
    for arg in std::env::args().skip(1) {
        match arg.split_once('=') {
            Some(("events", n)) => args.events = n.parse().unwrap(),
            Some(("writers", n)) => args.writers = n.parse().unwrap(),
            Some(("only", name)) => name.clone_into(&mut args.only),
            Some(("dir", path)) => args.folder = Some(path.into()),
            // What cargo itself passes.
            _ => assert!(arg.starts_with("--"), "unknown argument {arg}"),
        }
    }
    args
}

/// A small generator, so that every run sees the same events (xorshift64*).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

/// JSON of 512 bytes, as webhooks are: names that repeat, values that do not.
fn data(rng: &mut Rng) -> String {
    let mut json = format!(
        r#"{{"order_id":"{}","customer":{{"id":{},"email":"user{}@example.com","name":"Customer {}"}},"amount_cents":{},"currency":"EUR","items":["#,
        rng.hex(),
        rng.below(1 << 40),
        rng.below(1_000_000),
        rng.below(1_000_000),
        rng.below(1_000_000)
    );
    while json.len() < 420 {
        json.push_str(&format!(
            r#"{{"sku":"{:08x}","quantity":{},"price":{}}},"#,
            rng.below(1 << 32),
            rng.below(9) + 1,
            rng.below(100_000)
        ));
    }
    json.push_str(r#"null],"note":""#);
    while json.len() < 510 {
        json.push(char::from(b'a' + u8::try_from(rng.below(26)).unwrap()));
    }
    json.push_str(r#""}"#);
    json.truncate(512);
    json
}

fn batches(events: usize) -> Vec<Arc<Batch>> {
    let mut rng = Rng(0x5eed);
    let mut left = events;
    let mut out = Vec::new();
    while left > 0 {
        let size = usize::try_from(100 + rng.below(101)).unwrap().min(left);
        left -= size;
        let sequence = u64::try_from(out.len()).unwrap();
        // Eight tenants; a batch is of one to four requests.
        let groups = (0..4).map(|part| {
            let tenant: TenantId = format!("tenant-{}", rng.below(8)).parse().unwrap();
            let stamp = Arc::new(Stamp {
                tenant,
                system: "shop".parse().unwrap(),
                source: Some("till".parse().unwrap()),
                received_at_us: 1_795_255_200_000_000 + i64::try_from(sequence).unwrap() * 1_000,
                traceparent: format!("00-{}-{:016x}-01", rng.hex(), rng.next()).into(),
                protocol: "http".into(),
            });
            let share = if part == 3 { size - size / 4 * 3 } else { size / 4 };
            let event = |rng: &mut Rng| {
                CloudEvent::builder(
                    rng.hex(),
                    format!("/shop/till-{}", rng.below(20)),
                    format!("order.v{}", rng.below(6)),
                )
                .subject(format!("order-{}", rng.below(100_000)))
                .time("2026-11-21T10:00:00.000001Z")
                .text("application/json", data(rng))
                .build()
                .unwrap()
            };
            Group { stamp, events: (0..share).map(|_| event(&mut rng)).collect() }
        });
        let groups = groups.collect();
        out.push(Arc::new(Batch {
            partition: 0,
            sequence,
            stored_at_us: 1_795_255_200_000_500,
            raw_sequence: sequence,
            raw_stored_at_us: 1_795_255_200_000_100,
            normalized_at_us: 1_795_255_200_000_300,
            groups,
        }));
    }
    out
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Resident memory now and at its highest, in MiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
            / 1_024
    };
    (of("VmRSS:"), of("VmHWM:"))
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
    cpu_us_per_event_written: f64,
    disk_bytes_per_event: f64,
    commit_ms_p50: f64,
    commit_ms_p99: f64,
    rss_mib_added: u64,
    reopen_ms: f64,
}

async fn embedded(args: &Args, batches: &[Arc<Batch>], durability: Durability, again: bool) -> Outcome {
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let store = Embedded::open(folder.path(), durability, Options::default()).await.unwrap();
    let run = |store: Embedded| {
        let queue = Arc::new(Mutex::new(batches.iter().cloned().collect::<VecDeque<_>>()));
        let writers = (0..args.writers).map(|_| {
            let (queue, sink) = (Arc::clone(&queue), store.stores().sink);
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
        let writers: Vec<_> = writers.collect();
        async move {
            let mut took = Vec::new();
            for writer in writers {
                took.extend(writer.await.unwrap());
            }
            took.sort_unstable();
            took
        }
    };
    if again {
        run(store.clone()).await;
    }
    let (rss_before, _) = memory();
    let (begun, cpu_before) = (Instant::now(), cpu());
    let took = run(store.clone()).await;
    let (wrote, cpu_wrote) = (begun.elapsed(), cpu() - cpu_before);
    let (rss_after, _) = memory();
    store.close().await;
    let cpu_closed = cpu() - cpu_before;
    let disk = folder_bytes(folder.path());
    let begun = Instant::now();
    let store = Embedded::open(folder.path(), durability, Options::default()).await.unwrap();
    let reopen = begun.elapsed();
    check(&store, args.events).await;
    store.close().await;
    let per_event = |d: Duration| d.as_secs_f64() * 1e6 / args.events as f64;
    Outcome {
        scenario: if again { "embedded, all duplicates" } else { "embedded" },
        durability,
        events: args.events,
        events_per_s: args.events as f64 / wrote.as_secs_f64(),
        cpu_us_per_event: per_event(cpu_closed),
        cpu_us_per_event_written: per_event(cpu_wrote),
        disk_bytes_per_event: disk as f64 / args.events as f64,
        commit_ms_p50: took[took.len() / 2].as_secs_f64() * 1e3,
        commit_ms_p99: took[took.len() * 99 / 100].as_secs_f64() * 1e3,
        rss_mib_added: rss_after.saturating_sub(rss_before),
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
    let batches = batches(args.events);
    let runs = [
        ("process", Durability::Process, false),
        ("disk", Durability::Disk, false),
        ("again", Durability::Process, true),
    ];
    println!(
        "{:<26} {:<8} {:>10} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "layout", "", "events/s", "cpu µs", "to close", "B/event", "p50 ms", "p99 ms", "MiB", "reopen ms"
    );
    let mut outcomes = Vec::new();
    for (name, durability, again) in runs {
        if !name.contains(&args.only) {
            continue;
        }
        let o = runtime.block_on(embedded(&args, &batches, durability, again));
        println!(
            "{:<26} {:<8} {:>10.0} {:>9.2} {:>9.2} {:>8.0} {:>8.2} {:>8.2} {:>8} {:>9.0}",
            o.scenario,
            o.durability.as_str(),
            o.events_per_s,
            o.cpu_us_per_event_written,
            o.cpu_us_per_event,
            o.disk_bytes_per_event,
            o.commit_ms_p50,
            o.commit_ms_p99,
            o.rss_mib_added,
            o.reopen_ms
        );
        outcomes.push(o);
    }
    println!("{}", serde_json::to_string(&outcomes).unwrap());
}
