//! The writer: one thread that turns what has queued up into one transaction after another.

use std::{
    fs::File,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use fjall::PersistMode;
use model::Clock;
use tokio::sync::{mpsc, oneshot};

use super::{
    Options,
    commit::{Committer, Work},
    disk::{self, Disk},
    erase::{Change, Changed},
};
use crate::Error;

/// What the writer shares with whoever reads or asks.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) options: Options,
    /// The database; none while it is being opened again, and once it is closed.
    pub(super) disk: ArcSwapOption<Disk>,
    pub(super) events: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) commit_us: AtomicU64,
}

/// Something to be kept, and whoever waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) events: usize,
    pub(super) bytes: u64,
    pub(super) done: oneshot::Sender<Result<(), Error>>,
}

/// What the writer is told.
pub(super) enum Message {
    Write(Job),
    /// Take something away, and whoever waits for it.
    Change(Change, oneshot::Sender<Result<Changed, Error>>),
    /// Finish what is queued, then stop.
    Close,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Message>,
    /// Taken from the queue while jobs were gathered, and not yet its turn.
    put_off: Option<Message>,
    /// None after a failure: then the database is opened again before the next transaction.
    committer: Option<Committer>,
    persist: PersistMode,
    clock: Arc<dyn Clock>,
    lock: Arc<File>,
    measured: Option<Instant>,
}

/// Asking for the size of the files takes locks: once in so long is enough.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Message>,
        committer: Committer,
        persist: PersistMode,
        clock: Arc<dyn Clock>,
        lock: Arc<File>,
    ) -> Self {
        let committer = Some(committer);
        let mut writer =
            Self { shared, queue, put_off: None, committer, persist, clock, lock, measured: None };
        writer.publish_stats();
        writer
    }

    pub(super) fn run(mut self) {
        while let Some(message) = self.put_off.take().or_else(|| self.queue.blocking_recv()) {
            match message {
                Message::Write(job) => self.write_with_others(job),
                Message::Change(change, done) => {
                    let changed = self.change(&change);
                    self.publish_stats();
                    drop(done.send(changed));
                }
                Message::Close => self.queue.close(),
            }
        }
        // Closes the database, as soon as the last read is done.
        self.committer = None;
        self.shared.disk.store(None);
    }

    /// Writes a job together with everything that has queued up behind it, within limits.
    fn write_with_others(&mut self, first: Job) {
        let Options { commit_events_max, commit_bytes_max, .. } = self.shared.options;
        let events_max = usize::try_from(commit_events_max).unwrap_or(usize::MAX);
        let (mut events, mut bytes) = (first.events, first.bytes);
        let (mut works, mut waiting) = (vec![first.work], vec![first.done]);
        while events < events_max && bytes < commit_bytes_max {
            match self.queue.try_recv() {
                Ok(Message::Write(job)) => {
                    events += job.events;
                    bytes = bytes.saturating_add(job.bytes);
                    works.push(job.work);
                    waiting.push(job.done);
                }
                Ok(change @ Message::Change(..)) => {
                    self.put_off = Some(change);
                    break;
                }
                Ok(Message::Close) => self.queue.close(),
                Err(_) => break,
            }
        }
        let begun = Instant::now();
        let result = self.commit(&works);
        self.shared.commit_us.store(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.publish_stats();
        for done in waiting {
            // Nobody waits any more: it is kept all the same.
            drop(done.send(result.clone()));
        }
    }

    fn commit(&mut self, works: &[Work]) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let folder = &shared.folder;
        let room = disk::room(folder)?;
        if room < shared.options.reserve_bytes {
            return Err(full(&shared, room));
        }
        let mut committer = self.take_committer()?;
        let committed = committer.commit(works, self.clock.now());
        self.give_back(committer, committed)
    }

    /// Not refused for want of room: it gives room back.
    fn change(&mut self, change: &Change) -> Result<Changed, Error> {
        if *change != Change::Look {
            disk::raise_format(&self.shared.folder, disk::FORMAT_TAKEN)?;
        }
        let mut committer = self.take_committer()?;
        let changed = committer.change(change);
        self.give_back(committer, changed)?
    }

    fn take_committer(&mut self) -> Result<Committer, Error> {
        match self.committer.take() {
            Some(committer) => Ok(committer),
            None => self.open_again(),
        }
    }

    fn give_back<T>(&mut self, committer: Committer, done: Result<T, fjall::Error>) -> Result<T, Error> {
        let folder = &self.shared.folder;
        match done {
            Ok(done) => {
                self.committer = Some(committer);
                Ok(done)
            }
            Err(e) => {
                // Whether it is kept is not known, and the engine takes no more writes after such a failure: what
                // is on disk has to be read anew.
                tracing::error!(error = %e, folder = %folder.display(), "store failed to write, opening it again");
                self.shared.disk.store(None);
                if disk::is_full(&e) {
                    Err(full(&self.shared, disk::room(folder).unwrap_or_default()))
                } else {
                    Err(Error::Unavailable(format!("writing to {} failed: {e}", folder.display())))
                }
            }
        }
    }

    /// Opens the database again after a failure, when the last read is done with the old one.
    fn open_again(&mut self) -> Result<Committer, Error> {
        self.shared.disk.store(None);
        // The database closes when its last handle goes. Reads are bounded, and no new ones begin.
        while Arc::strong_count(&self.lock) > 1 {
            thread::sleep(Duration::from_millis(1));
        }
        let disk =
            Disk::open(&self.shared.folder, self.persist, &self.shared.options, Arc::clone(&self.lock))?;
        let committer = Committer::new(disk.clone(), self.persist).map_err(|e| {
            Error::Unavailable(format!("reading from {} failed: {e}", self.shared.folder.display()))
        })?;
        self.shared.disk.store(Some(Arc::new(disk)));
        tracing::info!(folder = %self.shared.folder.display(), "store opened again");
        Ok(committer)
    }

    fn publish_stats(&mut self) {
        let Some(committer) = &self.committer else { return };
        self.shared.events.store(committer.totals.events, Relaxed);
        self.shared.records.store(committer.totals.records, Relaxed);
        if self.measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
            self.measured = Some(Instant::now());
            if let Ok(bytes) = committer.disk.db.disk_space() {
                self.shared.disk_bytes.store(bytes, Relaxed);
            }
        }
    }
}

fn full(shared: &Shared, room: u64) -> Error {
    Error::Full(format!(
        "{} has {room} bytes of room left, of which {} are kept back: make room on its disk",
        shared.folder.display(),
        shared.options.reserve_bytes
    ))
}
