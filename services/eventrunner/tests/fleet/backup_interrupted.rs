//! Backups and restores that are killed or cut off on their way: what is not whole is never taken for whole, and what is begun again
//! comes to the same.

use std::{fs, path::Path};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use testkit::Line;

use crate::support::{Fleet, Running, eventrunner, ok, publish, run, stderr, text, wait_for};

const COUNT: usize = 3_000;

/// Ids of what is stored, the oldest first.
fn stored(fleet: &Fleet) -> Vec<String> {
    let listed = fleet.json(&["events", "list", "-n", "10000", "--oldest"]);
    listed.as_array().unwrap().iter().map(|event| event["event"]["id"].as_str().unwrap().to_owned()).collect()
}

fn used(fleet: &Fleet) -> Value {
    fleet.json(&["usage"])["total"].clone()
}

async fn broker(fleet: &Fleet) -> async_nats::jetstream::Context {
    let context = fleet.context();
    let credentials = fleet.data_dir().join("fleet.creds");
    let options = async_nats::ConnectOptions::with_credentials_file(credentials).await.unwrap();
    async_nats::jetstream::new(options.connect(context["nats_url"].as_str().unwrap()).await.unwrap())
}

async fn streamed(fleet: &Fleet) -> u64 {
    broker(fleet).await.get_stream("TENANT-default").await.unwrap().cached_info().state.messages
}

fn furnished() -> Fleet {
    let fleet = Fleet::start(&[]);
    publish(&fleet, 0, COUNT);
    wait_for("all of them", || (stored(&fleet).len() == COUNT).then_some(()));
    fleet
}

/// Ends a fleet at once, and gives a folder with nothing but its keys.
fn lost(mut fleet: Fleet) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["secret.key", "operator.seed"] {
        fs::copy(fleet.data_dir().join(name), folder.path().join(name)).unwrap();
    }
    fleet.up.signal(Signal::SIGKILL);
    fleet.up.wait();
    folder
}

/// Runs a command until it has said this, and kills it.
fn killed_at(folder: &Path, args: &[&str], words: &str) {
    let mut running = Running::start(eventrunner(folder).args(args));
    running.wait_until_said(words);
    running.signal(Signal::SIGKILL);
    let status = running.wait();
    assert!(!status.success(), "it was over before it was killed: {}", running.said());
}

