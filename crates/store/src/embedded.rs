//! The embedded adapter: events and usage in a folder of this machine, for one process at a time.
//!
//! Invariants:
//! - One thread writes. It takes everything that has queued up and keeps it in one transaction: the new events in
//!   compressed blocks of one tenant each, one small key an event, usage records, and sums. A batch is kept as a whole, stored
//!   and metered, or not at all.
//! - A write returns when its transaction survives what was asked for: the death of the process
//!   ([`Durability::Process`]), or a power cut (the other two; there is only one copy, so `replicated` can mean no more here).
//! - Reads see a transaction as a whole or not at all, and never wait for the writer.
//!
//! The layout is described in `keys`, the reasons for it in `docs/adr/0002-embedded-store.md`.
//!
//! ```no_run
//! # async fn example() -> Result<(), store::Error> {
//! use model::Durability;
//! use store::embedded::{Embedded, Options};
//!
//! let embedded = Embedded::open("data/store", Durability::Disk, Options::default()).await?;
//! let stores = embedded.stores();
//! let event = stores.events.get(&"acme".parse().unwrap(), "/shop/till-3", "42").await?;
//! println!("{event:?}, {:?}", embedded.stats());
//! embedded.close().await;
//! # Ok(())
//! # }
//! ```

mod aggregate;
mod bounds;
mod codec;
mod commit;
mod cursor;
mod disk;
mod erase;
mod erasure;
mod event_block;
mod head;
mod keys;
mod mend;
mod options;
mod read_events;
mod read_usage;
mod recent;
mod shelf;
mod slot;
mod tail;
mod tenants;
mod usage_block;
mod wire;
mod writer;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use fjall::PersistMode;
use model::{Batch, Clock, Durability, SystemClock, TenantId};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::spawn_blocking,
};

pub use self::options::Options;
use self::{
    commit::{Committer, Work},
    disk::Disk,
    slot::{EVENT, USAGE},
    writer::{Job, Message, Shared, Writer},
};
use crate::{
    Aggregation, Error, EventPage, EventQuery, EventStore, GroupUsage, Grouping, METER_NAME_MAX, Sink,
    StoredEvent, Stores, TailBatch, UsageBucket, UsagePage, UsageQuery, UsageRecord, UsageStore, Written,
};

/// An open store. Clones share it; it closes with [`Embedded::close`], or when the last clone is dropped.
#[derive(Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// Always there until dropped.
    queue: Option<mpsc::Sender<Message>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    reads: Semaphore,
    /// One at a time frees room.
    tidying: tokio::sync::Mutex<()>,
}

/// What the store tells of itself. Cheap to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Events stored.
    pub events: u64,
    /// Usage records kept.
    pub usage_records: u64,
    /// Bytes of its files, its log included, at most a second old while it is written to.
    pub disk_bytes: u64,
    /// How long the last transaction took, in microseconds.
    pub last_commit_us: u64,
    /// Batches that wait for the writer.
    pub queue_batches: usize,
}

impl Embedded {
    /// Opens the store in a folder, which is made if need be, and recovers what a crash left.
    ///
    /// # Errors
    /// [`Error::Open`] if the folder cannot be used, is in use, or was written by a newer program; it names the folder and says what to do.
    pub async fn open(
        folder: impl Into<PathBuf>,
        durability: Durability,
        options: Options,
    ) -> Result<Self, Error> {
        Self::open_with(folder, durability, options, Arc::new(SystemClock)).await
    }

