//! A real Ory Keto, owned by one test or shared by those of one binary.

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{http::ask, process};

/// From the start of the process until it answers; a loaded machine needs its time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);

/// A Keto on free loopback ports, its tuples in memory. Killed when dropped, or when this process is gone.
#[derive(Debug)]
pub struct Keto {
    folder: TempDir,
    child: Option<Child>,
    read_port: u16,
    write_port: u16,
}

impl Keto {
    /// Whether there is one to be started: `scripts/tools.sh keto` compiles it. Under CI there must be.
    #[must_use]
    pub fn is_installed() -> bool {
        let binary = process::cache().map(|cache| cache.join("eventrunner/bin/keto"));
        env::var_os("CI").is_some_and(|ci| ci == "true") || binary.is_some_and(|binary| binary.is_file())
    }

    /// Starts one with these namespaces, in Ory's permission language.
    ///
    /// # Panics
    /// If Keto is not installed, or it does not start; with its log.
    #[must_use]
    pub fn start(namespaces: &str) -> Self {
        let folder =
            TempDir::with_prefix("eventrunner-keto-").unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        fs::write(folder.path().join("namespaces.keto.ts"), namespaces)
            .unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.path().display()));
        let mut keto = Self { folder, child: None, read_port: 0, write_port: 0 };
        keto.launch();
        keto
    }

    /// The read API.
    #[must_use]
    pub fn read_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.read_port)
    }

    /// The write API.
    #[must_use]
    pub fn write_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.write_port)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Kills it at once (SIGKILL); its tuples are lost.
    pub fn kill(&mut self) {
        process::kill(&mut self.child);
    }

    /// Starts it again on the same ports, without tuples.
    ///
    /// # Panics
    /// If it does not start; with its log.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// Stops it from doing anything, connections kept (SIGSTOP): a server that hangs.
    pub fn pause(&self) {
        process::pause(self.pid());
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        process::signal(self.pid(), Signal::SIGCONT);
    }

    fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn launch(&mut self) {
        let folder = self.folder.path();
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
        let log = log.unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.display()));
        let script = process::script("keto.sh");
        let child = Command::new(&script)
            .arg(folder)
            .args([self.read_port.to_string(), self.write_port.to_string()])
            // It ends when this pipe closes: also with a process that has no time to stop it.
            .env("ENDS_WITH_STDIN", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_or_else(|_| Stdio::null(), Stdio::from))
            .stderr(log)
            .spawn();
        // From here on a panic kills it.
        self.child = Some(child.unwrap_or_else(|e| panic!("cannot run {}: {e}", script.display())));
        let start = Instant::now();
        while !self.is_ready() {
            let runs = self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
            assert!(runs && start.elapsed() < START_TIMEOUT, "Keto does not answer:\n{}", self.log());
            thread::sleep(PAUSE);
        }
    }

    /// Whether both its listeners are there and it answers.
    fn is_ready(&mut self) -> bool {
        let port = |name: &str| -> Option<u16> {
            fs::read_to_string(self.folder.path().join(name)).ok()?.trim().rsplit_once(':')?.1.parse().ok()
        };
        let (Some(read), Some(write)) = (port("read"), port("write")) else { return false };
        (self.read_port, self.write_port) = (read, write);
        [read, write].iter().all(|port| matches!(ask(*port, "GET", "/health/ready", ""), Ok((200, _))))
    }
}

impl Drop for Keto {
    fn drop(&mut self) {
        self.kill();
    }
}
