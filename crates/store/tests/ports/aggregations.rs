//! Every aggregation is that of the records, in every range and bucket.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use model::{Group, Micros, PROTOCOL_FLEET, TenantId, Text};
use store::{
    Aggregation, Error, EventQuery, GROUPED_BUCKETS_MAX, GroupUsage, Grouping, METER_BYTES, METER_EVENTS,
    Origin, Stores, UsageBucket, UsageQuery, UsageRecord, record_id,
};

use super::world::{HOUR, MINUTE, NOON, SECOND, World, bucket, events, records, stamp};

fn of_event(tenant: &TenantId, source: &str, id: &str, at_us: Micros, value: u64) -> UsageRecord {
    UsageRecord {
        tenant: tenant.clone(),
        id: record_id(source, id),
        at_us,
        origin: Origin::Event { source: source.into(), id: id.into() },
        customer: None,
        event_type: None,
        meters: vec![("own/x".into(), value)],
    }
}

fn other(tenant: &TenantId, id: &str, at_us: Micros, values: &[u64]) -> UsageRecord {
    UsageRecord {
        tenant: tenant.clone(),
        id: id.into(),
        at_us,
        origin: Origin::Other { kind: "delivery".into(), reference: id.into() },
        customer: None,
        event_type: None,
        meters: values.iter().map(|value| ("own/x".into(), *value)).collect(),
    }
}

/// What the port says, told from the records at hand.
fn expected(records: &[UsageRecord], aggregation: Aggregation, query: &UsageQuery) -> Vec<UsageBucket> {
    let (since, until) = (query.since_us.unwrap_or(Micros::MIN), query.until_us.unwrap_or(Micros::MAX));
    let mut buckets: BTreeMap<i64, Vec<(&UsageRecord, u64)>> = BTreeMap::new();
    for record in records.iter().filter(|r| (since..until).contains(&r.at_us)) {
        let width = query.bucket_us;
        let start = if width == 0 { 0 } else { record.at_us.div_euclid(width) * width };
        if let Some(value) = record.value_of("own/x") {
            buckets.entry(start).or_default().push((record, value));
        }
    }
    let put_together = |(start, found): (i64, Vec<(&UsageRecord, u64)>)| {
        let values = || found.iter().map(|(_, value)| *value);
        let latest = || found.iter().max_by_key(|(r, _)| (r.at_us, r.id.to_string())).unwrap().1;
        let value = match aggregation {
            Aggregation::Sum => values().fold(0, u64::saturating_add),
            Aggregation::Count => values().count() as u64,
            Aggregation::Unique => values().collect::<BTreeSet<_>>().len() as u64,
            Aggregation::Max => values().max().unwrap(),
            Aggregation::Latest => latest(),
        };
        let first = || found.iter().map(|(r, _)| r.at_us).min().unwrap().div_euclid(MINUTE) * MINUTE;
        bucket(if query.bucket_us == 0 { first() } else { start }, value)
    };
    buckets.into_iter().map(put_together).collect()
}

