//! Erasing by one process what others write.

use std::sync::Arc;

use store::{Erasure as _, EventQuery, EventStore as _};

use crate::{
    narrow, open, open_with,
    world::{HOUR, NOON, World, event, events},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_knows_of_the_index_is_forgotten() {
    let world = World::new();
    let tenant = world.tenant("t");
    let (writer, eraser) = (open().await, open().await);
    writer.write(world.batch(&tenant, NOON, events(0..10))).await.unwrap();
    eraser.erase_tenant(&tenant).await.unwrap();
    assert_eq!(writer.count(&tenant, &EventQuery::default()).await.unwrap(), 0);
    // Into the partition that the index listed before.
    writer.write(world.batch(&tenant, NOON, events(5..20))).await.unwrap();
    for reader in [&writer, &eraser] {
        assert_eq!(reader.count(&tenant, &EventQuery::default()).await.unwrap(), 15);
        assert_eq!(reader.page(&tenant, &EventQuery::default()).await.unwrap().events.len(), 15);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_data_does_not_come_back_with_a_redelivery() {
    let world = World::new();
    let tenant = world.tenant("t");
    let (writer, eraser) = (open().await, open().await);
    let batch = world.batch(&tenant, NOON, events(0..3));
    writer.write(Arc::clone(&batch)).await.unwrap();
    assert!(eraser.erase_data(&tenant, "/shop", "1").await.unwrap());
    writer.write(batch).await.unwrap();
    // Nor with another event of the same identity that goes before.
    writer.write(world.batch(&tenant, NOON - 1, vec![event(1)])).await.unwrap();
    let stored = eraser.get(&tenant, "/shop", "1").await.unwrap().unwrap();
    assert_eq!((stored.event.data(), stored.stamp.received_at_us), (None, NOON - 1));
    assert!(eraser.get(&tenant, "/shop", "2").await.unwrap().unwrap().event.data().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_partitions_expire_with_their_identities() {
    let world = World::new();
    let tenant = world.tenant("t");
    let cql = open_with(narrow()).await;
    for hour in 0..40u32 {
        let at = NOON + i64::from(hour) * HOUR;
        cql.write(world.batch(&tenant, at, events(hour * 10..hour * 10 + 10))).await.unwrap();
    }
    cql.expire(&tenant, NOON + 30 * HOUR).await.unwrap();
    let left = cql.count(&tenant, &EventQuery::default()).await.unwrap();
    // The second day's first partition holds hours 14 to 16, and is not whole.
    assert!((100..=140).contains(&left), "{left}");
    let younger = EventQuery { since_us: Some(NOON + 30 * HOUR), ..EventQuery::default() };
    assert_eq!(cql.count(&tenant, &younger).await.unwrap(), 100);
    assert_eq!(cql.get(&tenant, "/shop", "5").await.unwrap(), None);
    let again = cql.write(world.batch(&tenant, NOON + 41 * HOUR, events([5]))).await.unwrap();
    assert_eq!(again, store::Written::default(), "its identity is free again");
}
