//! Partitions are bounded, rows expire, and what is too large is refused.

use std::{collections::HashMap, sync::Arc, time::Duration};

use model::{Clock as _, Data, SystemClock};
use scylla::client::{session::Session, session_builder::SessionBuilder};
use store::{Error, EventQuery, EventStore as _, cql::Cql};
use testkit::wait_until;

use crate::{
    cassandra, kept_for, narrow, open, open_with,
    world::{HOUR, NOON, World, builder, event, events},
};

async fn session() -> Session {
    SessionBuilder::new().known_nodes(cassandra::options().nodes).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_grows_beyond_its_bound() {
    let world = World::new();
    let tenant = world.tenant("t");
    let writers = [open_with(narrow()).await, open_with(narrow()).await];
    // 600 events in a second, then one an hour.
    for n in 0..60u32 {
        let batch = world.batch(&tenant, NOON + i64::from(n), events(n * 10..n * 10 + 10));
        writers[usize::try_from(n % 2).unwrap()].write(batch).await.unwrap();
    }
    for n in 0..10 {
        writers[0]
            .write(world.batch(&tenant, NOON + i64::from(n) * HOUR, events([1_000 + n])))
            .await
            .unwrap();
    }
    let session = session().await;
    let query = "SELECT level, window, shard FROM eventrunner.events WHERE tenant = ? ALLOW FILTERING";
    let rows = session.query_unpaged(query, (tenant.as_str(),)).await.unwrap().into_rows_result().unwrap();
    let mut partitions: HashMap<(i8, i64, i8), u32> = HashMap::new();
    for row in rows.rows::<(i8, i64, i8)>().unwrap() {
        *partitions.entry(row.unwrap()).or_default() += 1;
    }
    let of = |level| partitions.iter().filter(move |((l, ..), _)| *l == level).map(|(_, rows)| *rows);
    for level in 0..3 {
        // The bound, and what each of two writers has not told yet, and a batch each.
        assert!(of(level).all(|rows| rows <= 20 + 2 * 3 + 20), "{partitions:?}");
    }
    assert_eq!(
        (of(0).count(), of(3).count()),
        (1, 1),
        "a day, and one of the shards of a second: {partitions:?}"
    );
    assert!(of(1).count() > 3, "what comes slowly shares partitions by the hour: {partitions:?}");
    assert_eq!(writers[1].count(&tenant, &EventQuery::default()).await.unwrap(), 610);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_expire_with_their_index_and_identity() {
    let world = World::new();
    let tenant = world.tenant("t");
    let cql = Cql::open(cassandra::options(), kept_for(Duration::from_secs(2))).await.unwrap();
    let (reader, now) = (open().await, SystemClock.now());
    cql.write(world.batch(&tenant, now, events(0..5))).await.unwrap();
    assert_eq!(cql.count(&tenant, &EventQuery::default()).await.unwrap(), 5);
    // By an adapter that knows of no retention: the rows themselves are gone.
    wait_until("the events have expired", Duration::from_secs(20), async || {
        reader.count(&tenant, &EventQuery::default()).await.unwrap() == 0
    })
    .await;
    assert_eq!(reader.get(&tenant, "/shop", "1").await.unwrap(), None);
    // The same identities are new ones now.
    let written = reader.write(world.batch(&tenant, now + 1, events(0..5))).await.unwrap();
    assert_eq!(written, store::Written::default());
    assert_eq!(reader.count(&tenant, &EventQuery::default()).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_a_tenant_keeps_is_not_shown() {
    let world = World::new();
    let tenant = world.tenant("t");
    let (for_ever, now) = (open().await, SystemClock.now());
    for (id, age) in [(1, 3 * HOUR), (2, HOUR)] {
        for_ever.write(world.batch(&tenant, now - age, events([id]))).await.unwrap();
    }
    // Shortened: their rows were written to stay.
    let shorter = Cql::open(cassandra::options(), kept_for(Duration::from_secs(2 * 3_600))).await.unwrap();
    let page = shorter.page(&tenant, &EventQuery::default()).await.unwrap();
    assert_eq!(page.events.iter().map(|e| e.event.id().to_string()).collect::<Vec<_>>(), ["2"]);
    assert_eq!(shorter.count(&tenant, &EventQuery::default()).await.unwrap(), 1);
    assert_eq!(shorter.get(&tenant, "/shop", "1").await.unwrap(), None);
    assert_eq!(for_ever.count(&tenant, &EventQuery::default()).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_not_take_is_refused_and_the_rest_is_not() {
    let world = World::new();
    let (tenant, other) = (world.tenant("t"), world.tenant("u"));
    let cql = open().await;
    let of = |bytes: usize| builder(bytes).data(Data::Binary(vec![7; bytes].into())).build().unwrap();
    // A mutation may be half of a segment of the commit log, here of 16 MiB.
    for bytes in [(128 << 10) - 1, 128 << 10, (8 << 20) - 4_096] {
        cql.write(world.batch(&tenant, NOON, vec![event("small"), of(bytes)])).await.unwrap();
        let stored = cql.get(&tenant, "/shop", &bytes.to_string()).await.unwrap().unwrap();
        assert_eq!(stored.event, of(bytes), "{bytes}");
    }
    let refused = cql.write(world.batch(&tenant, NOON, vec![of(8 << 20)])).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    cql.write(world.batch(&other, NOON, events(0..5))).await.unwrap();
    assert_eq!(cql.count(&other, &EventQuery::default()).await.unwrap(), 5);
    let mut page = cql.page(&tenant, &EventQuery::default()).await.unwrap();
    assert!(page.next.is_some() || page.events.len() == 4);
    page.events.truncate(1);
    assert_eq!(Arc::clone(&page.events[0].stamp).tenant, tenant);
}
