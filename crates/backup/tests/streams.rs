//! Streams as files and back, on a real broker.

#![expect(clippy::unwrap_used, reason = "helpers stand outside the test functions")]

use std::{sync::Arc, time::Duration};

use backup::{Api, Error, Folder, Still};
use bus::{Bus, TopologyOptions, topology};
use futures::StreamExt as _;
use testkit::{Line, NatsOptions, NatsServer};

/// Nothing here depends on the disk.
fn broker() -> NatsServer {
    NatsServer::start_with(NatsOptions { sync_always: false, ..NatsOptions::default() })
}

async fn bus(server: &NatsServer) -> Bus {
    Bus::connect(&bus::Options { url: server.url(), ..bus::Options::default() }).await.unwrap()
}

async fn publish(bus: &Bus, subject: &str, count: usize) {
    for n in 0..count {
        let payload = vec![u8::try_from(n % 251).unwrap(); 1_000];
        bus.jetstream().publish(subject.to_owned(), payload.into()).await.unwrap().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_comes_back_with_its_sequences_and_consumers() {
    let (from, to) = (broker(), broker());
    let (from, to) = (bus(&from).await, bus(&to).await);
    topology::ensure(&from, &TopologyOptions::default()).await.unwrap();
    publish(&from, "invoices.acme.main", 700).await;
    // A queue that is worked off remembers where it is.
    publish(&from, "raw.0", 5).await;
    let raw = from.jetstream().get_stream("RAW").await.unwrap();
    raw.purge().await.unwrap();
    let base = tempfile::tempdir().unwrap();
    let folder = Folder::make(&base.path().join("b")).await.unwrap();
    let (source, target) = (Api::new(&from), Api::new(&to));
    for (name, messages, last) in [("INVOICES", 700, 700), ("RAW", 0, 5)] {
        let part = source.snapshot(name, true, &folder).await.unwrap();
        assert_eq!((part.state.messages, part.state.last_seq), (messages, last), "{name}");
        let state = target.restore(&part, 1, "backup-1", &folder).await.unwrap();
        assert_eq!((state.messages, state.last_seq), (messages, last), "{name}");
        let there = target.stream(name).await.unwrap().unwrap();
        assert_eq!(there.restored_from(), Some("backup-1"));
        let twice = target.restore(&part, 1, "backup-1", &folder).await.unwrap_err().to_string();
        assert!(twice.contains("already in use"), "{twice}");
    }
    assert_eq!(target.consumers("RAW").await.unwrap().len(), 4);
    let message = to.jetstream().get_stream("INVOICES").await.unwrap().get_raw_message(500).await.unwrap();
    assert_eq!(message.payload[..], vec![u8::try_from(499 % 251).unwrap(); 1_000]);
    publish(&to, "invoices.acme.main", 1).await;
    assert_eq!(target.stream("INVOICES").await.unwrap().unwrap().state.last_seq, 701);
    assert!(target.stream("NONE").await.unwrap().is_none());
    let missing = source.snapshot("NONE", true, &folder).await.unwrap_err().to_string();
    assert!(missing.contains("stream not found"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_makes_no_stream() {
    let server = broker();
    let bus = bus(&server).await;
    topology::ensure(&bus, &TopologyOptions::default()).await.unwrap();
    publish(&bus, "invoices.acme.main", 100).await;
    let base = tempfile::tempdir().unwrap();
    let folder = Folder::make(&base.path().join("b")).await.unwrap();
    let api = Api::new(&bus);
    let part = api.snapshot("INVOICES", true, &folder).await.unwrap();
    api.delete_stream("INVOICES").await.unwrap();
    let path = base.path().join("b/streams/INVOICES.snapshot");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(folder.check(&part.file).await, Err(Error::Damaged(_))));
    api.restore(&part, 1, "b", &folder).await.unwrap_err();
    assert!(api.stream("INVOICES").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_line_is_noticed_though_it_is_there_again() {
    let server = broker();
    let direct = bus(&server).await;
    topology::ensure(&direct, &TopologyOptions::default()).await.unwrap();
    // Bytes that do not become fewer when they are compressed.
    let mut random = 1u64;
    for _ in 0..3_000 {
        let payload: Vec<u8> = std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random.to_be_bytes()[0]
        })
        .take(1_000)
        .collect();
        direct.jetstream().publish("invoices.acme.main", payload.into()).await.unwrap().await.unwrap();
    }
    let line = Line::to(server.port());
    let url = format!("nats://127.0.0.1:{}", line.port());
    let bus = Bus::connect(&bus::Options { url, ..bus::Options::default() }).await.unwrap();
    let base = tempfile::tempdir().unwrap();
    let folder = Folder::make(&base.path().join("b")).await.unwrap();
    line.cut_after(1_500_000);
    let began = std::time::Instant::now();
    let cut = Api::new(&bus).snapshot("INVOICES", true, &folder).await.unwrap_err().to_string();
    assert!(cut.contains("the line to the broker was cut"), "{cut}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    testkit::wait_until("the line is there again", Duration::from_secs(20), async || {
        bus.client().connection_state() == async_nats::connection::State::Connected
    })
    .await;
    let again = Folder::make(&base.path().join("c")).await.unwrap();
    let whole = Api::new(&bus).snapshot("INVOICES", true, &again).await.unwrap();
    assert!(whole.file.bytes > 2_500_000, "{whole:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_stand_still_until_they_are_let_go() {
    let server = broker();
    let bus = Arc::new(bus(&server).await);
    topology::ensure(&bus, &TopologyOptions { partitions: 1, ..TopologyOptions::default() }).await.unwrap();
    publish(&bus, "raw.0", 10).await;
    let stream = bus.jetstream().get_stream("RAW").await.unwrap();
    // One that takes its time over what it was handed.
    let config = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("slow".to_owned()),
        filter_subject: "raw.1".to_owned(),
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    publish(&bus, "raw.1", 3).await;
    let mut messages = consumer.messages().await.unwrap();
    let first = messages.next().await.unwrap().unwrap();
    let queues = ["RAW".to_owned()];
    let busy = Still::begin(&bus, &queues, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(&busy, Error::Restless(told) if told.contains("of RAW are under way")), "{busy}");
    assert!(
        Api::new(&bus).consumers("RAW").await.unwrap().iter().all(|consumer| !consumer.paused),
        "it was let go"
    );

    first.ack().await.unwrap();
    for _ in 0..2 {
        messages.next().await.unwrap().unwrap().ack().await.unwrap();
    }
    let still = Still::begin(&bus, &queues, Duration::from_secs(10)).await.unwrap();
    publish(&bus, "raw.1", 1).await;
    let none = tokio::time::timeout(Duration::from_millis(300), messages.next()).await;
    assert!(none.is_err(), "nothing is handed out");
    still.end().await.unwrap();
    messages.next().await.unwrap().unwrap().ack().await.unwrap();
}
