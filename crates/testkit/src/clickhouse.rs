//! A real ClickHouse server, owned by one test or shared by those of one binary.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{free_port, http::ask, process};

/// From the start of the process until it answers; a loaded machine needs its time.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(5);

/// Ports are looked for before the server binds them; somebody may be faster.
const STARTS_MAX: u32 = 5;

/// How the server is set.
#[derive(Debug, Clone, Default)]
pub struct ClickHouseOptions {
    /// Elements of `users.xml` below its root, such as `<users>…</users>`; the user `default` with every right and no password when
    /// `None`.
    pub users: Option<String>,
    /// Elements added to the configuration.
    pub config: String,
}

/// A ClickHouse server on free loopback ports. Killed when dropped, or when this process is gone.
#[derive(Debug)]
pub struct ClickHouse {
    options: ClickHouseOptions,
    folder: TempDir,
    child: Option<Child>,
    http_port: u16,
    tcp_port: u16,
}

impl ClickHouse {
    /// Starts one.
    ///
    /// # Panics
    /// If the engine is not installed, or it does not start; with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(ClickHouseOptions::default())
    }

    /// Starts one.
    ///
    /// # Panics
    /// If the engine is not installed, or it does not start; with its log.
    #[must_use]
    pub fn start_with(options: ClickHouseOptions) -> Self {
        let folder = TempDir::with_prefix("eventrunner-clickhouse-")
            .unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let mut server = Self { options, folder, child: None, http_port: 0, tcp_port: 0 };
        for left in (0..STARTS_MAX).rev() {
            (server.http_port, server.tcp_port) = (free_port(), free_port());
            if server.launch() {
                return server;
            }
            assert!(
                left > 0 && !server.log().contains("scripts/tools.sh"),
                "no ClickHouse:\n{}",
                server.log()
            );
        }
        server
    }

    /// The one server that the tests of this binary share: each has a database or tenants of its own, and none stops it.
    ///
    /// # Panics
    /// If the engine is not installed, or it does not start; with its log.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ClickHouse> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Its HTTP interface.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Its native interface, host and port.
    #[must_use]
    pub fn native_address(&self) -> String {
        format!("127.0.0.1:{}", self.tcp_port)
    }

    /// What it has logged since its first start.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Runs a statement as `default` and returns the answer, tab-separated. Blocks.
    ///
    /// # Panics
    /// If the server does not answer, or with what it says is wrong.
    #[must_use = "the answer is the point; use `run` for statements without one"]
    pub fn query(&self, database: &str, statement: &str) -> String {
        match ask(self.http_port, "POST", &format!("/?database={database}"), statement) {
            Ok((200, body)) => body,
            Ok((_, body)) => panic!("{statement}\n{body}"),
            Err(error) => panic!("{statement}\n{error}\n{}", self.log()),
        }
    }

    /// Runs a statement as `default`. Blocks.
    ///
    /// # Panics
    /// As [`query`](Self::query).
    pub fn run(&self, database: &str, statement: &str) {
        let _ = self.query(database, statement);
    }

    /// Kills it at once, as a crash would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        process::kill(&mut self.child);
    }

    /// Starts it again on the same ports and data, after a kill if it still runs.
    ///
    /// # Panics
    /// If it does not start; with its log.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "no ClickHouse:\n{}", self.log());
    }

    /// Starts it again with its options changed: same ports, same data.
    ///
    /// # Panics
    /// If it does not start; with its log.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut ClickHouseOptions)) {
        self.kill();
        change(&mut self.options);
        self.restart();
    }

    /// Stops it from doing anything, connections kept (SIGSTOP): a server that hangs.
    pub fn pause(&self) {
        process::pause(self.pid());
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        process::signal(self.pid(), Signal::SIGCONT);
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Whether it answers; not if it ended.
    fn launch(&mut self) -> bool {
        let folder = self.folder.path();
        let config = self.options.configure(folder);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file());
        let log = log.unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.display()));
        let script = process::script("clickhouse.sh");
        let mut command = Command::new(&script);
        command
            .arg(folder.join("data"))
            .args([self.http_port.to_string(), self.tcp_port.to_string()])
            .arg(format!("--config-file={}", config.display()))
            // It ends when this pipe closes: also with a process that has no time to stop it.
            .env("EVENTRUNNER_TEMPORARY", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot run {}: {e}", script.display()));
        // From here on a panic kills it.
        self.child = Some(child);
        let start = Instant::now();
        while !matches!(ask(self.http_port, "GET", "/ping", ""), Ok((200, _))) {
            if self.child.as_mut().is_none_or(|c| !matches!(c.try_wait(), Ok(None))) {
                return false;
            }
            assert!(start.elapsed() < START_TIMEOUT, "ClickHouse does not answer:\n{}", self.log());
            thread::sleep(PAUSE);
        }
        true
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill();
    }
}

impl ClickHouseOptions {
    /// Writes the configuration and returns its file.
    fn configure(&self, folder: &Path) -> PathBuf {
        let users = self.users.clone().unwrap_or_else(|| {
            "<profiles><default/></profiles><quotas><default/></quotas><users><default><password/>\
             <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>\
             </default></users>"
                .into()
        });
        let (users_file, config_file) = (folder.join("users.xml"), folder.join("config.xml"));
        let directories = format!(
            "<user_directories><users_xml><path>{}</path></users_xml></user_directories>",
            users_file.display()
        );
        fs::write(&users_file, format!("<clickhouse>{users}</clickhouse>"))
            .and_then(|()| {
                fs::write(&config_file, format!("<clickhouse>{directories}{}</clickhouse>", self.config))
            })
            .unwrap_or_else(|e| panic!("cannot write to {}: {e}", folder.display()));
        config_file
    }
}
