//! What only the embedded store does: its folder, its limits, its end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use model::{Batch, CloudEvent, Data, Durability, Group, Micros, Stamp, TenantId};
use store::{
    Error, EventQuery, METER_EVENTS, Origin, UsageQuery, UsageRecord,
    embedded::{Embedded, Options},
};

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn batch_of(range: std::ops::Range<u32>, size: usize) -> Arc<Batch> {
    let stamp = Arc::new(Stamp {
        tenant: tenant(),
        system: "s".parse().unwrap(),
        source: None,
        customer: None,
        received_at_us: 1_795_255_200_000_000,
        traceparent: "".into(),
        protocol: "http".into(),
    });
    let event = |n: u32| {
        let mut state = u64::from(n) + 1;
        let noise = (0..size).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        });
        CloudEvent::builder(n.to_string(), "/s", "t").data(Data::Binary(noise.collect())).build().unwrap()
    };
    Arc::new(Batch {
        partition: 0,
        sequence: 1,
        stored_at_us: 2,
        raw_sequence: 3,
        raw_stored_at_us: 4,
        normalized_at_us: 5,
        groups: vec![Group { stamp, events: range.map(event).collect() }],
        streamed: Vec::new(),
        metered: Vec::new(),
    })
}

async fn open(folder: &Path) -> Result<Embedded, Error> {
    Embedded::open(folder, Durability::Process, Options::default()).await
}

async fn count(embedded: &Embedded) -> u64 {
    embedded.stores().events.count(&tenant(), &EventQuery::default()).await.unwrap()
}

/// Usage here is known by the event's identity alone, whatever the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_time_is_the_same_and_voids_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = open(folder.path()).await.unwrap();
    let record = |at_us: Micros, calls: u64| UsageRecord {
        tenant: tenant(),
        id: "a".into(),
        at_us,
        origin: Origin::Other { kind: "delivery".into(), reference: "a".into() },
        customer: None,
        event_type: None,
        meters: vec![("calls".into(), calls)],
    };
    let usage = embedded.stores().usage;
    usage.write(vec![UsageRecord::void(tenant(), "a".into(), 7)]).await.unwrap();
    usage.write(vec![record(7, 3), record(8, 100)]).await.unwrap();
    usage.write(vec![record(9, 100), UsageRecord::void(tenant(), "a".into(), 7)]).await.unwrap();
    assert_eq!(usage.list(&tenant(), &UsageQuery::default()).await.unwrap().records, [record(7, 3)]);
}

