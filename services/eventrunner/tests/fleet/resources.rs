//! Every kind of resource by every verb, and the contexts in which it is done.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::support::{Fleet, eventrunner, run, stderr};

/// A kind: its noun, an id, what makes one, what changes it, and what it says then and where. `@` stands for the folder of files.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    ("plans", "gold", "--events-per-second 10", "--events-burst 20", "/limits/events_burst", "20"),
    ("users", "al", "--name Al", "--must-change-password true", "/must_change_password", "true"),
    ("tenants", "acme", "--plan gold", "--retention-days 9", "/retention_days", "9"),
    ("systems", "shop", "--label a=b", "--unset /labels/a", "/labels", "{}"),
    ("customers", "jane", "--name Jane", "--plan gold", "/plan", "\"gold\""),
    (
        "event-types",
        "sale",
        "--system shop --schema @/s.json",
        "--compatibility full",
        "/compatibility",
        "\"full\"",
    ),
    ("sources", "hub", SOURCE, "--tolerance 60", "/verification/secret_count", "1"),
    ("roles", "auditor", "--permission read:event", "--permission *:usage", "/permissions", "[\"*:usage\"]"),
    ("roles", "fleet/helper", "--permission read:event", "--name H", "/name", "\"H\""),
    (
        "role-bindings",
        "al",
        "--actor user:al --role auditor",
        "--role fleet/helper",
        "/role",
        "\"fleet/helper\"",
    ),
    ("role-bindings", "fleet/root", "--actor user:al --role superuser", "--name R", "/name", "\"R\""),
    ("components", "pricing", COMPONENT, "--enabled false", "/enabled", "false"),
    ("workflows", "returns", "--definition @/flow.yaml", "--system shop", "/system", "\"shop\""),
    ("rule-sets", "discounts", "--rules @/rules.grl", "--description d", "/description", "\"d\""),
    ("actions", "tell", ACTION, "--method PUT", "/target/secret_header_names", "[\"authorization\"]"),
    (
        "subscriptions",
        "orders",
        "--system shop --action tell",
        "--event-type sale",
        "/event_types",
        "[\"sale\"]",
    ),
    ("feeds", "meters", FEED, "--source hub", "/source", "\"hub\""),
    (
        "meters",
        "turnover",
        "--aggregation sum --value /amount",
        "--event-type sale",
        "/event_type",
        "\"sale\"",
    ),
];
const SOURCE: &str = "--system shop --preset github --secret hidden";
const COMPONENT: &str =
    "--system shop --digest sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";
const ACTION: &str = "--system shop --to https://x.example/ --secret-header-file authorization=@/erp.token";
const FEED: &str = "--system shop --type mqtt --endpoint mqtts://b.example";

/// A fleet with the files of the rows.
struct Managed {
    fleet: Fleet,
    files: tempfile::TempDir,
}

impl Managed {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("s.json", "{\"type\": \"object\"}"),
            ("flow.yaml", "tasks: []\n"),
            ("rules.grl", "rule A { when true then Retract(\"A\"); }"),
            ("erp.token", "Bearer hidden\n"),
        ] {
            fs::write(files.path().join(name), text).unwrap();
        }
        Self { fleet: Fleet::start(&[]), files }
    }

    /// Runs words of the command line, in the tenant.
    fn run(&self, noun: &str, verb: &str, id: &str, words: &str) -> std::process::Output {
        let words = words.replace('@', self.files.path().to_str().unwrap());
        let mut args = vec![noun, verb, id, "-t", "acme"];
        args.extend(words.split_whitespace());
        run(self.fleet.data_dir(), &args)
    }

    fn ok(&self, noun: &str, verb: &str, id: &str, words: &str) -> String {
        let output = self.run(noun, verb, id, words);
        assert!(output.status.success(), "{noun} {verb} {id} {words}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, noun: &str, verb: &str, id: &str, words: &str) -> Value {
        serde_json::from_str(&self.ok(noun, verb, id, &format!("{words} -o json"))).unwrap()
    }
}

