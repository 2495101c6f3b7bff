//! The broker of a laptop fleet: nats-server of our own, one node or three, started, watched and stopped with the fleet.

mod find;
mod leftover;
mod settings;

use std::{fs, path::Path, process::Stdio, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use tokio::process::Command;

pub(crate) use self::{
    find::{Program, find, is_recent_enough},
    leftover::{Leftover, find as find_leftover},
    settings::{Cluster, Settings, epoch_seconds},
};
use super::supervise::{Job, News, Supervisor};
use crate::exit::{Code, Result};

/// How long it may take to recover its streams. A busy disk and 25 GB of streams take seconds, not minutes.
const READY_TIMEOUT: Duration = Duration::from_secs(300);
/// How long it may take to flush and end.
const STOP: &[(Signal, Duration)] = &[(Signal::SIGTERM, Duration::from_secs(20))];

/// Starts a node.
pub(crate) fn start(
    program: &Program,
    settings: &Settings,
    tell: Arc<dyn Fn(News) + Send + Sync>,
) -> Result<Supervisor> {
    settings.write()?;
    let (path, config) = (program.path.clone(), settings.config_file());
    let command = move || {
        let mut command = Command::new(&path);
        command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    };
    Ok(Supervisor::start(Job {
        name: settings.name(),
        command: Arc::new(command),
        ready_url: format!("http://{}/healthz", settings.monitor),
        ready_timeout: READY_TIMEOUT,
        slow: "is recovering its streams",
        log: settings.log_file(),
        last_fault,
        judge: |_| (Code::Unavailable, false),
        is_stuck,
        stop: STOP,
        tell,
    }))
}

/// Whether it has met a full disk, which it does not get over when there is room again: a stream that could not be written to
/// refuses everything from then on, and a node of a cluster does without JetStream.
fn is_stuck(said: &str) -> bool {
    ["write error", "JetStream not enabled"].iter().any(|end| said.contains(end))
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
            node: 1,
            folder: folder.path().into(),
            listen: taken.local_addr().unwrap(),
            monitor: "127.0.0.1:0".parse().unwrap(),
            durability: model::Durability::Process,
            operator: bus::accounts::Operator::from_seed(secrecy::ExposeSecret::expose_secret(
                &bus::accounts::Operator::generate().unwrap(),
            ))
            .unwrap()
            .into(),
            cluster: None,
        };
        let mut supervisor = start(&program, &settings, Arc::new(|_| {})).unwrap();
        let failure = supervisor.ready().await.unwrap_err();
        supervisor.stop(std::future::pending()).await;
        let text = failure.to_string();
        assert!(text.contains("address already in use") && text.contains("nats.log"), "{text}");
        assert_eq!(failure.code, Code::Unavailable);
    }
}