async fn metered(embedded: &Embedded) -> u64 {
    let sum = embedded.stores().usage.sum(&tenant(), METER_EVENTS, &UsageQuery::default()).await.unwrap();
    sum.iter().map(|b| b.value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_is_there_after_closing_and_opening() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4u32 {
        let embedded = open(&folder.path().join("made/on the way")).await.unwrap();
        assert_eq!(
            (count(&embedded).await, embedded.stats().events),
            (u64::from(round) * 500, u64::from(round) * 500)
        );
        // The end of the one before it comes again.
        let first = (round * 500).saturating_sub(100);
        embedded.stores().sink.write(batch_of(first..round * 500 + 500, 300)).await.unwrap();
        if round % 2 == 0 {
            embedded.close().await;
            let after = embedded.stores().sink.write(batch_of(0..1, 1)).await;
            assert!(matches!(after, Err(Error::Unavailable(_))), "{after:?}");
            let after = embedded.stores().events.get(&tenant(), "/s", "0").await;
            assert!(matches!(after, Err(Error::Unavailable(_))), "{after:?}");
            embedded.close().await;
        }
        // Dropped without being closed otherwise: that ends well too.
    }
    let embedded = open(&folder.path().join("made/on the way")).await.unwrap();
    assert_eq!((count(&embedded).await, metered(&embedded).await), (2_000, 2_000));
    assert!(embedded.stats().disk_bytes > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_is_kept_before_closing() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = open(folder.path()).await.unwrap();
    let writes: Vec<_> = (0..50u32)
        .map(|n| {
            let sink = embedded.stores().sink;
            tokio::spawn(async move { sink.write(batch_of(n * 20..n * 20 + 20, 100)).await })
        })
        .collect();
    embedded.close().await;
    let mut kept = 0;
    for write in writes {
        match write.await.unwrap() {
            Ok(()) => kept += 20,
            // Came after the end.
            Err(e) => assert!(matches!(e, Error::Unavailable(_)), "{e}"),
        }
    }
    let embedded = open(folder.path()).await.unwrap();
    assert_eq!(count(&embedded).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_belongs_to_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).await.unwrap();
    let second = open(folder.path()).await.unwrap_err();
    assert!(matches!(&second, Error::Open(text) if text.contains("in use by another process")), "{second}");
    assert!(second.to_string().contains(&*folder.path().to_string_lossy()), "{second}");
    first.close().await;
    open(folder.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_opened_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let of = |name: &str| folder.path().join(name);
    for name in ["newer", "strange", "newer-engine", "emptied", "torn"] {
        open(&of(name)).await.unwrap().close().await;
    }
    fs::write(of("newer").join("format"), "3\n").unwrap();
    fs::write(of("strange").join("format"), "").unwrap();
    fs::write(of("newer-engine").join("db/version"), b"FJL\x63").unwrap();
    fs::remove_dir_all(of("emptied").join("db")).unwrap();
    fs::remove_dir_all(of("torn").join("db/keyspaces/0")).unwrap();
    let cases = [
        (file.clone(), "a file is in the way"),
        (file.join("below"), "a file is in the way"),
        ("/proc/nobody/may".into(), "choose another folder"),
        (of("newer"), "this program knows up to 2"),
        (of("strange"), "which is no format of a store"),
        (of("newer-engine"), "another version of its engine"),
        (of("emptied"), "restore it from a backup"),
        (of("torn"), "restore it from a backup"),
    ];
    for (path, says) in cases {
        let error = open(&path).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Open(_)), "{error:?}");
        assert!(text.contains(says) && text.contains(&*path.to_string_lossy()), "{text}");
    }
    let options = Options { journal_bytes_max: 1, ..Options::default() };
    let error = Embedded::open(folder.path().join("new"), Durability::Disk, options).await.unwrap_err();
    assert!(error.to_string().contains("journal_bytes_max"), "{error}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_rights_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    let opened = open(&closed).await;
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    if let Err(error) = opened {
        assert!(error.to_string().contains("the right to read and write it"), "{error}");
    } else {
        // Root may write anywhere: nothing to see.
        assert_eq!(fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m)).unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_died_half_way_is_begun_again() {
    for left in ["", "version"] {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("db");
        fs::create_dir_all(db.join("keyspaces")).unwrap();
        for file in ["lock", "0.jnl", left] {
            if !file.is_empty() {
                fs::write(db.join(file), "").unwrap();
            }
        }
        let embedded = open(folder.path()).await.unwrap();
        embedded.stores().sink.write(batch_of(0..10, 10)).await.unwrap();
        assert_eq!(count(&embedded).await, 10);
    }
}

/// A power cut leaves a page of zeros in the middle of the last transaction, and its end in place.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_log_costs_the_last_transaction_only() {
    let folder = tempfile::tempdir().unwrap();
    let disk = async || Embedded::open(folder.path(), Durability::Disk, Options::default()).await;
    let embedded = disk().await.unwrap();
    for n in 0..3 {
        embedded.stores().sink.write(batch_of(n * 50..n * 50 + 50, 400)).await.unwrap();
    }
    embedded.close().await;
    let log = folder.path().join("db/0.jnl");
    let mut bytes = fs::read(&log).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end - 9_000..end - 8_000].fill(0);
    fs::write(&log, bytes).unwrap();
    let embedded = disk().await.unwrap();
    assert_eq!((count(&embedded).await, metered(&embedded).await), (100, 100));
    // It was never acknowledged, so it comes again.
    embedded.stores().sink.write(batch_of(90..150, 400)).await.unwrap();
    assert_eq!((count(&embedded).await, metered(&embedded).await), (150, 150));
    embedded.close().await;
    assert_eq!(count(&disk().await.unwrap()).await, 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_room_is_refused_and_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = open(folder.path()).await.unwrap();
    embedded.stores().sink.write(batch_of(0..10, 10)).await.unwrap();
    embedded.close().await;
    let options = Options { reserve_bytes: u64::MAX, ..Options::default() };
    let embedded = Embedded::open(folder.path(), Durability::Disk, options).await.unwrap();
    let refused = embedded.stores().sink.write(batch_of(10..20, 10)).await.unwrap_err();
    assert!(matches!(&refused, Error::Full(text) if text.contains("make room")), "{refused:?}");
    assert_eq!((count(&embedded).await, metered(&embedded).await), (10, 10));
}

#[derive(Debug)]
struct Stopped(Micros);

impl model::Clock for Stopped {
    fn now(&self) -> Micros {
        self.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_says_when_an_event_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Stopped(-77));
    let embedded =
        Embedded::open_with(folder.path(), Durability::Disk, Options::default(), clock).await.unwrap();
    embedded.stores().sink.write(batch_of(0..1, 10)).await.unwrap();
    let stored = embedded.stores().events.get(&tenant(), "/s", "0").await.unwrap().unwrap();
    assert_eq!(stored.place.stored_at_us, -77);
}

/// What a start finds in the log may be more than may gather in memory.
#[tokio::test(flavor = "multi_thread")]
async fn opened_with_smaller_buffers_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let with = |write_buffer_bytes| Options { write_buffer_bytes, ..Options::default() };
    let embedded = Embedded::open(folder.path(), Durability::Process, with(256 << 20)).await.unwrap();
    for n in 0..20 {
        embedded.stores().sink.write(batch_of(n * 500..n * 500 + 500, 700)).await.unwrap();
    }
    embedded.close().await;
    let embedded = Embedded::open(folder.path(), Durability::Process, with(1 << 20)).await.unwrap();
    for n in 15..40 {
        let write = embedded.stores().sink;
        let write = async move { write.write(batch_of(n * 500..n * 500 + 500, 700)).await };
        tokio::time::timeout(Duration::from_secs(100), write).await.unwrap().unwrap();
    }
    assert_eq!((count(&embedded).await, metered(&embedded).await), (20_000, 20_000));
}

/// Files are flushed, merged and recovered many times over, and all is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_fits_into_memory() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options {
        write_buffer_bytes: 1 << 20,
        journal_bytes_max: 64 << 20,
        cache_bytes: 1 << 20,
        ..Options::default()
    };
    let (batches, each) = (80u32, 500u32);
    let embedded = Embedded::open(folder.path(), Durability::Process, options()).await.unwrap();
    for n in 0..batches {
        embedded.stores().sink.write(batch_of(n * each..(n + 1) * each, 700)).await.unwrap();
    }
    let total = u64::from(batches * each);
    for _ in 0..2 {
        assert_eq!((count(&embedded).await, metered(&embedded).await), (total, total));
    }
    embedded.close().await;
    let embedded = Embedded::open(folder.path(), Durability::Process, options()).await.unwrap();
    assert_eq!((count(&embedded).await, metered(&embedded).await), (total, total));
    // Everything again: every key is looked up in the files.
    for n in (0..batches).step_by(7) {
        embedded.stores().sink.write(batch_of(n * each..(n + 1) * each, 700)).await.unwrap();
    }
    assert_eq!((count(&embedded).await, metered(&embedded).await), (total, total));
    for n in (0..batches * each).step_by(3_571) {
        let stored = embedded.stores().events.get(&tenant(), "/s", &n.to_string()).await.unwrap();
        assert_eq!(stored.unwrap().event.id(), n.to_string().as_str());
    }
}

