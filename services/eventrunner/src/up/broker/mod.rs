//! The broker of a laptop fleet: a nats-server of our own, started, watched and stopped with the fleet.

mod find;
mod leftover;
mod settings;

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    find::{Program, find, is_recent_enough},
    settings::Settings,
};
use crate::{
    exit::{Failure, Result},
    output::note,
};

/// How long it may take to recover its streams. A busy disk and 25 GB of streams take seconds, not minutes.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
/// From when on waiting is worth a line.
const SLOW: Duration = Duration::from_secs(3);
/// How long it may take to flush and end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Waits between restarts: the first and the longest. Running for as long as the longest counts as recovered.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

pub(crate) use self::leftover::{find as find_leftover, stop as stop_leftover};

/// Keeps a nats-server running in a task of its own, which outlives whoever waits for it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    ready: oneshot::Receiver<Result<u32>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Starts it.
    pub(crate) fn start(program: Program, settings: Settings) -> Self {
        let (tell, ready) = oneshot::channel();
        let stop = CancellationToken::new();
        let task = tokio::spawn(supervise(program, settings, tell, stop.clone()));
        Self { ready, stop, task }
    }

    /// Waits until it takes work. Gives its process id.
    pub(crate) async fn ready(&mut self) -> Result<u32> {
        let gone = || Failure::unavailable("nats-server was stopped");
        (&mut self.ready).await.unwrap_or_else(|_| Err(gone()))
    }

    /// Flushes and ends it; a signal on the way kills it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            note("nats-server's supervisor came to grief");
        }
    }
}

async fn supervise(
    program: Program,
    settings: Settings,
    tell: oneshot::Sender<Result<u32>>,
    stop: CancellationToken,
) {
    let started = async {
        settings.write()?;
        let child = spawn(&program, &settings)?;
        Ok(Server { program, settings, child })
    };
    let mut server = match started.await {
        Ok(server) => server,
        Err(failure) => return drop(tell.send(Err(failure))),
    };
    let ready = tokio::select! {
        () = stop.cancelled() => return server.end().await,
        ready = server.ready() => ready,
    };
    if let Err(failure) = ready {
        server.end().await;
        return drop(tell.send(Err(failure)));
    }
    let pid = server.child.id().unwrap_or_default();
    if tell.send(Ok(pid)).is_err() {
        // Whoever waited has gone; `stop` tells when to end.
        tracing::debug!("nobody waits for nats-server");
    }
    server.keep(stop).await;
}

/// A running nats-server.
#[derive(Debug)]
struct Server {
    program: Program,
    settings: Settings,
    child: Child,
}

impl Server {
    /// Waits until the streams are recovered.
    async fn ready(&mut self) -> Result<()> {
        let url = format!("http://{}/healthz", self.settings.monitor);
        let http = crate::client::http_client(Duration::from_secs(2))?;
        let began = Instant::now();
        let mut told = false;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.ended(status));
            }
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if began.elapsed() > READY_TIMEOUT {
                let message = format!("nats-server is not ready after {} s", READY_TIMEOUT.as_secs());
                let log = self.settings.log_file();
                return Err(Failure::unavailable(message).hint(format!("its log: {}", log.display())));
            }
            if began.elapsed() > SLOW && !told {
                note("nats-server is recovering its streams");
                told = true;
            }
            // It has no way to tell us; its own start takes about 20 ms.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn ended(&self, status: ExitStatus) -> Failure {
        let log = self.settings.log_file();
        let reason = last_fault(&log).map(|line| format!(": {line}")).unwrap_or_default();
        Failure::unavailable(format!("nats-server ended at its start ({}){reason}", describe(status)))
            .hint(format!("its log: {}", log.display()))
    }

    /// Starts it again whenever it ends, until `stop`. Clients look for it meanwhile: nothing is lost but time.
    async fn keep(mut self, stop: CancellationToken) {
        let mut backoff = BACKOFF.0;
        loop {
            let began = Instant::now();
            let status = tokio::select! {
                () = stop.cancelled() => return self.end().await,
                status = self.child.wait() => status,
            };
            if began.elapsed() > BACKOFF.1 {
                backoff = BACKOFF.0;
            }
            let how = status.map_or_else(|e| e.to_string(), describe);
            note(&format!("nats-server ended ({how}); starting it again in {} ms", backoff.as_millis()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF.1);
            match spawn(&self.program, &self.settings) {
                Ok(child) => self.child = child,
                Err(failure) => {
                    note(&failure.to_string());
                    continue;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return self.end().await,
                ready = self.ready() => match ready {
                    Ok(()) => note("nats-server runs again"),
                    Err(failure) => note(&failure.to_string()),
                }
            }
        }
    }

    /// Asks it to flush and end; kills it if it does not, or if we are asked twice.
    async fn end(mut self) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            // It has ended by itself when this fails.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let reason = tokio::select! {
            _ = self.child.wait() => return,
            _ = tokio::signal::ctrl_c() => "interrupted",
            () = tokio::time::sleep(STOP_TIMEOUT) => "it does not end",
        };
        note(&format!("killing nats-server: {reason}"));
        let _ = self.child.kill().await;
    }
}

fn spawn(program: &Program, settings: &Settings) -> Result<Child> {
    let mut command = Command::new(&program.path);
    command
        .arg("--config")
        .arg(settings.config_file())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Out of the terminal's group: Ctrl-C is for us, and the broker goes last.
        .process_group(0);
    command.spawn().map_err(|e| Failure::unavailable(format!("cannot start {}: {e}", program.path.display())))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "for no known reason".to_owned(),
    }
}

/// The last line of its log that tells of an error.
fn last_fault(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    let line = text.lines().rev().take(50).find(|line| line.contains("[FTL]") || line.contains("[ERR]"))?;
    Some(line.split_once(']').map_or(line, |(_, rest)| rest).trim().chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broker_that_cannot_start_says_why() {
        let Ok(program) = find(None) else { return };
        let folder = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = Settings {
            folder: folder.path().into(),
            listen: taken.local_addr().unwrap(),
            monitor: "127.0.0.1:0".parse().unwrap(),
            durability: model::Durability::Process,
        };
        let mut supervisor = Supervisor::start(program, settings);
        let failure = supervisor.ready().await.unwrap_err();
        supervisor.stop().await;
        let text = failure.to_string();
        assert!(text.contains("address already in use") && text.contains("nats.log"), "{text}");
    }
}
