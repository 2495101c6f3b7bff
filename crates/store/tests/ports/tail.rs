//! The tail of a partition: what its tenants' streams can be made whole from.

use std::sync::Arc;

use model::{Batch, Group, TenantId};
use store::Stores;

use super::world::{NOON, World, events, stamp};

/// A partition that no other case, and hardly an earlier run, uses.
fn partition(tenant: &TenantId) -> u32 {
    model::partition_of(tenant, "tail", u32::MAX - 1_000) + 1_000
}

fn streamed(world: &World, partition: u32, groups: Vec<Group>, first: u64) -> Arc<Batch> {
    let mut batch = Arc::unwrap_or_clone(world.batch_of(groups));
    batch.partition = partition;
    batch.streamed = (first..).take(batch.len()).collect();
    Arc::new(batch)
}

pub(crate) async fn the_last_batches_come_back_newest_first(stores: &Stores, world: &World) {
    let (one, two) = (world.tenant("one"), world.tenant("two"));
    let partition = partition(&one);
    let group = |tenant: &TenantId, range: std::ops::Range<u32>| Group {
        stamp: stamp(tenant, NOON),
        events: events(range),
    };
    let first = streamed(
        world,
        partition,
        vec![group(&one, 0..200), group(&two, 0..5), group(&one, 200..210)],
        1_000,
    );
    let second = streamed(world, partition, vec![group(&two, 5..10)], 2_000);
    for batch in [&first, &second] {
        stores.sink.write(Arc::clone(batch)).await.unwrap();
    }
    let tail = stores.events.tail(partition, 0, 10).await.unwrap();
    assert_eq!(tail.len(), 2);
    for (read, written) in tail.iter().zip([&second, &first]) {
        let sent: Vec<_> =
            written.events().map(|(_, stamp, event)| (stamp.tenant.clone(), event.clone())).collect();
        let got: Vec<_> = read.events.iter().map(|e| (e.stamp.tenant.clone(), e.event.clone())).collect();
        assert_eq!(got, sent, "in the order of the batch");
        assert_eq!(read.streamed, written.streamed);
        assert!(read.events.iter().all(|e| e.place.events_sequence == written.sequence));
    }
    assert_eq!(stores.events.tail(partition, 1, 1).await.unwrap(), tail[1..]);
    assert!(stores.events.tail(partition, 2, 1).await.unwrap().is_empty());
    // Published again under other sequences, a batch is the last.
    let mut again = Arc::unwrap_or_clone(first);
    again.streamed.iter_mut().for_each(|s| *s += 5_000);
    stores.sink.write(Arc::new(again)).await.unwrap();
    let tail = stores.events.tail(partition, 0, 10).await.unwrap();
    assert_eq!((tail.len(), tail[0].streamed[0], tail[0].events.len()), (3, 6_000, 215));
}

pub(crate) async fn what_is_in_no_stream_has_no_tail(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let mut batch = Arc::unwrap_or_clone(world.batch(&tenant, NOON, events(0..5)));
    batch.partition = partition(&tenant);
    let partition = batch.partition;
    stores.sink.write(Arc::new(batch)).await.unwrap();
    assert!(stores.events.tail(partition, 0, 10).await.unwrap().is_empty());
}
