//! Events come back as they were, to their own tenant, by identity and by filter.

use std::sync::Arc;

use bytes::Bytes;
use model::{AttributeValue, CloudEvent, Data, Group, Micros, Text};
use store::{EventQuery, Place, Stores};

use super::world::{HOUR, MINUTE, NOON, World, builder, event, events, ids, oldest_first, stamp, walk};

/// Writes one event and gives what the store makes of it.
async fn through(stores: &Stores, world: &World, event: &CloudEvent) -> CloudEvent {
    let tenant = world.tenant("t");
    stores.sink.write(world.batch(&tenant, NOON, vec![event.clone()])).await.unwrap();
    let stored = stores.events.get(&tenant, event.source(), event.id()).await.unwrap().unwrap();
    assert_eq!(walk(stores, &tenant, &EventQuery::default()).await, std::slice::from_ref(&stored));
    stored.event
}

pub(crate) async fn every_attribute_type_comes_back(stores: &Stores, world: &World) {
    let event = CloudEvent::builder("ä/1 2?", "https://example.com/a%20b?c=d#e", "com.example.Ünï")
        .subject("sub ject")
        .time("2026-11-21T10:00:00.123456789+05:30")
        .dataschema("https://example.com/schema")
        .text("application/json; charset=utf-8", "{\"a\" : 1.0e2,\n \"b\":\"\\u00e4\"}")
        .extension("yes", AttributeValue::Boolean(true))
        .extension("no", AttributeValue::Boolean(false))
        .extension("least", AttributeValue::Integer(i32::MIN))
        .extension("most", AttributeValue::Integer(i32::MAX))
        .extension("string", AttributeValue::String("ö \u{1f600}".into()))
        .extension("empty", AttributeValue::String("".into()))
        .extension("binary", AttributeValue::Binary(Bytes::from_static(b"\0\xff\x80")))
        .extension("uri", AttributeValue::Uri("urn:isbn:1".into()))
        .extension("uriref", AttributeValue::UriRef("../x".into()))
        .extension("timestamp", AttributeValue::Timestamp("2026-11-21T10:00:00-08:00".into()))
        .build()
        .unwrap();
    let back = through(stores, world, &event).await;
    assert_eq!(back, event);
    assert_eq!(back.time().unwrap(), "2026-11-21T10:00:00.123456789+05:30", "the offset is kept");
}

pub(crate) async fn the_receipt_comes_back(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let groups = vec![
        Group { stamp: stamp(&tenant, NOON), events: events(0..2) },
        Group { stamp: stamp(&tenant, NOON + 7), events: events(2..4) },
    ];
    let batch = world.batch_of(groups);
    let before = now();
    stores.sink.write(Arc::clone(&batch)).await.unwrap();
    let stored = stores.events.get(&tenant, "/shop", "3").await.unwrap().unwrap();
    assert!((before..=now()).contains(&stored.place.stored_at_us), "{:?}", stored.place);
    let place = Place {
        partition: batch.partition,
        raw_sequence: batch.raw_sequence,
        raw_stored_at_us: batch.raw_stored_at_us,
        normalized_at_us: batch.normalized_at_us,
        events_sequence: batch.sequence,
        events_stored_at_us: batch.stored_at_us,
        index: 3,
        stored_at_us: stored.place.stored_at_us,
    };
    assert_eq!(stored.place, place);
    assert_eq!(stored.stamp, stamp(&tenant, NOON + 7));
    let mut plain = (*stamp(&tenant, NOON)).clone();
    plain.source = None;
    let group = Group { stamp: plain.clone().into(), events: events(4..5) };
    stores.sink.write(world.batch_of(vec![group])).await.unwrap();
    assert_eq!(*stores.events.get(&tenant, "/shop", "4").await.unwrap().unwrap().stamp, plain);
}

fn now() -> Micros {
    use model::Clock as _;
    model::SystemClock.now()
}

pub(crate) async fn no_data_differs_from_empty_data(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let data = [
        None,
        Some(Data::Text("".into())),
        Some(Data::Binary(Bytes::new())),
        Some(Data::Proto(Bytes::new())),
        Some(Data::Text("null".into())),
        Some(Data::Binary(Bytes::from_static(b"null"))),
        Some(Data::Proto(Bytes::from_static(b"\x0a\x01t"))),
    ];
    let events: Vec<_> =
        (0..).zip(&data).map(|(id, data): (u32, _)| event(id).with_data(data.clone())).collect();
    stores.sink.write(world.batch(&tenant, NOON, events.clone())).await.unwrap();
    let back = walk(stores, &tenant, &oldest_first()).await;
    assert_eq!(back.into_iter().map(|e| e.event).collect::<Vec<_>>(), events);
}

