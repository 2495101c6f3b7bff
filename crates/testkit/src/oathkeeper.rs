//! A real Ory Oathkeeper, owned by one test.

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{free_port, http::ask, process};

/// From the start of the process until it answers; a loaded machine needs its time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);

/// Where its files are where it is deployed; here they are in a folder of its own.
const FOLDER: &str = "/etc/oathkeeper";

/// An Oathkeeper on free loopback ports. Killed when dropped, or when this process is gone.
#[derive(Debug)]
pub struct Oathkeeper {
    folder: TempDir,
    child: Option<Child>,
    proxy_port: u16,
    api_port: u16,
}

impl Oathkeeper {
    /// Whether there is one to be started: `scripts/tools.sh oathkeeper` compiles it. Under CI there must be.
    #[must_use]
    pub fn is_installed() -> bool {
        let binary = process::cache().map(|cache| cache.join("eventrunner/bin/oathkeeper"));
        env::var_os("CI").is_some_and(|ci| ci == "true") || binary.is_some_and(|binary| binary.is_file())
    }

    /// One that has its ports, and does not run yet: whoever is behind it may have to know them first.
    ///
    /// # Panics
    /// If there is no temporary folder.
    #[must_use]
    pub fn prepare() -> Self {
        let folder = TempDir::with_prefix("eventrunner-oathkeeper-");
        let folder = folder.unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        Self { folder, child: None, proxy_port: free_port(), api_port: free_port() }
    }

    /// Where callers come.
    #[must_use]
    pub fn proxy_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.proxy_port)
    }

    /// Its public keys.
    #[must_use]
    pub fn keys_url(&self) -> String {
        format!("http://127.0.0.1:{}/.well-known/jwks.json", self.api_port)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts it with these files, of which `oathkeeper.yml` is its configuration. Where they name `/etc/oathkeeper` its folder is
    /// meant.
    ///
    /// # Panics
    /// If Oathkeeper is not installed, or it does not start; with its log.
    pub fn start(&mut self, files: &[(&str, &str)]) {
        let folder = self.folder.path();
        for (name, text) in files {
            let text = text.replace(FOLDER, &folder.display().to_string());
            fs::write(folder.join(name), text)
                .unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.display()));
        }
        let log = fs::File::create(folder.join("log"));
        let log = log.unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.display()));
        let script = process::script("oathkeeper.sh");
        let child = Command::new(&script)
            .arg(folder)
            .args([self.proxy_port.to_string(), self.api_port.to_string()])
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
            assert!(runs && start.elapsed() < START_TIMEOUT, "Oathkeeper does not answer:\n{}", self.log());
            thread::sleep(PAUSE);
        }
    }

    /// Whether both its listeners answer: the proxy anything, as it has rules for what is behind it only.
    fn is_ready(&self) -> bool {
        matches!(ask(self.api_port, "GET", "/health/ready", ""), Ok((200, _)))
            && matches!(ask(self.proxy_port, "GET", "/", ""), Ok((100.., _)))
    }
}

impl Drop for Oathkeeper {
    fn drop(&mut self) {
        process::kill(&mut self.child);
    }
}
