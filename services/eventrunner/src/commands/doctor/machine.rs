//! This machine: the context, the data folder, the sealing key, nats-server.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{Finding, Patient};
use crate::up::{broker, folder};

const GIB: u64 = 1 << 30;

pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let mut findings = vec![context(patient)];
    let data_dir = patient.context.data_dir();
    if data_dir.is_dir() {
        findings.push(room(data_dir));
        findings.push(running(data_dir));
        findings.extend(key_file(&patient.context.sealing_key_file));
    }
    findings.push(match broker::find(None) {
        Ok(program) => {
            Finding::ok("nats-server", format!("{} at {}", program.version, program.path.display()))
        }
        // A broker may well run elsewhere.
        Err(failure) => Finding::warn(
            "nats-server",
            failure.message,
            failure.hint.unwrap_or_default().replace('\n', "; "),
        ),
    });
    findings
}

fn context(patient: &Patient) -> Finding {
    let context = &patient.context;
    let file = context.file().display();
    match (context.key().is_ok(), context.is_found()) {
        (true, true) => Finding::ok("context", format!("{file}, with a key")),
        (true, false) => Finding::ok("context", "from flags and the environment"),
        (false, true) => {
            Finding::warn("context", format!("{file} holds no key"), "make one: eventrunner keys create")
        }
        (false, false) => Finding::warn(
            "context",
            format!("there is no {file}"),
            "start a fleet: eventrunner up; or give --url, --api-url and --key",
        ),
    }
}

fn room(data_dir: &Path) -> Finding {
    match folder::free_bytes(data_dir) {
        Err(failure) => Finding::fail("data folder", failure.message, "check its rights"),
        Ok(free) if free < GIB => Finding::warn(
            "data folder",
            format!("{}: only {} MB are free", data_dir.display(), free >> 20),
            "make room, or move it with --data-dir",
        ),
        Ok(free) => Finding::ok("data folder", format!("{}, {} GB free", data_dir.display(), free / GIB)),
    }
}

fn running(data_dir: &Path) -> Finding {
    match (folder::holder(data_dir), broker::find_leftover(&data_dir.join("nats"))) {
        (Some(pid), Some(nats)) => {
            Finding::ok("up", format!("runs as process {pid}, its nats-server as process {}", nats.pid))
        }
        (Some(pid), None) => Finding::ok("up", format!("runs as process {pid}, with a broker of your own")),
        (None, Some(nats)) => Finding::warn(
            "up",
            format!("does not run, but its nats-server does (process {})", nats.pid),
            "it was killed: start it again, and it puts things right: eventrunner up",
        ),
        (None, None) => Finding::warn("up", "does not run on this folder", "start it: eventrunner up"),
    }
}

fn key_file(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    Some(if mode & 0o077 == 0 {
        Finding::ok("sealing key", format!("{}", path.display()))
    } else {
        Finding::fail(
            "sealing key",
            format!("{} can be read by others (mode {mode:04o})", path.display()),
            format!("chmod 600 {}, and think of the secrets as known", path.display()),
        )
    })
}
