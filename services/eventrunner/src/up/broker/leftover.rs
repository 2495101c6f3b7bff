//! Processes that outlived the `up` that started them (killed with SIGKILL, or out of memory).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::settings::{CONFIG_FILE, PID_FILE};
use crate::{
    exit::{Failure, Result},
    output::note,
};

/// How long it may take to flush and end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A process of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) name: String,
    pub(crate) pid: u32,
    /// The configuration file it was started with.
    config: PathBuf,
}

/// The broker that runs on this folder's configuration, if there is one.
pub(crate) fn find(folder: &Path) -> Option<Leftover> {
    let pid = fs::read_to_string(folder.join(PID_FILE)).ok()?.trim().parse().ok()?;
    Leftover::new("nats-server".to_owned(), pid, folder.join(CONFIG_FILE))
}

impl Leftover {
    /// The process, if it is one that was started with this configuration file. A process id that was written down may
    /// long be another program's: what the process was started with tells.
    pub(crate) fn new(name: String, pid: u32, config: PathBuf) -> Option<Self> {
        let leftover = Self { name, pid, config };
        leftover.lives().then_some(leftover)
    }

    fn lives(&self) -> bool {
        let config = self.config.display().to_string();
        if let Ok(arguments) = fs::read(format!("/proc/{}/cmdline", self.pid)) {
            return arguments.split(|b| *b == 0).any(|argument| argument == config.as_bytes());
        }
        // No procfs, as on macOS.
        let listed = Command::new("ps").args(["-ww", "-o", "command=", "-p", &self.pid.to_string()]).output();
        listed.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(&config))
    }

    /// Stops it. It is stopped and not taken over, because only a child of ours can be waited for and started again.
    pub(crate) async fn stop(&self) -> Result<()> {
        let Self { name, pid, .. } = self;
        note(&format!("stopping the {name} that an earlier run left behind (process id {pid})"));
        let Ok(process) = i32::try_from(*pid).map(Pid::from_raw) else { return Ok(()) };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            if kill(process, signal).is_err() {
                break;
            }
            let deadline = Instant::now() + STOP_TIMEOUT;
            while Instant::now() < deadline {
                // Ended, and perhaps a zombie for a moment, which has no arguments any more.
                if kill(process, None).is_err() || !self.lives() {
                    return Ok(());
                }
                // Only a parent can wait for a process; nobody else is told.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        if !self.lives() {
            return Ok(());
        }
        Err(Failure::failed(format!("the {name} of an earlier run (process id {pid}) does not stop"))
            .hint(format!("end it by hand: kill -9 {pid}")))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, process::Stdio};

    use super::*;

    #[tokio::test]
    async fn only_what_was_started_with_our_configuration_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("processes.toml");
        // The shell itself has to wait: one that is told to run a single program becomes that program, and is then known
        // by other arguments. Before its first line it may not have any yet.
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo up; read line", "sh"]).arg(&config);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 3]).unwrap();
        let leftover = |config: &Path| Leftover::new("engine-1".to_owned(), child.id(), config.to_owned());
        assert_eq!(leftover(&folder.path().join("other.toml")), None);
        leftover(&config).unwrap().stop().await.unwrap();
        assert_eq!(leftover(&config), None);
        child.wait().unwrap();
    }
}
