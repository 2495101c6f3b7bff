//! What is taken away is gone, and nothing else is.

use std::sync::Arc;

use model::{Batch, Group, TenantId};
use store::{EventQuery, METER_BYTES, METER_EVENTS, StoredEvent, Stores, UsageQuery, UsageRecord};

use super::world::{HOUR, MINUTE, NOON, World, events, ids, oldest_first, records, stamp, total, walk};

/// Everything that can be read of a tenant.
#[derive(Debug, PartialEq)]
struct Everything {
    events: Vec<StoredEvent>,
    records: Vec<UsageRecord>,
    count: u64,
    sums: [u64; 2],
}

async fn everything(stores: &Stores, tenant: &TenantId) -> Everything {
    Everything {
        events: walk(stores, tenant, &oldest_first()).await,
        records: records(stores, tenant, &UsageQuery::default()).await,
        count: stores.events.count(tenant, &EventQuery::default()).await.unwrap(),
        sums: [total(stores, tenant, METER_EVENTS).await, total(stores, tenant, METER_BYTES).await],
    }
}

fn nothing() -> Everything {
    Everything { events: vec![], records: vec![], count: 0, sums: [0, 0] }
}

/// Requests of several tenants, mixed, over some hours.
async fn write_mixed(stores: &Stores, world: &World, tenants: &[&TenantId]) {
    for hour in 0..4 {
        let groups = (0..3u32).flat_map(|part| tenants.iter().map(move |tenant| (part, *tenant)));
        let groups = groups.map(|(part, tenant)| {
            let first = u32::try_from(hour).unwrap() * 300 + part * 100;
            Group { stamp: stamp(tenant, NOON + hour * HOUR), events: events(first..first + 100) }
        });
        stores.sink.write(world.batch_of(groups.collect())).await.unwrap();
    }
}

pub(crate) async fn an_erased_tenant_is_gone_and_nobody_else(stores: &Stores, world: &World) {
    let (gone, stays) = (world.tenant("gone"), world.tenant("stays"));
    write_mixed(stores, world, &[&gone, &stays]).await;
    let before = everything(stores, &stays).await;
    assert_eq!((before.count, before.sums[0]), (1_200, 1_200));
    stores.erasure.erase_tenant(&gone).await.unwrap();
    assert_eq!(everything(stores, &gone).await, nothing());
    for id in [0, 599, 1_199] {
        assert_eq!(stores.events.get(&gone, "/shop", &id.to_string()).await.unwrap(), None, "{id}");
    }
    let ranges =
        EventQuery { since_us: Some(NOON + HOUR), until_us: Some(NOON + 3 * HOUR), ..oldest_first() };
    assert_eq!(ids(stores, &gone, &ranges).await.len(), 0);
    let minutes = UsageQuery { bucket_us: MINUTE, ..UsageQuery::default() };
    assert_eq!(stores.usage.sum(&gone, METER_EVENTS, &minutes).await.unwrap(), []);
    assert_eq!(everything(stores, &stays).await, before);
    assert_eq!(ids(stores, &stays, &ranges).await.len(), 600);
}

pub(crate) async fn a_tenant_erased_may_write_again(stores: &Stores, world: &World) {
    let (tenant, other) = (world.tenant("t"), world.tenant("u"));
    write_mixed(stores, world, &[&tenant, &other]).await;
    stores.erasure.erase_tenant(&tenant).await.unwrap();
    // The same identities, and new ones; each is kept and metered as if for the first time.
    let batch = world.batch(&tenant, NOON + HOUR, events(1_100..1_400));
    for _ in 0..2 {
        stores.sink.write(Arc::clone(&batch)).await.unwrap();
    }
    let now = everything(stores, &tenant).await;
    assert_eq!((now.count, now.sums[0], now.records.len()), (300, 300, 300));
    let want: Vec<_> = (1_100..1_400).map(|id: u32| id.to_string()).collect();
    assert_eq!(ids(stores, &tenant, &oldest_first()).await, want);
    let hour = EventQuery { since_us: Some(NOON + HOUR), until_us: Some(NOON + 2 * HOUR), ..oldest_first() };
    assert_eq!(ids(stores, &tenant, &hour).await, want);
    let found = stores.events.get(&tenant, "/shop", "1150").await.unwrap().unwrap();
    assert_eq!(found.stamp.received_at_us, NOON + HOUR, "the one written after");
}

