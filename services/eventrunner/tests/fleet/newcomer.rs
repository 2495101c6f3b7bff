//! The newcomer's way, and what a crash leaves: everything.

use std::{fs, io::Write as _, process::Command};

use crate::support::{Fleet, Running, eventrunner, lasting_port, run, stderr, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The command that `up` printed, as one line.
fn printed_curl(fleet: &Fleet) -> String {
    let said = fleet.up.said();
    let from = said.find("curl -sS").unwrap_or_else(|| panic!("no curl in:\n{said}"));
    let command = said.get(from..).unwrap().split("\n\n").next().unwrap();
    command.replace("\\\n", " ")
}

/// Does what the command would do, on a machine without curl as well.
async fn paste(command: &str) -> Value {
    let quoted: Vec<&str> = command.split('\'').skip(1).step_by(2).collect();
    let [authorization, content_type, body] = quoted[..] else { panic!("unexpected: {command}") };
    let url = command.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    testkit::install_tls();
    let mut request = reqwest::Client::new().post(url).body(body.to_owned());
    for header in [authorization, content_type] {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 202);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_sees_their_event_come_out_at_the_other_end() {
    let fleet = Fleet::start(&[]);
    let mut tail = Running::start(eventrunner(fleet.data_dir()).args(["tail", "-n", "1", "-o", "jsonl"]));
    let command = printed_curl(&fleet);
    wait_until_following(&fleet).await;
    let accepted = paste(&command).await;
    let id = accepted["events"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(accepted["trace_id"].as_str().unwrap().len(), 32);

    assert_eq!(tail.wait().code(), Some(0), "{}", tail.said());
    let tailed: Value = serde_json::from_str(tail.said().trim()).unwrap();
    assert_eq!((tailed["id"].as_str(), &tailed["data"]), (Some(&*id), &json!({"hello": "world"})));

    let listed = wait_for("the event in the list", || {
        fleet.json(&["events", "list"]).as_array().filter(|l| !l.is_empty()).cloned()
    });
    assert_eq!(listed[0]["event"]["id"], *id);
    let stored = fleet.json(&["events", "get", "/demo", &id]);
    assert_eq!(stored["data"], json!({"hello": "world"}));

    let receipt = fleet.json(&["events", "receipt", "/demo", &id]);
    let hops: Vec<&str> =
        receipt["hops"].as_array().unwrap().iter().map(|h| h["hop"].as_str().unwrap()).collect();
    assert_eq!(hops, ["accepted", "normalized", "stored", "metered", "streamed"]);
    for hop in receipt["hops"].as_array().unwrap() {
        assert!(hop["at"].is_string() && hop.get("missing").is_none(), "{hop}");
    }
    assert_eq!(receipt["trace_id"], accepted["trace_id"]);
    assert_eq!(fleet.json(&["usage"])["total"], 1);

    // Nothing is wrong with such a fleet, and tables are for people.
    let doctor = fleet.ok(&["doctor"]);
    assert!(doctor.contains("0 failed, 0 warnings") && doctor.contains("durability"), "{doctor}");
    assert!(fleet.ok(&["events", "list"]).lines().nth(1).unwrap().contains(&id));
}

/// Until the API says that somebody follows the stream.
async fn wait_until_following(fleet: &Fleet) {
    let context: toml::Table =
        toml::from_str(&fs::read_to_string(fleet.data_dir().join("context.toml")).unwrap()).unwrap();
    let url = format!("{}/metrics", context["admin_url"].as_str().unwrap());
    testkit::wait_until("the tail follows", crate::support::PATIENCE, async || {
        let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
        text.lines()
            .any(|line| line.starts_with("eventrunner_api_connected_subscribers{") && line.ends_with(" 1"))
    })
    .await;
}

/// A tenant with a system, made on the command line.
fn make_acme(fleet: &Fleet) {
    fleet.ok(&["tenants", "create", "acme", "--name", "Acme", "--events-per-second", "100"]);
    fleet.ok(&["systems", "create", "shop", "-t", "acme"]);
}

fn make_key(fleet: &Fleet, scopes: &str) -> String {
    let key = fleet.ok(&["keys", "create", "-t", "acme", "--system", "shop", "--scope", scopes]);
    assert_eq!(key.lines().count(), 1, "only the key is data");
    key.trim().to_owned()
}

#[test]
fn the_catalog_is_managed_from_the_command_line() {
    let fleet = Fleet::start(&[]);
    make_acme(&fleet);
    let hub = [
        "sources", "create", "hub", "-t", "acme", "--system", "shop", "--preset", "github", "--secret", "s3",
    ];
    let source = fleet.json(&hub);
    assert_eq!(source["verification"]["scheme"]["type"], "github");
    assert_eq!(source["verification"]["secret_count"], 1);
    assert!(!source.to_string().contains("s3"), "{source}");

    let tenants = fleet.json(&["tenants", "list"]);
    let names: Vec<&str> = tenants.as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme", "demo"]);
    let twice = run(fleet.data_dir(), &["tenants", "create", "acme"]);
    assert_eq!(twice.status.code(), Some(65), "{}", stderr(&twice));
    assert!(stderr(&twice).contains("--replace"));
    fleet.ok(&["tenants", "create", "acme", "--name", "Acme Inc.", "--replace"]);
    assert_eq!(fleet.json(&["tenants", "get", "acme"])["name"], "Acme Inc.");
    let in_use = run(fleet.data_dir(), &["systems", "delete", "shop", "-t", "acme"]);
    assert!(!in_use.status.success() && stderr(&in_use).contains("1 source"), "{}", stderr(&in_use));
    let jane =
        ["customers", "create", "jane", "-t", "acme", "--label", "plan=gold", "--description", "the first"];
    let jane = fleet.json(&jane);
    assert_eq!((&jane["labels"]["plan"], &jane["description"]), (&json!("gold"), &json!("the first")));
    assert_eq!(jane["created_at"], jane["updated_at"]);
    let key = ["keys", "create", "-t", "acme", "--system", "shop", "--customer", "jane"];
    let key = fleet.json(&key)["resource"].clone();
    assert_eq!(key["customer"], "jane");
    let named = run(fleet.data_dir(), &["customers", "delete", "jane", "-t", "acme"]);
    assert!(!named.status.success() && stderr(&named).contains("1 key"), "{}", stderr(&named));
    assert!(fleet.ok(&["customers", "list", "-t", "acme"]).contains("plan=gold"));
    fleet.ok(&["keys", "delete", key["id"].as_str().unwrap(), "-t", "acme"]);
    fleet.ok(&["customers", "delete", "jane", "-t", "acme"]);
    assert_eq!(fleet.json(&["customers", "list", "-t", "acme"]), json!([]));
    let again = run(fleet.data_dir(), &["customers", "create", "jane", "-t", "acme"]);
    assert!(!again.status.success() && stderr(&again).contains("was deleted"), "{}", stderr(&again));
    fleet.ok(&["sources", "delete", "hub", "-t", "acme"]);
    fleet.ok(&["systems", "delete", "shop", "-t", "acme"]);
    assert_eq!(fleet.json(&["systems", "list", "-t", "acme"]), json!([]));
}

#[test]
fn a_deleted_key_is_refused_and_up_makes_another() {
    let mut fleet = Fleet::start(&[]);
    make_acme(&fleet);
    let key = make_key(&fleet, "read");
    fleet.ok(&["events", "list", "--key", &key]);
    fleet.ok(&["keys", "delete", key.split('_').nth(1).unwrap(), "-t", "acme"]);
    let refused = run(fleet.data_dir(), &["events", "list", "--key", &key]);
    assert_eq!(refused.status.code(), Some(77), "{}", stderr(&refused));

    let keys = fleet.json(&["keys", "list", "-q", "made by eventrunner up"]);
    let demo = keys.as_array().unwrap().iter().find(|key| key["name"] == "made by eventrunner up").unwrap();
    let demo = demo["id"].as_str().unwrap().to_owned();
    fleet.ok(&["keys", "delete", &demo]);
    assert_eq!(run(fleet.data_dir(), &["events", "list"]).status.code(), Some(77));
    fleet.up.signal(Signal::SIGTERM);
    assert_eq!(fleet.up.wait().code(), Some(0), "{}", fleet.up.said());
    fleet.start_again(&[]);
    fleet.ok(&["events", "list"]);
    let keys = fleet.json(&["keys", "list"]);
    let keys = keys.as_array().unwrap();
    assert!(keys.len() == 2 && keys.iter().all(|key| key["id"] != *demo), "{keys:?}");
}

#[test]
fn dead_letters_are_looked_at_redriven_and_purged() {
    let fleet = Fleet::start(&[]);
    make_acme(&fleet);
    let schema = fleet.data_dir().join("sale.json");
    let path = schema.to_str().unwrap();
    let sale =
        ["event-types", "create", "sale", "-t", "acme", "--system", "shop", "--schema", path, "--replace"];
    fs::write(&schema, r#"{"type": "object", "required": ["total"]}"#).unwrap();
    fleet.ok(&sale);
    let key = make_key(&fleet, "publish,read");
    for data in [r#"{"total": 5}"#, r#"{"sum": 5}"#, r#"{"sum": 6}"#] {
        fleet.ok(&["publish", "--type", "sale", "--source", "/till", "--data", data, "--key", &key]);
    }
    let letters = wait_for("the dead letters", || {
        let letters = fleet.json(&["dead-letters", "list", "--key", &key]);
        letters.as_array().filter(|l| l.len() == 2).cloned()
    });
    assert_eq!(letters[0]["code"], "schema_violation");
    let id = letters[0]["id"].to_string();
    assert_eq!(fleet.json(&["dead-letters", "get", &id, "--key", &key])["event"]["data"], json!({"sum": 5}));
    let forbidden = run(fleet.data_dir(), &["dead-letters", "purge", "--all", "--key", &key]);
    assert_eq!(forbidden.status.code(), Some(77), "{}", stderr(&forbidden));

    // The schema mended, the first goes through; the second is thrown away.
    fs::write(&schema, r#"{"type": "object"}"#).unwrap();
    fleet.ok(&sale);
    let key = make_key(&fleet, "read,write");
    assert_eq!(fleet.json(&["dead-letters", "redrive", &id, "--key", &key])["redriven"], 1);
    wait_for("both events", || {
        (fleet.json(&["usage", "-t", "acme", "--key", &key])["total"] == 2).then_some(())
    });
    assert_eq!(fleet.json(&["dead-letters", "purge", "--all", "--key", &key])["deleted"], 1);
    assert_eq!(fleet.json(&["dead-letters", "list", "--key", &key]), json!([]));
}

/// Events as NDJSON in a file.
fn events(count: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for i in 0..count {
        let event = json!({"specversion": "1.0", "id": i.to_string(), "source": "/load", "type": "load", "data": {"i": i}});
        writeln!(file, "{event}").unwrap();
    }
    file
}

#[test]
fn a_crash_keeps_everything_that_was_accepted() {
    // Ports of its own choice: those of the broker that is left behind must not count as taken.
    let ports = Ports::free();
    let mut fleet = Fleet::start(&ports.args());
    let file = events(3_000);
    let path = file.path().to_str().unwrap().to_owned();
    let mut publisher = eventrunner(fleet.data_dir())
        .args(["publish", &path, "--rate", "1000", "--retry-for", "0", "-o", "json"])
        .spawn_captured();
    wait_for("some events", || (fleet.json(&["usage"])["total"].as_u64().unwrap() > 100).then_some(()));
    fleet.up.signal(Signal::SIGKILL);
    fleet.up.wait();
    let summary: Value = serde_json::from_str(&publisher.stdout_at_end()).unwrap();
    let accepted = summary["accepted"].as_u64().unwrap();
    assert!((100..3_000).contains(&accepted), "in the middle of it: {summary}");

    let left = fleet.nats_pid().unwrap();
    assert!(crate::support::is_broker_of(left, fleet.data_dir()), "a killed fleet leaves its broker behind");
    fleet.start_again(&ports.args());
    assert!(fleet.up.said().contains(&format!("process id {left}")), "{}", fleet.up.said());
    assert!(!crate::support::is_broker_of(left, fleet.data_dir()), "which the next one replaces");

    // The same key is good, what was accepted is there, and what is sent again is there once.
    let total = || fleet.json(&["usage"])["total"].as_u64().unwrap();
    wait_for("everything accepted", || (total() >= accepted).then_some(()));
    fleet.ok(&["publish", &path, "-q", "--concurrency", "4"]);
    wait_for("all events, once", || (total() == 3_000).then_some(()));
    let tailed = fleet.ok(&["tail", "--from-start", "-n", &accepted.to_string(), "-o", "jsonl"]);
    assert_eq!(u64::try_from(tailed.lines().count()).unwrap(), accepted);
}

/// Ports that stay the same from start to start.
struct Ports(Vec<String>);

impl Ports {
    fn free() -> Self {
        let flags = ["--http-port", "--api-port", "--nats-port", "--nats-monitor-port"];
        Self(flags.iter().flat_map(|flag| [(*flag).to_owned(), lasting_port().to_string()]).collect())
    }

    fn args(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_where_it_was_when_the_fleet_comes_back() {
    let ports = Ports::free();
    let mut fleet = Fleet::start(&ports.args());
    let mut tail = Running::start(eventrunner(fleet.data_dir()).args(["tail", "-n", "3"]));
    wait_until_following(&fleet).await;
    let publish = |fleet: &Fleet, id: &str| {
        fleet.ok(&["publish", "--type", "t", "--source", "/s", "--id", id, "--data", "\"x\""]);
    };
    publish(&fleet, "first");
    tail.wait_until_said("first");
    fleet.up.signal(Signal::SIGTERM);
    assert_eq!(fleet.up.wait().code(), Some(0), "{}", fleet.up.said());
    tail.wait_until_said("connecting again");
    fleet.start_again(&ports.args());
    publish(&fleet, "second");
    publish(&fleet, "third");
    assert_eq!(tail.wait().code(), Some(0), "{}", tail.said());
    let said = tail.said();
    let events: Vec<&str> = said.lines().filter_map(|l| l.split("  ").nth(3)).collect();
    assert_eq!(events, ["first", "second", "third"], "{said}");
}

/// A command whose stdout is read when it has ended.
struct Captured(std::process::Child);

trait SpawnCaptured {
    fn spawn_captured(&mut self) -> Captured;
}

impl SpawnCaptured for Command {
    fn spawn_captured(&mut self) -> Captured {
        use std::process::Stdio;
        Captured(self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Captured {
    fn stdout_at_end(&mut self) -> String {
        self.0.wait().unwrap();
        std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap()
    }
}
