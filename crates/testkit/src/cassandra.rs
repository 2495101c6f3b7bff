//! A real Cassandra, or three of them in a ring.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process;

/// From the start of the process until it takes connections; a loaded machine needs its time.
const START_TIMEOUT: Duration = Duration::from_secs(180);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// What the server says when it takes connections.
const READY: &str = "Starting listening for CQL clients";
/// Starts on ports that were free a moment ago: somebody else may have come in between.
const ATTEMPTS: u32 = 3;

/// How the servers are set.
#[derive(Debug, Clone, Default)]
pub struct CassandraOptions {
    /// Lines for the end of each `cassandra.yaml`.
    pub config: String,
    /// Java heap of each, such as `512m`; the script's own when empty.
    pub heap: String,
    /// The optimizing compiler, for measuring: slower to start.
    pub long_run: bool,
}

/// Cassandra on a free loopback port, in a folder of its own; or a ring of nodes on 127.0.0.1, .2 and so on. Killed when
/// dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Cassandra {
    options: CassandraOptions,
    folder: TempDir,
    /// By node.
    children: Vec<Option<Child>>,
    port: u16,
    gossip_port: u16,
}

impl Cassandra {
    /// Starts one node with the default options.
    ///
    /// # Panics
    /// If it is not installed, or does not start; with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(1, &CassandraOptions::default())
    }

    /// Starts a ring of so many nodes.
    ///
    /// # Panics
    /// If it is not installed, or does not start; with a log.
    #[must_use]
    pub fn start_with(nodes: u8, options: &CassandraOptions) -> Self {
        check_installed();
        for attempt in 1.. {
            let folder = TempDir::with_prefix("eventrunner-cassandra-")
                .unwrap_or_else(|e| panic!("no temporary folder: {e}"));
            let [port, gossip_port] = free_ports(nodes);
            let children = (0..nodes).map(|_| None).collect();
            let mut ring = Self { options: options.clone(), folder, children, port, gossip_port };
            // The first is the seed of the others.
            let started = ring.launch(0).and_then(|()| {
                (1..nodes).for_each(|node| ring.spawn(node));
                (1..nodes).try_for_each(|node| ring.await_ready(node, 0))
            });
            match started {
                Ok(()) => return ring,
                Err(log) if attempt == ATTEMPTS || !log.contains("in use") => panic!("{log}"),
                Err(_) => {}
            }
        }
        unreachable!("the last attempt returns or panics")
    }

    /// Where clients connect: each node as `host:port`.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        (0..self.count()).map(|node| format!("{}:{}", address(node), self.port)).collect()
    }

    /// A node's folder.
    #[must_use]
    pub fn folder(&self, node: u8) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    /// What a node has logged since its first start.
    #[must_use]
    pub fn log(&self, node: u8) -> String {
        fs::read_to_string(self.folder(node).join("log")).unwrap_or_default()
    }

    /// Kills a node at once, as a crash would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self, node: u8) {
        process::kill(self.child(node));
    }

    /// Stops a node in order (SIGTERM) and waits until it is gone.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self, node: u8) {
        process::signal(self.pid(node), Signal::SIGTERM);
        let begin = Instant::now();
        while self.child(node).as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            assert!(begin.elapsed() < STOP_TIMEOUT, "cassandra does not stop:\n{}", self.log(node));
            thread::sleep(PAUSE);
        }
        *self.child(node) = None;
    }

    /// Starts a node again on its port and data, after a kill if it still runs, and waits until it takes connections.
    ///
    /// # Panics
    /// If it does not start; with its log.
    pub fn restart(&mut self, node: u8) {
        self.kill(node);
        self.launch(node).unwrap_or_else(|log| panic!("{log}"));
    }

    /// Stops a node from doing anything, connections kept (SIGSTOP).
    pub fn pause(&mut self, node: u8) {
        process::pause(self.pid(node));
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self, node: u8) {
        process::signal(self.pid(node), Signal::SIGCONT);
    }

    /// A node's process id while it runs.
    #[must_use]
    pub fn pid(&self, node: u8) -> Option<u32> {
        self.children.get(usize::from(node))?.as_ref().map(Child::id)
    }

    fn count(&self) -> u8 {
        u8::try_from(self.children.len()).unwrap_or(u8::MAX)
    }

    fn child(&mut self, node: u8) -> &mut Option<Child> {
        &mut self.children[usize::from(node)]
    }

    fn launch(&mut self, node: u8) -> Result<(), String> {
        let ready_before = self.log(node).matches(READY).count();
        self.spawn(node);
        self.await_ready(node, ready_before)
    }

    fn spawn(&mut self, node: u8) {
        let folder = self.folder(node);
        let log = fs::create_dir_all(&folder)
            .and_then(|()| fs::OpenOptions::new().create(true).append(true).open(folder.join("log")));
        let log = log.unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.display()));
        let errors = log.try_clone().unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.display()));
        let script = process::script("cassandra.sh");
        let mut command = Command::new(&script);
        command.arg(&folder).arg(self.port.to_string());
        command.env("ADDRESS", address(node).to_string()).env("SEED", address(0).to_string());
        command.env("GOSSIP_PORT", self.gossip_port.to_string()).env("CONFIG", &self.options.config);
        if !self.options.heap.is_empty() {
            command.env("HEAP", &self.options.heap);
        }
        if self.options.long_run {
            command.env("LONG_RUN", "1");
        }
        // The other end of its standard input is ours, and closes with us.
        command.env("ENDS_WITH_STDIN", "1").stdin(Stdio::piped()).stdout(log).stderr(errors);
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot run {}: {e}", script.display()));
        *self.child(node) = Some(child);
    }

    fn await_ready(&mut self, node: u8, ready_before: usize) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            if self.log(node).matches(READY).count() > ready_before {
                return Ok(());
            }
            let ended = self.child(node).as_mut().is_none_or(|c| !matches!(c.try_wait(), Ok(None)));
            if ended || begin.elapsed() > START_TIMEOUT {
                let what = if ended { "ended" } else { "does not take connections" };
                return Err(format!("cassandra {what}:\n{}", self.log(node)));
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        (0..self.count()).for_each(|node| self.kill(node));
    }
}

fn address(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, node + 1)
}

/// Ports that a moment ago were free on the addresses of all nodes.
fn free_ports(nodes: u8) -> [u16; 2] {
    let bind = |node, port| TcpListener::bind(SocketAddrV4::new(address(node), port));
    let pick = || {
        let first = bind(0, 0).unwrap_or_else(|e| panic!("no free port: {e}"));
        let port = first.local_addr().map_or(0, |at| at.port());
        // Held until both are known, so that they differ.
        let others: Result<Vec<_>, _> = (1..nodes).map(|node| bind(node, port)).collect();
        others.ok().map(|others| (port, first, others))
    };
    for _ in 0..100 {
        if let (Some(a), Some(b)) = (pick(), pick()) {
            return [a.0, b.0];
        }
    }
    panic!("no port is free on each of {nodes} loopback addresses")
}

fn check_installed() {
    let installed =
        process::cache().is_some_and(|folder| folder.join("eventrunner/cassandra/pom.xml").is_file());
    assert!(installed, "there is no Cassandra: run scripts/tools.sh cassandra");
}