pub(crate) async fn erasing_and_expiring_again_is_fine(stores: &Stores, world: &World) {
    let (tenant, never) = (world.tenant("t"), world.tenant("never"));
    stores.sink.write(world.batch(&tenant, NOON, events(0..300))).await.unwrap();
    for _ in 0..3 {
        stores.erasure.expire(&tenant, NOON).await.unwrap();
        assert_eq!(everything(stores, &tenant).await.count, 300, "none is that old");
        stores.erasure.expire(&never, NOON + HOUR).await.unwrap();
        stores.erasure.erase_tenant(&never).await.unwrap();
    }
    for _ in 0..3 {
        stores.erasure.erase_tenant(&tenant).await.unwrap();
        stores.erasure.expire(&tenant, NOON + HOUR).await.unwrap();
        assert_eq!(everything(stores, &tenant).await, nothing());
    }
}

pub(crate) async fn erased_data_leaves_the_envelope_and_the_receipt(stores: &Stores, world: &World) {
    let (tenant, other) = (world.tenant("t"), world.tenant("u"));
    let both = [&tenant, &other].map(|t| Group { stamp: stamp(t, NOON), events: events(0..200) });
    stores.sink.write(world.batch_of(both.into())).await.unwrap();
    let before = everything(stores, &tenant).await;
    let others = everything(stores, &other).await;
    for _ in 0..2 {
        assert!(stores.erasure.erase_data(&tenant, "/shop", "130").await.unwrap());
    }
    let want = |mut stored: StoredEvent| {
        if stored.event.id() == "130" {
            assert!(stored.event.data().is_some());
            stored.event = stored.event.with_data(None);
        }
        stored
    };
    let want = Everything { events: before.events.iter().cloned().map(want).collect(), ..before };
    assert_eq!(everything(stores, &tenant).await, want);
    let got = stores.events.get(&tenant, "/shop", "130").await.unwrap().unwrap();
    assert_eq!(got, want.events[130]);
    assert_eq!(everything(stores, &other).await, others);
    // Sent once more, with its data, it is the same event still.
    stores.sink.write(world.batch(&tenant, NOON + 1, events(130..131))).await.unwrap();
    assert_eq!(everything(stores, &tenant).await, want);
}

pub(crate) async fn erased_data_is_not_in_the_tail(stores: &Stores, world: &World) {
    let (tenant, other) = (world.tenant("t"), world.tenant("u"));
    let partition = model::partition_of(&tenant, "erasure", u32::MAX - 1_000) + 1_000;
    let groups = [&tenant, &other].map(|t| Group { stamp: stamp(t, NOON), events: events(0..3) });
    let mut batch: Batch = Arc::unwrap_or_clone(world.batch_of(groups.into()));
    (batch.partition, batch.streamed) = (partition, vec![7, 8, 9, 10, 11, 12]);
    stores.sink.write(Arc::new(batch)).await.unwrap();
    let tail = async || {
        let mut tail = stores.events.tail(partition, 0, 10).await.unwrap();
        let batch = tail.pop().unwrap();
        let named = batch.events.iter().map(|e| (e.stamp.tenant.clone(), e.event.id().to_string()));
        (named.collect::<Vec<_>>(), batch.streamed)
    };
    let of = |tenant: &TenantId, ids: &[&str]| -> Vec<_> {
        ids.iter().map(|id| (tenant.clone(), (*id).to_owned())).collect()
    };
    assert_eq!(tail().await.1, [7, 8, 9, 10, 11, 12]);
    stores.erasure.erase_data(&tenant, "/shop", "1").await.unwrap();
    let want = [of(&tenant, &["0", "2"]), of(&other, &["0", "1", "2"])].concat();
    assert_eq!(tail().await, (want, vec![7, 9, 10, 11, 12]));
    stores.erasure.erase_tenant(&tenant).await.unwrap();
    assert_eq!(tail().await, (of(&other, &["0", "1", "2"]), vec![10, 11, 12]));
}