    /// Opens the store with a clock of the caller's, which says when an event was stored.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub async fn open_with(
        folder: impl Into<PathBuf>,
        durability: Durability,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let folder = folder.into();
        let open = move || Self::open_now(folder, durability, options, clock);
        spawn_blocking(open).await.map_err(|e| Error::Open(format!("opening the store did not end: {e}")))?
    }

    fn open_now(
        folder: PathBuf,
        durability: Durability,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        options.check()?;
        let persist = match durability {
            Durability::Process => PersistMode::Buffer,
            Durability::Disk | Durability::Replicated => PersistMode::SyncData,
        };
        let lock = disk::lock(&folder)?;
        let disk = Disk::open(&folder, persist, &options, Arc::clone(&lock))?;
        let committer = Committer::new(disk.clone(), persist)?;
        let queue_max = usize::try_from(options.queue_batches_max).unwrap_or(usize::MAX);
        let (queue, queued) = mpsc::channel(queue_max.min(Semaphore::MAX_PERMITS));
        let reads =
            Semaphore::new(usize::try_from(options.reads_max).unwrap_or(1).min(Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared {
            folder,
            options,
            disk: ArcSwapOption::from_pointee(disk),
            events: AtomicU64::new(0),
            records: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(0),
            commit_us: AtomicU64::new(0),
        });
        let writer = Writer::new(Arc::clone(&shared), queued, committer, persist, clock, lock);
        let writer = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|e| Error::Open(format!("the store's writer cannot be started: {e}")))?;
        let tidying = tokio::sync::Mutex::new(());
        let inner = Inner { shared, queue: Some(queue), writer: Mutex::new(Some(writer)), reads, tidying };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The ports, all of them on this store.
    #[must_use]
    pub fn stores(&self) -> Stores {
        Stores {
            events: Arc::new(self.clone()),
            usage: Arc::new(self.clone()),
            sink: Arc::new(self.clone()),
            erasure: Arc::new(self.clone()),
        }
    }

    /// What the store tells of itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        Stats {
            events: shared.events.load(Relaxed),
            usage_records: shared.records.load(Relaxed),
            disk_bytes: shared.disk_bytes.load(Relaxed),
            last_commit_us: shared.commit_us.load(Relaxed),
            queue_batches: self.inner.queue.as_ref().map_or(0, |q| q.max_capacity() - q.capacity()),
        }
    }

    /// Finishes what is queued, flushes and closes. Whatever is asked for afterwards is unavailable. The folder is
    /// free for another process once reads that were under way have ended.
    pub async fn close(&self) {
        if let Some(queue) = &self.inner.queue {
            // An error means that it is closed already.
            drop(queue.send(Message::Close).await);
        }
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            drop(spawn_blocking(move || writer.join()).await);
        }
    }

    async fn write(&self, work: Work, events: usize, bytes: u64) -> Result<(), Error> {
        let closed = || Error::Unavailable("the store is closed".into());
        let (done, result) = oneshot::channel();
        let queue = self.inner.queue.as_ref().ok_or_else(closed)?;
        queue.send(Message::Write(Job { work, events, bytes, done })).await.map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }

    async fn write_batch(&self, batch: Arc<Batch>, want: u8) -> Result<(), Error> {
        let events = batch.len();
        let bytes: usize = batch.events().map(|(_, _, event)| event.size()).sum();
        self.write(Work::Batch { batch, want }, events, u64::try_from(bytes).unwrap_or(u64::MAX)).await
    }

    /// Runs a read where it may block.
    async fn read<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Disk, &Options) -> Result<T, Error> + Send + 'static,
    {
        let unavailable = || Error::Unavailable("the store is not open".into());
        let _permit = self.inner.reads.acquire().await.map_err(|_| unavailable())?;
        let shared = Arc::clone(&self.inner.shared);
        let read = move || {
            let disk = shared.disk.load_full().ok_or_else(unavailable)?;
            read(&disk, &shared.options)
        };
        spawn_blocking(read).await.map_err(|e| Error::Unavailable(format!("a read did not end: {e}")))?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Ends the writer's queue; it finishes what is in there.
        self.queue = None;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            drop(writer.join());
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("folder", &self.inner.shared.folder).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Embedded {
    async fn write(&self, batch: Arc<Batch>) -> Result<(), Error> {
        self.write_batch(batch, EVENT | USAGE).await
    }
}

#[async_trait]
impl EventStore for Embedded {
    async fn write(&self, batch: Arc<Batch>) -> Result<Written, Error> {
        // Usage here is known by the event's identity: an event that comes again is metered once in any case.
        self.write_batch(batch, EVENT).await.map(|()| Written::default())
    }

    async fn get(&self, tenant: &TenantId, source: &str, id: &str) -> Result<Option<StoredEvent>, Error> {
        let (tenant, source, id) = (tenant.clone(), source.to_owned(), id.to_owned());
        self.read(move |disk, _| read_events::get(disk, &tenant, &source, &id)).await
    }

    async fn page(&self, tenant: &TenantId, query: &EventQuery) -> Result<EventPage, Error> {
        let (tenant, query) = (tenant.clone(), query.clone());
        self.read(move |disk, options| read_events::page(disk, options, &tenant, &query)).await
    }

    async fn tail(&self, partition: u32, skip: u64, limit: u32) -> Result<Vec<TailBatch>, Error> {
        self.read(move |disk, _| tail::read(disk, partition, skip, limit)).await
    }

    async fn count(&self, tenant: &TenantId, query: &EventQuery) -> Result<u64, Error> {
        let (tenant, query) = (tenant.clone(), query.clone());
        self.read(move |disk, _| read_events::count(disk, &tenant, &query)).await
    }
}

#[async_trait]
impl UsageStore for Embedded {
    async fn write(&self, mut records: Vec<UsageRecord>) -> Result<(), Error> {
        let too_long = |r: &UsageRecord| r.meters.iter().any(|(meter, _)| meter.len() > METER_NAME_MAX);
        if records.iter().any(too_long) {
            return Err(Error::Invalid(format!("a meter's name is longer than {METER_NAME_MAX} bytes")));
        }
        // Whatever gives way to another with its identity was never counted beside it here.
        records.retain(|record| !record.is_void());
        let count = records.len();
        // About what a record takes; what counts is that very many are not one transaction.
        let bytes = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(128);
        self.write(Work::Records(records), count, bytes).await
    }

    async fn aggregate(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        query: &UsageQuery,
    ) -> Result<Vec<UsageBucket>, Error> {
        let (tenant, meter, query) = (tenant.clone(), meter.to_owned(), query.clone());
        self.read(move |disk, _| match aggregation {
            Aggregation::Sum => read_usage::sum(disk, &tenant, &meter, &query),
            _ => aggregate::aggregate(disk, &tenant, &meter, aggregation, &query),
        })
        .await
    }

    async fn grouped(
        &self,
        tenant: &TenantId,
        meter: &str,
        aggregation: Aggregation,
        by: Grouping,
        query: &UsageQuery,
    ) -> Result<Vec<GroupUsage>, Error> {
        let (tenant, meter, query) = (tenant.clone(), meter.to_owned(), query.clone());
        self.read(move |disk, _| aggregate::grouped(disk, &tenant, &meter, aggregation, by, &query)).await
    }

    async fn list(&self, tenant: &TenantId, query: &UsageQuery) -> Result<UsagePage, Error> {
        let (tenant, query) = (tenant.clone(), query.clone());
        self.read(move |disk, options| read_usage::list(disk, options, &tenant, &query)).await
    }
}
