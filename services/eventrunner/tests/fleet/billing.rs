//! Invoices, made by processes that are killed; and what is told of spend and use.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use billing::Ledger;
use bus::Bus;
use catalog::Catalog;
use model::resource::{BillingAccount, Plan, Tenant};
use rating::Period;
use serde_json::json;
use tempfile::tempdir;
use testkit::NatsServer;

use crate::support::{Fleet, PATIENCE, Running, eventrunner, ok, wait_for};

/// Tenants, with an account each.
const TENANTS: usize = 1_000;

async fn furnish(bus: &Bus) {
    let catalog = Catalog::open(bus.jetstream().clone(), catalog::Options::default()).await;
    let now = model::Clock::now(&model::SystemClock);
    let this = Period::containing("UTC", now - 24 * 3_600_000_000).unwrap();
    let last = Period::containing("UTC", this.since_us() - 1).unwrap();
    let plan: Plan = serde_json::from_value(json!({"id": "pro", "prices": [{
        "effective_from": "2020-01-01", "currency": "EUR",
        "charges": [{"id": "base", "price": {"model": "flat", "amount": "10.00"}}],
    }]}))
    .unwrap();
    catalog.create(&plan).await.unwrap();
    for n in 0..TENANTS {
        let tenant: Tenant = serde_json::from_value(json!({"id": format!("t{n}")})).unwrap();
        catalog.create(&tenant).await.unwrap();
        let account: BillingAccount = serde_json::from_value(json!({
            "tenant": tenant.id, "id": "main", "currency": "EUR", "plans": [{"plan": "pro", "from": last.first()}],
        }))
        .unwrap();
        catalog.create(&account).await.unwrap();
    }
}

fn start(folder: &Path, nats: &NatsServer) -> Running {
    let mut command = eventrunner(folder);
    command.arg("billing").env("EVENTRUNNER_NATS__URL", nats.url());
    for (name, value) in [
        ("EVENTRUNNER_ADMIN__HTTP__LISTEN", "127.0.0.1:0"),
        ("EVENTRUNNER_BILLING__LOOK_INTERVAL_SECONDS", "1"),
        ("EVENTRUNNER_BILLING__METER_STORAGE", "false"),
    ] {
        command.env(name, value);
    }
    Running::start(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tenants_are_invoiced_once_by_processes_that_are_killed() {
    let nats = NatsServer::start();
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let set = format!("nats.url={}", nats.url());
    ok(folders[0].path(), &["migrate", "--set", &set]);
    let bus = Bus::connect(&bus::Options { url: nats.url(), ..Default::default() }).await.unwrap();
    furnish(&bus).await;

    // Two at once, each killed again and again while it works.
    let mut processes = folders.each_ref().map(|folder| start(folder.path(), &nats));
    let (began, mut kills, mut made) = (Instant::now(), 0, 0);
    while made < u64::try_from(TENANTS).unwrap() {
        assert!(began.elapsed() < PATIENCE, "{made} invoices after {kills} kills: {}", processes[0].said());
        tokio::time::sleep(Duration::from_secs(1)).await;
        made = bus.jetstream().get_stream("INVOICES").await.unwrap().cached_info().state.messages;
        let victim = kills % 2;
        processes[victim].child.kill().unwrap();
        processes[victim].wait();
        processes[victim] = start(folders[victim].path(), &nats);
        kills += 1;
    }
    // Whatever they would do once more.
    tokio::time::sleep(Duration::from_secs(3)).await;

    let mut stream = bus.jetstream().get_stream("INVOICES").await.unwrap();
    let state = stream.info().await.unwrap().state.clone();
    let expected = u64::try_from(TENANTS).unwrap();
    assert_eq!((state.messages, state.last_sequence), (expected, expected), "no gap, none too many");
    let ledger = Ledger::new(&bus);
    for n in 0..TENANTS {
        let tenant = format!("t{n}").parse().unwrap();
        let history = ledger.history(&tenant, &"main".parse().unwrap()).await.unwrap();
        let due: Vec<_> = history.invoices.iter().map(|one| one.document.draft.due.to_string()).collect();
        assert_eq!(due, ["10.00"], "t{n}");
    }
    println!("{kills} kills in {:?}", began.elapsed());
}

const OFTEN: [&str; 2] = ["--set", "billing.look_interval_seconds=1"];

#[test]
fn spend_and_use_that_cross_what_was_set_are_told_once() {
    let mut fleet = Fleet::start(&OFTEN);
    let files = tempdir().unwrap();
    let file = files.path().join("prices.yaml");
    std::fs::write(
        &file,
        "kind: plan
id: priced
prices:
  - effective_from: 2020-01-01
    currency: EUR
    charges: [{id: events, meter: events, price: {model: per_unit, amount: \"1\"}}]
---
kind: billing-account
tenant: demo
id: main
currency: EUR
plans: [{plan: priced, from: 2020-01-01}]
thresholds: [\"2\", \"100\"]
quotas: [{meter: events, quantity: 3}, {meter: bytes, quantity: 1000000}]
",
    )
    .unwrap();
    fleet.ok(&["apply", "-f", file.to_str().unwrap()]);
    for n in 0..3 {
        fleet.ok(&[
            "publish",
            "--source",
            "/till",
            "--type",
            "sale",
            "--id",
            &format!("sale-{n}"),
            "--data",
            "{}",
        ]);
    }
    let told = |fleet: &Fleet| {
        let listed = fleet.json(&["events", "list", "--limit", "100"]);
        let events = listed.as_array().unwrap().iter().map(|listed| &listed["event"]);
        let crossed = events.filter(|event| event["type"].as_str().unwrap().ends_with(".crossed"));
        let mut ids: Vec<_> = crossed.map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let both = wait_for("the crossing of a threshold and of a quota", || {
        let told = told(&fleet);
        (told.len() >= 2).then_some(told)
    });
    assert!(both[0].ends_with("/2"), "{both:?}");
    assert!(both[1].ends_with("/events/3"), "{both:?}");
    // Being told so costs nothing.
    assert_eq!(fleet.json(&["usage"])["total"], 3);

    // Who begins anew does not know what was told, and does not tell it again.
    fleet.up.signal(nix::sys::signal::Signal::SIGTERM);
    fleet.up.wait();
    fleet.start_again(&OFTEN);
    fleet.ok(&["publish", "--source", "/till", "--type", "sale", "--id", "sale-3", "--data", "{}"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(told(&fleet), both);
}
