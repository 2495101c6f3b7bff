//! Real webhooks: every payload of `@octokit/webhooks-examples`, posted as GitHub does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest as _, Sha256};
use testkit::wait_for;

use crate::{
    fleet::{Tenant, fleet},
    tools,
};

/// What there was in the package when this was written; it may only grow.
const PAYLOADS_MIN: usize = 726;

/// What the event of a payload must be, by the script that posted it.
#[derive(Debug, Deserialize)]
struct Expected {
    delivery: String,
    event: String,
    r#type: String,
    subject: Option<String>,
    source: String,
    bytes: usize,
    sha256: String,
}

/// One item of the API's list.
#[derive(Deserialize)]
struct Item {
    event: Found,
    source_id: String,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    source: String,
    r#type: String,
    subject: Option<String>,
    datacontenttype: String,
    data: Box<RawValue>,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Item>,
    next_cursor: Option<String>,
}

pub(crate) fn every_payload() {
    let secret = "It's a Secret to Everybody";
    let tenant = fleet().tenant("octo");
    let create = ["sources", "create", "hook", "--tenant", "octo", "--system", "shop", "--preset", "github"];
    fleet().cli(&[&create[..], &["--secret-file", "-"]].concat(), secret);
    let door = format!("{}/v1/sources/octo.hook", fleet().url);
    await_door(&door);

    let mut script = tools::node("github.mjs");
    let posted = tools::lines(script.arg(&door).env("EVENTRUNNER_SECRET", secret));
    let expected: BTreeMap<String, Expected> = posted
        .into_iter()
        .map(|line| serde_json::from_value::<Expected>(line).unwrap())
        .map(|expected| (expected.delivery.clone(), expected))
        .collect();
    assert!(expected.len() >= PAYLOADS_MIN, "{} payloads", expected.len());

    // As many as were sent, and no more: nothing of the tampered ones is there.
    let items =
        fleet().runtime.block_on(wait_for("every payload is stored", Duration::from_secs(60), async || {
            let items = list(&tenant).await;
            (items.len() >= expected.len()).then_some(items)
        }));
    assert_eq!(items.len(), expected.len());
    for Item { event, source_id } in &items {
        let expected = &expected[&event.id];
        let name = format!("{} {}", expected.event, event.id);
        assert_eq!(event.r#type, expected.r#type, "{name}");
        assert_eq!(event.subject, expected.subject, "{name}: subject");
        assert_eq!(event.source, expected.source, "{name}: as the door had answered");
        assert!(event.source.starts_with("http"), "{name}: {}", event.source);
        assert_eq!(event.datacontenttype, "application/json", "{name}");
        assert_eq!(source_id, "hook", "{name}");
        let data = event.data.get();
        let digest = hex::encode(Sha256::digest(data));
        assert_eq!((data.len(), &digest), (expected.bytes, &expected.sha256), "{name}: data");
    }
    // Usage that has a store of its own gets there a moment later.
    let deadline = Instant::now() + Duration::from_secs(30);
    while get(&tenant, "/usage/octo")["total"] != items.len() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(get(&tenant, "/usage/octo")["total"], items.len(), "each is counted once");
    assert_eq!(get(&tenant, "/dead-letters")["dead_letters"], json!([]));
    let kinds: BTreeSet<&str> = expected.values().map(|e| e.event.as_str()).collect();
    let about = expected.values().filter(|e| e.subject.is_some()).count();
    println!("{} payloads of {} kinds, {about} with a subject", items.len(), kinds.len());
}

/// The door knows the source: it asks for a signature.
fn await_door(door: &str) {
    let request = || fleet().http.post(door).body("{}");
    fleet().runtime.block_on(wait_for("the door knows the source", Duration::from_secs(10), async || {
        (request().send().await.unwrap().status() == 401).then_some(())
    }));
}

/// An answer of the API.
fn get(tenant: &Tenant, path: &str) -> Value {
    let request = fleet().http.get(format!("{}/api/v1{path}", fleet().api_url)).bearer_auth(&tenant.key);
    fleet().runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() })
}

/// All events of the tenant, page by page.
async fn list(tenant: &Tenant) -> Vec<Item> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let url = format!("{}/api/v1/events?order=oldest&limit=200{cursor}", fleet().api_url);
        let answer = fleet().http.get(url).bearer_auth(&tenant.key).send().await.unwrap();
        let page: Page = answer.json().await.unwrap();
        items.extend(page.events);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={}", crate::wire::path_segment(&next)),
            None => return items,
        }
    }
}
