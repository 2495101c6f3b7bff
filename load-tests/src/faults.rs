//! Faults, and when they happen.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use crate::oracle::Ledger;

/// Between two looks; short against the time of a request.
const LOOK: Duration = Duration::from_micros(200);

/// Waits until that many requests are promised: the middle of the work, however fast the machine is.
pub(crate) async fn promised(ledger: &Ledger, requests: u64) {
    while ledger.promised() < requests {
        tokio::time::sleep(LOOK).await;
    }
}

/// SIGKILL: nothing is flushed, nothing said.
pub(crate) fn kill(pid: u32) -> anyhow::Result<()> {
    signal(pid, "KILL")
}

/// Sends a process a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) -> anyhow::Result<()> {
    let status =
        Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "cannot signal process {pid}");
    Ok(())
}
