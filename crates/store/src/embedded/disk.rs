//! The folder: its lock, its room, its three keyspaces, and what their errors mean to an operator.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, ErrorKind, Write as _},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fjall::{
    AbstractTree as _, CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions,
    PersistMode, Snapshot,
    config::{BlockSizePolicy, CompressionPolicy, PartitioningPolicy},
};

use super::{
    Options,
    keys::{IdHasher, IdKey, META_HASH_KEY},
    mend::{Mended, mend},
    recent::{Log, Recent},
    slot::Slot,
};
use crate::Error;

/// The layout of a new store.
const FORMAT: u32 = 1;
/// That of a store from which something was taken away: the tail may lead to blocks that are gone, which a program of
/// format 1 takes for damage.
pub(super) const FORMAT_TAKEN: u32 = 2;
/// The newest layout known here. A store with a higher number is refused: an older program cannot know what it means.
const FORMAT_MAX: u32 = FORMAT_TAKEN;
/// The file that says which layout it is. Written once the store is founded.
const FORMAT_FILE: &str = "format";

/// Values of this size and above are written once, beside the tree, and not moved again when it is tidied up.
const SEPARATE_BYTES: u32 = 1 << 10;
/// A file is written anew without what is stale in it once that is this share of it.
const STALE_SHARE: f32 = 0.05;
/// The threads that tidy up. More than one would take turns to wait in a busy loop (fjall 3.1, `worker_tick`).
const WORKERS: usize = 1;
/// Sealed buffers that may wait for the worker while another one is filled.
const SEALED_MAX: usize = 2;
/// A worker that has not written a buffer out after so long never will.
const STUCK: Duration = Duration::from_secs(60);
/// Files not merged yet, from which on writes are slowed down, and by how much each.
const RUNS_MAX: usize = 16;
const SLOW_DOWN: Duration = Duration::from_millis(50);
/// Buffers are sealed here, by the options in force, and not by the engine, by those at creation.
const NEVER_BY_ITSELF: u64 = 1 << 40;
/// Files kept open.
const FILES_MAX: usize = 256;

