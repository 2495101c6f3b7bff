//! Running the binary as people do.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// For anything that takes a loaded machine its time: a start waits for many fsyncs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A port that is free, and below those the system gives to connections: it stays free while nobody listens on it.
pub(crate) fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of other processes begin elsewhere.
    let offset = u16::try_from(std::process::id() % 500).unwrap() * 20;
    std::iter::repeat_with(|| 20_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

/// The binary, away from whatever this user has: no context, no configuration of theirs.
pub(crate) fn eventrunner(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventrunner"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EVENTRUNNER_")) {
        command.env_remove(name);
    }
    let binary = testkit::nats_server_binary();
    command.env("EVENTRUNNER_DATA_DIR", data_dir).env("EVENTRUNNER_NATS_SERVER", binary).env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
pub(crate) fn run(data_dir: &Path, args: &[&str]) -> Output {
    eventrunner(data_dir).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs a command that must end well, and gives its stdout.
pub(crate) fn ok(data_dir: &Path, args: &[&str]) -> String {
    let output = run(data_dir, args);
    assert!(output.status.success(), "{args:?}: {}\n{}", output.status, stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until `find` finds something.
pub(crate) fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process whose output is read as it comes.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let readers: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        let readers = readers.map(|reader| {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap();
                    said.push_str(&line);
                    said.push('\n');
                }
            })
        });
        Self { child, said, readers: readers.into() }
    }

    /// All it has said so far, stdout and stderr.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn wait_until_said(&mut self, text: &str) {
        let began = Instant::now();
        loop {
            // In this order: what it says last must not be missed.
            let ended = self.child.try_wait().unwrap();
            let said = self.said();
            if said.contains(text) {
                return;
            }
            let waiting = ended.is_none() && began.elapsed() < PATIENCE;
            assert!(waiting, "not within {PATIENCE:?}, or ended ({ended:?}): {text:?}:\n{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until it has ended and all it said is there.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = wait_for("the end of the process", || self.child.try_wait().unwrap());
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fleet of `eventrunner up` on free ports.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) up: Running,
    folder: TempDir,
}

impl Fleet {
    /// Starts one on an empty folder and waits until it is ready.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_on(tempfile::tempdir().unwrap(), args)
    }

    /// Starts one on a folder and waits until it is ready.
    pub(crate) fn start_on(folder: TempDir, args: &[&str]) -> Self {
        let up = Self::spawn(folder.path(), args);
        let mut fleet = Self { up, folder };
        fleet.up.wait_until_said("Ctrl-C stops the fleet");
        fleet
    }

    fn spawn(folder: &Path, args: &[&str]) -> Running {
        // Tests have HTTP clients of their own.
        testkit::install_tls();
        Running::start(eventrunner(folder).args(["up", "--port-base", "0"]).args(args))
    }

    /// Starts it again on the same folder.
    pub(crate) fn start_again(&mut self, args: &[&str]) {
        self.up = Self::spawn(self.folder.path(), args);
        self.up.wait_until_said("Ctrl-C stops the fleet");
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn nats_pid(&self) -> Option<i32> {
        fs::read_to_string(self.folder.path().join("nats/nats.pid")).ok()?.trim().parse().ok()
    }

    /// Runs a client command against it, which must end well.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        ok(self.data_dir(), args)
    }

    /// The same, and reads its stdout as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let text = self.ok(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if matches!(self.up.child.try_wait(), Ok(None)) {
            self.up.signal(Signal::SIGTERM);
            let began = Instant::now();
            while matches!(self.up.child.try_wait(), Ok(None)) && began.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // One that was killed leaves its broker behind.
        if let Some(pid) = self.nats_pid().filter(|pid| is_broker_of(*pid, self.folder.path())) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Whether a process runs on this folder's configuration.
pub(crate) fn is_broker_of(pid: i32, folder: &Path) -> bool {
    let config: PathBuf = folder.join("nats/nats.conf");
    let config = fs::canonicalize(&config).unwrap_or(config);
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&config.display().to_string()))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Publishes events with the ids `e<from>` and so on.
pub(crate) fn publish(fleet: &Fleet, from: usize, count: usize) {
    let line =
        |n| format!(r#"{{"specversion":"1.0","id":"e{n}","source":"/s","type":"t","data":{{"n": {n}}}}}"#);
    let lines: Vec<_> = (from..from + count).map(line).collect();
    let sent = fleet.data_dir().join("sent.ndjson");
    fs::write(&sent, lines.join("\n")).unwrap();
    fleet.ok(&["publish", text(&sent)]);
}
