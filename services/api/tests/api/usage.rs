//! Usage: sums and records.

use reqwest::Method;
use serde_json::{Value, json};

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
