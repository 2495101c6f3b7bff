//! `eventrunner up` where something is in its way, and how it goes.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};

use crate::support::{Fleet, Running, eventrunner, run, stderr, wait_for};
use nix::sys::signal::Signal;
use testkit::{NatsOptions, NatsServer};

const FAILED: i32 = 1;
const UNAVAILABLE: i32 = 69;
const CANNOT_TAKE: i32 = 73;
const NO_PERMISSION: i32 = 77;
const CONFIG: i32 = 78;

/// Runs `up`, which must refuse to start, and gives what it said.
fn refused(data_dir: &Path, args: &[&str], code: i32) -> String {
    let output = run(data_dir, &[&["up"], args].concat());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    said
}

#[test]
fn a_second_one_on_the_same_folder_says_who_runs() {
    let mut fleet = Fleet::start(&[]);
    let pid = fleet.up.child.id();
    let said = refused(fleet.data_dir(), &["--port-base", "0"], CANNOT_TAKE);
    assert!(said.contains(&format!("process id {pid}")), "{said}");
    assert!(said.contains(&format!("kill {pid}")) && said.contains("--data-dir"), "{said}");
    // The one that runs is not disturbed, and ends well.
    fleet.ok(&["doctor"]);
    fleet.up.signal(Signal::SIGINT);
    assert_eq!(fleet.up.wait().code(), Some(0), "{}", fleet.up.said());
    assert!(fleet.up.said().contains("everything is kept"));
    let nats = fleet.nats_pid();
    assert!(
        nats.is_none_or(|pid| !crate::support::is_broker_of(pid, fleet.data_dir())),
        "the broker went with it"
    );
}

#[test]
fn a_taken_port_is_named_with_its_holder_and_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in
        ["--http-port", "--api-port", "--grpc-port", "--admin-port", "--nats-port", "--nats-monitor-port"]
    {
        let said = refused(folder.path(), &["--port-base", "0", flag, &port], CANNOT_TAKE);
        assert!(said.contains(&port) && said.contains(flag) && said.contains("--port-base"), "{said}");
        if cfg!(target_os = "linux") {
            assert!(said.contains(&format!("process id {}", std::process::id())), "{said}");
        }
    }
    assert!(!folder.path().join("nats/nats.log").exists(), "nothing was started");
}

#[test]
fn a_folder_it_cannot_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refused(&file.join("data"), &["--port-base", "0"], FAILED);
    assert!(said.contains("data folder") && said.contains("--data-dir"), "{said}");

    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // Nothing is forbidden to root.
    if fs::write(locked.join("probe"), "").is_err() {
        let said = refused(&locked.join("data"), &["--port-base", "0"], NO_PERMISSION);
        assert!(said.contains("data folder") && said.contains("--data-dir"), "{said}");
    }
}

#[test]
fn without_nats_server_it_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = eventrunner(folder.path())
        .args(["up", "--port-base", "0"])
        .env_remove("EVENTRUNNER_NATS_SERVER")
        .env("PATH", "/nowhere")
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(UNAVAILABLE), "{said}");
    assert!(said.contains("make tools") && said.contains("--nats-server"), "{said}");
}

#[test]
fn a_broker_that_dies_is_started_again() {
    let mut fleet = Fleet::start(&[]);
    let before = fleet.nats_pid().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(before), Signal::SIGKILL).unwrap();
    fleet.up.wait_until_said("nats-server runs again");
    assert_ne!(fleet.nats_pid(), Some(before));
    fleet.ok(&["publish", "--type", "a", "--source", "/s", "--data", "1"]);
    wait_for("the event in the store", || fleet.ok(&["events", "list"]).contains("/s").then_some(()));
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut fleet = Fleet::start(&[]);
    fleet.up.signal(Signal::SIGINT);
    fleet.up.signal(Signal::SIGTERM);
    // Idle, it may have been done before the second one came.
    let code = fleet.up.wait().code();
    assert!(matches!(code, Some(0 | 75)), "{code:?}: {}", fleet.up.said());
}

#[test]
fn it_does_not_promise_more_than_a_broker_of_ones_own_keeps() {
    let port = testkit::free_port();
    let extra = format!("http: \"127.0.0.1:{port}\"");
    let max_payload = Some(8 << 20);
    let server = NatsServer::start_with(NatsOptions {
        sync_always: false,
        max_payload,
        extra,
        ..NatsOptions::default()
    });
    let folder = tempfile::tempdir().unwrap();
    let url = server.url();
    let monitor = format!("broker.monitor_url=http://127.0.0.1:{port}");
    let args = ["--port-base", "0", "--nats-url", &url, "--set", &monitor];
    let said = refused(folder.path(), &args, CONFIG);
    assert!(said.contains("sync_interval: always") && said.contains("--durability process"), "{said}");
    let honest = [&["up"], &args[..], &["--durability", "process"]].concat();
    let mut up =
        Running::start(eventrunner(folder.path()).env_remove("EVENTRUNNER_NATS_SERVER").args(honest));
    up.wait_until_said("Ctrl-C stops the fleet");
    up.signal(Signal::SIGTERM);
    assert_eq!(up.wait().code(), Some(0), "{}", up.said());
}

#[test]
fn the_embedded_store_belongs_to_one_process() {
    let fleet = Fleet::start(&[]);
    for service in ["engine", "api"] {
        let output = run(fleet.data_dir(), &[service]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(CANNOT_TAKE), "{said}");
        assert!(said.contains("eventrunner up"), "{said}");
    }
}
