//! Many writers, few inserts, bounded memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use store::{
    Error, METER_EVENTS, UsageStore as _,
    clickhouse::{ClickHouse, Options},
};
use testkit::{ClickHouse as Server, wait_until};

use crate::world::{open, records, tenant, total};

const LONG: Duration = Duration::from_secs(60);

fn parts(database: &str) -> u64 {
    let inserts = "SELECT max(max_block_number) FROM system.parts WHERE database = currentDatabase() AND table = 'usage_records'";
    Server::shared().query(database, inserts).trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_share_few_inserts() {
    let (_, options) = open(Server::shared()).await;
    let usage = ClickHouse::open(Options { linger_ms_max: 300, ..options.clone() }).await.unwrap();
    let t = tenant("t");
    let writes = (0..500u32).map(|n| usage.write(records(&t, n * 10..n * 10 + 10)));
    for written in join_all(writes).await {
        written.unwrap();
    }
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 5_000);
    let inserts = parts(&options.database);
    assert!((1..=5).contains(&inserts), "{inserts} inserts for 500 writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_record_can_be_read_within_five_seconds() {
    let (_, options) = open(Server::shared()).await;
    let usage = ClickHouse::open(Options { linger_ms_max: Options::default().linger_ms_max, ..options })
        .await
        .unwrap();
    let (t, start) = (tenant("t"), Instant::now());
    usage.write(records(&t, 0..1)).await.unwrap();
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 1);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// With a buffer of one kilobyte every write waits for the one before; none is lost, none waits for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_makes_writers_wait() {
    let (_, options) = open(Server::shared()).await;
    let narrow =
        Options { insert_bytes_max: 1, buffer_bytes_max: 1_024, inserts_in_flight_max: 1, ..options };
    let usage = Arc::new(ClickHouse::open(narrow.clone()).await.unwrap());
    let t = tenant("t");
    let writes = (0..30u32).map(|n| usage.write(records(&t, n..n + 1)));
    // And one that is larger than the buffer.
    let large = usage.write(records(&t, 1_000..1_500));
    let (small, large) = tokio::join!(join_all(writes), large);
    small.into_iter().chain([large]).for_each(|written| written.unwrap());
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 530);
    assert!(parts(&narrow.database) >= 10, "the buffer holds two or three records at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_or_is_gone_fails_each_writer_and_takes_the_same_records_later() {
    let mut server = Server::start();
    let (_, options) = open(&server).await;
    let impatient = Options { write_timeout_ms: 300, read_timeout_ms: 300, ..options.clone() };
    let impatient = ClickHouse::open(impatient).await.unwrap();
    let usage = ClickHouse::open(options).await.unwrap();
    let t = tenant("t");
    let all: Vec<_> = (0..20u32).map(|n| records(&t, n * 5..n * 5 + 5)).collect();
    usage.write(all.concat()).await.unwrap();
    server.pause();
    let answers = join_all(all.iter().map(|records| impatient.write(records.clone()))).await;
    assert!(answers.iter().all(|a| matches!(a, Err(Error::Unavailable(_)))), "{answers:?}");
    let sum = impatient.sum(&t, METER_EVENTS, &store::UsageQuery::default()).await;
    assert!(matches!(sum, Err(Error::Unavailable(_))), "{sum:?}");
    server.resume();
    server.kill();
    let answers = join_all(all.iter().map(|records| usage.write(records.clone()))).await;
    assert!(answers.iter().all(|a| matches!(a, Err(Error::Unavailable(_)))), "{answers:?}");
    server.restart();
    wait_until("it takes writes again", LONG, async || usage.write(all.concat()).await.is_ok()).await;
    assert_eq!(total(&usage, &t, METER_EVENTS).await, 100);
}
