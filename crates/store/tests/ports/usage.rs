//! Usage is exact: each record once, each sum that of its records.

use model::{Micros, TenantId, Text};
use store::{
    Error, METER_BYTES, METER_EVENTS, METER_NAME_MAX, Meters, Origin, Stores, UsageQuery, UsageRecord,
    record_id,
};

use super::world::{HOUR, MINUTE, NOON, SECOND, World, bucket, events, records, total, walk};

fn other(tenant: &TenantId, id: &str, at_us: Micros, meters: &[(&'static str, u64)]) -> UsageRecord {
    UsageRecord {
        tenant: tenant.clone(),
        id: id.into(),
        at_us,
        origin: Origin::Other { kind: "delivery".into(), reference: format!("attempt of {id}").into() },
        customer: None,
        event_type: None,
        meters: meters_of(meters),
    }
}

fn meters_of(meters: &[(&'static str, u64)]) -> Meters {
    meters.iter().map(|(name, value)| (Text::from_static(name), *value)).collect()
}

pub(crate) async fn sums_equal_the_events(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let mut size = 0;
    for n in 0..20u32 {
        let events = events(n * 37..n * 37 + 37 + n % 3);
        stores.sink.write(world.batch(&tenant, NOON + i64::from(n) * 25 * SECOND, events)).await.unwrap();
    }
    for stored in walk(stores, &tenant, &store::EventQuery::default()).await {
        size += u64::try_from(stored.event.size()).unwrap();
    }
    let count = stores.events.count(&tenant, &store::EventQuery::default()).await.unwrap();
    assert_eq!(count, 19 * 37 + 38, "overlaps count once");
    assert_eq!(total(stores, &tenant, METER_EVENTS).await, count);
    assert_eq!(total(stores, &tenant, METER_BYTES).await, size);
    let all = records(stores, &tenant, &UsageQuery::default()).await;
    let listed: u64 =
        all.iter().flat_map(|r| &r.meters).filter(|(m, _)| m == METER_BYTES).map(|(_, v)| v).sum();
    assert_eq!((u64::try_from(all.len()).unwrap(), listed), (count, size));
    assert_eq!(total(stores, &tenant, "nothing").await, 0);
}

pub(crate) async fn records_are_kept_once(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let first = other(&tenant, "a", NOON, &[("calls", 3), ("ms", 40)]);
    stores.usage.write(vec![first.clone(), first.clone()]).await.unwrap();
    stores.usage.write(vec![first.clone()]).await.unwrap();
    stores.usage.write(vec![other(&tenant, "b", NOON, &[("calls", 4)])]).await.unwrap();
    assert_eq!(total(stores, &tenant, "calls").await, 7);
    assert_eq!(total(stores, &tenant, "ms").await, 40);
    let all = records(stores, &tenant, &UsageQuery::default()).await;
    assert_eq!(all, [first, other(&tenant, "b", NOON, &[("calls", 4)])]);
}

pub(crate) async fn buckets(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    // Not on a minute, hour or day.
    let at = |n: i64| NOON + 17 * SECOND + n * 13 * MINUTE;
    let all = (0..50).map(|n| other(&tenant, &n.to_string(), at(n), &[("calls", 1 << n)]));
    stores.usage.write(all.collect()).await.unwrap();
    let early = other(&tenant, "early", -90 * MINUTE - 1, &[("calls", 1 << 60)]);
    stores.usage.write(vec![early]).await.unwrap();
    for width in [MINUTE, 7 * MINUTE, HOUR, 24 * HOUR] {
        let query = UsageQuery { bucket_us: width, ..UsageQuery::default() };
        let mut want =
            std::collections::BTreeMap::from([((-90 * MINUTE - 1).div_euclid(width) * width, 1 << 60)]);
        (0..50).for_each(|n| *want.entry(at(n).div_euclid(width) * width).or_insert(0) += 1 << n);
        let want: Vec<_> = want.into_iter().map(|(start, value)| bucket(start, value)).collect();
        assert_eq!(stores.usage.sum(&tenant, "calls", &query).await.unwrap(), want, "width {width}");
    }
    let since = UsageQuery { since_us: Some(NOON), ..UsageQuery::default() };
    let sum = stores.usage.sum(&tenant, "calls", &since).await.unwrap();
    assert_eq!(sum, [bucket(NOON, (1 << 50) - 1)], "one bucket, from the first record's minute");
    assert_eq!(stores.usage.sum(&tenant, "call", &since).await.unwrap(), []);
}

pub(crate) async fn ranges_are_exact_to_the_microsecond(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let at = |n: u32| NOON + i64::from(n) * 7 * SECOND + i64::from(n);
    for chunk in (0..60).collect::<Vec<u32>>().chunks(11) {
        let records = chunk.iter().map(|n| other(&tenant, &n.to_string(), at(*n), &[("calls", 1 << n)]));
        stores.usage.write(records.collect()).await.unwrap();
    }
    let ranges = [
        (at(0), at(60)),
        (at(1), at(2)),
        (at(1), at(1)),
        (at(3) + 1, at(4)),
        (at(3) + 1, at(4) + 1),
        (NOON, NOON + MINUTE),
        (NOON + MINUTE, NOON + 3 * MINUTE),
        (NOON + 59 * SECOND, NOON + 61 * SECOND),
        (NOON + 30 * SECOND, NOON + 4 * MINUTE + 30 * SECOND),
        (NOON + MINUTE - 1, NOON + MINUTE),
        (NOON + MINUTE, NOON + MINUTE - 1),
        (Micros::MIN, Micros::MAX),
        (Micros::MIN, at(30)),
        (at(30), Micros::MAX),
    ];
    for (since, until) in ranges {
        let query = UsageQuery { since_us: Some(since), until_us: Some(until), ..UsageQuery::default() };
        let inside = |n: &u32| (since..until).contains(&at(*n));
        let want: u64 = (0..60).filter(inside).map(|n| 1u64 << n).sum();
        let got: u64 =
            stores.usage.sum(&tenant, "calls", &query).await.unwrap().iter().map(|b| b.value).sum();
        assert_eq!(got, want, "{since}..{until}");
        let listed = records(stores, &tenant, &query).await;
        let ids: Vec<_> = listed.iter().map(|r| r.id.to_string()).collect();
        assert_eq!(
            ids,
            (0..60).filter(inside).map(|n| n.to_string()).collect::<Vec<_>>(),
            "{since}..{until}"
        );
        let minutes = UsageQuery { bucket_us: MINUTE, ..query };
        let by_minute = stores.usage.sum(&tenant, "calls", &minutes).await.unwrap();
        assert_eq!(by_minute.iter().map(|b| b.value).sum::<u64>(), want, "{since}..{until}");
        assert!(by_minute.is_sorted_by(|a, b| a.start_us < b.start_us), "{since}..{until}");
    }
}

pub(crate) async fn lists_walk_all(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    for n in 0..7u32 {
        stores.sink.write(world.batch(&tenant, NOON, events(n * 100..n * 100 + 100))).await.unwrap();
        let one = other(&tenant, &format!("extra {n}"), NOON + 1, &[("calls", 1)]);
        stores.usage.write(vec![one]).await.unwrap();
    }
    let mut want: Vec<_> = (0..700u32).map(|n| record_id("/shop", &n.to_string()).to_string()).collect();
    want.extend((0..7u32).map(|n| format!("extra {n}")));
    want.sort_unstable();
    let mut first = Vec::new();
    for limit in [0, 1, 33, 10_000] {
        let all = records(stores, &tenant, &UsageQuery { limit, ..UsageQuery::default() }).await;
        let mut ids: Vec<_> = all.iter().map(|record| record.id.to_string()).collect();
        ids.sort_unstable();
        assert_eq!(ids, want, "limit {limit}");
        if first.is_empty() {
            first.clone_from(&all);
        }
        assert!(all == first, "the order is the same with limit {limit}");
    }
}

pub(crate) async fn tenants_are_billed_apart(stores: &Stores, world: &World) {
    let (a, b): (TenantId, TenantId) =
        (world.tenant("t"), format!("{}-b", world.tenant("t")).parse().unwrap());
    stores.sink.write(world.batch(&a, NOON, events(0..3))).await.unwrap();
    stores.sink.write(world.batch(&b, NOON, events(0..5))).await.unwrap();
    stores.usage.write(vec![other(&b, "x", NOON, &[(METER_EVENTS, 10)])]).await.unwrap();
    assert_eq!(total(stores, &a, METER_EVENTS).await, 3);
    assert_eq!(total(stores, &b, METER_EVENTS).await, 15);
    assert_eq!(records(stores, &a, &UsageQuery::default()).await.len(), 3);
    assert_eq!(records(stores, &world.tenant("c"), &UsageQuery::default()).await, []);
}

pub(crate) async fn origins_come_back(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let of = |id: Text, origin, meters| UsageRecord {
        tenant: tenant.clone(),
        id,
        at_us: NOON,
        origin,
        customer: None,
        event_type: None,
        meters,
    };
    let event = |source: &str, id: &str| Origin::Event { source: source.into(), id: id.into() };
    let all = vec![
        of(record_id("/s", "1"), event("/s", "1"), meters_of(&[("events", 1), ("bytes", 0)])),
        of("named".into(), event("/s", "2"), meters_of(&[("rows", u64::MAX)])),
        of(
            "other".into(),
            Origin::Other { kind: "wasm".into(), reference: "".into() },
            meters_of(&[("fuel", 0)]),
        ),
        of("ä ö".into(), Origin::Other { kind: "".into(), reference: "x y".into() }, meters_of(&[("", 7)])),
    ];
    stores.usage.write(all.clone()).await.unwrap();
    assert_eq!(records(stores, &tenant, &UsageQuery::default()).await, all);
    assert_eq!(total(stores, &tenant, "rows").await, u64::MAX);
    assert_eq!(total(stores, &tenant, "").await, 7);
}

pub(crate) async fn bad_widths_and_names_are_refused(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    for bucket_us in [1, MINUTE - 1, MINUTE + 1, -MINUTE, i64::MIN, i64::MAX] {
        let query = UsageQuery { bucket_us, ..UsageQuery::default() };
        let sum = stores.usage.sum(&tenant, "calls", &query).await;
        assert!(matches!(sum, Err(Error::Invalid(_))), "{bucket_us}: {sum:?}");
    }
    let named = |len: usize| {
        let mut record = other(&tenant, &len.to_string(), NOON, &[]);
        record.meters.push(("m".repeat(len).into(), 1));
        record
    };
    let refused = stores.usage.write(vec![named(1), named(METER_NAME_MAX + 1)]).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    assert_eq!(records(stores, &tenant, &UsageQuery::default()).await, [], "none of them is kept");
    stores.usage.write(vec![named(METER_NAME_MAX)]).await.unwrap();
    assert_eq!(total(stores, &tenant, &"m".repeat(METER_NAME_MAX)).await, 1);
}
