//! A fleet that is backed up while it runs, destroyed, and restored: everything is there, once, under its number.

use std::{fs, path::Path};

use hmac::{Hmac, KeyInit as _, Mac as _};
use nix::sys::signal::Signal;
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;

use crate::support::{Fleet, eventrunner, ok, publish, run, stderr, text, wait_for};

const PUBLISHED: usize = 600;
/// With the invoice and the credit note, which are told as events.
const EVENTS: usize = PUBLISHED + 2;
/// Months that are over are invoiced when the test says so, and not by the time of the year.
const SET: [&str; 2] = ["--set", "billing.close_after_hours=0"];
const SECRET: &str = "It's a Secret to Everybody";

fn listed(fleet: &Fleet) -> Vec<Value> {
    fleet.json(&["events", "list", "-n", "2000", "--oldest"]).as_array().unwrap().clone()
}

/// What must be the same afterwards.
fn told(fleet: &Fleet) -> Vec<Value> {
    let catalog = ["tenants", "systems", "sources", "users", "billing-accounts"].map(|kind| match kind {
        "tenants" | "users" => fleet.json(&[kind, "list"]),
        _ => fleet.json(&[kind, "list", "-t", "demo"]),
    });
    let events = listed(fleet).into_iter().map(|mut event| {
        event.as_object_mut().unwrap().remove("stored_at");
        event
    });
    let documents = [
        fleet.json(&["invoices", "list", "-t", "demo"]),
        fleet.json(&["invoices", "credit-notes", "-t", "demo"]),
        fleet.json(&["usage"])["total"].clone(),
        events.collect(),
    ];
    catalog.into_iter().chain(documents).collect()
}

