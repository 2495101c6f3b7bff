//! Layers, their order, and what a wrong key or value is answered with.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not their helpers")]

use std::{collections::BTreeMap, fs};

use runtime::{
    config::{self, Error, Loaded, Millis, Secret, Sources},
    http::ServerOptions,
    telemetry::LogOptions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Options {
    data_dir: String,
    durability: model::Durability,
    log: LogOptions,
    bus: Bus,
    ingest_http: ServerOptions,
    limits: BTreeMap<String, u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            durability: model::Durability::Disk,
            log: LogOptions::default(),
            bus: Bus::default(),
            ingest_http: ServerOptions::on_port(8080),
            limits: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Bus {
    urls: Vec<String>,
    token: Secret,
    linger_ms: Millis,
    name: Option<String>,
}

fn file(text: &str) -> (tempfile::NamedTempFile, Sources) {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(file.path(), text).unwrap();
    let sources = Sources::default().with_file(file.path());
    (file, sources)
}

fn load(sources: &Sources) -> Result<Loaded<Options>, Error> {
    config::load(sources)
}

fn refused(sources: &Sources) -> String {
    load(sources).unwrap_err().to_string()
}

#[test]
fn without_anything_it_is_the_default() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.value, Options::default());
    assert_eq!(loaded.origin("ingest_http.listen"), "default");
}

#[test]
fn each_layer_overrides_the_one_before() {
    let (file, sources) = file(
        "durability = 'process'\n[ingest_http]\nheaders_max = 1\nconnections_max = 1\nidle_timeout_ms = 1\n",
    );
    let sources = sources
        .with_env([
            ("EVENTRUNNER_INGEST_HTTP__CONNECTIONS_MAX", "2"),
            ("EVENTRUNNER_INGEST_HTTP__IDLE_TIMEOUT_MS", "2"),
        ])
        .with_overrides([("ingest_http.idle_timeout_ms", "3")]);
    let loaded = load(&sources).unwrap();
    let http = &loaded.value.ingest_http;
    assert_eq!((http.headers_max, http.connections_max, http.idle_timeout_ms), (1, 2, Millis(3)));
    assert_eq!(http.listen, ServerOptions::on_port(8080).listen, "a section keeps its own defaults");
    assert_eq!(loaded.value.durability, model::Durability::Process);
    for (key, origin) in [
        ("durability", &*file.path().display().to_string()),
        ("ingest_http.listen", "default"),
        ("ingest_http.connections_max", "EVENTRUNNER_INGEST_HTTP__CONNECTIONS_MAX"),
        ("ingest_http.idle_timeout_ms", "command line"),
    ] {
        assert_eq!(loaded.origin(key), origin);
    }
}