pub(crate) async fn a_megabyte_comes_back(stores: &Stores, world: &World) {
    // Not compressible, so that nothing gets by because it is small on disk.
    let mut state = 7u64;
    let noise = (0..1 << 20).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    let event = builder(1).datacontenttype("application/octet-stream").data(Data::Binary(noise.collect()));
    let event = event.build().unwrap();
    assert_eq!(through(stores, world, &event).await, event);
    let zeros = builder(2).data(Data::Binary(vec![0; 1 << 20].into())).build().unwrap();
    let tenant = world.tenant("zeros");
    stores.sink.write(world.batch(&tenant, NOON, vec![zeros.clone()])).await.unwrap();
    assert_eq!(stores.events.get(&tenant, "/shop", "2").await.unwrap().unwrap().event, zeros);
}

pub(crate) async fn tenants_are_apart(stores: &Stores, world: &World) {
    // Names of which one begins with the other.
    let (a, b) = (world.tenant("t"), format!("{}-b", world.tenant("t")).parse().unwrap());
    let of = |name: &str| builder(1).subject(name).build().unwrap();
    stores.sink.write(world.batch(&a, NOON, vec![of("a")])).await.unwrap();
    stores.sink.write(world.batch(&b, NOON + 1, vec![of("b"), event(2)])).await.unwrap();
    assert_eq!(stores.events.get(&a, "/shop", "1").await.unwrap().unwrap().event, of("a"));
    assert_eq!(stores.events.get(&b, "/shop", "1").await.unwrap().unwrap().event, of("b"));
    assert_eq!(stores.events.get(&a, "/shop", "2").await.unwrap(), None);
    assert_eq!(ids(stores, &a, &oldest_first()).await, ["1"]);
    assert_eq!(ids(stores, &b, &oldest_first()).await, ["1", "2"]);
    assert_eq!(stores.events.count(&a, &EventQuery::default()).await.unwrap(), 1);
    let since = EventQuery { since_us: Some(NOON), ..oldest_first() };
    assert_eq!(ids(stores, &a, &since).await, ["1"]);
    let nobody = world.tenant("nobody");
    assert_eq!(walk(stores, &nobody, &EventQuery::default()).await, []);
    assert_eq!(stores.events.count(&nobody, &since).await.unwrap(), 0);
}

pub(crate) async fn an_unknown_event_is_none(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    stores.sink.write(world.batch(&tenant, NOON, events([1]))).await.unwrap();
    for (source, id) in [("/shop", "2"), ("/shop2", "1"), ("", ""), ("/shop 1", ""), ("", "/shop 1")] {
        assert_eq!(stores.events.get(&tenant, source, id).await.unwrap(), None, "{source:?} {id:?}");
    }
    assert_eq!(stores.events.get(&world.tenant("u"), "/shop", "1").await.unwrap(), None);
}

pub(crate) async fn names_that_look_alike_are_apart(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    let of = |source: &'static str, id: &'static str| {
        CloudEvent::builder(Text::from_static(id), Text::from_static(source), "t").build().unwrap()
    };
    let alike = vec![of("/a", "b c"), of("/a", "b"), of("/ab", "c"), of("/a", "/a b"), of("/A", "b")];
    stores.sink.write(world.batch(&tenant, NOON, alike.clone())).await.unwrap();
    assert_eq!(stores.events.count(&tenant, &EventQuery::default()).await.unwrap(), 5);
    for event in alike {
        let back = stores.events.get(&tenant, event.source(), event.id()).await.unwrap().unwrap();
        assert_eq!(back.event, event);
    }
}

pub(crate) async fn times_before_1970_and_after_2100(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    // 1677 to 2262: what nanoseconds in 64 bits can say, which is less than microseconds can.
    let times = [-9_000_000_000_000_000, -1, 0, NOON, 4_200_000_000_000_000, 9_000_000_000_000_000];
    for (id, at) in (0u32..).zip(times) {
        let event = builder(id).time(model::format_rfc3339(at)).build().unwrap();
        stores.sink.write(world.batch(&tenant, at, vec![event])).await.unwrap();
    }
    assert_eq!(ids(stores, &tenant, &oldest_first()).await, ["0", "1", "2", "3", "4", "5"]);
    for (id, at) in (0u32..).zip(times) {
        let instant = EventQuery { since_us: Some(at), until_us: Some(at + 1), ..EventQuery::default() };
        assert_eq!(ids(stores, &tenant, &instant).await, [id.to_string()]);
        let stored = stores.events.get(&tenant, "/shop", &id.to_string()).await.unwrap().unwrap();
        assert_eq!((stored.stamp.received_at_us, stored.event.time_us()), (at, Some(at)));
        let before = EventQuery { until_us: Some(at), ..EventQuery::default() };
        assert_eq!(stores.events.count(&tenant, &before).await.unwrap(), u64::from(id));
    }
}

