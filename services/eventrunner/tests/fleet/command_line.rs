//! The command line without a fleet: what it refuses, and how it says so.

use std::{fs, path::Path};

use crate::support::{ok, run, stderr};
use testkit::free_port;

/// Exit codes as `docs/cli.md` lists them.
const DONE: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 64;
const DATA: i32 = 65;
const NOT_FOUND: i32 = 66;
const UNAVAILABLE: i32 = 69;
const NO_PERMISSION: i32 = 77;
const CONFIG: i32 = 78;

/// A command line, its exit code, and what it must say on stderr.
type Case<'a> = (&'a [&'a str], i32, &'a str);

fn check(cases: &[Case<'_>]) {
    let folder = tempfile::tempdir().unwrap();
    for (args, code, says) in cases {
        let output = run(&folder.path().join("data"), args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?} must say {says:?}: {said}");
        let data = *code == DONE;
        assert_eq!(output.stdout.is_empty(), !data, "{args:?}: only data goes to stdout");
    }
}

#[test]
fn the_command_line_is_checked_before_anything_is_done() {
    check(&[
        (&["--help"], DONE, ""),
        (&["--version"], DONE, ""),
        (&[], USAGE, "Usage:"),
        (&["uup"], USAGE, "unrecognized"),
        (&["up", "--prot-base", "1"], USAGE, "--port-base"),
        (&["up", "--http-port", "70000"], USAGE, "70000"),
        (&["up", "--durability", "eternal"], USAGE, "use disk, process or replicated"),
        (&["tail", "--since", "yesterday"], USAGE, "15m"),
        (&["events", "list", "-n", "0"], USAGE, "0"),
        (&["events", "list", "-o", "xml"], USAGE, "jsonl"),
        (&["dead-letters", "redrive"], USAGE, "<IDS>"),
        (&["tenants", "create", "No Slug"], USAGE, "a-z"),
        (&["roles", "create", "No Slug", "--permission", "read:event"], USAGE, "a-z"),
        (&["roles", "create", "reader"], USAGE, "--permission"),
        (&["role-bindings", "create", "b", "--actor", "user:a"], USAGE, "--role"),
        (&["systems", "create", "x y", "--tenant", "a"], USAGE, "a-z"),
        (&["sources", "create", "s", "--system", "x", "--scheme", "github"], USAGE, "--secret"),
        (&["sources", "create", "s", "--system", "x", "--secret", "k"], USAGE, "--scheme"),
        (&["publish", "--data", "{}", "--type", "t", "--key", "k"], USAGE, "--source"),
        (&["publish", "-e", "A=b", "--data", "1"], USAGE, "a-z"),
        (&["verify", "--events", "0"], USAGE, "1..=1000000"),
        (&["systems"], USAGE, "Usage:"),
        (&["systems", "fetch"], USAGE, "unrecognized"),
        (&["subscriptions", "create", "s", "--system", "x"], USAGE, "--action"),
        (&["feeds", "create", "f", "--system", "x", "--endpoint", "y", "--type", "z"], USAGE, "substrate"),
        (&["tenants", "patch", "acme", "--retention-days", "x"], USAGE, "invalid value"),
        (&["systems", "create"], USAGE, "<ID>"),
        (&["context", "set", "local"], USAGE, "the fleet on this machine"),
        (&["events", "list", "--api-url", "ftp://a.example"], USAGE, "is no address"),
        (&["events", "list", "--api-url", "a.example"], USAGE, "no address"),
    ]);
}

#[test]
fn each_failure_has_its_exit_code_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let bad_json = folder.path().join("bad.json");
    fs::write(&bad_json, "{").unwrap();
    let bad_toml = folder.path().join("bad.toml");
    fs::write(&bad_toml, "[api]\nport = 1\n").unwrap();
    let (bad_json, bad_toml) = (bad_json.to_str().unwrap(), bad_toml.to_str().unwrap());
    let away = format!("http://127.0.0.1:{}", free_port());
    let nats_away = format!("nats://127.0.0.1:{}", free_port());
    check(&[
        // the input
        (&["publish", bad_json, "--key", "k", "--url", &away], DATA, "not JSON"),
        (&["event-types", "create", "t", "--system", "s", "--schema", bad_json], DATA, "not JSON"),
        (&["publish", "/no/such/file", "--key", "k"], NOT_FOUND, "/no/such/file"),
        (&["events", "list", "--context", "/no/such/file"], NOT_FOUND, "/no/such/file"),
        (&["events", "list", "--context", "nowhere"], NOT_FOUND, "there are: local"),
        (&["systems", "create", "-f", "/no/such/file"], NOT_FOUND, "/no/such/file"),
        // servers
        (&["events", "list", "--key", "k", "--api-url", &away], UNAVAILABLE, "eventrunner up"),
        (&["tail", "--key", "k", "--api-url", &away], UNAVAILABLE, "eventrunner up"),
        (
            &[
                "publish",
                "-d",
                "1",
                "--type",
                "t",
                "-s",
                "/s",
                "--retry-for",
                "0",
                "--key",
                "k",
                "--url",
                &away,
            ],
            UNAVAILABLE,
            "eventrunner up",
        ),
        (&["tenants", "list", "--key", "k", "--api-url", &away], UNAVAILABLE, "eventrunner up"),
        (
            &["keys", "create", "--system", "s", "-t", "a", "--scope", "operate", "--nats-url", &nats_away],
            UNAVAILABLE,
            "eventrunner up",
        ),
        (&["verify", "--nats-url", &nats_away], UNAVAILABLE, "eventrunner up"),
        (&["healthcheck", &away], FAILED, "does not answer"),
        // who may
        (&["events", "list"], NO_PERMISSION, "EVENTRUNNER_KEY"),
        (&["systems", "list", "-t", "a"], NO_PERMISSION, "EVENTRUNNER_KEY"),
        (&["usage", "-t", "a"], NO_PERMISSION, "keys create"),
        // the configuration
        (&["config", "check", "--config", bad_toml], CONFIG, "api.port"),
        (&["config", "check", "--config", "/no/such/file"], CONFIG, "/no/such/file"),
        (&["config", "check", "--set", "topology.partition=8"], CONFIG, "did you mean topology.partitions?"),
        (&["up", "--set", "topology.durability=replicated"], CONFIG, "disk or process"),
        (&["normalizer", "--set", "engine.reader.x=1"], CONFIG, "engine.reader.x"),
    ]);
}