pub(crate) async fn each_is_that_of_the_records(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let at = |n: i64| NOON + n * 17 * MINUTE + n * SECOND;
    let mut records: Vec<_> =
        (0..120).map(|n| of_event(&tenant, "/s", &n.to_string(), at(n), (n as u64 * 7) % 11)).collect();
    // Before 1970, at both ends of numbers, of several values, at one moment, and of another meter.
    records.push(other(&tenant, "early", -90 * MINUTE - 1, &[u64::MAX]));
    records.push(other(&tenant, "many", at(3), &[5, 6, 7]));
    records.push(other(&tenant, "none", at(200), &[0]));
    records.push(UsageRecord { meters: vec![("calls".into(), 9)], ..other(&tenant, "calls", at(4), &[]) });
    for part in records.chunks(50) {
        stores.usage.write(part.to_vec()).await.unwrap();
    }
    stores.usage.write(records[..7].to_vec()).await.unwrap();
    let ranges = [
        (None, None),
        (Some(at(10)), Some(at(50))),
        (Some(at(10) + 1), None),
        (None, Some(at(10) + 1)),
        (Some(at(50)), Some(at(50))),
        (Some(at(50)), Some(at(10))),
        (Some(at(300)), None),
    ];
    for aggregation in Aggregation::ALL {
        for (since_us, until_us) in ranges {
            for bucket_us in [0, MINUTE, HOUR, 24 * HOUR] {
                let query = UsageQuery { since_us, until_us, bucket_us, ..UsageQuery::default() };
                let found = stores.usage.aggregate(&tenant, "own/x", aggregation, &query).await.unwrap();
                assert_eq!(found, expected(&records, aggregation, &query), "{aggregation:?} {query:?}");
            }
        }
        let none = stores.usage.aggregate(&tenant, "own/y", aggregation, &UsageQuery::default()).await;
        assert_eq!(none.unwrap(), [], "{aggregation:?}");
        let narrow = UsageQuery { bucket_us: MINUTE + 1, ..UsageQuery::default() };
        let refused = stores.usage.aggregate(&tenant, "own/x", aggregation, &narrow).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{aggregation:?}: {refused:?}");
    }
}

pub(crate) async fn the_latest_is_by_time_then_id(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let all = [("b", NOON, 2), ("c", NOON, 3), ("a", NOON, 1), ("z", NOON - 1, 26)];
    for (id, at, value) in all {
        stores.usage.write(vec![other(&tenant, id, at, &[value])]).await.unwrap();
    }
    let query = UsageQuery::default();
    let latest = stores.usage.aggregate(&tenant, "own/x", Aggregation::Latest, &query).await.unwrap();
    assert_eq!(latest, [bucket(NOON - MINUTE, 3)]);
}

/// Records of several sources, types and customers, and some that have none.
fn of_several(tenant: &TenantId) -> Vec<UsageRecord> {
    let mut records = vec![other(tenant, "one", NOON, &[100])];
    let customers = [Some("jane"), Some("joe"), None, Some("jane"), Some("joe")];
    let types = ["sold", "opened", "sold", "closed", "opened"];
    for (n, source) in ["/b", "/a", "/b", "/ä", "/b"].into_iter().enumerate() {
        let at = NOON + n as i64 * 40 * MINUTE;
        records.push(UsageRecord {
            customer: customers[n].map(|id| id.parse().unwrap()),
            event_type: Some(types[n].into()),
            ..of_event(tenant, source, &n.to_string(), at, n as u64 % 2)
        });
    }
    // An id of its own, so that the source is not a part of it. Of a time when types and customers were not kept.
    records.push(UsageRecord { id: "named".into(), ..of_event(tenant, "/a", "9", NOON, 50) });
    records
}

pub(crate) async fn groups_are_told_apart(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let records = of_several(&tenant);
    stores.usage.write(records.clone()).await.unwrap();
    for by in [Grouping::Source, Grouping::EventType, Grouping::Customer] {
        let groups: BTreeSet<Option<&Text>> = records.iter().map(|r| r.group(by)).collect();
        assert!(groups.len() > 2 && groups.contains(&None));
        for (aggregation, bucket_us) in Aggregation::ALL.into_iter().flat_map(|a| [(a, 0), (a, HOUR)]) {
            let query =
                UsageQuery { bucket_us, until_us: Some(NOON + 150 * MINUTE), ..UsageQuery::default() };
            let want = |wanted: &Option<&Text>| {
                let own: Vec<_> = records.iter().filter(|r| r.group(by) == *wanted).cloned().collect();
                GroupUsage { group: wanted.cloned(), buckets: expected(&own, aggregation, &query) }
            };
            let want: Vec<_> = groups.iter().map(want).filter(|group| !group.buckets.is_empty()).collect();
            let found = stores.usage.grouped(&tenant, "own/x", aggregation, by, &query).await.unwrap();
            assert_eq!(found, want, "{by:?} {aggregation:?} {bucket_us}");
        }
    }
}

