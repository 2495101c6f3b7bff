//! One `eventrunner up` of each form for all tests, on free ports and a folder of its own.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Cassandra, ClickHouse, wait_for};
use tokio::runtime::Runtime;

use crate::{
    tools,
    wire::{self, Event, Stored},
};

/// The broker and six services, in an unoptimized build on a loaded machine.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Longer than `up` itself gives its parts.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// From the 202 until the event can be read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// In which form a fleet runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In one process, on embedded stores.
    Embedded,
    /// Each service in a process of its own, two of those that share partitions, on CQL and ClickHouse.
    Processes,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Embedded, Self::Processes];

    /// What begins the names of its tests.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Embedded => "",
            Self::Processes => "processes::",
        }
    }
}

static FLEETS: [OnceLock<Fleet>; 2] = [OnceLock::new(), OnceLock::new()];
/// Of the fleet that tests run against now.
static FORM: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
pub(crate) struct Fleet {
    up: Mutex<Child>,
    /// What events and usage are kept in, if not in the fleet itself.
    _servers: Option<(Cassandra, ClickHouse)>,
    folder: TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) http: reqwest::Client,
    /// Base address of ingest-http.
    pub(crate) url: String,
    /// Base address of the API.
    pub(crate) api_url: String,
    pub(crate) nats_url: String,
    /// Host and port of ingest-grpc.
    pub(crate) grpc: String,
}

/// A tenant with one system, `shop`, and a key that may publish and read.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) key: String,
}

/// From now on tests run against a fleet of this form.
pub(crate) fn choose(form: Form) {
    FORM.store(form as usize, Ordering::SeqCst);
}

/// The fleet, started by whoever comes first.
pub(crate) fn fleet() -> &'static Fleet {
    let form = Form::ALL[FORM.load(Ordering::SeqCst)];
    FLEETS[form as usize].get_or_init(|| Fleet::start(form))
}

/// Stops the fleet as Ctrl-C does, if it was started.
///
/// # Errors
/// If it does not end well.
pub(crate) fn stop() -> Result<(), String> {
    let Some(fleet) = FLEETS[FORM.load(Ordering::SeqCst)].get() else { return Ok(()) };
    let mut up = fleet.up.lock().expect("not poisoned");
    let pid = i32::try_from(up.id()).expect("a process id");
    let _ = signal::kill(Pid::from_raw(pid), Signal::SIGINT);
    let began = Instant::now();
    let status = loop {
        match up.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < STOP_TIMEOUT => thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = up.kill();
                return Err(format!("`up` did not stop within {STOP_TIMEOUT:?} of Ctrl-C"));
            }
        }
    };
    if status.success() { Ok(()) } else { Err(format!("`up` ended with {status} on Ctrl-C")) }
}

/// The program, free of what the caller's environment sets.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventrunner"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EVENTRUNNER_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command
}

