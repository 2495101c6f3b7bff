//! A folder of backups: each in a folder of its own, named by its time. The newest stay.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use ::backup::MANIFEST;
use model::{Clock as _, SystemClock, format_rfc3339};

use crate::exit::{Code, Failure, Result};

/// What nobody else holds while a backup is made here.
const LOCK: &str = ".lock";
/// Such as `2026-11-29T03-00-00Z`.
const NAME: &str = "0000-00-00T00-00-00Z";

/// The folder, ours as long as this lives.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    _lock: File,
}

impl Shelf {
    /// Makes the folder if need be and takes it. Whatever was begun in it and is not whole was killed: it is removed.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let failed = |what: &str, e: &std::io::Error| Failure::file(what, path, e);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed("cannot make", &e))?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.map_err(|e| failed("cannot write to", &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("a backup is being made in {}", path.display());
                return Err(Failure::new(Code::CannotTake, message));
            }
            Err(TryLockError::Error(e)) => return Err(failed("cannot lock", &e)),
        }
        let shelf = Self { path: path.to_owned(), _lock: lock };
        for name in shelf.names()? {
            if !shelf.is_whole(&name) {
                shelf.remove(&name)?;
            }
        }
        Ok(shelf)
    }

    /// Where the next backup goes.
    pub(super) fn next(&self) -> PathBuf {
        self.path.join(name_of(&format_rfc3339(SystemClock.now())))
    }

    /// Removes all whole backups but the newest. Which were removed.
    pub(super) fn keep(&self, newest: usize) -> Result<Vec<String>> {
        let mut whole = self.names()?;
        whole.retain(|name| self.is_whole(name));
        whole.truncate(whole.len().saturating_sub(newest));
        whole.iter().try_for_each(|name| self.remove(name))?;
        Ok(whole)
    }

    /// Folders that are named as backups here are, the oldest first.
    fn names(&self) -> Result<Vec<String>> {
        let failed = |e: &std::io::Error| Failure::file("cannot read", &self.path, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|e| failed(&e))? {
            let entry = entry.map_err(|e| failed(&e))?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if is_name(&name) && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn is_whole(&self, name: &str) -> bool {
        self.path.join(name).join(MANIFEST).is_file()
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        // First what makes it whole: a removal may be interrupted.
        let unmade = match fs::remove_file(path.join(MANIFEST)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
        unmade.and_then(|()| fs::remove_dir_all(&path)).map_err(|e| Failure::file("cannot remove", &path, &e))
    }
}

/// A time as the name of a folder: no colons, which archives and other systems do not like.
fn name_of(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace(':', "-") + "Z"
}

fn is_name(name: &str) -> bool {
    let alike = |(is, pattern): (u8, u8)| if pattern == b'0' { is.is_ascii_digit() } else { is == pattern };
    name.len() == NAME.len() && name.bytes().zip(NAME.bytes()).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_nothing_else_is_touched() {
        assert_eq!(name_of("2026-11-29T03:04:05.123456Z"), "2026-11-29T03-04-05Z");
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("backups");
        let shelf = Shelf::take(&path).unwrap();
        assert_eq!(Shelf::take(&path).unwrap_err().code, Code::CannotTake);
        assert!(is_name(shelf.next().file_name().unwrap().to_str().unwrap()));
        let make = |name: &str, whole: bool| {
            fs::create_dir_all(path.join(name).join("streams")).unwrap();
            if whole {
                fs::write(path.join(name).join(MANIFEST), "{}").unwrap();
            }
        };
        for day in 1..=4 {
            make(&format!("2026-11-0{day}T03-00-00Z"), true);
        }
        make("2026-11-09T03-00-00Z", false);
        for other in ["before the move", "2026-11-01", "2026-11-01T03:00:00Z"] {
            make(other, true);
        }
        fs::write(path.join("2026-11-01T04-00-00Z"), "a file").unwrap();
        assert_eq!(shelf.keep(2).unwrap(), ["2026-11-01T03-00-00Z", "2026-11-02T03-00-00Z"]);
        assert_eq!(shelf.keep(9).unwrap(), [""; 0]);
        // What is not whole may be under way for as long as the folder is taken.
        assert_eq!(shelf.names().unwrap().len(), 3);
        drop(shelf);
        let shelf = Shelf::take(&path).unwrap();
        assert_eq!(shelf.names().unwrap(), ["2026-11-03T03-00-00Z", "2026-11-04T03-00-00Z"]);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 2 + 3 + 1 + 1);
    }
}
