//! What was acknowledged survives `kill -9` at any moment, stored once and metered once.
//!
//! The test starts itself again as a child that writes batches as fast as it can and prints each one acknowledged;
//! the parent kills it in the middle, opens the folder and compares.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Batch, CloudEvent, Data, Durability, Group, Stamp, TenantId};
use store::{
    EventQuery, METER_BYTES, METER_EVENTS, Order, Stores, UsageQuery, UsageRecord,
    embedded::{Embedded, Options},
    record_id,
};

const FOLDER: &str = "STORE_CRASH_FOLDER";
const DURABILITY: &str = "STORE_CRASH_DURABILITY";
const ROUND: &str = "STORE_CRASH_ROUND";
const WRITERS: u32 = 4;
const TENANTS: u32 = 3;
/// Every batch repeats so many events of the one before it.
const OVERLAP: u32 = 10;
const FRESH: u32 = 40;
const MINUTE_US: i64 = 60_000_000;
const NOON: i64 = 1_795_255_200_000_000;

/// Small write buffers: memtables are flushed and files merged while the child is killed.
fn options() -> Options {
    Options { write_buffer_bytes: 1 << 20, ..Options::default() }
}

fn tenant(n: u32) -> TenantId {
    format!("t{}", n % TENANTS).parse().unwrap()
}

/// Deterministic, not compressible, of sizes from nothing to some kilobytes.
fn event(source: &str, n: u32) -> CloudEvent {
    let mut state = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let size = if n.is_multiple_of(50) { 6_000 } else { n % 700 };
    let data = (0..size).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    });
    CloudEvent::builder(n.to_string(), source.to_owned(), format!("type.{}", n % 7))
        .data(Data::Binary(data.collect()))
        .build()
        .unwrap()
}

