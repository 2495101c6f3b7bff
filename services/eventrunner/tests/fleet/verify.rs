//! `eventrunner verify`: what it finds, and what it leaves behind.

use async_nats::jetstream;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Fleet, Running, eventrunner, run, stderr};

/// The tenants there are.
fn tenants(fleet: &Fleet) -> Vec<String> {
    let listed = fleet.json(&["tenants", "list"]);
    listed.as_array().unwrap().iter().map(|tenant| tenant["id"].as_str().unwrap().to_owned()).collect()
}

/// Runs it on a fleet that is not well: its report, and what it said on stderr.
fn failing(fleet: &Fleet, code: i32, args: &[&str]) -> (Value, String) {
    let output = run(fleet.data_dir(), &[&["verify", "-o", "json"], args].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    (serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}\n{said}")), said)
}

/// Tenant streams hold so many messages of a subject from now on: an operator's mistake, behind the fleet's back.
fn keep_at_most(fleet: &Fleet, messages: i64) {
    let context = fleet.context();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let text = |name: &str| context[name].as_str().unwrap();
        let options = async_nats::ConnectOptions::with_credentials_file(text("nats_credentials_file"));
        let client = options.await.unwrap().connect(text("nats_url")).await.unwrap();
        let jetstream = jetstream::new(client);
        let mut stream = jetstream.get_stream("TENANT-default").await.unwrap();
        let config = stream.info().await.unwrap().config.clone();
        let config = jetstream::stream::Config { max_messages_per_subject: messages, ..config };
        jetstream.update_stream(config).await.unwrap();
    });
}

#[test]
fn a_fleet_that_keeps_everything_passes_and_nothing_is_left_behind() {
    let fleet = Fleet::start(&[]);
    let before = tenants(&fleet);
    let report = fleet.json(&["verify"]);
    for (what, count) in [
        ("events", 1_000),
        ("promised", 1_000),
        ("lost", 0),
        ("doubled", 0),
        ("altered", 0),
        ("out_of_order", 0),
    ] {
        assert_eq!(report[what], count, "{what}: {report}");
    }
    let places = report["places"].as_array().unwrap();
    assert!(places.len() == 3 && places.iter().all(|place| place["found"] == 1_000), "{report}");
    assert!(report["everywhere_ms"].as_u64() >= report["promised_ms"].as_u64(), "{report}");
    assert!(report["tenant"].as_str().unwrap().starts_with("verify-"));
    assert_eq!(tenants(&fleet), before);

    // Interrupted, it takes its tenant away all the same.
    let mut verify = Running::start(eventrunner(fleet.data_dir()).args(["verify", "--events", "1000000"]));
    verify.wait_until_said("accepted");
    verify.signal(Signal::SIGINT);
    let status = verify.wait();
    assert_eq!(status.code(), Some(75), "{}", verify.said());
    assert_eq!(tenants(&fleet), before, "{}", verify.said());

    let shown = fleet.ok(&["verify", "--keep", "--events", "60"]);
    assert!(shown.contains("100 of 100 events promised"), "whole requests: {shown}");
    let kept: Vec<_> = tenants(&fleet).into_iter().filter(|tenant| !before.contains(tenant)).collect();
    assert!(kept.len() == 1 && kept[0].starts_with("verify-"), "{kept:?}");
}

#[test]
fn what_is_missing_is_found_and_its_place_named() {
    let fleet = Fleet::start(&[]);
    let before = tenants(&fleet);
    let away = format!("http://127.0.0.1:{}", testkit::free_port());
    let (report, said) = failing(&fleet, 69, &["--url", &away, "--timeout-seconds", "2"]);
    assert_eq!((&report["promised"], &report["lost"]), (&0.into(), &0.into()), "{report}");
    assert!(
        said.contains("door: 1000 events not promised") && said.contains("without a connection"),
        "{said}"
    );
    assert_eq!(tenants(&fleet), before, "{said}");

    keep_at_most(&fleet, 900);
    let (report, said) = failing(&fleet, 1, &["--timeout-seconds", "10"]);
    assert_eq!((&report["promised"], &report["lost"]), (&1_000.into(), &100.into()), "{report}");
    for (place, lost) in [("event store", 0), ("usage store", 0), ("tenant stream", 100)] {
        let found =
            report["places"].as_array().unwrap().iter().find(|found| found["place"] == place).unwrap();
        assert_eq!(found["lost"], lost, "{report}");
    }
    assert!(said.contains("tenant stream: 100 lost, missing are "), "{said}");
    let tenant = report["tenant"].as_str().unwrap();
    assert!(!tenants(&fleet).iter().any(|left| left == tenant), "{said}");
}