#[test]
fn the_configuration_is_checked_printed_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let settings = ["--set", "topology.partitions=8", "--set", &format!("sealing.key={key}")];
    let printed = ok(folder.path(), &[&["config", "print"], &settings[..]].concat());
    assert!(printed.contains("partitions = 8") && printed.contains("[REDACTED]") && !printed.contains(key));
    let changed = ok(folder.path(), &[&["config", "print", "--changed"], &settings[..]].concat());
    assert!(changed.contains("topology.partitions = 8  # command line"), "{changed}");
    ok(folder.path(), &[&["config", "check"], &settings[..]].concat());
    let schema: serde_json::Value = serde_json::from_str(&ok(folder.path(), &["config", "schema"])).unwrap();
    assert!(schema.pointer("/properties/ingest_http").is_some());
    let wrong_key = run(folder.path(), &["config", "check", "--set", "sealing.key=short"]);
    assert_eq!(wrong_key.status.code(), Some(CONFIG), "{}", stderr(&wrong_key));
}

#[test]
fn generated_text_is_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(ok(folder.path(), &["completions", shell]).contains("dead-letters"), "{shell}");
    }
    let openapi: serde_json::Value = serde_json::from_str(&ok(folder.path(), &["openapi"])).unwrap();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/v1/events", "/v1/sources/{source}", "/api/v1/events", "/api/v1/dead-letters"] {
        assert!(openapi["paths"].get(path).is_some(), "{path}");
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    ok(folder.path(), &["docs", "--check", docs.to_str().unwrap()]);
}
