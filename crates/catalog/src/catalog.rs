//! The handle: the snapshot, and the operations on the bucket.

use std::{
    fmt,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use async_nats::jetstream::{self, kv};
use futures::TryStreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Check, EntryKey, Error, FieldError, Kind, Resource, Snapshot,
    watch::{Feed, Shared},
};
use model::{
    TenantId,
    resource::{ApiKey, System, Tenant},
};

/// How the catalog is kept and followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The key-value bucket.
    pub bucket: String,
    /// How often the broker says that it is there, in milliseconds. Three missed ones and the entries are read again.
    pub heartbeat_ms: u32,
    /// In a burst of changes, a new snapshot at most so often, in milliseconds. A lone change is published at once.
    pub rebuild_interval_ms: u32,
    /// First wait before reading again after a failure, in milliseconds; it doubles.
    pub backoff_ms_min: u32,
    /// Longest wait before reading again after a failure, in milliseconds.
    pub backoff_ms_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bucket: "catalog".to_owned(),
            heartbeat_ms: 1_000,
            rebuild_interval_ms: 5,
            backoff_ms_min: 50,
            backoff_ms_max: 5_000,
        }
    }
}

impl Options {
    pub(crate) fn heartbeat(&self) -> Duration {
        // The broker refuses a heartbeat under 100 ms.
        Duration::from_millis(self.heartbeat_ms.max(100).into())
    }

    pub(crate) fn rebuild_interval(&self) -> Duration {
        Duration::from_millis(self.rebuild_interval_ms.into())
    }

    pub(crate) fn backoff_min(&self) -> Duration {
        Duration::from_millis(self.backoff_ms_min.max(1).into())
    }

    pub(crate) fn backoff_max(&self) -> Duration {
        Duration::from_millis(self.backoff_ms_max.max(self.backoff_ms_min).into())
    }
}

/// Makes the bucket if there is none: history of 8, so that the last changes of an entry can be looked up.
/// One that exists is left as it is.
///
/// # Errors
/// If the broker does not answer or refuses.
pub async fn ensure_bucket(js: &jetstream::Context, options: &Options, replicas: usize) -> Result<(), Error> {
    if js.get_key_value(&options.bucket).await.is_ok() {
        return Ok(());
    }
    let config = kv::Config {
        bucket: options.bucket.clone(),
        description: "eventrunner control-plane resources".to_owned(),
        history: 8,
        num_replicas: replicas,
        ..Default::default()
    };
    js.create_key_value(config).await.map(drop).map_err(unavailable)
}

