//! A nats-server of the test's own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

/// Runs on a free port of the loopback; data in a folder that outlives a restart.
pub(crate) struct Nats {
    child: Option<Child>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Nats {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut nats = Self { child: None, port, folder: tempfile::tempdir().unwrap() };
        nats.resume();
        nats
    }

    pub(crate) fn resume(&mut self) {
        let program = std::env::var("EVENTRUNNER_NATS_SERVER").unwrap_or_else(|_| "nats-server".to_owned());
        let child = Command::new(&program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{program} must be on the PATH: {e}"));
        self.child = Some(child);
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until JetStream answers.
    pub(crate) async fn connect(&self) -> async_nats::jetstream::Context {
        let options = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| std::time::Duration::from_millis(20));
        let client = options.connect(format!("127.0.0.1:{}", self.port)).await.unwrap();
        let js = async_nats::jetstream::new(client);
        while js.query_account().await.is_err() {
            tokio::task::yield_now().await;
        }
        js
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
