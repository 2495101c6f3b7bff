//! Usage: sums and records.

use reqwest::Method;
use serde_json::{Value, json};

use model::{Micros, parse_rfc3339};
use store::{Origin, UsageRecord, record_id};

use crate::world::{TEN, World, event, pointers, stamp};

const MINUTE: i64 = 60_000_000;

#[tokio::test]
async fn sums_and_records_of_the_own_tenant() {
    let world = World::start().await;
    for (at, id) in [(TEN, "1"), (TEN + 1, "2"), (TEN + 61 * MINUTE, "3"), (TEN, "1")] {
        world.store(stamp("acme", at), vec![event(id, "/a", "t")]).await;
    }
    world.store(stamp("globex", TEN), vec![event("theirs", "/a", "t")]).await;
    let size: u64 = event("1", "/a", "t").size() as u64;
    let total = world.get("/api/v1/usage/acme").await;
    assert_eq!(total["total"], 3, "the event that came twice is counted once");
    assert_eq!((&total["meter"], &total["bucket"]), (&json!("events"), &json!("total")));
    assert_eq!(world.get("/api/v1/usage/acme?meter=bytes").await["total"], 3 * size);
    let range = "since=2026-11-21T10:00:00Z&until=2026-11-21T12:00:00Z";
    let hourly = world.get(&format!("/api/v1/usage/acme?bucket=hour&{range}")).await;
    assert_eq!(
        hourly["buckets"],
        json!([{"start": "2026-11-21T10:00:00Z", "value": 2}, {"start": "2026-11-21T11:00:00Z", "value": 1}])
    );
    let minutes = world.get(&format!("/api/v1/usage/acme?bucket=minute&{range}")).await;
    assert_eq!(minutes["buckets"][1], json!({"start": "2026-11-21T11:01:00Z", "value": 1}));

    let mut walked = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = world.get(&format!("/api/v1/usage/acme/records{query}")).await;
        walked.extend(page["records"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=1&cursor={cursor}");
    }
    let ids: Vec<&str> = walked.iter().map(|r| r["origin"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(walked[0]["meters"], json!({"events": 1, "bytes": size}));
    world.close().await;
}

#[tokio::test]
async fn impossible_ranges_and_meters_are_refused() {
    let world = World::start().await;
    for (query, pointer) in [
        ("meter=cpu", "query:meter"),
        ("meter=own/none", "query:meter"),
        ("meter=own/theirs", "query:meter"),
        ("meter=own/", "query:meter"),
        ("aggregation=mean", "query:aggregation"),
        ("meter=own/buyers&aggregation=sum", "query:aggregation"),
        ("time_zone=Europe/Atlantis", "query:time_zone"),
        ("group_by=moon", "query:group_by"),
        ("customer=No%20Body", "query:customer"),
        ("bucket=day&since=1971-01-01T00:00:00Z&until=2026-01-01T00:00:00Z", "query:bucket"),
        ("bucket=month&since=0001-01-01T00:00:00Z&until=9999-01-01T00:00:00Z", "query:bucket"),
        ("bucket=year", "query:bucket"),
        ("bucket=minute&since=2020-01-01T00:00:00Z", "query:bucket"),
        ("since=x", "query:since"),
    ] {
        let response = world.ask(Method::GET, &format!("/api/v1/usage/acme?{query}")).await;
        assert_eq!(response.status(), 400, "{query}");
        assert_eq!(pointers(&response.json::<Value>().await.unwrap()), [pointer], "{query}");
    }
    world.close().await;
}

/// A record of an event of acme's.
fn record(source: &str, id: &str, at: &str, meter: &'static str, value: u64) -> UsageRecord {
    UsageRecord {
        tenant: "acme".parse().unwrap(),
        id: record_id(source, id),
        at_us: parse_rfc3339(at).unwrap(),
        origin: Origin::Event { source: source.into(), id: id.into() },
        customer: None,
        event_type: None,
        meters: vec![(meter.into(), value)],
    }
}

async fn starts(world: &World, query: &str) -> Vec<(String, u64)> {
    let usage = world.get(&format!("/api/v1/usage/acme?{query}")).await;
    let of =
        |bucket: &Value| (bucket["start"].as_str().unwrap().to_owned(), bucket["value"].as_u64().unwrap());
    usage["buckets"].as_array().unwrap().iter().map(of).collect()
}

fn expected(buckets: &[(&str, u64)]) -> Vec<(String, u64)> {
    buckets.iter().map(|(start, value)| ((*start).to_owned(), *value)).collect()
}

#[tokio::test]
async fn days_and_months_are_those_of_the_time_zone() {
    let world = World::start().await;
    // On both sides of each bound, in the nights in which Berlin changes its clocks, in spring and in autumn.
    let times = [
        "2026-03-28T22:59:59.999999Z",
        "2026-03-28T23:00:00Z",
        "2026-03-29T21:59:59.999999Z",
        "2026-03-29T22:00:00Z",
        "2026-10-24T21:59:59Z",
        "2026-10-24T22:00:00Z",
        "2026-10-25T22:59:59Z",
        "2026-10-25T23:00:00Z",
    ];
    let of = |(n, at): (usize, &&str)| record("/s", &n.to_string(), at, "own/turnover", 1 << n);
    world.stores.usage.write(times.iter().enumerate().map(of).collect()).await.unwrap();
    let range = "meter=own/turnover&since=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z";
    let berlin = format!("{range}&time_zone=Europe/Berlin");
    let days = expected(&[
        ("2026-03-28T00:00:00+01:00", 1),
        ("2026-03-29T00:00:00+01:00", 2 + 4),
        ("2026-03-30T00:00:00+02:00", 8),
        ("2026-10-24T00:00:00+02:00", 16),
        ("2026-10-25T00:00:00+02:00", 32 + 64),
        ("2026-10-26T00:00:00+01:00", 128),
    ]);
    assert_eq!(starts(&world, &format!("{berlin}&bucket=day")).await, days);
    let kathmandu = format!("{range}&bucket=day&time_zone=Asia/Kathmandu");
    let want = expected(&[
        ("2026-03-29T00:00:00+05:45", 1 + 2),
        ("2026-03-30T00:00:00+05:45", 4 + 8),
        ("2026-10-25T00:00:00+05:45", 16 + 32),
        ("2026-10-26T00:00:00+05:45", 64 + 128),
    ]);
    assert_eq!(starts(&world, &kathmandu).await, want);
    let months = expected(&[("2026-03-01T00:00:00Z", 15), ("2026-10-01T00:00:00Z", 240)]);
    assert_eq!(starts(&world, &format!("{range}&bucket=month")).await, months);
    // What is not kept as sums is as exact.
    for (aggregation, values) in [
        ("count", [1, 2, 1, 1, 2, 1]),
        ("unique", [1, 2, 1, 1, 2, 1]),
        ("max", [1, 4, 8, 16, 64, 128]),
        ("latest", [1, 4, 8, 16, 64, 128]),
    ] {
        let found = starts(&world, &format!("{berlin}&bucket=day&aggregation={aggregation}")).await;
        assert_eq!(found.iter().map(|(_, value)| *value).collect::<Vec<_>>(), values, "{aggregation}");
        assert_eq!(found[0].0, days[0].0, "{aggregation}");
    }
    // The ends of the range cut the first and the last day.
    let cut =
        "meter=own/turnover&since=2026-03-29T00:00:00Z&until=2026-03-29T22:00:00Z&time_zone=Europe/Berlin";
    assert_eq!(
        starts(&world, &format!("{cut}&bucket=day")).await,
        expected(&[("2026-03-29T00:00:00+01:00", 4)])
    );
    world.close().await;
}

#[tokio::test]
async fn a_leap_day_is_a_day() {
    let world = World::start().await;
    let times = ["2028-02-28T23:30:00Z", "2028-02-29T12:00:00Z", "2028-02-29T23:30:00Z"];
    let of = |(n, at): (usize, &&str)| record("/s", &n.to_string(), at, "own/turnover", 1);
    world.stores.usage.write(times.iter().enumerate().map(of).collect()).await.unwrap();
    let range = "meter=own/turnover&since=2028-02-01T00:00:00Z&until=2028-04-01T00:00:00Z";
    let berlin = expected(&[("2028-02-29T00:00:00+01:00", 2), ("2028-03-01T00:00:00+01:00", 1)]);
    assert_eq!(starts(&world, &format!("{range}&bucket=day&time_zone=Europe/Berlin")).await, berlin);
    let utc = expected(&[("2028-02-28T00:00:00Z", 1), ("2028-02-29T00:00:00Z", 2)]);
    assert_eq!(starts(&world, &format!("{range}&bucket=day&time_zone=UTC")).await, utc);
    assert_eq!(starts(&world, &format!("{range}&bucket=day")).await, utc);
    let months = expected(&[("2028-02-01T00:00:00+01:00", 2), ("2028-03-01T00:00:00+01:00", 1)]);
    assert_eq!(starts(&world, &format!("{range}&bucket=month&time_zone=Europe/Berlin")).await, months);
    world.close().await;
}

#[tokio::test]
async fn meters_say_how_they_are_put_together() {
    let world = World::start().await;
    let at = |n: Micros| model::format_rfc3339(TEN + n * 61 * MINUTE);
    let amounts = [("/a", 150), ("/b", 50), ("/a", 150)];
    let amounts =
        (0..).zip(amounts).map(|(n, (source, v))| record(source, &n.to_string(), &at(n), "own/turnover", v));
    let buyers = (0..).zip([7, 8, 7]).map(|(n, v)| record("/c", &n.to_string(), &at(n), "own/buyers", v));
    world.stores.usage.write(amounts.chain(buyers).collect()).await.unwrap();
    let usage = world.get("/api/v1/usage/acme?meter=own/turnover").await;
    let said = [&usage["meter"], &usage["aggregation"], &usage["scale"], &usage["total"]];
    assert_eq!(said, [&json!("own/turnover"), &json!("sum"), &json!(2), &json!(350)]);
    assert!(usage.get("unit").is_none(), "{usage}");
    let range = "since=2026-11-21T10:00:00Z&until=2026-11-22T10:00:00Z";
    let unique = world.get(&format!("/api/v1/usage/acme?meter=own/buyers&bucket=hour&{range}")).await;
    let values = unique["buckets"].as_array().unwrap().iter().map(|b| b["value"].as_u64().unwrap());
    assert_eq!(values.collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(
        (&unique["aggregation"], &unique["total"]),
        (&json!("unique"), &json!(2)),
        "not the sum of them"
    );
    for (aggregation, total) in [("count", 3), ("unique", 2), ("max", 150), ("latest", 150), ("sum", 350)] {
        let usage =
            world.get(&format!("/api/v1/usage/acme?meter=own/turnover&aggregation={aggregation}")).await;
        assert_eq!((&usage["aggregation"], &usage["total"]), (&json!(aggregation), &json!(total)));
        assert_eq!(usage.get("scale").is_some(), !["count", "unique"].contains(&aggregation), "{usage}");
    }
    for meter in store::METERS {
        let usage = world.get(&format!("/api/v1/usage/acme?meter={}", meter.name)).await;
        assert_eq!((&usage["unit"], &usage["total"]), (&json!(meter.unit), &json!(0)), "{}", meter.name);
    }
    world.close().await;
}

#[tokio::test]
async fn sources_are_told_apart() {
    let world = World::start().await;
    for (at, source, id) in [(TEN, "/b", "1"), (TEN, "/a", "1"), (TEN + 61 * MINUTE, "/b", "2")] {
        world.store(stamp("acme", at), vec![event(id, source, "t")]).await;
    }
    let range = "since=2026-11-21T10:00:00Z&until=2026-11-21T12:00:00Z";
    let usage = world.get(&format!("/api/v1/usage/acme?group_by=source&bucket=hour&{range}")).await;
    let bucket =
        |hour: u32, value: u64| json!({"start": format!("2026-11-21T{hour}:00:00Z"), "value": value});
    assert_eq!(
        usage["groups"],
        json!([
            {"source": "/a", "total": 1, "buckets": [bucket(10, 1)]},
            {"source": "/b", "total": 2, "buckets": [bucket(10, 1), bucket(11, 1)]},
        ])
    );
    assert!(usage.get("total").is_none() && usage.get("buckets").is_none(), "{usage}");
    let days = format!("group_by=source&bucket=day&time_zone=Asia/Kathmandu&aggregation=unique&{range}");
    let usage = world.get(&format!("/api/v1/usage/acme?{days}")).await;
    let day = |value: u64| json!([{"start": "2026-11-21T00:00:00+05:45", "value": value}]);
    assert_eq!(
        usage["groups"],
        json!([
            {"source": "/a", "total": 1, "buckets": day(1)},
            {"source": "/b", "total": 1, "buckets": day(1)},
        ])
    );
    world.close().await;
}

#[tokio::test]
async fn types_and_customers_are_told_apart() {
    let world = World::start().await;
    for (customer, id, ty) in [
        (Some("jane"), "1", "sold"),
        (None, "2", "sold"),
        (Some("joe"), "3", "opened"),
        (Some("jane"), "4", "sold"),
    ] {
        let customer = customer.map(|id| id.parse().unwrap());
        world.store(model::Stamp { customer, ..stamp("acme", TEN) }, vec![event(id, "/a", ty)]).await;
    }
    let totals = async |query: &str, name: &str| {
        let usage = world.get(&format!("/api/v1/usage/acme?{query}")).await;
        let of = |group: &Value| (group[name].as_str().map(str::to_owned), group["total"].as_u64().unwrap());
        usage["groups"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let of = |group: &str, total: u64| (Some(group.to_owned()), total);
    assert_eq!(totals("group_by=type", "type").await, [of("opened", 1), of("sold", 3)]);
    assert_eq!(totals("group_by=customer", "customer").await, [(None, 1), of("jane", 2), of("joe", 1)]);
    assert_eq!(totals("group_by=customer&customer=joe", "customer").await, [of("joe", 1)]);
    assert_eq!(totals("group_by=type&customer=jane", "type").await, [of("sold", 2)]);
    let janes = world.get("/api/v1/usage/acme?customer=jane").await;
    assert_eq!((&janes["customer"], &janes["total"]), (&json!("jane"), &json!(2)));
    assert_eq!(world.get("/api/v1/usage/acme?customer=nobody").await["total"], 0);
    let records = world.get("/api/v1/usage/acme/records?customer=jane&meter=events").await;
    let records = records["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["customer"], &records[0]["event_type"]), (&json!("jane"), &json!("sold")));
    // A record opens to its event.
    let path = records[0]["event"].as_str().unwrap();
    assert_eq!(world.get(path).await["type"], "sold");
    let none = world.get("/api/v1/usage/acme/records?meter=own/turnover").await;
    assert_eq!(none["records"], json!([]));
    world.close().await;
}
