//! A nats-server that outlived the `up` that started it (killed with SIGKILL, or out of memory).

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::settings::{CONFIG_FILE, PID_FILE};
use crate::exit::{Failure, Result};

/// How long it may take to flush and end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The process of a broker that runs on this folder's configuration, if there is one. The process id in the file may
/// long be another program's: what the process was started with tells.
pub(crate) fn find(folder: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(folder.join(PID_FILE)).ok()?.trim().parse().ok()?;
    is_ours(pid, &folder.join(CONFIG_FILE)).then_some(pid)
}

fn is_ours(pid: u32, config: &Path) -> bool {
    let config = config.display().to_string();
    if let Ok(arguments) = fs::read(format!("/proc/{pid}/cmdline")) {
        return arguments.split(|b| *b == 0).any(|argument| argument == config.as_bytes());
    }
    // No procfs, as on macOS.
    let listed = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    listed.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(&config))
}

/// Stops it. It is stopped and not taken over, because only a child of ours can be waited for and started again.
pub(crate) async fn stop(pid: u32, folder: &Path) -> Result<()> {
    let config = &folder.join(CONFIG_FILE);
    let failed = |what: &str| {
        Failure::failed(format!("the nats-server of an earlier run (process id {pid}) {what}"))
            .hint(format!("end it by hand: kill -9 {pid}"))
    };
    let Ok(process) = i32::try_from(pid).map(Pid::from_raw) else { return Ok(()) };
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        if kill(process, signal).is_err() {
            break;
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            // Ended, and perhaps a zombie for a moment, which has no arguments any more.
            if kill(process, None).is_err() || !is_ours(pid, config) {
                return Ok(());
            }
            // Only a parent can wait for a process; nobody else is told.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    if is_ours(pid, config) { Err(failed("does not stop")) } else { Ok(()) }
}