#[test]
fn text_becomes_what_its_key_takes() {
    let loaded = load(&Sources::default().with_env([
        ("EVENTRUNNER_BUS__TOKEN", "12345"),
        ("EVENTRUNNER_BUS__URLS", r#"["nats://a", "nats://b"]"#),
        ("EVENTRUNNER_BUS__LINGER_MS", "7"),
        ("EVENTRUNNER_BUS__NAME", "\"42\""),
        ("EVENTRUNNER_INGEST_HTTP__LISTEN", "127.0.0.1:1234"),
        ("EVENTRUNNER_LIMITS__ACME", "9"),
        ("EVENTRUNNER_LOG__FORMAT", "json"),
        // not configuration
        ("EVENTRUNNER_API_KEY", "er_x_y"),
        ("EVENTRUNNER_CONFIG", "/nowhere"),
        ("PATH__X", "y"),
    ]))
    .unwrap()
    .value;
    assert_eq!(loaded.bus.token.expose(), Some("12345"));
    assert_eq!(loaded.bus.urls, ["nats://a", "nats://b"]);
    assert_eq!((loaded.bus.linger_ms, loaded.bus.name.as_deref()), (Millis(7), Some("42")));
    assert_eq!(loaded.ingest_http.listen.port(), 1234);
    assert_eq!(loaded.limits["acme"], 9);
}

#[test]
fn a_wrong_key_is_named_with_its_layer_and_what_may_be_meant() {
    let (file, in_file) = file("[ingest_http]\nlisten_on = '127.0.0.1:1'\n");
    let path = file.path().display().to_string();
    for (sources, message) in [
        (
            in_file,
            format!("ingest_http.listen_on ({path}): there is no such key; did you mean ingest_http.listen?"),
        ),
        (
            Sources::default().with_env([("EVENTRUNNER_INGESTHTTP__LISTEN", "x")]),
            "ingesthttp (EVENTRUNNER_INGESTHTTP__LISTEN): there is no such key; did you mean ingest_http?"
                .into(),
        ),
        (
            Sources::default().with_overrides([("bus.whatever", "1")]),
            "bus.whatever (command line): there is no such key".into(),
        ),
    ] {
        assert_eq!(refused(&sources), message);
    }
}

#[test]
fn a_wrong_value_is_named_with_its_layer_and_without_the_value() {
    let (file, in_file) = file("[bus]\nlinger_ms = 'hunter2'\n");
    let path = file.path().display().to_string();
    for (sources, message) in [
        (in_file, format!("bus.linger_ms ({path}): found a string, expected u64")),
        (
            Sources::default().with_overrides([("durability", "forever")]),
            "durability (command line): \"forever\" is none of disk, process, replicated".into(),
        ),
        (
            Sources::default().with_env([("EVENTRUNNER_INGEST_HTTP__HEADERS_MAX", "-1")]),
            "ingest_http.headers_max (EVENTRUNNER_INGEST_HTTP__HEADERS_MAX): an integer is not u32".into(),
        ),
        (
            Sources::default().with_env([("EVENTRUNNER_INGEST_HTTP__LISTEN", "localhost")]),
            "ingest_http.listen (EVENTRUNNER_INGEST_HTTP__LISTEN): invalid socket address syntax".into(),
        ),
        (
            Sources::default().with_env([("EVENTRUNNER_BUS__TOKEN", "file:/does/not/exist")]),
            "bus.token (EVENTRUNNER_BUS__TOKEN): cannot read /does/not/exist: No such file or directory (os error 2)".into(),
        ),
    ] {
        assert_eq!(refused(&sources), message);
    }
}

#[test]
fn a_file_that_cannot_be_read_says_where_but_quotes_nothing() {
    let (file, sources) = file("data_dir = 'x'\ntoken = hunter2\n");
    let message = refused(&sources);
    assert!(message.starts_with(&format!("{}: line 2: ", file.path().display())), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    let message = refused(&Sources::default().with_file("/does/not/exist.toml"));
    assert_eq!(message, "/does/not/exist.toml: No such file or directory (os error 2)");
}

#[test]
fn secrets_are_read_from_files_and_never_shown() {
    let held = tempfile::NamedTempFile::new().unwrap();
    fs::write(held.path(), "hunter2\n").unwrap();
    let sources = Sources::default()
        .with_overrides([
            ("bus.token", format!("file:{}", held.path().display())),
            ("bus.urls", "['nats://me:hunter2@host:1']".into()),
        ])
        .with_env([("EVENTRUNNER_LIMITS__X", "1")]);
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.value.bus.token.expose(), Some("hunter2"));
    let printed = config::print(&loaded.value).unwrap();
    for text in [&printed, &format!("{:?}", loaded.value.bus.token), &format!("{sources:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(
        printed.contains("token = \"[REDACTED]\"") && printed.contains("nats://[REDACTED]@host:1"),
        "{printed}"
    );

    // What is printed is a configuration, except that a redacted secret is not taken for one.
    let (_file, again) = file(&printed);
    assert!(refused(&again).ends_with("is the printed form of a secret, not a secret"));
    let (_file, again) = file(&config::print(&Options::default()).unwrap());
    assert_eq!(load(&again).unwrap().value, Options::default());
}

#[test]
fn the_schema_names_each_key_with_its_default() {
    let schema = config::schema::<Options>();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["ingest_http"]["default"]["listen"], "127.0.0.1:8080");
    assert_eq!(schema["$defs"]["ServerOptions"]["properties"]["idle_timeout_ms"]["default"], 75_000);
    assert_eq!(schema["$defs"]["Secret"]["writeOnly"], true);
}
