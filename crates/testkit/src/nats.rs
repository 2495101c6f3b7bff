//! A real nats-server, owned by one test.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::process;

/// From the start of the process until it takes connections; a loaded machine needs its time.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// From SIGTERM until the process is gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What the limits of all streams together may be: the broker's own default follows the free disk, and a stream with the limits
/// of production would be refused on a small one.
const RESERVED_BYTES_MAX: u64 = 1 << 50;

const PAUSE: Duration = Duration::from_millis(5);

/// How the server is set.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// `sync_interval: always`: no acknowledgement before the message is on disk. Otherwise the server's two minutes.
    pub sync_always: bool,
    /// Data folder; one of its own, deleted with the server, when `None`.
    pub store_dir: Option<PathBuf>,
    /// Largest message in bytes; the server's 1 MiB when `None`.
    pub max_payload: Option<u32>,
    /// Its JetStream domain, where there are several.
    pub domain: Option<String>,
    /// Lines added to the configuration file.
    pub extra: String,
}

impl Default for NatsOptions {
    /// As `eventrunner up` runs its broker: durable on disk.
    fn default() -> Self {
        Self { sync_always: true, store_dir: None, max_payload: None, domain: None, extra: String::new() }
    }
}

/// A nats-server with JetStream on a free loopback port. Killed when dropped.
#[derive(Debug)]
pub struct NatsServer {
    options: NatsOptions,
    folder: TempDir,
    child: Option<Child>,
    port: u16,
}

impl NatsServer {
    /// Starts one with the default options.
    ///
    /// # Panics
    /// If there is no nats-server, or it does not start; with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(NatsOptions::default())
    }

    /// Starts one.
    ///
    /// # Panics
    /// If there is no nats-server, or it does not start; with its log.
    #[must_use]
    pub fn start_with(options: NatsOptions) -> Self {
        let folder =
            TempDir::with_prefix("eventrunner-nats-").unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let mut server = Self { options, folder, child: None, port: 0 };
        server.launch();
        server
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its data folder.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.options.store_dir.clone().unwrap_or_else(|| self.folder.path().join("jetstream"))
    }

    /// What it has logged since its first start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A client that is connected, and comes back by itself after a restart.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn client(&self) -> async_nats::Client {
        let options =
            async_nats::ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(20));
        options
            .connect(self.url())
            .await
            .unwrap_or_else(|e| panic!("cannot connect to {}: {e}\n{}", self.url(), self.log()))
    }

    /// JetStream of such a client.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.client().await)
    }

    /// Kills it at once, as a crash would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        process::kill(&mut self.child);
    }

    /// Stops it in order (SIGTERM) and waits until it is gone.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) {
        process::signal(self.pid(), Signal::SIGTERM);
        let Some(child) = self.child.as_mut() else { return };
        let start = Instant::now();
        while !matches!(child.try_wait(), Ok(Some(_))) {
            if start.elapsed() > STOP_TIMEOUT {
                panic!("nats-server does not stop:\n{}", self.log());
            }
            thread::sleep(PAUSE);
        }
        self.child = None;
    }

    /// Starts it again on the same port and data, after a kill if it still runs.
    ///
    /// # Panics
    /// If it does not start; with its log.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
    }

    /// Starts it again with `sync_always` changed, and so on: same port, same data.
    ///
    /// # Panics
    /// If it does not start; with its log.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut NatsOptions)) {
        self.kill();
        change(&mut self.options);
        self.launch();
    }

    /// Stops it from doing anything, connections kept (SIGSTOP): a broker that hangs. Returns when each of its threads
    /// has stopped, which takes a moment after the signal.
    pub fn pause(&self) {
        process::pause(self.pid());
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        process::signal(self.pid(), Signal::SIGCONT);
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn launch(&mut self) {
        let config = self.folder.path().join("nats.conf");
        let written = fs::write(&config, self.config())
            .and_then(|()| fs::OpenOptions::new().create(true).append(true).open(self.log_file()));
        let log = written.unwrap_or_else(|e| panic!("cannot write to {}: {e}", self.folder.path().display()));
        let binary = nats_server_binary();
        let mut command = Command::new(&binary);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot run {}: {e}", binary.display()));
        // From here on a panic kills it.
        self.child = Some(child);
        self.port = self.await_port();
    }

    /// The server writes its ports when it takes connections; the file is named after its process.
    fn await_port(&mut self) -> u16 {
        let start = Instant::now();
        loop {
            let ended = self.child.as_mut().is_none_or(|c| !matches!(c.try_wait(), Ok(None)));
            if ended || start.elapsed() > START_TIMEOUT {
                let what = if ended { "ended" } else { "does not take connections" };
                panic!("nats-server {what}:\n{}", self.log());
            }
            if let Some(port) = self.pid().and_then(|pid| read_port(self.folder.path(), pid)) {
                return port;
            }
            thread::sleep(PAUSE);
        }
    }

    fn config(&self) -> String {
        // -1: a free port, chosen by the server itself, so that nobody can come in between.
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let folder = self.folder.path().display();
        let sync = if self.options.sync_always { "\n  sync_interval: always" } else { "" };
        let payload = self.options.max_payload.map(|n| format!("max_payload: {n}\n")).unwrap_or_default();
        let domain =
            self.options.domain.as_ref().map(|name| format!("\n  domain: {name}")).unwrap_or_default();
        format!(
            "listen: 127.0.0.1:{port}\nports_file_dir: \"{folder}\"\n{payload}jetstream {{\n  store_dir: \"{}\"{sync}{domain}\n  max_file_store: {RESERVED_BYTES_MAX}\n}}\n{}\n",
            self.store_dir().display(),
            self.options.extra,
        )
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_port(folder: &Path, pid: u32) -> Option<u16> {
    let ending = format!("_{pid}.ports");
    let file = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|e| e.path())
        .find(|p| p.to_string_lossy().ends_with(&ending))?;
    // Half written: not JSON yet, look again.
    let ports: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

/// The nats-server to run: `NATS_SERVER`, the first on the `PATH`, or the one `make tools` put in the cache.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn nats_server_binary() -> PathBuf {
    find_binary(
        env::var_os("NATS_SERVER").map(PathBuf::from),
        env::var_os("PATH").as_deref(),
        process::cache().as_deref(),
    )
    .unwrap_or_else(|| {
        panic!("there is no nats-server on the PATH: run `make tools`, or set NATS_SERVER to one")
    })
}

fn find_binary(named: Option<PathBuf>, path: Option<&OsStr>, cache: Option<&Path>) -> Option<PathBuf> {
    let on_path = path.into_iter().flat_map(env::split_paths).map(|folder| folder.join("nats-server"));
    let cached = cache.map(|folder| folder.join("eventrunner/bin/nats-server"));
    named.into_iter().chain(on_path).chain(cached).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_named_one_then_the_paths_then_the_caches() {
        let folder = TempDir::new().unwrap();
        let put = |name: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            file
        };
        let find = |named: Option<&Path>| {
            let path = folder.path().join("bin").into_os_string();
            find_binary(named.map(Path::to_owned), Some(&path), Some(folder.path()))
        };
        assert_eq!(find(None), None);
        let cached = put("eventrunner/bin/nats-server");
        assert_eq!(find(None), Some(cached));
        let on_path = put("bin/nats-server");
        assert_eq!(find(None), Some(on_path));
        let named = put("mine");
        assert_eq!(find(Some(&named)), Some(named));
    }
}
