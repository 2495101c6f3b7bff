//! `eventrunner doctor` at the bedside: what it finds, and what it says to do.

use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::{NatsOptions, NatsServer};

use crate::support::{Fleet, run, wait_for};

/// Whether it is well, and what it says about one thing: (status, detail, advice).
fn doctor(data_dir: &std::path::Path, args: &[&str]) -> (bool, Vec<Value>) {
    let output = run(data_dir, &[&["doctor", "-o", "json"], args].concat());
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

fn about<'a>(findings: &'a [Value], check: &str) -> (&'a str, &'a str) {
    let finding = findings.iter().find(|f| f["check"] == *check);
    let finding = finding.unwrap_or_else(|| panic!("nothing about {check}: {findings:?}"));
    assert_eq!(
        finding["status"] == "ok",
        finding.get("advice").is_none(),
        "advice where it is needed: {finding}"
    );
    (finding["status"].as_str().unwrap(), finding["detail"].as_str().unwrap())
}

#[test]
fn without_a_fleet_everything_about_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let away = format!("127.0.0.1:{}", testkit::free_port());
    let (nats, http) = (format!("nats://{away}"), format!("http://{away}"));
    let args = ["--nats-url", &nats, "--url", &http, "--api-url", &http, "--admin-url", &http];
    let (well, findings) = doctor(folder.path(), &args);
    assert!(!well);
    for check in ["broker", "ingest-http", "api"] {
        assert_eq!(about(&findings, check).0, "fail", "{findings:?}");
    }
    for check in ["context", "up", "readiness"] {
        assert_eq!(about(&findings, check).0, "warn", "{findings:?}");
    }
}

#[test]
fn a_broker_that_keeps_less_and_has_no_streams_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let port = testkit::free_port();
    let extra = format!("http: \"127.0.0.1:{port}\"");
    let server = NatsServer::start_with(NatsOptions { sync_always: false, extra, ..NatsOptions::default() });
    let monitor = format!("http://127.0.0.1:{port}");
    let (_, findings) = doctor(folder.path(), &["--nats-url", &server.url(), "--nats-monitor", &monitor]);
    assert_eq!(about(&findings, "jetstream").0, "ok");
    let (status, detail) = about(&findings, "durability");
    assert!(status == "warn" && detail.starts_with("process"), "{detail}");
    assert_eq!(about(&findings, "streams").0, "fail");
    assert_eq!(about(&findings, "catalog").0, "fail");
}

#[test]
fn a_killed_fleet_is_recognized() {
    let mut fleet = Fleet::start(&[]);
    let (well, findings) = doctor(fleet.data_dir(), &[]);
    assert!(well && findings.iter().all(|f| f["status"] == "ok"), "{findings:?}");
    assert_eq!(about(&findings, "authorizer"), ("ok", "embedded: answers"));
    fleet.up.signal(Signal::SIGKILL);
    fleet.up.wait();
    let (well, findings) = doctor(fleet.data_dir(), &[]);
    assert!(!well);
    assert!(about(&findings, "up").1.contains("its nats-server does"), "{findings:?}");
    assert_eq!(about(&findings, "broker").0, "ok");
    assert_eq!(about(&findings, "api").0, "fail");
}

#[test]
fn a_node_that_hangs_and_services_that_are_missing_are_named() {
    let args =
        ["--processes", "--replicas", "engine=0,api=0", "--nats-nodes", "3", "--durability", "process"];
    let fleet = Fleet::start(&args);
    let expected = [
        ("cluster", "ok", "3 nodes"),
        ("copies", "ok", "up to 3 copies"),
        ("consumers", "ok", "one for each of 4 partitions"),
        ("clocks", "ok", "agree"),
        ("services", "warn", "normalizer 1; no engine and no api answers"),
    ];
    // The last node that came may still be catching up.
    wait_for("a cluster that is whole", || {
        let (_, findings) = doctor(fleet.data_dir(), &[]);
        let is_so = |(check, status, told): &(&str, &str, &str)| {
            let found = about(&findings, check);
            found.0 == *status && found.1.contains(told)
        };
        expected.iter().all(is_so).then_some(())
    });
    let node = fleet.pid_of("nats-server-2");
    nix::sys::signal::kill(node, Signal::SIGSTOP).unwrap();
    let behind = wait_for("the node to be missed", || {
        let (_, findings) = doctor(fleet.data_dir(), &[]);
        findings.into_iter().find(|finding| finding["check"] == "copies" && finding["status"] == "warn")
    });
    nix::sys::signal::kill(node, Signal::SIGCONT).unwrap();
    assert!(behind["detail"].as_str().unwrap().starts_with("eventrunner-2 is "), "{behind}");
}