impl Fleet {
    fn start(form: Form) -> Self {
        let folder = TempDir::with_prefix("eventrunner-clients-").unwrap();
        let mut command = program();
        command.args(["up", "--port-base", "0", "--data-dir"]).arg(folder.path());
        command.arg("--nats-server").arg(testkit::nats_server_binary());
        let servers = (form == Form::Processes).then(|| (Cassandra::start(), ClickHouse::start()));
        if let Some((cassandra, clickhouse)) = &servers {
            command.args(["--processes", "--replicas", "engine=2,normalizer=2", "--stores", "external"]);
            command.args(["--cql", &cassandra.nodes().join(","), "--clickhouse", &clickhouse.url()]);
            command.args(["--set", "store.cql.replication=1"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut up = command.spawn().unwrap();
        let told = BufReader::new(up.stdout.take().expect("piped"));
        let (sender, receiver) = mpsc::channel();
        // Reads to the end: a full pipe would stop `up`.
        thread::spawn(move || told.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let (lines, is_ready) = read_banner(&receiver);
        if !is_ready {
            let _ = up.kill();
            panic!("`up` did not get ready within {START_TIMEOUT:?}:\n{}", lines.join("\n"));
        }
        // A line a service: its name, then its address.
        let address = |service: &str| {
            let first = format!("{service}-1");
            let is_its = |name: Option<&str>| name == Some(service) || name == Some(&first);
            let line = lines.iter().find(|line| is_its(line.split_whitespace().next()));
            let address = line.and_then(|line| line.split_whitespace().nth(1));
            address.unwrap_or_else(|| panic!("no address of {service} in:\n{}", lines.join("\n"))).to_owned()
        };
        testkit::install_tls();
        Self {
            url: address("ingest-http"),
            api_url: address("api"),
            nats_url: address("nats-server"),
            grpc: address("ingest-grpc"),
            runtime: Runtime::new().unwrap(),
            // Sooner than the doors close idle connections: a request must not meet the end of its own.
            http: reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(10)).build().unwrap(),
            up: Mutex::new(up),
            _servers: servers,
            folder,
        }
    }

    /// Runs a command of the command line; its JSON.
    pub(crate) fn cli(&self, arguments: &[&str], stdin: &str) -> Value {
        let mut command = program();
        command.args(arguments).args(["-o", "json", "--data-dir"]).arg(self.folder.path());
        serde_json::from_str(&tools::output(&mut command, stdin)).unwrap()
    }

    /// Makes a tenant, and waits until the doors know its key.
    pub(crate) fn tenant(&self, id: &str) -> Tenant {
        self.cli(&["tenants", "create", id], "");
        self.cli(&["systems", "create", "shop", "--tenant", id], "");
        let made =
            self.cli(&["keys", "create", "--tenant", id, "--system", "shop", "--scope", "publish,read"], "");
        let tenant = Tenant { key: made["key"].as_str().unwrap().to_owned() };
        self.runtime.block_on(wait_for("the doors know the key", READ_TIMEOUT, async || {
            let nothing = self.http.post(format!("{}/v1/events", self.url)).body("[]");
            let answer = nothing
                .header("content-type", "application/cloudevents-batch+json")
                .bearer_auth(&tenant.key)
                .send()
                .await;
            let read = self.http.get(format!("{}/api/v1/events", self.api_url)).bearer_auth(&tenant.key);
            (answer.unwrap().status() == 202 && read.send().await.unwrap().status() == 200).then_some(())
        }));
        tenant
    }

    /// A script that works as a tenant: where to, and with which key.
    pub(crate) fn environment(&self, tenant: &Tenant) -> [(&'static str, String); 3] {
        [
            ("EVENTRUNNER_URL", self.url.clone()),
            ("EVENTRUNNER_API_URL", self.api_url.clone()),
            ("EVENTRUNNER_KEY", tenant.key.clone()),
        ]
    }

    /// An event as soon as it is stored.
    pub(crate) fn read(&self, tenant: &Tenant, event: &Event) -> Stored {
        let (source, id) = (wire::path_segment(event.text("source")), wire::path_segment(event.text("id")));
        let url = format!("{}/api/v1/events/{source}/{id}", self.api_url);
        let get = async |accept: &str| {
            let request = self.http.get(&url).bearer_auth(&tenant.key).header("accept", accept);
            let answer = request.send().await.unwrap();
            let status = answer.status();
            assert!(status == 200 || status == 404, "{url}: {status}");
            (status == 200).then_some(answer.bytes().await.unwrap())
        };
        self.runtime.block_on(wait_for(&url, READ_TIMEOUT, async || {
            let json = get("application/cloudevents+json").await?;
            let protobuf = get("application/cloudevents+protobuf").await?;
            Some(Stored::new(&json, &protobuf))
        }))
    }

    /// Reads each event back and compares it, attribute for attribute and byte for byte.
    pub(crate) fn assert_stored(&self, tenant: &Tenant, sent: &[Event]) {
        assert!(!sent.is_empty());
        for event in sent {
            self.read(tenant, event).assert_is(event);
        }
    }
}

/// What `up` says until it is ready.
fn read_banner(receiver: &mpsc::Receiver<String>) -> (Vec<String>, bool) {
    let began = Instant::now();
    let mut lines = Vec::new();
    while let Ok(line) = receiver.recv_timeout(START_TIMEOUT.saturating_sub(began.elapsed())) {
        let is_ready = line.starts_with("Ready in ");
        lines.push(line);
        if is_ready {
            return (lines, true);
        }
    }
    (lines, false)
}
