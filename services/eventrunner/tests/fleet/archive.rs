//! Archiving, restoring and moving what is stored, from the command line.

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Fleet, run, stderr, wait_for};

const COUNT: usize = 700;

fn stop(fleet: &mut Fleet) {
    fleet.up.signal(Signal::SIGTERM);
    fleet.up.wait();
}

fn publish(fleet: &Fleet) {
    let lines: Vec<_> = (0..COUNT)
        .map(|n| format!(r#"{{"specversion":"1.0","id":"e{n}","source":"/s","type":"t","count":{n},"data":{{"n": [{n}]}}}}"#))
        .collect();
    let sent = fleet.data_dir().join("sent.ndjson");
    fs::write(&sent, lines.join("\n")).unwrap();
    fleet.ok(&["publish", sent.to_str().unwrap()]);
    wait_for("all of them", || (listed(fleet).len() == COUNT).then_some(()));
}

fn listed(fleet: &Fleet) -> Vec<Value> {
    fleet.json(&["events", "list", "-n", "2000", "--oldest"]).as_array().unwrap().clone()
}

fn json(data_dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&crate::support::ok(data_dir, &[args, &["-o", "json"]].concat())).unwrap()
}

/// Without the time at which the store had it.
fn without_stored_at(mut events: Vec<Value>) -> Vec<Value> {
    for event in &mut events {
        event.as_object_mut().unwrap().remove("stored_at");
    }
    events
}

#[test]
fn what_was_archived_can_be_restored_and_is_metered_once() {
    let mut source = Fleet::start(&[]);
    publish(&source);
    let (events, usage) = (listed(&source), source.json(&["usage"]));
    let archive = tempfile::tempdir().unwrap();
    let url = format!("file://{}/a", archive.path().display());
    let in_use = run(source.data_dir(), &["archive", "demo", "--to", &url]);
    assert_eq!(in_use.status.code(), Some(73), "{}", stderr(&in_use));
    stop(&mut source);
    let summary = json(source.data_dir(), &["archive", "demo", "--to", &url]);
    assert_eq!((&summary["events"], &summary["usage_records"]), (&COUNT.into(), &COUNT.into()));
    let twice = run(source.data_dir(), &["archive", "demo", "--to", &url]);
    assert_eq!(twice.status.code(), Some(73), "{}", stderr(&twice));
    let manifest: Value =
        serde_json::from_slice(&fs::read(archive.path().join("a/manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["events"], &manifest["tenant"]), (&COUNT.into(), &"demo".into()));

    let mut target = Fleet::start(&[]);
    stop(&mut target);
    assert_eq!(json(target.data_dir(), &["restore", &url, "--check"])["events"], COUNT);
    for _ in 0..2 {
        assert_eq!(json(target.data_dir(), &["restore", &url])["events"], COUNT);
    }
    target.start_again(&[]);
    assert_eq!(without_stored_at(listed(&target)), without_stored_at(events));
    let restored = target.json(&["usage"]);
    assert_eq!((&restored["total"], &usage["total"]), (&COUNT.into(), &COUNT.into()));

    // Changed by a byte, it is not restored; without its manifest it is none.
    let object = archive.path().join("a/events-000001.ndjson.zst");
    let mut bytes = fs::read(&object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, bytes).unwrap();
    let changed = run(source.data_dir(), &["restore", &url, "--check"]);
    assert_eq!(changed.status.code(), Some(65), "{}", stderr(&changed));
    assert!(stderr(&changed).contains("events-000001"));
    fs::remove_file(archive.path().join("a/manifest.json")).unwrap();
    assert_eq!(run(source.data_dir(), &["restore", &url]).status.code(), Some(66));
}

#[test]
fn a_store_is_moved_and_compared() {
    let mut source = Fleet::start(&[]);
    publish(&source);
    stop(&mut source);
    let to = tempfile::tempdir().unwrap();
    let from = source.data_dir().join("store");
    let target = format!("store.folder={}", to.path().join("store").display());
    let moving = ["stores", "move", "--from", from.to_str().unwrap(), "--set", &target];
    // The second time it goes on where the first ended: there is nothing left to do.
    for _ in 0..2 {
        let compared = json(source.data_dir(), &moving);
        assert_eq!(compared[0]["tenant"], "demo");
        for what in ["events", "used_events"] {
            assert_eq!(compared[0][what], serde_json::json!([COUNT, COUNT]));
        }
        assert_eq!(compared[0]["used_bytes"][0], compared[0]["used_bytes"][1]);
    }
    // Interrupted in the middle, with what came after lost: it is found out, and mended by running it again.
    fs::remove_dir_all(to.path().join("store")).unwrap();
    let less = run(source.data_dir(), &moving);
    assert_eq!(less.status.code(), Some(1), "{}", stderr(&less));
    assert_eq!(json(source.data_dir(), &moving)[0]["events"], serde_json::json!([COUNT, COUNT]));
    let nowhere = run(source.data_dir(), &["stores", "move", "--from", "/nowhere", "--set", &target]);
    assert_eq!(nowhere.status.code(), Some(66));
}