pub(crate) async fn a_customers_use_is_a_part(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let records = of_several(&tenant);
    for _ in 0..2 {
        stores.usage.write(records.clone()).await.unwrap();
    }
    for customer in ["jane", "joe", "jan", "nobody"] {
        let customer = Some(customer.parse().unwrap());
        let own: Vec<_> = records.iter().filter(|r| r.customer == customer).cloned().collect();
        for (since_us, until_us) in
            [(None, None), (Some(NOON + 1), None), (Some(NOON), Some(NOON + 41 * MINUTE + 7))]
        {
            for (aggregation, bucket_us) in Aggregation::ALL.into_iter().flat_map(|a| [(a, 0), (a, HOUR)]) {
                let customer = customer.clone();
                let query = UsageQuery { since_us, until_us, bucket_us, customer, ..UsageQuery::default() };
                let want = expected(&own, aggregation, &query);
                let found = stores.usage.aggregate(&tenant, "own/x", aggregation, &query).await.unwrap();
                assert_eq!(found, want, "{aggregation:?} {query:?}");
            }
        }
        let query = UsageQuery { customer, limit: 1, ..UsageQuery::default() };
        let mut listed = self::records(stores, &tenant, &query).await;
        listed.sort_by_key(|record| record.at_us);
        assert_eq!(listed, own);
    }
    let having = |meter: &'static str| UsageQuery { meter: Some(meter.into()), ..UsageQuery::default() };
    assert_eq!(self::records(stores, &tenant, &having("own/x")).await.len(), records.len());
    assert_eq!(self::records(stores, &tenant, &having(METER_EVENTS)).await, []);
}

pub(crate) async fn events_are_their_customers(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let mut of_jane = (*stamp(&tenant, NOON)).clone();
    of_jane.customer = Some("jane".parse().unwrap());
    let groups = vec![
        Group { stamp: stamp(&tenant, NOON), events: events(0..3) },
        Group { stamp: Arc::new(of_jane), events: events(3..5) },
    ];
    let mut batch = Arc::unwrap_or_clone(world.batch_of(groups));
    batch.metered = vec![(0, vec![("own/x".into(), 1)]), (4, vec![("own/x".into(), 7)])];
    let batch = Arc::new(batch);
    for _ in 0..2 {
        stores.sink.write(Arc::clone(&batch)).await.unwrap();
    }
    let janes = UsageQuery { customer: Some("jane".parse().unwrap()), ..UsageQuery::default() };
    let sum = async |meter, query: &UsageQuery| stores.usage.sum(&tenant, meter, query).await.unwrap();
    let size = |ids| events(ids).iter().map(|e| u64::try_from(e.size()).unwrap()).sum::<u64>();
    for (meter, all, part) in [(METER_EVENTS, 5, 2), (METER_BYTES, size(0..5), size(3..5)), ("own/x", 8, 7)] {
        assert_eq!(sum(meter, &UsageQuery::default()).await, [bucket(NOON, all)], "{meter}");
        assert_eq!(sum(meter, &janes).await, [bucket(NOON, part)], "{meter}");
    }
    let listed = records(stores, &tenant, &janes).await;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|record| record.event_type.as_deref() == Some("order.placed")));
    // Whoever is erased leaves nothing of their customers' either.
    stores.erasure.erase_tenant(&tenant).await.unwrap();
    assert_eq!(sum(METER_EVENTS, &janes).await, []);
}

pub(crate) async fn what_the_fleet_tells_is_stored_and_not_metered(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let mut told = (*stamp(&tenant, NOON)).clone();
    told.protocol = Text::from_static(PROTOCOL_FLEET);
    let groups = vec![
        Group { stamp: stamp(&tenant, NOON), events: events(0..3) },
        Group { stamp: Arc::new(told), events: events(3..5) },
    ];
    let batch = world.batch_of(groups);
    for _ in 0..2 {
        stores.sink.write(Arc::clone(&batch)).await.unwrap();
    }
    assert_eq!(stores.events.count(&tenant, &EventQuery::default()).await.unwrap(), 5);
    let query = UsageQuery::default();
    let metered = stores.usage.sum(&tenant, METER_EVENTS, &query).await.unwrap();
    assert_eq!(metered, [bucket(NOON, 3)]);
    assert_eq!(records(stores, &tenant, &query).await.len(), 3);
}