/// The batch `n` of a writer in a round: the same in the child that writes it and in the parent that checks it.
fn batch(round: u32, writer: u32, n: u32) -> Arc<Batch> {
    let source = format!("/{round}/{writer}");
    let stamp = Arc::new(Stamp {
        tenant: tenant(writer),
        system: "s".parse().unwrap(),
        source: None,
        customer: None,
        received_at_us: NOON + i64::from(n / 50) * MINUTE_US,
        traceparent: "".into(),
        protocol: "http".into(),
    });
    let events = (n * FRESH..(n + 1) * FRESH + OVERLAP).map(|n| event(&source, n)).collect();
    Arc::new(Batch {
        partition: writer,
        sequence: u64::from(n),
        stored_at_us: 2,
        raw_sequence: 3,
        raw_stored_at_us: 4,
        normalized_at_us: 5,
        groups: vec![Group { stamp, events }],
        streamed: Vec::new(),
        metered: Vec::new(),
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Not a test of its own: what the child does. Without the environment variable it does nothing.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let durability: Durability = std::env::var(DURABILITY).unwrap().parse().unwrap();
    let round: u32 = std::env::var(ROUND).unwrap().parse().unwrap();
    runtime().block_on(async {
        let embedded = Embedded::open(folder, durability, options()).await.unwrap();
        let writers = (0..WRITERS).map(|writer| {
            let sink = embedded.stores().sink;
            tokio::spawn(async move {
                for n in 0.. {
                    sink.write(batch(round, writer, n)).await.unwrap();
                    // A line is one write: it is out whole, or not at all.
                    std::io::stdout().write_all(format!("\nacked {writer} {n}\n").as_bytes()).unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

/// Lets a child write, kills it after a while, and tells how many batches each writer was told are kept.
fn write_and_kill(folder: &Path, durability: Durability, round: u32, after: Duration) -> [u32; 4] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(DURABILITY, durability.as_str())
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acked = [0; 4];
    let mut begun = None;
    let stdout = BufReader::new(child.stdout.take().unwrap());
    for line in stdout.lines() {
        // The line in which the child died may be torn.
        let Ok(line) = line else { break };
        let Some((writer, n)) = line.strip_prefix("acked ").and_then(|l| l.split_once(' ')) else { continue };
        let (Ok(writer), Ok(n)) = (writer.parse::<usize>(), n.parse::<u32>()) else { continue };
        acked[writer] = n + 1;
        let begun = *begun.get_or_insert_with(Instant::now);
        if begun.elapsed() >= after {
            // SIGKILL. What it had printed before is still read: those batches count as well.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acked
}

/// Everything of a tenant's, by source and id: events, and records by record id.
async fn everything(stores: &Stores, tenant: &TenantId) -> (BTreeMap<String, CloudEvent>, Vec<UsageRecord>) {
    let mut events = BTreeMap::new();
    let mut query = EventQuery { order: Order::OldestFirst, limit: 1_000, ..EventQuery::default() };
    loop {
        let page = stores.events.page(tenant, &query).await.unwrap();
        for stored in page.events {
            let key = record_id(stored.event.source(), stored.event.id()).to_string();
            assert!(events.insert(key.clone(), stored.event).is_none(), "{key} is stored twice");
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let mut records = Vec::new();
    let mut query = UsageQuery { limit: 1_000, ..UsageQuery::default() };
    loop {
        let page = stores.usage.list(tenant, &query).await.unwrap();
        records.extend(page.records);
        query.cursor = page.next;
        if query.cursor.is_none() {
            return (events, records);
        }
    }
}

/// Compares the two stores with each other and with what was acknowledged in each round.
async fn check(stores: &Stores, acked: &[[u32; 4]]) -> usize {
    let mut total = 0;
    for n in 0..TENANTS {
        let tenant = tenant(n);
        let (events, records) = everything(stores, &tenant).await;
        for (round, acked) in (0u32..).zip(acked) {
            for (writer, batches) in (0u32..).zip(acked).filter(|(writer, _)| writer % TENANTS == n) {
                let source = format!("/{round}/{writer}");
                let last = if *batches == 0 { 0 } else { batches * FRESH + OVERLAP };
                for id in 0..last {
                    let kept = events.get(&*record_id(&source, &id.to_string()));
                    assert_eq!(kept, Some(&event(&source, id)), "{source} {id} was acknowledged");
                }
            }
        }
        let mut ids: Vec<_> = records.iter().map(|r| r.id.to_string()).collect();
        ids.sort_unstable();
        assert_eq!(ids, events.keys().cloned().collect::<Vec<_>>(), "each event is metered once");
        let bytes: usize = events.values().map(CloudEvent::size).sum();
        for (meter, want) in [(METER_EVENTS, events.len()), (METER_BYTES, bytes)] {
            let sum = stores.usage.sum(&tenant, meter, &UsageQuery::default()).await.unwrap();
            let sum: u64 = sum.iter().map(|b| b.value).sum();
            assert_eq!(sum, u64::try_from(want).unwrap(), "{meter}");
        }
        let count = stores.events.count(&tenant, &EventQuery::default()).await.unwrap();
        assert_eq!(count, u64::try_from(events.len()).unwrap());
        total += events.len();
    }
    total
}

fn survives_kills(durability: Durability, rounds: u32) {
    let folder = tempfile::tempdir().unwrap();
    let mut acked: Vec<[u32; 4]> = Vec::new();
    for round in 0..rounds {
        // Not the same moment twice, and later ones, so that files are being written as well.
        let after =
            Duration::from_millis(30 + u64::from(round * round) * 90 + u64::from(std::process::id() % 37));
        acked.push(write_and_kill(folder.path(), durability, round, after));
        assert!(acked.iter().flatten().any(|n| *n > 0), "the child wrote nothing");
        runtime().block_on(async {
            let embedded = Embedded::open(folder.path(), durability, options()).await.unwrap();
            let stores = embedded.stores();
            let kept = check(&stores, &acked).await;
            assert_eq!(embedded.stats().events, u64::try_from(kept).unwrap());
            // What was not acknowledged is sent again, and so is what was: nothing changes but the missing is added.
            for (writer, batches) in (0..WRITERS).zip(acked[acked.len() - 1]) {
                for n in batches.saturating_sub(3)..batches + 2 {
                    stores.sink.write(batch(round, writer, n)).await.unwrap();
                }
                acked.last_mut().unwrap()[usize::try_from(writer).unwrap()] = batches + 2;
            }
            let after = check(&stores, &acked).await;
            assert!(after >= kept);
            for writer in 0..WRITERS {
                stores.sink.write(batch(round, writer, 0)).await.unwrap();
            }
            assert_eq!(check(&stores, &acked).await, after, "writing again changed something");
            embedded.close().await;
        });
    }
}

#[test]
fn kill_9_at_process_durability() {
    survives_kills(Durability::Process, 5);
}

#[test]
fn kill_9_at_disk_durability() {
    survives_kills(Durability::Disk, 4);
}