/// A webhook that is signed with the secret of the source.
async fn signed(fleet: &Fleet) -> u16 {
    let context: toml::Table =
        toml::from_str(&fs::read_to_string(fleet.data_dir().join("context.toml")).unwrap()).unwrap();
    let body = r#"{"zen": "Keep it logically awesome."}"#;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let request = reqwest::Client::new()
        .post(format!("{}/v1/sources/demo.hub", context["url"].as_str().unwrap()))
        .header("content-type", "application/json")
        .header("x-github-event", "ping")
        .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
        .header("x-hub-signature-256", format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
        .body(body);
    request.send().await.unwrap().status().as_u16()
}

/// A fleet with something of everything.
fn furnished() -> (Fleet, TempDir) {
    let mut fleet = Fleet::start(&SET);
    let prices = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/prices");
    fleet.ok(&["apply", "-f", prices]);
    let hub = [
        "sources", "create", "hub", "-t", "demo", "--system", "demo", "--preset", "github", "--secret",
        SECRET,
    ];
    fleet.ok(&hub);
    fleet.ok(&["invoices", "create", "main", "2026-02", "-t", "demo"]);
    fleet.ok(&["invoices", "credit", "1", "-t", "demo", "--amount", "1.00", "--reason", "an outage"]);
    let config = tempfile::tempdir().unwrap();
    fleet.up.wait_until_said("If it gets lost");
    let said = fleet.up.said();
    let one_time = said
        .split("one-time password ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .trim_end_matches(':');
    fs::write(config.path().join("one-time"), one_time).unwrap();
    fs::write(config.path().join("new"), "four words with a staple").unwrap();
    let password = |name: &str| text(&config.path().join(name)).to_owned();
    let login =
        ["login", "admin", "--password-file", &password("one-time"), "--new-password-file", &password("new")];
    let done =
        eventrunner(fleet.data_dir()).env("XDG_CONFIG_HOME", config.path()).args(login).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    publish(&fleet, 0, PUBLISHED);
    wait_for("all of them", || (listed(&fleet).len() == EVENTS).then_some(()));
    (fleet, config)
}

/// What keeps a fleet's secrets, in a folder of its own.
fn keys_of(fleet: &Fleet) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["secret.key", "operator.seed"] {
        fs::copy(fleet.data_dir().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_was_destroyed_is_restored() {
    let (mut fleet, config) = furnished();
    let before = told(&fleet);
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("b");
    let summary = fleet.json(&["backup", "--to", text(&backup)]);
    assert_eq!(summary["events"], EVENTS, "{summary}");
    // What the fleet itself told is not metered.
    assert!(summary["usage_records"].as_u64().unwrap() >= u64::try_from(PUBLISHED).unwrap(), "{summary}");
    assert_eq!(summary["sealing_keys"].as_array().unwrap().len(), 1, "{summary}");
    assert_eq!(
        run(fleet.data_dir(), &["backup", "--to", text(&backup)]).status.code(),
        Some(73),
        "not empty"
    );
    // What comes after is not in it.
    publish(&fleet, EVENTS, 50);
    wait_for("the rest", || (listed(&fleet).len() == EVENTS + 50).then_some(()));
    let url = fleet.context()["nats_url"].as_str().unwrap().to_owned();
    let credentials = format!("nats.credentials_file={}", fleet.data_dir().join("fleet.creds").display());
    let busy = run(fleet.data_dir(), &["restore", text(&backup), "--nats-url", &url, "--set", &credentials]);
    assert_eq!(busy.status.code(), Some(73), "{}", stderr(&busy));
    assert!(stderr(&busy).contains("a fleet works on this broker"), "{}", stderr(&busy));

    let folder = keys_of(&fleet);
    fleet.up.signal(Signal::SIGKILL);
    fleet.up.wait();
    drop(fleet);

    let restored: Value =
        serde_json::from_str(&ok(folder.path(), &["restore", text(&backup), "-o", "json"])).unwrap();
    assert_eq!(restored["backup"], summary["backup"]);
    let again = run(folder.path(), &["restore", text(&backup)]);
    assert_eq!(again.status.code(), Some(73), "{}", stderr(&again));
    let fleet = Fleet::start_on(folder, &SET);
    assert_eq!(told(&fleet), before);

    // Passwords and signing secrets open, and the next invoice has the next number.
    let sessions = tempfile::tempdir().unwrap();
    let login = ["login", "admin", "--password-file", text(&config.path().join("new"))].map(str::to_owned);
    let done =
        eventrunner(fleet.data_dir()).env("XDG_CONFIG_HOME", sessions.path()).args(login).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(signed(&fleet).await, 202);
    let next = fleet.json(&["invoices", "create", "main", "2026-03", "-t", "demo"]);
    assert_eq!(next["id"], 2, "{next}");
    // Events go on where they were, and the tenant stream has each once: the last of those that were restored, and the next.
    publish(&fleet, EVENTS, 1);
    // With the webhook and the second invoice.
    wait_for("the next", || (listed(&fleet).len() == EVENTS + 3).then_some(()));
    assert_eq!(streamed(&fleet).await, u64::try_from(EVENTS + 3).unwrap());
}

/// Messages of the tenant streams.
async fn streamed(fleet: &Fleet) -> u64 {
    let context = fleet.context();
    let options =
        async_nats::ConnectOptions::with_credentials_file(fleet.data_dir().join("fleet.creds")).await;
    let client = options.unwrap().connect(context["nats_url"].as_str().unwrap()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("TENANT-default").await.unwrap();
    stream.cached_info().state.messages
}

#[test]
fn a_backup_that_does_not_fit_is_refused_before_anything_is_touched() {
    let fleet = Fleet::start(&[]);
    let hub = [
        "sources", "create", "hub", "-t", "demo", "--system", "demo", "--preset", "github", "--secret",
        SECRET,
    ];
    fleet.ok(&hub);
    let place = tempfile::tempdir().unwrap();
    let backup = place.path().join("b");
    let path = text(&backup);
    fleet.ok(&["backup", "--to", path, "--only", "catalog"]);
    assert!(fleet.ok(&["backup", "verify", path]).contains("streams"));
    let elsewhere = tempfile::tempdir().unwrap();
    let restore = |args: &[&str]| run(elsewhere.path(), &[&["restore", path], args].concat());
    let refused = |output: &std::process::Output, code: i32, word: &str| {
        assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
        assert!(stderr(output).contains(word), "{}", stderr(output));
    };

    refused(&restore(&[]), 78, "there is no");
    fs::write(elsewhere.path().join("other.key"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    set_private(&elsewhere.path().join("other.key"));
    let other = format!("sealing.key_file={}", elsewhere.path().join("other.key").display());
    refused(&restore(&["--set", &other]), 78, "which is not among the sealing keys");
    let ours = format!("sealing.key_file={}", fleet.data_dir().join("secret.key").display());
    refused(&restore(&["--set", &ours, "--set", "topology.partitions=8"]), 78, "topology.partitions = 4");

    let catalog = backup.join("streams/KV_catalog.snapshot");
    let good = fs::read(&catalog).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&catalog, bad).unwrap();
    refused(&run(fleet.data_dir(), &["backup", "verify", path]), 65, "KV_catalog");
    refused(&restore(&["--set", &ours]), 65, "KV_catalog");
    fs::write(&catalog, good).unwrap();
    assert!(!elsewhere.path().join("nats").exists(), "no broker was started");
    assert!(restore(&["--set", &ours, "--check"]).status.success());

    let manifest = backup.join("backup.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("\"format\": 1", "\"format\": 99", 1)).unwrap();
    refused(&restore(&["--set", &ours]), 65, "use a newer one");
    fs::remove_file(&manifest).unwrap();
    refused(&restore(&["--set", &ours]), 65, "unfinished");
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