/// A disk that is really full: a small file system in memory, in a name space of the test's own.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_survived() {
    const INSIDE: &str = "STORE_FULL_DISK";
    if let Ok(folder) = std::env::var(INSIDE) {
        let fill = async {
            let fill = fill_the_disk(Path::new(&folder));
            tokio::time::timeout(Duration::from_secs(100), fill).await.unwrap();
        };
        return tokio::runtime::Runtime::new().unwrap().block_on(fill);
    }
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=48m none "$STORE_FULL_DISK" || exit 77; exec "$0" --exact a_full_disk_is_survived --nocapture"#;
    let run = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, folder.path())
        .output();
    match run {
        Ok(run) if run.status.success() => {}
        Ok(run) if run.status.code() == Some(101) => {
            panic!("{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
        }
        // Name spaces are not everybody's: then only the reserve is tested, above.
        other => eprintln!("no file system of its own, skipped: {other:?}"),
    }
}

#[cfg(target_os = "linux")]
async fn fill_the_disk(folder: &Path) {
    // No reserve: the engine itself runs into the end of the disk.
    let options = || Options { reserve_bytes: 0, write_buffer_bytes: 8 << 20, ..Options::default() };
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 16 << 20]).unwrap();
    let store = folder.join("store");
    let embedded = Embedded::open(&store, Durability::Disk, options()).await.unwrap();
    let sink = embedded.stores().sink;
    let mut kept = 0u32;
    let refused = loop {
        match sink.write(batch_of(kept..kept + 100, 4_000)).await {
            Ok(()) => kept += 100,
            Err(e) => break e,
        }
        assert!(kept < 100_000, "the disk is never full");
    };
    assert!(matches!(refused, Error::Full(_) | Error::Unavailable(_)), "{refused:?}");
    // It stays full: writes are refused, never half done, and what is kept can be read as soon as it is open.
    for _ in 0..3 {
        let again = sink.write(batch_of(kept..kept + 100, 4_000)).await;
        if again.is_ok() {
            // What the failed start gave back may have been enough for one more.
            kept += 100;
        }
    }
    fs::remove_file(&ballast).unwrap();
    // Room again: the same batch goes in, whether or not it had gone in before.
    let mut last = Ok(());
    for _ in 0..100 {
        last = sink.write(batch_of(kept..kept + 100, 4_000)).await;
        if last.is_ok() {
            kept += 100;
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(last, Ok(()));
    assert_eq!((count(&embedded).await, metered(&embedded).await), (kept.into(), kept.into()));
    embedded.close().await;
    let embedded = Embedded::open(&store, Durability::Disk, options()).await.unwrap();
    assert_eq!((count(&embedded).await, metered(&embedded).await), (kept.into(), kept.into()));
    eprintln!("{kept} events around the end of the disk; it said: {refused}");
}
