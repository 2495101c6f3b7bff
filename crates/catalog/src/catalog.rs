//! The handle: the snapshot, and the operations on the bucket.

use std::{
    fmt,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_nats::jetstream::{self, kv};
use tokio::sync::{OnceCell, watch};

use crate::{
    Check, Error, Options, Resource, Snapshot,
    error::unavailable,
    watch::{Feed, Shared},
};
use model::TenantId;

/// How long a writer waits for its own write to come back.
const SETTLE: Duration = Duration::from_secs(2);

/// A resource and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// What a write that follows on this one expects.
    pub revision: u64,
    /// The resource.
    pub value: R,
}

/// How the catalog is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The revision of the snapshot.
    pub revision: u64,
    /// How long ago the broker last said anything: changes made since then may not be known yet.
    pub last_heard: Duration,
    /// How often all entries were read: 1, and once more for each interruption.
    pub loads: u64,
    /// Entries left out because they cannot be used.
    pub skipped: usize,
    /// Why changes are not being followed now; none when they are.
    pub fault: Option<String>,
}

/// The catalog. Cheap to clone; the feed stops when the last clone is dropped.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    shared: Arc<Shared>,
    /// None: a fixed snapshot, without a broker.
    js: Option<jetstream::Context>,
    /// The bucket, once it was found: looking it up is a request of its own.
    bucket: OnceCell<kv::Store>,
    pub(crate) options: Options,
    pub(crate) check: Option<Arc<dyn Check>>,
    feed: Option<tokio::task::AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(feed) = &self.feed {
            feed.abort();
        }
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Catalog {
    /// Reads all entries and follows them from then on. Waits for the broker, and for the bucket to be made, for as long as
    /// it takes; whoever wants to give up sooner puts a timeout around it.
    pub async fn open(js: jetstream::Context, options: Options) -> Self {
        Self::open_checked(js, options, None).await
    }

    /// As [`Catalog::open`], with rules of other crates for what is written.
    pub async fn open_checked(
        js: jetstream::Context,
        options: Options,
        check: Option<Arc<dyn Check>>,
    ) -> Self {
        let shared = Arc::new(Shared::new(Snapshot::default(), None));
        let feed = Feed::new(js.clone(), options.clone(), shared.clone());
        let feed = Some(tokio::spawn(feed.run()).abort_handle());
        let bucket = OnceCell::new();
        let catalog = Self { inner: Arc::new(Inner { shared, js: Some(js), bucket, options, check, feed }) };
        let mut revision = catalog.inner.shared.revision.subscribe();
        // The sender is ours, so it is there as long as we wait.
        let _ = revision.wait_for(Option::is_some).await;
        catalog
    }

    /// A catalog that holds `snapshot` and has no broker, for tests and tools: writing is refused.
    #[must_use]
    pub fn fixed(snapshot: Snapshot) -> Self {
        let revision = Some(snapshot.revision());
        let shared = Arc::new(Shared::new(snapshot, revision));
        Self {
            inner: Arc::new(Inner {
                shared,
                js: None,
                bucket: OnceCell::new(),
                options: Options::default(),
                check: None,
                feed: None,
            }),
        }
    }

    /// Changes what a [`Catalog::fixed`] holds; does nothing to one with a broker.
    pub fn replace(&self, snapshot: Snapshot) {
        if self.inner.js.is_none() {
            self.inner.shared.publish(snapshot);
        }
    }

    /// All resources as of now. Costs a few nanoseconds.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.shared.snapshot.load_full()
    }

    /// Tells of each new snapshot, by its revision.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.inner.shared.revision.subscribe()
    }

    /// Waits until the snapshot holds the changes up to `revision`.
    pub async fn caught_up(&self, revision: u64) {
        let mut changes = self.changes();
        let _ = changes.wait_for(|now| now.is_some_and(|now| now >= revision)).await;
    }

    /// How the catalog is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.inner.shared;
        let live = self.inner.js.is_some();
        Status {
            revision: shared.snapshot.load().revision(),
            last_heard: if live { shared.age() } else { Duration::ZERO },
            loads: shared.loads.load(Ordering::Relaxed),
            skipped: shared.skipped.load(Ordering::Relaxed),
            fault: shared.fault.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// For readiness: why the snapshot may be older than `age_max`, if it may.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn fresh(&self, age_max: Duration) -> Result<(), String> {
        let Status { last_heard, fault, .. } = self.status();
        if last_heard <= age_max {
            return Ok(());
        }
        let reason = fault.unwrap_or_else(|| "the broker is silent".to_owned());
        Err(format!("the catalog has had no news for {}s: {reason}", last_heard.as_secs()))
    }

    /// The resources of one kind, of one tenant or of all, in order of tenant and id, as the snapshot has them.
    #[must_use]
    pub fn list<R: Resource>(&self, tenant: Option<&TenantId>) -> Vec<crate::Entry<R>> {
        self.snapshot().list(tenant)
    }

    pub(crate) async fn store(&self) -> Result<&kv::Store, Error> {
        let Some(js) = &self.inner.js else {
            return Err(Error::Unavailable("it has no broker".to_owned()));
        };
        let find = || async { js.get_key_value(&self.inner.options.bucket).await.map_err(unavailable) };
        self.inner.bucket.get_or_try_init(find).await
    }

    /// Read-your-writes, if the feed is following; if it is not, the write is still done. Whether it has.
    pub(crate) async fn settle(&self, revision: u64) -> bool {
        self.wait_until(|snapshot| snapshot.revision() >= revision).await
    }

    pub(crate) async fn wait_until(&self, holds: impl Fn(&Snapshot) -> bool) -> bool {
        let mut changes = self.changes();
        let wait = changes.wait_for(|_| holds(&self.inner.shared.snapshot.load()));
        tokio::time::timeout(SETTLE, wait).await.is_ok_and(|held| held.is_ok())
    }
}
