//! What every server of a test is: a process of ours, from a script or a folder of the user's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Child,
    thread,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

/// Kills it at once (SIGKILL), if it runs, and waits until it is gone.
pub(crate) fn kill(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Sends it a signal, if it runs.
pub(crate) fn signal(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
        let _ = signal::kill(Pid::from_raw(pid), signal);
    }
}

/// Stops it from doing anything (SIGSTOP). Returns when each of its threads has stopped, which takes a moment after the
/// signal.
pub(crate) fn pause(pid: Option<u32>) {
    signal(pid, Signal::SIGSTOP);
    let Some(pid) = pid else { return };
    while !is_stopped(pid) {
        thread::yield_now();
    }
}

/// Whether every thread of a process is stopped (proc(5), `stat`: the state follows the name in parentheses). A process
/// that is gone counts as well.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}

/// The folder that `scripts/tools.sh` installs into is in this one.
pub(crate) fn cache() -> Option<PathBuf> {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
}

/// A script of this repository, where the tests of its packages run.
///
/// # Panics
/// If there is none of this name.
pub(crate) fn script(name: &str) -> PathBuf {
    let root =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let found =
        root.ancestors().map(|folder: &Path| folder.join("scripts").join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("there is no scripts/{name} above {}", root.display()))
}