pub(crate) async fn what_is_not_there_cannot_be_erased(stores: &Stores, world: &World) {
    let (tenant, other) = (world.tenant("t"), world.tenant("u"));
    stores.sink.write(world.batch(&tenant, NOON, events(0..2))).await.unwrap();
    for (tenant, source, id) in
        [(&other, "/shop", "1"), (&tenant, "/sho", "p1"), (&tenant, "/shop", "2"), (&tenant, "/shop 1", "")]
    {
        assert!(!stores.erasure.erase_data(tenant, source, id).await.unwrap(), "{source} {id}");
    }
    assert!(walk(stores, &tenant, &oldest_first()).await.iter().all(|e| e.event.data().is_some()));
}

pub(crate) async fn expiring_keeps_what_is_younger_and_all_usage(stores: &Stores, world: &World) {
    let (tenant, other) = (world.tenant("t"), world.tenant("u"));
    write_mixed(stores, world, &[&tenant, &other]).await;
    let (before, others) = (everything(stores, &tenant).await, everything(stores, &other).await);
    stores.erasure.expire(&tenant, NOON + 2 * HOUR).await.unwrap();
    let after = everything(stores, &tenant).await;
    // A store may take away coarsely, but never what is younger.
    let younger = |e: &&StoredEvent| e.stamp.received_at_us >= NOON + 2 * HOUR;
    let kept = |all: &Everything| all.events.iter().filter(younger).cloned().collect::<Vec<_>>();
    assert_eq!(kept(&after), kept(&before));
    assert_eq!((after.records, after.sums), (before.records, before.sums));
    assert_eq!(after.count, u64::try_from(after.events.len()).unwrap());
    let of = |since: i64| EventQuery { since_us: Some(NOON + since * HOUR), ..oldest_first() };
    assert_eq!(ids(stores, &tenant, &of(2)).await.len(), 600);
    assert_eq!(ids(stores, &tenant, &of(3)).await.len(), 300);
    for stored in &after.events {
        let got = stores.events.get(&tenant, "/shop", stored.event.id()).await.unwrap();
        assert_eq!(got.as_ref(), Some(stored));
    }
    assert_eq!(everything(stores, &other).await, others);
    // What comes after is kept as ever, and what was used is not used again.
    stores.sink.write(world.batch(&tenant, NOON + 3 * HOUR, events(1_100..1_300))).await.unwrap();
    assert_eq!(ids(stores, &tenant, &of(3)).await.len(), 400);
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, 1_300);
}

pub(crate) async fn writes_go_on_while_a_tenant_is_erased(stores: &Stores, world: &World) {
    let (gone, stays) = (world.tenant("gone"), world.tenant("stays"));
    write_mixed(stores, world, &[&gone, &stays]).await;
    let writer = {
        let (stores, stays) = (stores.clone(), stays.clone());
        let batches: Vec<_> = (0..40)
            .map(|n| world.batch(&stays, NOON + 5 * HOUR, events(1_200 + n * 10..1_210 + n * 10)))
            .collect();
        tokio::spawn(async move {
            for batch in batches {
                stores.sink.write(batch).await.unwrap();
                assert!(stores.events.get(&stays, "/shop", "7").await.unwrap().is_some());
            }
        })
    };
    stores.erasure.erase_tenant(&gone).await.unwrap();
    assert_eq!(everything(stores, &gone).await, nothing());
    writer.await.unwrap();
    let now = everything(stores, &stays).await;
    assert_eq!((now.count, now.sums[0], now.records.len()), (1_600, 1_600, 1_600));
}