/// A resource and its revision.
#[derive(Debug)]
pub struct Versioned<R> {
    /// What a `put` or `delete` expects.
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
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// None: a fixed snapshot, without a broker.
    js: Option<jetstream::Context>,
    options: Options,
    check: Option<Arc<dyn Check>>,
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

fn unavailable(error: impl fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
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
        let catalog = Self { inner: Arc::new(Inner { shared, js: Some(js), options, check, feed }) };
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
            inner: Arc::new(Inner { shared, js: None, options: Options::default(), check: None, feed: None }),
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

    /// Writes a resource that does not exist yet, and waits until the snapshot has it. Gives its revision.
    ///
    /// # Errors
    /// If it breaks a rule, exists already, or the broker does not acknowledge it.
    pub async fn create<R: Resource>(&self, resource: &R) -> Result<u64, Error> {
        self.check(resource).await?;
        let key = resource.entry_key();
        let written = self.store().await?.create(key.to_string(), to_json(resource)?).await;
        let revision = written.map_err(|error| match error.kind() {
            kv::CreateErrorKind::AlreadyExists => Error::Exists { kind: key.kind, id: key.id.clone() },
            _ => unavailable(error),
        })?;
        self.settle(revision).await;
        Ok(revision)
    }

    /// Writes a resource, over the one at `expected`, or over whatever is there when `expected` is none, and
    /// waits until the snapshot has it. Gives its new revision.
    ///
    /// # Errors
    /// If it breaks a rule, is not at that revision, or the broker does not acknowledge it.
    pub async fn put<R: Resource>(&self, resource: &R, expected: Option<u64>) -> Result<u64, Error> {
        self.check(resource).await?;
        let key = resource.entry_key();
        let store = self.store().await?;
        let value = to_json(resource)?;
        let revision = match expected {
            None => store.put(key.to_string(), value).await.map_err(unavailable)?,
            Some(expected) => {
                store.update(key.to_string(), value, expected).await.map_err(stale(&key, expected))?
            }
        };
        self.settle(revision).await;
        Ok(revision)
    }

    /// Reads a resource from the bucket itself.
    ///
    /// # Errors
    /// If there is none, it cannot be read, or the broker does not answer.
    pub async fn get<R: Resource>(&self, tenant: &TenantId, id: &str) -> Result<Versioned<R>, Error> {
        let key = EntryKey::new(R::KIND, tenant, id);
        let entry = self.store().await?.entry(key.to_string()).await.map_err(unavailable)?;
        match entry {
            Some(entry) if entry.operation == kv::Operation::Put => {
                let value = serde_json::from_slice(&entry.value).map_err(|error| Error::Unreadable {
                    kind: key.kind,
                    id: key.id.clone(),
                    reason: error.to_string(),
                })?;
                Ok(Versioned { revision: entry.revision, value })
            }
            _ => Err(Error::NotFound { kind: key.kind, id: key.id }),
        }
    }

    /// The resources of one kind, of one tenant or of all, in order of tenant and id, as the snapshot has them.
    #[must_use]
    pub fn list<R: Resource>(&self, tenant: Option<&TenantId>) -> Vec<crate::Entry<R>> {
        self.snapshot().list(tenant)
    }

    /// Deletes a resource, if it is at `expected` where that is given, and waits until the snapshot is without it.
    ///
    /// # Errors
    /// If there is none, others depend on it, it is not at that revision, or the broker does not acknowledge it.
    pub async fn delete<R: Resource>(
        &self,
        tenant: &TenantId,
        id: &str,
        expected: Option<u64>,
    ) -> Result<(), Error> {
        let key = EntryKey::new(R::KIND, tenant, id);
        let store = self.store().await?;
        let entry = store.entry(key.to_string()).await.map_err(unavailable)?;
        if !entry.is_some_and(|e| e.operation == kv::Operation::Put) {
            return Err(Error::NotFound { kind: key.kind, id: key.id });
        }
        if let Some(dependents) = self.snapshot().dependents(&key) {
            return Err(Error::InUse { kind: key.kind, id: key.id, dependents });
        }
        let deleted = store.delete_expect_revision(key.to_string(), expected).await;
        deleted.map_err(stale(&key, expected.unwrap_or_default()))?;
        let gone = |snapshot: &Snapshot| snapshot.entry::<R>(tenant, id).is_none();
        self.wait_until(gone).await;
        Ok(())
    }

    /// How many entries the bucket has of a tenant.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn held(&self, tenant: &TenantId) -> Result<u64, Error> {
        let store = self.store().await?;
        let mut held = 0;
        for key in self.keys_of(&store, tenant).await? {
            let entry = store.entry(key).await.map_err(unavailable)?;
            held += u64::from(entry.is_some_and(|e| e.operation == kv::Operation::Put));
        }
        Ok(held)
    }

    /// Takes away all entries of a tenant, with what they were before. Those who follow the bucket have `settle` to hear
    /// of it, before even the names of the entries go; who misses that reads all entries again.
    ///
    /// # Errors
    /// If the broker does not acknowledge it; erase again.
    pub async fn erase(&self, tenant: &TenantId, settle: Duration) -> Result<(), Error> {
        let store = self.store().await?;
        let mut keys = self.keys_of(&store, tenant).await?;
        if keys.is_empty() {
            return Ok(());
        }
        // The tenant last: no snapshot has entries of a tenant that is not there.
        keys.sort_by_key(|key| key.starts_with(Kind::Tenant.as_str()));
        for key in keys {
            store.purge(key).await.map_err(unavailable)?;
        }
        self.wait_until(|snapshot| snapshot.tenant(tenant).is_none()).await;
        tokio::time::sleep(settle).await;
        store.stream.purge().filter(self.subjects_of(tenant)).await.map(drop).map_err(unavailable)
    }

