//! Taking away from the embedded store: also from the disk, and also when it is killed in the middle.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Batch, CloudEvent, Data, Durability, Group, Micros, Stamp, TenantId};
use store::{
    EventQuery, METER_EVENTS, Order, Stores, UsageQuery,
    embedded::{Embedded, Options},
};

const NOON: Micros = 1_795_255_200_000_000;
const HOUR: Micros = 3_600_000_000;
const FOLDER: &str = "STORE_ERASURE_FOLDER";

/// Small write buffers: keys and blocks are in files, not in memory.
fn options() -> Options {
    Options { write_buffer_bytes: 1 << 20, ..Options::default() }
}

async fn open(folder: &Path) -> Embedded {
    Embedded::open(folder, Durability::Process, options()).await.unwrap()
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

/// Deterministic and not compressible.
fn event(n: u32, size: u32) -> CloudEvent {
    let mut state = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let data = (0..size).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[3]
    });
    CloudEvent::builder(n.to_string(), "/s", "t").data(Data::Binary(data.collect())).build().unwrap()
}

fn group(tenant: &TenantId, at: Micros, ids: std::ops::Range<u32>, size: u32) -> Group {
    let stamp = Stamp {
        tenant: tenant.clone(),
        system: "s".parse().unwrap(),
        source: None,
        customer: None,
        received_at_us: at,
        traceparent: "".into(),
        protocol: "http".into(),
    };
    Group { stamp: Arc::new(stamp), events: ids.map(|n| event(n, size)).collect() }
}

async fn write(stores: &Stores, groups: Vec<Group>) {
    let count: usize = groups.iter().map(|g| g.events.len()).sum();
    let batch = Batch {
        partition: 1,
        sequence: 1,
        stored_at_us: 2,
        raw_sequence: 3,
        raw_stored_at_us: 4,
        normalized_at_us: 5,
        groups,
        streamed: (1..).take(count).collect(),
        metered: Vec::new(),
    };
    stores.sink.write(Arc::new(batch)).await.unwrap();
}

/// Both tenants' events in the same files.
async fn fill(stores: &Stores, tenants: &[&TenantId], count: u32, size: u32) {
    for first in (0..count).step_by(500) {
        let groups = tenants.iter().map(|t| group(t, NOON, first..first + 500, size)).collect();
        write(stores, groups).await;
    }
}

