//! `up --processes`: each service a process of its own, under supervision.

use std::{fs, os::unix::fs::PermissionsExt as _};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{Fleet, run, stderr, wait_for};

const CONFIG: i32 = 78;

/// What needs no store.
const WITHOUT_STORE: &[&str] = &["--processes", "--replicas", "engine=0,api=0"];

impl Fleet {
    /// What `fleet.json` says of its processes.
    pub(crate) fn processes(&self) -> Vec<Value> {
        let text = fs::read(self.data_dir().join("fleet.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["processes"].as_array().unwrap().clone()
    }

    /// Metrics and health of the replicas of a service.
    pub(crate) fn admin_urls(&self, service: &str) -> Vec<String> {
        let replicas = self.processes().into_iter().filter(|m| m["service"] == service);
        replicas.map(|m| m["admin_url"].as_str().unwrap().to_owned()).collect()
    }

    /// How clients reach it.
    pub(crate) fn context(&self) -> toml::Table {
        toml::from_str(&fs::read_to_string(self.data_dir().join("context.toml")).unwrap()).unwrap()
    }

    /// The process id of one of them, once it runs.
    pub(crate) fn pid_of(&self, name: &str) -> Pid {
        wait_for("the process", || {
            let member = self.processes().into_iter().find(|m| m["name"] == name)?;
            Some(Pid::from_raw(member["pid"].as_i64()?.try_into().unwrap()))
        })
    }
}

fn is_gone(pid: Pid) -> bool {
    // A zombie, whose parent has not waited for it, is gone as well.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

fn wait_until_gone(pids: &[Pid]) {
    wait_for("the end of the processes", || pids.iter().all(|pid| is_gone(*pid)).then_some(()));
}

#[test]
fn each_service_is_a_process_that_is_listed_and_ends_with_the_fleet() {
    let mut fleet = Fleet::start(WITHOUT_STORE);
    let names: Vec<String> =
        fleet.processes().iter().map(|m| m["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["nats-server", "ingest-http-1", "ingest-grpc-1", "normalizer-1"]);
    let pids: Vec<Pid> = names.iter().map(|name| fleet.pid_of(name)).collect();
    for member in fleet.processes() {
        let (name, pid) = (member["name"].as_str().unwrap(), member["pid"].as_u64().unwrap());
        assert!(fleet.up.said().contains(&format!("process id {pid}")), "{name} is in the banner");
        assert!(fs::metadata(member["log"].as_str().unwrap()).is_ok(), "{name} has a log");
    }
    let mode = fs::metadata(fleet.data_dir().join("processes.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let sent = fleet.ok(&["publish", "--type", "a", "--source", "/s", "--data", "1", "-o", "json"]);
    assert!(sent.contains("accepted") || sent.contains("/s"), "{sent}");

    fleet.up.signal(Signal::SIGINT);
    assert_eq!(fleet.up.wait().code(), Some(0), "{}", fleet.up.said());
    assert!(pids.iter().all(|pid| is_gone(*pid)), "nobody is left");
    assert!(!fleet.data_dir().join("fleet.json").exists());
}

#[test]
fn a_process_that_dies_is_started_again_and_counted() {
    let fleet = Fleet::start(WITHOUT_STORE);
    let before = fleet.pid_of("normalizer-1");
    kill(before, Signal::SIGKILL).unwrap();
    let after =
        wait_for("another process", || Some(fleet.pid_of("normalizer-1")).filter(|pid| *pid != before));
    assert!(!is_gone(after));
    wait_for("the news", || fleet.up.said().contains("normalizer-1 runs again").then_some(()));
    assert!(fleet.up.said().contains("normalizer-1 ended (signal 9)"), "{}", fleet.up.said());
    let member = fleet.processes().into_iter().find(|m| m["name"] == "normalizer-1").unwrap();
    assert_eq!(member["restarts"], 1);
    let doctor = run(fleet.data_dir(), &["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("normalizer-1 (process") && said.contains("partitions 0 1 2 3"), "{said}");
    assert!(said.contains("started again 1 times"), "{said}");
}

#[test]
fn a_supervisor_that_is_killed_leaves_nobody_behind_for_the_next() {
    let mut fleet = Fleet::start(WITHOUT_STORE);
    let services = ["ingest-http-1", "ingest-grpc-1", "normalizer-1"].map(|name| fleet.pid_of(name));
    let broker = fleet.pid_of("nats-server");
    fleet.up.signal(Signal::SIGKILL);
    fleet.up.wait();
    // The services see it and drain, for which they need the broker; that one is stopped by the next start.
    wait_until_gone(&services);
    assert!(!is_gone(broker));
    fleet.start_again(WITHOUT_STORE);
    assert!(is_gone(broker));
    assert!(fleet.up.said().contains("left behind"), "{}", fleet.up.said());
}

#[test]
fn what_cannot_start_ends_the_whole_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |args: &[&str], code: i32| {
        let output = run(folder.path(), &[&["up", "--port-base", "0", "--processes"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        stderr(&output)
    };
    let said = refused(&[], CONFIG);
    assert!(said.contains("belong to one process") && said.contains("engine-1, api-1"), "{said}");
    let said = refused(&["--replicas", "engine=2,api=0"], CONFIG);
    assert!(said.contains("engine-1, engine-2"), "{said}");
    // Right in form, and only the process itself finds out what it means.
    let said =
        refused(&["--replicas", "engine=0,api=0", "--set", "ingest_http.server.listen=203.0.113.1:9"], 73);
    assert!(said.contains("ingest-http") && said.contains("203.0.113.1"), "{said}");
}