    fn subjects_of(&self, tenant: &TenantId) -> String {
        format!("$KV.{}.*.{tenant}.>", self.inner.options.bucket)
    }

    /// The keys that the bucket remembers of a tenant, deleted ones as well.
    async fn keys_of(&self, store: &kv::Store, tenant: &TenantId) -> Result<Vec<String>, Error> {
        let subjects = store.stream.info_with_subjects(self.subjects_of(tenant)).await;
        let subjects: Vec<(String, usize)> =
            subjects.map_err(unavailable)?.try_collect().await.map_err(unavailable)?;
        let prefix = format!("$KV.{}.", self.inner.options.bucket);
        Ok(subjects
            .iter()
            .filter_map(|(subject, _)| subject.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect())
    }

    async fn store(&self) -> Result<kv::Store, Error> {
        let Some(js) = &self.inner.js else {
            return Err(Error::Unavailable("it has no broker".to_owned()));
        };
        js.get_key_value(&self.inner.options.bucket).await.map_err(unavailable)
    }

    /// Read-your-writes, if the feed is following; if it is not, the write is still done.
    async fn settle(&self, revision: u64) {
        self.wait_until(|snapshot| snapshot.revision() >= revision).await;
    }

    async fn wait_until(&self, holds: impl Fn(&Snapshot) -> bool) {
        let mut changes = self.changes();
        let wait = changes.wait_for(|_| holds(&self.inner.shared.snapshot.load()));
        let _ = tokio::time::timeout(Duration::from_secs(2), wait).await;
    }

    async fn check<R: Resource>(&self, resource: &R) -> Result<(), Error> {
        let mut faults = resource.validate();
        if let Some(check) = &self.inner.check {
            faults.extend(resource.validate_with(check.as_ref()));
        }
        let tenant = resource.tenant();
        if R::KIND != Kind::Tenant && !self.exists::<Tenant>(tenant, tenant).await? {
            faults.push(FieldError::new("/tenant", format!("there is no tenant {tenant:?}")));
        } else if let Some(system) = resource.system()
            && !self.exists::<System>(tenant, system).await?
        {
            faults.push(FieldError::new("/system", format!("there is no system {system:?} of {tenant:?}")));
        }
        if R::KIND == Kind::Key
            && self.snapshot().key(resource.id()).is_some_and(|other: &Arc<ApiKey>| other.tenant != *tenant)
        {
            faults.push(FieldError::new("/id", "is taken; generate another key"));
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
    }

    /// In the snapshot, or, as that may be a moment behind, in the bucket.
    async fn exists<R: Resource>(&self, tenant: &TenantId, id: &str) -> Result<bool, Error> {
        if self.snapshot().entry::<R>(tenant, id).is_some() {
            return Ok(true);
        }
        match self.get::<R>(tenant, id).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. } | Error::Unreadable { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn stale(key: &EntryKey, expected: u64) -> impl FnOnce(kv::UpdateError) -> Error {
    let (kind, id) = (key.kind, key.id.clone());
    move |error| match error.kind() {
        kv::UpdateErrorKind::WrongLastRevision => Error::Stale { kind, id, expected },
        _ => unavailable(error),
    }
}

fn to_json<R: Resource>(resource: &R) -> Result<bytes::Bytes, Error> {
    serde_json::to_vec(resource).map(Into::into).map_err(|error| {
        Error::Invalid(vec![FieldError::new("", format!("cannot be written as JSON: {error}"))])
    })
}