/// Holds the folder for this process for as long as it lives.
pub(super) fn lock(folder: &Path) -> Result<Arc<File>, Error> {
    fs::create_dir_all(folder).map_err(|e| open_error(folder, &e))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|e| open_error(folder, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(Arc::new(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Open(format!(
            "the store in {} is in use by another process: stop it first, or choose another folder",
            folder.display()
        ))),
        Err(TryLockError::Error(e)) => Err(open_error(folder, &e)),
    }
}

/// Free room for this user, in bytes.
pub(super) fn room(folder: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(folder)
        .map_err(|e| Error::Unavailable(format!("cannot ask for the room in {}: {e}", folder.display())))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What may gather in memory, in bytes.
#[derive(Debug, Clone, Copy)]
struct WriteBuffers {
    keys: u64,
    log: u64,
    index: u64,
    data: u64,
}

impl WriteBuffers {
    /// Most to the keys, which pay for it by being merged less often. Blocks are not merged.
    fn of(total: u64) -> Self {
        let share = total / 9;
        Self { keys: 4 * share, log: 2 * share, index: share, data: 2 * share }
    }
}

/// The open database. Dropping the last handle closes it.
#[derive(Clone)]
pub(super) struct Disk {
    pub(super) db: Database,
    pub(super) ids: Keyspace,
    pub(super) index: Keyspace,
    pub(super) data: Keyspace,
    pub(super) log: Keyspace,
    pub(super) hasher: IdHasher,
    pub(super) recent: Arc<Recent>,
    write_buffers: WriteBuffers,
    _lock: Arc<File>,
}

impl Disk {
    pub(super) fn open(
        folder: &Path,
        persist: PersistMode,
        options: &Options,
        lock: Arc<File>,
    ) -> Result<Self, Error> {
        let founded = format(folder)?.is_some();
        let at = folder.join("db");
        // The engine cannot begin where an earlier start died half-way. Nobody was ever told that something is kept.
        let begun = fs::metadata(at.join("version")).is_ok_and(|marker| marker.len() > 0);
        if !founded && !begun && at.is_dir() {
            fs::remove_dir_all(&at).map_err(|e| open_error(folder, &e))?;
        }
        let open = || {
            let db = Database::builder(&at)
                .cache_size(options.cache_bytes)
                .max_journaling_size(options.journal_bytes_max)
                .max_cached_files(Some(FILES_MAX))
                .worker_threads(WORKERS)
                // Blocks come compressed.
                .journal_compression(CompressionType::None)
                .open()?;
            let ids = db.keyspace("ids", ids_options)?;
            let log = db.keyspace("log", small_options)?;
            let index = db.keyspace("index", small_options)?;
            let data = db.keyspace("data", data_options)?;
            Ok::<_, fjall::Error>((db, ids, log, index, data))
        };
        let opened = match open() {
            Err(fjall::Error::JournalRecovery(_)) => {
                mend_log(folder, &at, persist)?;
                open()
            }
            opened => opened,
        };
        let (db, ids, log, index, data) = opened.map_err(|e| engine_open_error(folder, &e))?;
        let hasher = IdHasher::new(hash_key(folder, &db, &index, founded)?);
        Ok(Self {
            db,
            ids,
            index,
            data,
            log,
            hasher,
            recent: Arc::default(),
            write_buffers: WriteBuffers::of(options.write_buffer_bytes),
            _lock: lock,
        })
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.db.snapshot()
    }

    /// Reads the log of keys back, which has to be done before anything is looked up.
    pub(super) fn read_log(&self) -> Result<Log, Error> {
        Log::read(&self.log, &self.recent, self.write_buffers.keys)
    }

    /// What is kept under a key.
    pub(super) fn find(&self, key: &IdKey) -> Result<Option<Slot>, Error> {
        // In this order: keys go from memory into the file, and leave memory last.
        if let Some(slot) = self.recent.maps().get(key) {
            return Ok(Some(slot));
        }
        Ok(self.ids.get(key).map_err(Self::read_error)?.map(|slot| Slot::decode(&slot)))
    }

    /// Hands what has gathered in memory to the engine's worker, and waits while that is behind.
    ///
    /// The engine would do both by itself, but its own wait never ends once its worker has failed, and it counts on
    /// a write that begins the work, which a wait before the write never lets happen.
    pub(super) fn make_way(&self) -> Result<(), fjall::Error> {
        let WriteBuffers { log, index, data, .. } = self.write_buffers;
        for (keyspace, limit) in [(&self.log, log), (&self.index, index), (&self.data, data)] {
            let full = || keyspace.tree.active_memtable().size() > limit;
            self.wait_while(STUCK, || full() && keyspace.tree.sealed_memtable_count() >= SEALED_MAX)?
                .then_some(())
                // Opening the database again begins the work anew.
                .ok_or(fjall::Error::Poisoned)?;
            if full() {
                keyspace.rotate_memtable()?;
            }
        }
        // Unmerged files slow reads down, and are no reason to stop: so this only slows writes down.
        let unmerged = |keyspace: &Keyspace| keyspace.tree.l0_run_count() > RUNS_MAX;
        self.wait_while(SLOW_DOWN, || {
            [&self.ids, &self.log, &self.index, &self.data].into_iter().any(unmerged)
        })?;
        Ok(())
    }

    /// Waits, at most so long; says whether it is over. Fails if the engine's worker has.
    fn wait_while(&self, at_most: Duration, behind: impl Fn() -> bool) -> Result<bool, fjall::Error> {
        let begun = Instant::now();
        while behind() {
            if begun.elapsed() >= at_most {
                return Ok(false);
            }
            // Does nothing but tell of a failed worker: the engine has no other way to ask.
            self.db.persist(PersistMode::Buffer)?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(true)
    }

    /// Frees the room of what was taken away. Takes as long as the files are large; reads and writes go on.
    pub(super) fn tidy(&self) -> Result<(), fjall::Error> {
        for keyspace in [&self.index, &self.data] {
            keyspace.rotate_memtable()?;
            let written_out = self.wait_while(STUCK, || keyspace.tree.sealed_memtable_count() > 0)?;
            written_out.then_some(()).ok_or(fjall::Error::Poisoned)?;
        }
        for keyspace in [&self.ids, &self.index, &self.data] {
            keyspace.major_compact()?;
        }
        // Only now is it known which files have something stale in them.
        if self.data.fragmented_blob_bytes() > 0 {
            self.data.major_compact()?;
        }
        Ok(())
    }

    /// What reading failed with, as callers hear it.
    pub(super) fn read_error(error: fjall::Error) -> Error {
        match error {
            fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => {
                Error::Unavailable(e.to_string())
            }
            other => Error::Corrupt(format!("{other:?}")),
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

/// Keys are hashes: nothing to compress, nothing to find by neighbourhood. Nearly all that are asked for are not
/// there, which filters tell. In parts of some kilobytes, so that a cache smaller than all filters
/// slows down by the parts that are missing, not by reading megabytes for each key.
fn ids_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .data_block_compression_policy(CompressionPolicy::disabled())
        .data_block_size_policy(BlockSizePolicy::all(4 << 10))
        .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        .index_block_partitioning_policy(PartitioningPolicy::all(true))
}

fn small_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(NEVER_BY_ITSELF)
}

fn data_options() -> KeyspaceCreateOptions {
    small_options().data_block_compression_policy(CompressionPolicy::disabled()).with_kv_separation(Some(
        KvSeparationOptions::default()
            .compression(CompressionType::None)
            .separation_threshold(SEPARATE_BYTES)
            // Nothing is ever written over, so whatever is stale was taken away, and is to leave the disk.
            .staleness_threshold(STALE_SHARE)
            .age_cutoff(1.0),
    ))
}

/// Cuts off what a power cut has torn.
fn mend_log(folder: &Path, db: &Path, persist: PersistMode) -> Result<(), Error> {
    match mend(db, persist == PersistMode::Buffer).map_err(|e| open_error(folder, &e))? {
        Mended::Whole => Ok(()),
        Mended::Cut { at, aside } => {
            let (folder, aside) = (folder.display(), aside.display());
            tracing::warn!(%folder, at_bytes = at, %aside, "store's log was torn by a power cut, cut off there");
            Ok(())
        }
        Mended::WholeAfter { at } => Err(Error::Open(format!(
            "the log of the store in {} is damaged {at} bytes from its start, before transactions that were kept: check \
             the disk and restore it from a backup, or open it once with durability process, which drops them",
            folder.display()
        ))),
    }
}

/// The layout of the store in the folder, if there is one.
pub(super) fn format(folder: &Path) -> Result<Option<u32>, Error> {
    let found = match fs::read_to_string(folder.join(FORMAT_FILE)) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(open_error(folder, &e)),
    };
    let (folder, found) = (folder.display(), found.trim());
    match found.parse::<u32>() {
        Ok(format @ 1..=FORMAT_MAX) => Ok(Some(format)),
        Ok(_) => Err(Error::Open(format!(
            "the store in {folder} has format {found}, this program knows up to {FORMAT_MAX}: use the version that wrote it, or \
             a newer one"
        ))),
        Err(_) => Err(Error::Open(format!(
            "the file {FORMAT_FILE} in {folder} says {found:?}, which is no format of a store: restore the folder from a backup, \
             or choose another folder"
        ))),
    }
}

/// Raises the layout, before anything is done that an older program does not know.
pub(super) fn raise_format(folder: &Path, to: u32) -> Result<(), Error> {
    if format(folder)?.is_none_or(|format| format >= to) {
        return Ok(());
    }
    write_format(folder, to).map_err(|e| open_error(folder, &e))
}

/// The store's hash key: that of an existing one, or a new one, with which a new store is founded.
fn hash_key(folder: &Path, db: &Database, index: &Keyspace, founded: bool) -> Result<[u8; 16], Error> {
    let known = index.get(META_HASH_KEY).map_err(|e| engine_open_error(folder, &e))?;
    let known = known.map(|key| <[u8; 16]>::try_from(&*key));
    let key = match known {
        Some(Ok(key)) => key,
        None if !founded => {
            let key: [u8; 16] = rand::random();
            let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(index, META_HASH_KEY, key);
            batch.commit().map_err(|e| engine_open_error(folder, &e))?;
            key
        }
        // Going on with another key would store everything a second time.
        _ => {
            return Err(Error::Open(format!(
                "the store in {} has lost a part of its files: restore it from a backup, or choose another folder",
                folder.display()
            )));
        }
    };
    if !founded {
        write_format(folder, FORMAT).map_err(|e| open_error(folder, &e))?;
    }
    Ok(key)
}

fn write_format(folder: &Path, format: u32) -> io::Result<()> {
    let new = folder.join("format.new");
    let mut file = File::create(&new)?;
    file.write_all(format!("{format}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, folder.join(FORMAT_FILE))?;
    // The name is kept only once the folder is.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn engine_open_error(folder: &Path, error: &fjall::Error) -> Error {
    match error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => open_error(folder, e),
        fjall::Error::Locked => {
            Error::Open(format!("the store in {} is in use by another process", folder.display()))
        }
        fjall::Error::InvalidVersion(_) => Error::Open(format!(
            "the store in {} was written by another version of its engine: use the program that wrote it",
            folder.display()
        )),
        other => Error::Open(format!(
            "the store in {} cannot be read ({other:?}): restore it from a backup, or choose another folder",
            folder.display()
        )),
    }
}

fn open_error(folder: &Path, error: &io::Error) -> Error {
    let todo = match error.kind() {
        ErrorKind::PermissionDenied => {
            "give this user the right to read and write it, or choose another folder"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "a file is in the way: choose another folder",
        ErrorKind::ReadOnlyFilesystem => "its disk is read-only: choose another folder",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "its disk is full: make room, or choose another folder"
        }
        _ => "check the disk, or choose another folder",
    };
    Error::Open(format!("the store's folder {} cannot be used: {error}; {todo}", folder.display()))
}

/// Whether a write failed for want of room.
pub(super) fn is_full(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => {
            matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        }
        _ => false,
    }
}