pub(crate) async fn filters(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    // 30 sources, 20 types, 15 subjects or none: several blocks' worth, with more values than a list keeps.
    let of = |n: u32| {
        let event = CloudEvent::builder(n.to_string(), format!("/s{}", n % 30), format!("t{}", n % 20));
        let event = if n % 16 == 15 { event } else { event.subject(format!("j{}", n % 16)) };
        event.build().unwrap()
    };
    let all: Vec<_> = (0..500).map(of).collect();
    for chunk in all.chunks(70) {
        stores.sink.write(world.batch(&tenant, NOON, chunk.to_vec())).await.unwrap();
    }
    let texts = |names: &[&'static str]| names.iter().map(|n| Text::from_static(n)).collect::<Vec<_>>();
    let cases: &[(&[&str], &[&str], &[&str])] = &[
        (&[], &[], &[]),
        (&["t3"], &[], &[]),
        (&["t3", "t4", "nothing"], &[], &[]),
        (&[], &["/s0", "/s29"], &[]),
        (&[], &[], &["j7"]),
        (&["t3"], &["/s3", "/s13"], &["j1", "j3", "j5", "j7"]),
        (&["nothing"], &[], &[]),
        (&["t"], &[], &[]),
        (&["t3"], &["/s4"], &[]),
        (&[], &[], &[""]),
    ];
    for (types, sources, subjects) in cases {
        let query = EventQuery {
            types: texts(types),
            sources: texts(sources),
            subjects: texts(subjects),
            limit: 7,
            ..oldest_first()
        };
        let stamp = stamp(&tenant, NOON);
        let want = all.iter().filter(|e| query.matches(&stamp, e)).map(|e| e.id().to_string());
        let want: Vec<_> = want.collect();
        assert_eq!(ids(stores, &tenant, &query).await, want, "{types:?} {sources:?} {subjects:?}");
        assert_eq!(
            stores.events.count(&tenant, &query).await.unwrap(),
            u64::try_from(want.len()).unwrap(),
            "{types:?} {sources:?} {subjects:?}"
        );
    }
}

pub(crate) async fn time_ranges(stores: &Stores, world: &World) {
    let tenant = world.tenant("t");
    // Three days, an event each 37 minutes, not in order: what waited out an outage arrives late.
    let mut times: Vec<_> = (0..117u32).map(|n| (n, NOON + i64::from(n) * 37 * MINUTE)).collect();
    times.sort_by_key(|(n, _)| n.wrapping_mul(2_654_435_761) % 117);
    for (n, at) in &times {
        stores.sink.write(world.batch(&tenant, *at, events([*n]))).await.unwrap();
    }
    let day = 24 * HOUR;
    let midnight = NOON.div_euclid(day) * day + day;
    let ranges = [
        (None, None),
        (Some(NOON), None),
        (None, Some(NOON)),
        (None, Some(NOON + 1)),
        (Some(NOON + 1), Some(NOON + 37 * MINUTE)),
        (Some(NOON + 37 * MINUTE), Some(NOON + 37 * MINUTE + 1)),
        (Some(NOON + HOUR), Some(NOON + 5 * HOUR)),
        (Some(midnight), Some(midnight + day)),
        (Some(midnight - 1), Some(midnight + 2 * day + 1)),
        (Some(NOON), Some(midnight)),
        (Some(midnight + HOUR), Some(midnight + day + HOUR)),
        (Some(NOON + HOUR), Some(NOON)),
        (Some(Micros::MIN), Some(Micros::MAX)),
    ];
    for (since_us, until_us) in ranges {
        let query = EventQuery { since_us, until_us, limit: 10, ..oldest_first() };
        let inside = |at: Micros| since_us.is_none_or(|t| at >= t) && until_us.is_none_or(|t| at < t);
        let mut want: Vec<_> =
            times.iter().filter(|(_, at)| inside(*at)).map(|(n, _)| n.to_string()).collect();
        let mut got = ids(stores, &tenant, &query).await;
        want.sort_unstable();
        got.sort_unstable();
        assert_eq!(got, want, "{since_us:?} {until_us:?}");
        let count = stores.events.count(&tenant, &query).await.unwrap();
        assert_eq!(count, u64::try_from(want.len()).unwrap(), "{since_us:?} {until_us:?}");
    }
}