/// How many events a tenant has: by every way they can be read, which must agree.
async fn events_of(stores: &Stores, tenant: &TenantId) -> u64 {
    let mut query = EventQuery { order: Order::OldestFirst, limit: 1_000, ..EventQuery::default() };
    let mut ids = HashSet::new();
    loop {
        let page = stores.events.page(tenant, &query).await.unwrap();
        for stored in page.events {
            let id: u32 = stored.event.id().parse().unwrap();
            if id.is_multiple_of(50) {
                let got = stores.events.get(tenant, "/s", &id.to_string()).await.unwrap();
                assert_eq!(got, Some(stored));
            }
            assert!(ids.insert(id), "{id} twice");
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let count = stores.events.count(tenant, &EventQuery::default()).await.unwrap();
    assert_eq!(count, u64::try_from(ids.len()).unwrap());
    count
}

/// How many events a tenant was metered for: the sums must agree with the records.
async fn metered(stores: &Stores, tenant: &TenantId) -> u64 {
    let mut query = UsageQuery { limit: 10_000, ..UsageQuery::default() };
    let mut records = 0;
    loop {
        let page = stores.usage.list(tenant, &query).await.unwrap();
        records += page.records.len();
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let sums = stores.usage.sum(tenant, METER_EVENTS, &UsageQuery::default()).await.unwrap();
    let sum = sums.iter().map(|b| b.value).sum();
    assert_eq!(u64::try_from(records).unwrap(), sum);
    sum
}

fn bytes_of(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            // A file may go while the folder is read.
            let Ok(meta) = entry.metadata() else { return 0 };
            if meta.is_dir() { bytes_of(&entry.path()) } else { meta.len() }
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_gone_after_a_restart_and_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let [gone, stays] = [tenant("gone"), tenant("stays")];
    let embedded = open(folder.path()).await;
    fill(&embedded.stores(), &[&stays], 5_000, 1_000).await;
    fill(&embedded.stores(), &[&gone], 50_000, 2_000).await;
    // 105 MB of data, and the log beside it.
    let full = bytes_of(folder.path());
    assert!(full > 105_000_000, "{full}");
    let begun = Instant::now();
    embedded.stores().erasure.erase_tenant(&gone).await.unwrap();
    println!("50,000 events erased in {:?}", begun.elapsed());
    assert_eq!(embedded.stats().events, 5_000);
    assert_eq!(embedded.stats().usage_records, 5_000);
    embedded.close().await;
    let embedded = open(folder.path()).await;
    let stores = embedded.stores();
    assert_eq!((events_of(&stores, &gone).await, metered(&stores, &gone).await), (0, 0));
    assert_eq!((events_of(&stores, &stays).await, metered(&stores, &stays).await), (5_000, 5_000));
    assert_eq!(stores.events.get(&gone, "/s", "77").await.unwrap(), None);
    let tail = stores.events.tail(1, 0, 100_000).await.unwrap();
    assert!(tail.iter().flat_map(|b| &b.events).all(|e| e.stamp.tenant == stays));
    let left = bytes_of(&folder.path().join("db/keyspaces"));
    println!("{full} bytes before, {left} after");
    assert!(left < 20_000_000, "{left} of {full} bytes left");
    // Every identity is free again.
    fill(&stores, &[&gone], 1_000, 10).await;
    assert_eq!((events_of(&stores, &gone).await, metered(&stores, &gone).await), (1_000, 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_gone_and_usage_stays() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = [tenant("a"), tenant("b")];
    let embedded = open(folder.path()).await;
    let stores = embedded.stores();
    for hour in 0..10u32 {
        for part in 0..4 {
            let first = hour * 1_000 + part * 250;
            let at = NOON + i64::from(hour) * HOUR;
            let groups = [&a, &b].map(|t| group(t, at, first..first + 250, 100));
            write(&stores, groups.into()).await;
        }
    }
    let count = async |since, until| {
        let at = |hour: Option<i64>| hour.map(|hour| NOON + hour * HOUR);
        let query = EventQuery { since_us: at(since), until_us: at(until), ..EventQuery::default() };
        stores.events.count(&a, &query).await.unwrap()
    };
    stores.erasure.expire(&a, NOON + 7 * HOUR).await.unwrap();
    assert_eq!(events_of(&stores, &a).await, 3_000);
    assert_eq!(count(None, Some(7)).await, 0);
    assert_eq!((count(Some(7), None).await, count(Some(8), Some(9)).await), (3_000, 1_000));
    assert_eq!(stores.events.get(&a, "/s", "6999").await.unwrap(), None);
    assert!(stores.events.get(&a, "/s", "7000").await.unwrap().is_some());
    assert_eq!(metered(&stores, &a).await, 10_000);
    assert_eq!((events_of(&stores, &b).await, metered(&stores, &b).await), (10_000, 10_000));
    assert_eq!(embedded.stats().events, 13_000);
    // An event as old as those that have gone is kept until it is taken away in its turn.
    write(&stores, vec![group(&a, NOON, 0..10, 100)]).await;
    assert_eq!((count(None, Some(7)).await, metered(&stores, &a).await), (10, 10_000));
    stores.erasure.expire(&a, NOON + 7 * HOUR).await.unwrap();
    assert_eq!((count(None, Some(7)).await, events_of(&stores, &a).await), (0, 3_000));
    embedded.close().await;
    let embedded = open(folder.path()).await;
    assert_eq!(events_of(&embedded.stores(), &a).await, 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn erased_data_stays_erased_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let a = tenant("a");
    let embedded = open(folder.path()).await;
    fill(&embedded.stores(), &[&a], 1_000, 100).await;
    for id in [0, 127, 128, 999] {
        assert!(embedded.stores().erasure.erase_data(&a, "/s", &id.to_string()).await.unwrap());
    }
    embedded.close().await;
    let embedded = open(folder.path()).await;
    assert_eq!(events_of(&embedded.stores(), &a).await, 1_000);
    for id in [0, 1, 126, 127, 128, 129, 999] {
        let got = embedded.stores().events.get(&a, "/s", &id.to_string()).await.unwrap().unwrap();
        assert_eq!(got.event.data().is_none(), [0, 127, 128, 999].contains(&id), "{id}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Not a test of its own: what the child does. Without the environment variable it does nothing.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    runtime().block_on(async {
        let embedded = open(Path::new(&folder)).await;
        std::io::stdout().write_all(b"\nbegun\n").unwrap();
        embedded.stores().erasure.erase_tenant(&tenant("gone")).await.unwrap();
        std::io::stdout().write_all(b"\nended\n").unwrap();
    });
}

/// Lets a child erase and kills it after a while; says whether it had ended before.
fn erase_and_kill(folder: &Path, after: Duration) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "begun"));
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.any(|line| line == "ended")
}

#[test]
fn a_kill_9_in_the_middle_leaves_a_whole_store() {
    const COUNT: u32 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let [gone, stays] = [tenant("gone"), tenant("stays")];
    runtime().block_on(async {
        let embedded = open(folder.path()).await;
        fill(&embedded.stores(), &[&gone, &stays], COUNT, 200).await;
        embedded.close().await;
    });
    let (mut left, mut in_the_middle) = (u64::from(COUNT), 0);
    for round in 0..12 {
        // From the first moment to long after the end, whatever the machine: half as much again each time.
        let after = Duration::from_millis(20).mul_f64(1.5f64.powi(round));
        let ended = erase_and_kill(folder.path(), after);
        runtime().block_on(async {
            let embedded = open(folder.path()).await;
            let stores = embedded.stores();
            let (events, usage) = (events_of(&stores, &gone).await, metered(&stores, &gone).await);
            println!("round {round}: {events} events and {usage} records left, ended {ended}");
            in_the_middle += u32::from(!ended && events + usage > 0 && events + usage < 2 * u64::from(COUNT));
            assert!(events <= left, "what was taken away came back");
            left = events;
            assert!(!ended || (events, usage) == (0, 0));
            let others = (events_of(&stores, &stays).await, metered(&stores, &stays).await);
            assert_eq!(others, (COUNT.into(), COUNT.into()));
            assert_eq!(embedded.stats().events, events + others.0);
            assert_eq!(embedded.stats().usage_records, usage + others.1);
            if events + usage == 0 {
                stores.erasure.erase_tenant(&gone).await.unwrap();
                fill(&stores, &[&gone], COUNT, 200).await;
                assert_eq!(events_of(&stores, &gone).await, u64::from(COUNT));
                assert_eq!(metered(&stores, &gone).await, u64::from(COUNT));
                left = COUNT.into();
            }
            embedded.close().await;
        });
    }
    assert!(in_the_middle > 0, "never killed in the middle: not what is to be tested");
}