fn refused(folder: &Path, args: &[&str], code: i32, words: &str) {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_is_begun_again_and_nothing_is_doubled() {
    let fleet = furnished();
    let before = (stored(&fleet), used(&fleet));
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("b");
    fleet.ok(&["backup", "--to", text(&backup)]);
    let folder = lost(fleet);

    // Amid the streams, and amid the stores.
    killed_at(folder.path(), &["restore", text(&backup)], "EVENTS: ");
    refused(folder.path(), &["up", "--port-base", "0"], 78, "a restore onto this broker was interrupted");
    killed_at(folder.path(), &["restore", text(&backup)], "events.ndjson.zst: 3000");
    ok(folder.path(), &["restore", text(&backup)]);

    let fleet = Fleet::start_on(folder, &[]);
    assert_eq!((stored(&fleet), used(&fleet)), before);
    publish(&fleet, COUNT, 1);
    wait_for("the next", || (stored(&fleet).len() == COUNT + 1).then_some(()));
    assert_eq!(streamed(&fleet).await, u64::try_from(COUNT + 1).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_or_cut_off_is_none_and_the_fleet_goes_on() {
    let fleet = furnished();
    let place = tempfile::tempdir().unwrap();
    let shelf = place.path().join("backups");
    let into = ["backup", "--into", text(&shelf), "--keep", "2"];
    killed_at(fleet.data_dir(), &into, "RAW: ");
    let begun: Vec<_> = folders(&shelf);
    assert_eq!(begun.len(), 1);
    refused(fleet.data_dir(), &["backup", "verify", &begun[0]], 65, "unfinished");
    refused(place.path(), &["restore", &begun[0]], 65, "unfinished");
    let never = broker(&fleet).await.get_key_value("backups").await.unwrap().get("last").await.unwrap();
    assert_eq!(never, None);

    // The queues go on by themselves.
    publish(&fleet, COUNT, 1);
    wait_for("what came meanwhile", || (stored(&fleet).len() == COUNT + 1).then_some(()));

    let port = fleet.context()["nats_url"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let line = Line::to(port);
    let url = format!("nats://127.0.0.1:{}", line.port());
    let other = place.path().join("cut");
    let mut cut = Running::start(eventrunner(fleet.data_dir()).args([
        "backup",
        "--to",
        text(&other),
        "--nats-url",
        &url,
    ]));
    cut.wait_until_said("RAW: ");
    line.cut();
    assert_eq!(cut.wait().code(), Some(69), "{}", cut.said());
    refused(fleet.data_dir(), &["backup", "verify", text(&other)], 65, "unfinished");
    publish(&fleet, COUNT + 1, 1);
    wait_for("what came meanwhile", || (stored(&fleet).len() == COUNT + 2).then_some(()));

    // One that is whole takes away what was begun, and in the end the oldest.
    for number in 1..=3 {
        let summary = fleet.json(&into);
        assert_eq!(summary["events"], COUNT + 2, "{summary}");
        assert_eq!(folders(&shelf).len(), number.min(2), "{summary}");
        assert_eq!(summary["removed"].as_array().map_or(0, Vec::len), usize::from(number == 3), "{summary}");
        let last = broker(&fleet).await.get_key_value("backups").await.unwrap().get("last").await.unwrap();
        let last: Value = serde_json::from_slice(&last.unwrap()).unwrap();
        assert_eq!(last["backup"], summary["backup"]);
        // Its name is the second.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
    }
    told_age(&fleet);
    let findings = fleet.json(&["doctor"]);
    let last = findings.as_array().unwrap().iter().find(|finding| finding["check"] == "backup");
    assert!(last.unwrap()["detail"].as_str().unwrap().contains(", 0 hours ago"), "{findings}");
}

/// Paths of what is in it, but for the lock.
fn folders(shelf: &Path) -> Vec<String> {
    let entries = fs::read_dir(shelf).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).map(|path| text(&path).to_owned()).collect()
}

/// The fleet's metrics say when the last backup was.
fn told_age(fleet: &Fleet) {
    let admin = fleet.context()["admin_url"].as_str().unwrap().to_owned();
    let value = |metrics: &str| -> Option<f64> {
        let line = metrics.lines().find(|line| line.starts_with("eventrunner_backup_time_seconds"))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let told = wait_for("the time of the last backup", || value(&http_get(&format!("{admin}/metrics"))));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((0.0..120.0).contains(&(now - told)), "{told} at {now}");
}

fn http_get(url: &str) -> String {
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current()
            .block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_replaced_only_if_that_is_said() {
    let mut fleet = furnished();
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("b");
    fleet.ok(&["backup", "--to", text(&backup)]);
    fleet.ok(&["systems", "create", "later", "-t", "demo"]);
    publish(&fleet, COUNT, 5);
    wait_for("what came later", || (stored(&fleet).len() == COUNT + 5).then_some(()));
    fleet.up.signal(Signal::SIGTERM);
    fleet.up.wait();

    refused(fleet.data_dir(), &["restore", text(&backup)], 73, "holds a stream");
    fleet.ok(&["restore", text(&backup), "--replace"]);
    fleet.start_again(&[]);
    // The catalog is the backup's; what is stored stays, and what is in both is there once.
    let systems = fleet.ok(&["systems", "list", "-t", "demo"]);
    assert!(!systems.contains("later"), "{systems}");
    let mut ids = stored(&fleet);
    assert_eq!(ids.len(), COUNT + 5);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), COUNT + 5);
    publish(&fleet, COUNT + 5, 1);
    wait_for("the next", || (stored(&fleet).len() == COUNT + 6).then_some(()));
}