pub(crate) async fn the_two_meters_of_every_event_too(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    stores.sink.write(world.batch(&tenant, NOON, events(0..9))).await.unwrap();
    stores.sink.write(world.batch(&tenant, NOON + HOUR, events(9..12))).await.unwrap();
    let sizes: BTreeSet<_> = events(0..12).iter().map(|e| u64::try_from(e.size()).unwrap()).collect();
    let query = UsageQuery::default();
    let of = async |meter, aggregation| {
        let found = stores.usage.aggregate(&tenant, meter, aggregation, &query).await.unwrap();
        found.iter().map(|b| b.value).collect::<Vec<_>>()
    };
    assert_eq!(of(METER_EVENTS, Aggregation::Count).await, [12]);
    assert_eq!(of(METER_EVENTS, Aggregation::Unique).await, [1]);
    assert_eq!(of(METER_BYTES, Aggregation::Max).await, [*sizes.last().unwrap()]);
    assert_eq!(of(METER_BYTES, Aggregation::Unique).await, [sizes.len() as u64]);
    assert!(of("own/x", Aggregation::Count).await.is_empty());
    let found = stores
        .usage
        .grouped(&tenant, METER_EVENTS, Aggregation::Sum, Grouping::Source, &query)
        .await
        .unwrap();
    assert_eq!(found, [GroupUsage { group: Some("/shop".into()), buckets: vec![bucket(NOON, 12)] }]);
}

pub(crate) async fn own_meters_are_kept_with_their_events(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let mut batch = Arc::unwrap_or_clone(world.batch(&tenant, NOON, events(0..4)));
    let own = |name: &str, value: u64| (Text::from(format!("own/{name}")), value);
    batch.metered = vec![(1, vec![own("x", 7), own("y", 0)]), (3, vec![own("x", 5)])];
    let batch = Arc::new(batch);
    for _ in 0..2 {
        stores.sink.write(Arc::clone(&batch)).await.unwrap();
    }
    let query = UsageQuery::default();
    for (meter, aggregation, want) in [
        ("own/x", Aggregation::Sum, 12),
        ("own/x", Aggregation::Count, 2),
        ("own/y", Aggregation::Count, 1),
        (METER_EVENTS, Aggregation::Sum, 4),
        (METER_EVENTS, Aggregation::Count, 4),
    ] {
        let found = stores.usage.aggregate(&tenant, meter, aggregation, &query).await.unwrap();
        assert_eq!(found, [bucket(NOON, want)], "{meter} {aggregation:?}");
    }
    let listed = records(stores, &tenant, &query).await;
    let meters_of =
        |id: &str| listed.iter().find(|r| *r.id == *record_id("/shop", id)).unwrap().meters.clone();
    assert_eq!(meters_of("0").len(), 2);
    assert_eq!(meters_of("1")[2..], [own("x", 7), own("y", 0)]);
}

pub(crate) async fn too_many_sources_are_refused(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let most = i64::try_from(GROUPED_BUCKETS_MAX).unwrap();
    let all: Vec<_> =
        (0..=most).map(|n| of_event(&tenant, "/s", &n.to_string(), NOON + n * MINUTE, 1)).collect();
    for part in all.chunks(10_000) {
        stores.usage.write(part.to_vec()).await.unwrap();
    }
    let query = UsageQuery { bucket_us: MINUTE, ..UsageQuery::default() };
    let refused = stores.usage.grouped(&tenant, "own/x", Aggregation::Count, Grouping::Source, &query).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    let query = UsageQuery { since_us: Some(NOON + MINUTE), ..query };
    let found =
        stores.usage.grouped(&tenant, "own/x", Aggregation::Count, Grouping::Source, &query).await.unwrap();
    assert_eq!(found[0].buckets.len(), GROUPED_BUCKETS_MAX);
}
