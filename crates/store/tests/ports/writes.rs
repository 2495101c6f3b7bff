//! Each event is kept once, whoever writes it how often.

use std::sync::Arc;

use model::{CloudEvent, Group};
use store::{EventQuery, METER_BYTES, METER_EVENTS, Stores, UsageQuery, Written, records_of};

use super::world::{NOON, World, event, events, ids, oldest_first, records, stamp, total, walk};

/// Size of all of them, as the bytes meter counts.
fn bytes(events: &[CloudEvent]) -> u64 {
    events.iter().map(|e| u64::try_from(e.size()).unwrap()).sum()
}

pub(crate) async fn writing_again_changes_nothing(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let batch = world.batch(&tenant, NOON, events(0..300));
    stores.sink.write(Arc::clone(&batch)).await.unwrap();
    let before = walk(stores, &tenant, &oldest_first()).await;
    assert_eq!(before.len(), 300);
    for _ in 0..3 {
        stores.sink.write(Arc::clone(&batch)).await.unwrap();
        stores.events.write(Arc::clone(&batch)).await.unwrap();
        stores.usage.write(records_of(&batch, &Written::default()).collect()).await.unwrap();
    }
    assert_eq!(walk(stores, &tenant, &oldest_first()).await, before);
    assert_eq!(stores.events.count(&tenant, &EventQuery::default()).await.unwrap(), 300);
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 300);
    assert_eq!(total(stores, &tenant, METER_BYTES).await, bytes(&events(0..300)));
    assert_eq!(records(stores, &tenant, &UsageQuery::default()).await.len(), 300);
}

pub(crate) async fn overlapping_batches_keep_the_first(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    stores.sink.write(world.batch(&tenant, NOON, events(0..150))).await.unwrap();
    let other = |id: u32| CloudEvent::builder(id.to_string(), "/shop", "order.changed").build().unwrap();
    stores.sink.write(world.batch(&tenant, NOON + 5, (100..250).map(other).collect())).await.unwrap();
    let all = walk(stores, &tenant, &oldest_first()).await;
    assert_eq!(all.len(), 250);
    for (id, stored) in (0u32..).zip(&all) {
        let (event, at) = if id < 150 { (event(id), NOON) } else { (other(id), NOON + 5) };
        assert_eq!((&stored.event, stored.stamp.received_at_us), (&event, at));
    }
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 250);
}

pub(crate) async fn a_duplicate_inside_a_batch_is_kept_once(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let later = CloudEvent::builder("1", "/shop", "order.changed").build().unwrap();
    let groups = vec![
        Group { stamp: stamp(&tenant, NOON), events: vec![event(1), event(2), event(1)] },
        Group { stamp: stamp(&tenant, NOON + 1), events: vec![later, event(3)] },
    ];
    stores.sink.write(world.batch_of(groups)).await.unwrap();
    assert_eq!(ids(stores, &tenant, &oldest_first()).await, ["1", "2", "3"]);
    assert_eq!(stores.events.get(&tenant, "/shop", "1").await.unwrap().unwrap().event, event(1));
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 3);
    assert_eq!(total(stores, &tenant, METER_BYTES).await, bytes(&events(1..4)));
}

pub(crate) async fn concurrent_writers_keep_each_event_once(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    // Each batch goes out four times at once, and overlaps its neighbours.
    let writes = (0..80u32).map(|n| {
        let (stores, first) = (stores.clone(), n / 4 * 20);
        let batch = world.batch(&tenant, NOON + i64::from(n), events(first..first + 30));
        tokio::spawn(async move { stores.sink.write(batch).await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    let mut all: Vec<u32> =
        ids(stores, &tenant, &oldest_first()).await.iter().map(|id| id.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..410).collect::<Vec<_>>());
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 410);
    assert_eq!(total(stores, &tenant, METER_BYTES).await, bytes(&events(0..410)));
}

pub(crate) async fn many_tenants_in_one_batch(stores: &Stores, world: &World) {
    let tenants: Vec<_> = (0..150).map(|n| world.tenant(&format!("t{n}"))).collect();
    // Interleaved, as the door packs them: two requests of each.
    let groups = (0..2).flat_map(|round| tenants.iter().map(move |tenant| (round, tenant)));
    let groups = groups.map(|(round, tenant)| Group {
        stamp: stamp(tenant, NOON + i64::from(round)),
        events: events([round * 2, round * 2 + 1]),
    });
    stores.sink.write(world.batch_of(groups.collect())).await.unwrap();
    for tenant in &tenants {
        assert_eq!(ids(stores, tenant, &oldest_first()).await, ["0", "1", "2", "3"]);
        assert_eq!(total(stores, tenant, METER_EVENTS).await, 4);
    }
}

pub(crate) async fn an_empty_batch_is_fine(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    stores.sink.write(world.batch_of(vec![])).await.unwrap();
    stores.sink.write(world.batch(&tenant, NOON, vec![])).await.unwrap();
    stores.usage.write(vec![]).await.unwrap();
    assert_eq!(walk(stores, &tenant, &EventQuery::default()).await, []);
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 0);
}

pub(crate) async fn stored_and_metered_apart_is_exact_too(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let (a, b) = (world.batch(&tenant, NOON, events(0..50)), world.batch(&tenant, NOON, events(25..75)));
    // One is stored only, the other metered only; then both are done whole.
    stores.events.write(Arc::clone(&a)).await.unwrap();
    stores.usage.write(records_of(&b, &Written::default()).collect()).await.unwrap();
    assert_eq!(stores.events.count(&tenant, &EventQuery::default()).await.unwrap(), 50);
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 50);
    stores.sink.write(a).await.unwrap();
    assert_eq!(stores.events.count(&tenant, &EventQuery::default()).await.unwrap(), 50);
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 75);
    stores.sink.write(b).await.unwrap();
    assert_eq!(stores.events.count(&tenant, &EventQuery::default()).await.unwrap(), 75);
    assert_eq!(total(stores, &tenant, METER_BYTES).await, bytes(&events(0..75)));
    assert_eq!(records(stores, &tenant, &UsageQuery::default()).await.len(), 75);
}
