//! Contexts by name: fleets that somebody uses, in one file of their configuration folder.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{File, LOCAL};
use crate::{
    exit::{Code, Failure, Result},
    up::folder,
};

/// Name of the file.
const FILE: &str = "contexts.toml";
/// Longest name of a context.
const NAME_BYTES_MAX: usize = 63;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is used where none is named; none: the fleet on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) contexts: BTreeMap<String, File>,
}

/// Where it is: `${XDG_CONFIG_HOME:-~/.config}/eventrunner/contexts.toml`.
pub(crate) fn path() -> Option<PathBuf> {
    folder::config_path().map(|folder| folder.join(FILE))
}

impl Contexts {
    /// Reads the file; empty if there is none.
    pub(crate) fn read() -> Result<Self> {
        match path() {
            Some(path) => Self::read_at(&path),
            None => Ok(Self::default()),
        }
    }

    fn read_at(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file("cannot read the contexts", path, &error)),
        };
        toml::from_str(&text)
            .map_err(|e| Failure::config(format!("the contexts in {}: {}", path.display(), e.message())))
    }

    /// Changes the file: read, changed and written by one process at a time.
    pub(crate) fn change<T>(change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let path = path()
            .ok_or_else(|| Failure::usage("there is neither HOME nor XDG_CONFIG_HOME to keep contexts in"))?;
        let folder = path.parent().unwrap_or(&path);
        let unusable = |e: std::io::Error| Failure::file("the contexts cannot be kept in", folder, &e);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let lock = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("contexts.lock"))
            .map_err(unusable)?;
        // Held until it is dropped.
        lock.lock().map_err(unusable)?;
        let mut contexts = Self::read_at(&path)?;
        let changed = change(&mut contexts)?;
        let header =
            "# Made by `eventrunner context`: the fleets that client commands may use. It holds keys.\n";
        super::write_private(&path, header, &contexts)?;
        Ok(changed)
    }

    /// The one of that name.
    pub(crate) fn named(&self, name: &str) -> Result<&File> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> =
                self.contexts.keys().map(String::as_str).chain(std::iter::once(LOCAL)).collect();
            Failure::new(Code::NotFound, format!("there is no context {name:?}"))
                .hint(format!("there are: {}; make one with: eventrunner context set", known.join(", ")))
        })
    }
}

/// Whether what was given to `--context` names a file.
pub(crate) fn is_file(given: &str) -> bool {
    given.contains('/') || Path::new(given).extension().is_some_and(|extension| extension == "toml")
}

/// Whether a context may be called so.
pub(crate) fn check(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(good) && !is_file(name);
    if fits && name != LOCAL {
        return Ok(());
    }
    let reason = if name == LOCAL { "is the fleet on this machine" } else { "is no name of a context" };
    Err(Failure::usage(format!(
        "{name:?} {reason}: 1 to {NAME_BYTES_MAX} of a-z, A-Z, 0-9, '-', '_' and '.'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_files() {
        for file in ["./x", "/a/b", "production.toml", "a/b"] {
            assert!(is_file(file) && check(file).is_err(), "{file}");
        }
        for name in ["prod", "eu-1.prod", "a_b"] {
            assert!(!is_file(name) && check(name).is_ok(), "{name}");
        }
        for bad in ["", "local", "a b", &*"x".repeat(64)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
