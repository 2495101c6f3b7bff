//! The data folder: where everything of a laptop fleet is kept, for one `eventrunner up` at a time.

use std::{
    env,
    fs::{self, DirBuilder, File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use model::{Clock as _, SystemClock, format_rfc3339};
use serde::{Deserialize, Serialize};

use crate::exit::{Code, Failure, Result};

const MIB: u64 = 1 << 20;
/// Below this the broker and the store would soon refuse to write.
const FREE_BYTES_MIN: u64 = 256 * MIB;
/// Below this `up` warns.
const FREE_BYTES_LOW: u64 = 2 * 1024 * MIB;

/// `${XDG_DATA_HOME:-~/.local/share}/eventrunner`.
pub(crate) fn default_path() -> Result<PathBuf> {
    xdg("XDG_DATA_HOME", ".local/share").map(|base| base.join("eventrunner")).ok_or_else(|| {
        Failure::usage("there is neither HOME nor XDG_DATA_HOME to put the data folder in")
            .hint("give --data-dir or EVENTRUNNER_DATA_DIR")
    })
}

/// `${XDG_CACHE_HOME:-~/.cache}/eventrunner`.
pub(crate) fn cache_path() -> Option<PathBuf> {
    xdg("XDG_CACHE_HOME", ".cache").map(|base| base.join("eventrunner"))
}

/// `${XDG_CONFIG_HOME:-~/.config}/eventrunner`.
pub(crate) fn config_path() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config").map(|base| base.join("eventrunner"))
}

/// A base folder as the XDG Base Directory Specification finds it: relative paths are ignored.
fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

/// The data folder, ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The lock goes with the file handle, however the process ends.
    lock: File,
    free_bytes: u64,
}

/// What the lock file says about who holds it.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    since: String,
    api_url: Option<String>,
}

impl Folder {
    /// Makes the folder if need be, checks rights and room, and takes it for this process.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| unusable("the data folder cannot be made:", path, &e))?;
        let path =
            fs::canonicalize(path).map_err(|e| unusable("the data folder cannot be used:", path, &e))?;
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join("lock"))
            .map_err(|e| unusable("the data folder cannot be written to:", &path, &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&path, &mut lock)),
            Err(TryLockError::Error(e)) => {
                return Err(unusable("the data folder cannot be locked:", &path, &e));
            }
        }
        let free_bytes = free_bytes(&path)?;
        enough(&path, free_bytes)?;
        let folder = Self { path, lock, free_bytes };
        folder.sign(None)?;
        Ok(folder)
    }

    /// Writes into the lock file who holds it.
    pub(crate) fn sign(&self, api_url: Option<String>) -> Result<()> {
        let holder = Holder { pid: std::process::id(), since: format_rfc3339(SystemClock.now()), api_url };
        let text = serde_json::to_string(&holder).unwrap_or_default();
        let mut file = &self.lock;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(|e| unusable("the data folder cannot be written to:", &self.path, &e))
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Free room when it was taken, in bytes.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// What to tell about the room, if it is little.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.free_bytes < FREE_BYTES_LOW)
            .then(|| format!("only {} MB are free in {}", self.free_bytes / MIB, self.path.display()))
    }

    /// A private folder in it.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| unusable("cannot make", &path, &e))?;
        Ok(path)
    }
}

impl Drop for Folder {
    /// Closing the file is not enough: a child that was forked and has not begun its own program yet holds the
    /// same lock (flock(2)).
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// Room for this user, in bytes.
pub(crate) fn free_bytes(path: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|e| unusable("cannot ask for the room in", path, &std::io::Error::from(e)))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn enough(path: &Path, free_bytes: u64) -> Result<()> {
    if free_bytes >= FREE_BYTES_MIN {
        return Ok(());
    }
    let (free, least) = (free_bytes / MIB, FREE_BYTES_MIN / MIB);
    let message =
        format!("the disk is full: {free} MB are free in {}, and {least} MB are the least", path.display());
    Err(Failure::new(Code::CannotTake, message).hint("make room, or choose another folder with --data-dir"))
}

fn unusable(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::file(what, path, error).hint("choose another one with --data-dir or EVENTRUNNER_DATA_DIR")
}

fn in_use(path: &Path, lock: &mut File) -> Failure {
    let mut text = String::new();
    let holder: Option<Holder> =
        lock.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
    let who = holder.as_ref().map_or_else(
        || "another process".to_owned(),
        |h| {
            let api = h.api_url.as_ref().map(|url| format!(", API at {url}")).unwrap_or_default();
            format!("`eventrunner up` with process id {} (since {}{api})", h.pid, h.since)
        },
    );
    let stop = holder.map_or_else(String::new, |h| format!("stop it with: kill {}\n", h.pid));
    Failure::new(Code::CannotTake, format!("{who} already runs on the data folder {}", path.display()))
        .hint(format!("{stop}or start a second fleet beside it with --data-dir and --port-base"))
}

/// The process that holds the folder, if there is one that said so.
pub(crate) fn holder(path: &Path) -> Option<u32> {
    let mut file = File::open(path.join("lock")).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        _ => return None,
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str::<Holder>(&text).ok().map(|holder| holder.pid)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn is_private_and_for_one_at_a_time() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        let folder = Folder::take(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        folder.sign(Some("http://127.0.0.1:8081".into())).unwrap();
        let failure = Folder::take(&path).unwrap_err();
        assert_eq!(failure.code, Code::CannotTake);
        let text = failure.to_string();
        let pid = std::process::id();
        assert!(
            text.contains(&format!("process id {pid}")) && text.contains(&format!("kill {pid}")),
            "{text}"
        );
        assert_eq!(holder(&path), Some(pid));
        drop(folder);
        assert_eq!(holder(&path), None);
        Folder::take(&path).unwrap();
    }

    #[test]
    fn a_full_disk_is_named() {
        let failure = enough(Path::new("/data"), 100 * MIB).unwrap_err();
        assert_eq!(failure.code, Code::CannotTake);
        assert!(failure.message.contains("100 MB are free in /data"), "{failure}");
        assert!(enough(Path::new("/data"), FREE_BYTES_MIN).is_ok());
    }

    #[test]
    fn says_that_it_cannot_be_made() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = Folder::take(&file.path().join("below-a-file")).unwrap_err();
        assert!(failure.to_string().contains("--data-dir"), "{failure}");
    }
}
