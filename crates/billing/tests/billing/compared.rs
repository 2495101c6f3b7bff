//! Usage records held against their events.

use std::sync::Arc;

use billing::{Fault, compare};
use model::{Batch, CloudEvent, Group, Micros, PROTOCOL_FLEET, Stamp, TenantId, resource::Meter};
use serde_json::json;
use store::{METER_BYTES, UsageStore};

use super::{NOVEMBER, World, at_us, embedded, record};

fn batch(tenant: &str, ids: std::ops::Range<u32>, at_us: Micros) -> Batch {
    let events = ids.map(|id| {
        CloudEvent::builder(id.to_string(), "/s", "t")
            .text("text/plain", format!("event {id}"))
            .build()
            .unwrap()
    });
    let stamp = Stamp {
        tenant: tenant.parse().unwrap(),
        system: "shop".parse().unwrap(),
        source: None,
        customer: None,
        received_at_us: at_us,
        traceparent: "".into(),
        protocol: "http".into(),
    };
    Batch {
        partition: 0,
        sequence: 1,
        stored_at_us: at_us,
        raw_sequence: 0,
        raw_stored_at_us: 0,
        normalized_at_us: 0,
        groups: vec![Group { stamp: Arc::new(stamp), events: events.collect() }],
        streamed: Vec::new(),
        metered: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_missing_too_many_or_altered_is_named() {
    let world = World::new().await;
    let at = at_us("2026-10-05T12:00:00Z");
    let batch = batch("acme", 0..3_000, at);
    let mut records: Vec<_> = store::records_of(&batch, &store::Written::default()).collect();
    // In a store of its own, which has metered what it stored; the usage is told to another one.
    let events = embedded(&world.folder.path().join("events")).await;
    events.stores().sink.write(Arc::new(batch)).await.unwrap();
    let altered = &mut records[1_700].meters;
    *altered =
        altered.iter().map(|(name, value)| (name.clone(), value + u64::from(*name == METER_BYTES))).collect();
    records.remove(42);
    records.push(record("acme", "ghost", at, 7));
    UsageStore::write(&world.usage, records).await.unwrap();
    let tenant: TenantId = "acme".parse().unwrap();
    let october = (at_us("2026-10-01T00:00:00Z"), at_us(NOVEMBER));
    let found = compare(&events, &world.usage, &tenant, &[], october).await.unwrap();
    assert_eq!((found.events, found.records), (3_000, 3_000));
    let mut faults: Vec<_> =
        found.differences.iter().map(|d| (&*d.event, d.fault, d.meter.as_deref())).collect();
    faults.sort_unstable_by_key(|(event, ..)| *event);
    let expected = [
        ("1700", Fault::Altered, Some(METER_BYTES)),
        ("42", Fault::Missing, None),
        ("ghost", Fault::Extra, None),
    ];
    assert_eq!(faults, expected);
    // What the fleet tells has no record, and must not have one.
    let mut told = self::batch("globex", 0..3, at);
    let mut stamp = (*told.groups[0].stamp).clone();
    stamp.protocol = PROTOCOL_FLEET.into();
    told.groups[0].stamp = Arc::new(stamp);
    events.stores().sink.write(Arc::new(told)).await.unwrap();
    let globex: TenantId = "globex".parse().unwrap();
    let none = compare(&events, &events, &globex, &[], october).await.unwrap();
    assert_eq!((none.events, none.records, none.differences.len()), (0, 0, 0));
    // What is as it should be differs nowhere.
    let whole = compare(&events, &events, &tenant, &[], october).await.unwrap();
    assert_eq!((whole.differences.len(), whole.records), (0, 3_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenants_own_meters_say_is_counted_again() {
    let world = World::new().await;
    let (at, before) = (at_us("2026-10-05T00:00:00Z"), at_us("2026-10-01T12:00:00Z"));
    let sale = |amount: u32| format!(r#"{{"amount": {amount}}}"#);
    let with = |mut batch: Batch, metered: &[(u32, &[(&'static str, u64)])]| {
        for (n, event) in (0..).zip(&mut batch.groups[0].events) {
            let sale = CloudEvent::builder(event.id().clone(), "/s", "t").text("application/json", sale(n));
            *event = sale.build().unwrap();
        }
        let own =
            |values: &[(&'static str, u64)]| values.iter().map(|(name, v)| ((*name).into(), *v)).collect();
        batch.metered = metered.iter().map(|(index, values)| (*index, own(values))).collect();
        batch
    };
    let meter = |id: &str, aggregation: &str, value: Option<&str>| -> Meter {
        serde_json::from_value(json!({
            "tenant": "acme", "id": id, "aggregation": aggregation, "value": value,
            "created_at": "2026-09-01T00:00:00Z", "updated_at": "2026-10-02T00:00:00Z",
        }))
        .unwrap()
    };
    let own = [
        meter("amount", "sum", Some("/amount")),
        meter("all", "count", None),
        meter("nothing", "max", Some("/none")),
    ];
    // Of the time before the meters were changed: nobody knows what they said.
    let old = with(batch("acme", 0..1, before), &[]);
    let new = with(
        batch("acme", 10..15, at),
        &[
            (0, &[("own/amount", 0), ("own/all", 1)]),
            (1, &[("own/amount", 1), ("own/all", 1), ("own/deleted", 9)]),
            (2, &[("own/amount", 3), ("own/all", 1)]),
            (3, &[("own/all", 1)]),
            (4, &[("own/amount", 4), ("own/all", 1), ("own/nothing", 5)]),
        ],
    );
    for batch in [old, new] {
        world.usage.stores().sink.write(Arc::new(batch)).await.unwrap();
    }
    let tenant: TenantId = "acme".parse().unwrap();
    let october = (at_us("2026-10-01T00:00:00Z"), at_us(NOVEMBER));
    let found = compare(&world.usage, &world.usage, &tenant, &own, october).await.unwrap();
    let faults: Vec<_> = found
        .differences
        .iter()
        .map(|d| (&*d.event, d.meter.as_deref().unwrap(), d.recorded, d.expected))
        .collect();
    let expected = [("12", "own/amount", 3, 2), ("13", "own/amount", 0, 3), ("14", "own/nothing", 5, 0)];
    assert_eq!(faults, expected);
    assert!(compare(&world.usage, &world.usage, &tenant, &[], october).await.unwrap().differences.is_empty());
}