#[test]
fn every_kind_is_managed_by_every_verb() {
    let managed = Managed::start();
    for (noun, id, create, patch, pointer, value) in ROWS {
        let made = managed.json(noun, "create", id, create);
        assert!(!made.to_string().contains("hidden"), "{made}");
        let patched = managed.json(noun, "patch", id, patch);
        assert_eq!(patched.pointer(pointer), Some(&serde_json::from_str(value).unwrap()), "{noun} {patched}");
        assert_eq!(managed.json(noun, "get", id, ""), patched, "{noun}");
        let stale = managed.run(noun, "patch", id, "--description x --revision 1");
        assert_eq!(stale.status.code(), Some(65), "{noun}: {}", stderr(&stale));

        // As it was read it can be sent back, and nothing changes.
        let read = managed.ok(noun, "get", id, "-o yaml");
        fs::write(managed.files.path().join("read.yaml"), &read).unwrap();
        let again = managed.json(noun, "replace", id, "-f @/read.yaml");
        assert_eq!(again["revision"], patched["revision"], "{noun}: {read}");
        let fleets = if id.starts_with("fleet/") { "--fleet" } else { "" };
        let query = format!("--query={}", id.trim_start_matches("fleet/"));
        let listed = managed.json(noun, "list", &query, fleets);
        assert_eq!(listed, json!([patched]), "{noun}");
    }
    for (noun, id, create, ..) in ROWS.iter().rev() {
        managed.ok(noun, "delete", id, "");
        assert_eq!(managed.run(noun, "get", id, "").status.code(), Some(66), "{noun}");
        if ["tenants", "plans"].contains(noun) {
            continue;
        }
        let twice = managed.run(noun, "create", id, create);
        assert!(stderr(&twice).contains("--replace"), "{noun}: {}", stderr(&twice));
        managed.ok(noun, "undelete", id, "");
        managed.ok(noun, "delete", id, "");
        // What was deleted is brought back by who wants it so.
        managed.ok(noun, "create", id, &format!("{create} --replace"));
        managed.ok(noun, "rm", id, "");
    }
}

#[test]
fn lists_are_whole_and_narrowed() {
    let fleet = Fleet::start(&[]);
    for tenant in ["acme", "globex"] {
        fleet.ok(&["tenants", "create", tenant]);
        for n in 0..3 {
            let id = format!("{tenant}-{n}");
            fleet.ok(&["systems", "create", &id, "-t", tenant, "--label", &format!("n={n}")]);
        }
    }
    let ids = |args: &[&str]| {
        let list = fleet.json(&[&["systems", "list"], args].concat());
        list.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["-t", "acme"]), ["acme-0", "acme-1", "acme-2"]);
    assert_eq!(ids(&["-t", "acme", "--sort", "-id", "-n", "2"]), ["acme-2", "acme-1"]);
    assert_eq!(ids(&["-A", "-l", "n=1"]), ["acme-1", "globex-1"]);
    assert_eq!(ids(&["-A", "-l", "n!=1", "-q", "x-"]), ["globex-0", "globex-2"]);
    fleet.ok(&["systems", "delete", "acme-0", "-t", "acme"]);
    assert_eq!(ids(&["-t", "acme", "--deleted"]), ["acme-0"]);
}

#[test]
fn contexts_are_kept_by_name() {
    let fleet = Fleet::start(&[]);
    let config = tempfile::tempdir().unwrap();
    let file = config.path().join("eventrunner/contexts.toml");
    let up: toml::Table = fs::read_to_string(fleet.data_dir().join("context.toml")).unwrap().parse().unwrap();
    let text = |name: &str| up[name].as_str().unwrap().to_owned();
    let key_file = config.path().join("key");
    fs::write(&key_file, text("operator_key") + "\n").unwrap();
    let run = |args: &[&str]| {
        let mut command = eventrunner(fleet.data_dir());
        command.env_remove("EVENTRUNNER_DATA_DIR").env("XDG_CONFIG_HOME", config.path());
        command.env("XDG_DATA_HOME", config.path().join("nothing")).args(args).output().unwrap()
    };
    let ok = |args: &[&str]| {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["systems", "list", "-t", "demo"]).status.code(), Some(77));
    let (api, key) = (text("api_url"), key_file.to_str().unwrap().to_owned());
    ok(&["context", "set", "here", "--api-url", &api, "--key-file", &key, "--tenant", "demo"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(ok(&["systems", "list", "--context", "here"]).contains("demo"));
    assert_eq!(run(&["systems", "list", "-t", "demo"]).status.code(), Some(77), "it is not in use yet");
    ok(&["context", "use", "here"]);
    assert!(ok(&["systems", "list"]).contains("demo"));
    let listed: Value = serde_json::from_str(&ok(&["context", "list", "-o", "json"])).unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|c| (&c["name"], &c["current"])).collect();
    assert_eq!(names, [(&json!("local"), &json!(false)), (&json!("here"), &json!(true))]);
    assert!(!ok(&["context", "show"]).contains(&text("operator_key")), "keys are not shown");
    assert_eq!(run(&["context", "use", "nowhere"]).status.code(), Some(66));
    ok(&["context", "set", "here", "--tenant", "other"]);
    assert!(ok(&["context", "show", "here"]).contains("other"));
    ok(&["context", "delete", "here"]);
    assert_eq!(
        run(&["systems", "list", "-t", "demo"]).status.code(),
        Some(77),
        "the local one is in use again"
    );
}

#[test]
fn a_fleet_gets_its_first_key_on_the_broker() {
    let fleet = Fleet::start(&[]);
    let up: toml::Table = fs::read_to_string(fleet.data_dir().join("context.toml")).unwrap().parse().unwrap();
    let (nats, api) = (up["nats_url"].as_str().unwrap(), up["api_url"].as_str().unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    // Nothing is known of the fleet but where its broker is, and that is not enough.
    let args = ["keys", "create", "--system", "ops", "-t", "ops", "--scope", "operate", "--nats-url", nats];
    let refused = run(elsewhere.path(), &args);
    assert_eq!(refused.status.code(), Some(78));
    assert!(stderr(&refused).contains("refuses the login"), "{}", stderr(&refused));
    let login = up["nats_credentials_file"].as_str().unwrap();
    let made = run(elsewhere.path(), &[&args[..], &["--nats-credentials", login]].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    let key = String::from_utf8(made.stdout).unwrap();
    let list = ["tenants", "list", "--key", key.trim(), "--api-url", api, "-o", "jsonl"];
    crate::support::wait_for("the API knows the key", || {
        let listed = run(elsewhere.path(), &list);
        let text = String::from_utf8(listed.stdout).unwrap();
        (text.lines().count() == 2 && text.contains("\"ops\"")).then_some(())
    });
}

#[test]
fn it_waits_for_what_is_to_come_and_not_longer() {
    let fleet = Fleet::start(&[]);
    let dir = fleet.data_dir();
    fleet.ok(&["wait", "fleet"]);
    let late = run(dir, &["wait", "system", "shop", "--timeout", "0"]);
    assert_eq!(late.status.code(), Some(75));
    assert!(stderr(&late).contains("there is no system shop"), "{}", stderr(&late));
    let mut waiting = eventrunner(dir).args(["wait", "system", "shop", "-o", "json"]).spawn().unwrap();
    fleet.ok(&["systems", "create", "shop"]);
    assert!(waiting.wait().unwrap().success());
    let revision = fleet.json(&["systems", "get", "shop"])["revision"].as_u64().unwrap();
    fleet.ok(&["wait", "system", "shop", "--revision", &revision.to_string(), "--timeout", "0"]);
    let next = (revision + 1).to_string();
    assert_eq!(
        run(dir, &["wait", "system", "shop", "--revision", &next, "--timeout", "0"]).status.code(),
        Some(75)
    );
    let mut waiting =
        eventrunner(dir).args(["wait", "system", "shop", "--member", "/name=Shop"]).spawn().unwrap();
    fleet.ok(&["systems", "patch", "shop", "--name", "Shop"]);
    assert!(waiting.wait().unwrap().success());
    let mut waiting = eventrunner(dir).args(["wait", "system", "shop", "--gone"]).spawn().unwrap();
    fleet.ok(&["systems", "delete", "shop"]);
    assert!(waiting.wait().unwrap().success());
    assert_eq!(run(dir, &["wait", "nothing", "x"]).status.code(), Some(64));
    let away = [
        "wait",
        "fleet",
        "--timeout",
        "1",
        "--api-url",
        &format!("http://127.0.0.1:{}", testkit::free_port()),
    ];
    assert_eq!(run(dir, &away).status.code(), Some(75));
}
