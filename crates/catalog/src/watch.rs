//! The feed: reads all entries, then follows the changes, for as long as the process lives.
//!
//! It is an ephemeral push consumer of the bucket's stream, read raw, because its heartbeats are what tells that
//! silence means "nothing changed" and not "nobody is there". Anything out of the ordinary (a gap in the
//! consumer's sequence, a heartbeat that tells of one, three heartbeats missed, a new connection, a deleted consumer)
//! ends the session; the next one reads all entries again, so nothing can be missed, not even the
//! deletions of a bucket that was restored from a backup.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, push},
};
use tokio::{sync::watch, time::Instant as TokioInstant};

use crate::{
    Entry, EntryKey, Options, Resource, Snapshot, entry, kinds,
    messages::{Change, Ended, Messages},
};

/// What the feed writes and the handles read.
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// The revision of the snapshot; `None` before the first one. Waiters sleep on it.
    pub(crate) revision: watch::Sender<Option<u64>>,
    start: Instant,
    /// Microseconds from `start` to the last word from the broker.
    heard_us: AtomicU64,
    pub(crate) loads: AtomicU64,
    pub(crate) skipped: AtomicUsize,
    /// Why the feed is not following now.
    pub(crate) fault: RwLock<Option<String>>,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot, revision: Option<u64>) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            revision: watch::Sender::new(revision),
            start: Instant::now(),
            heard_us: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            skipped: AtomicUsize::new(0),
            fault: RwLock::new(None),
        }
    }

    pub(crate) fn heard(&self) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.heard_us.store(now, Ordering::Relaxed);
    }

    /// How long ago the broker last said anything.
    pub(crate) fn age(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_micros(self.heard_us.load(Ordering::Relaxed)))
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let revision = snapshot.revision;
        self.snapshot.store(Arc::new(snapshot));
        self.revision.send_replace(Some(revision));
    }

    fn set_fault(&self, fault: Option<String>) -> bool {
        let mut slot = self.fault.write().unwrap_or_else(PoisonError::into_inner);
        let changed = slot.is_some() != fault.is_some();
        *slot = fault;
        changed
    }
}

pub(crate) struct Feed {
    pub(crate) js: jetstream::Context,
    pub(crate) options: Options,
    pub(crate) shared: Arc<Shared>,
    /// Entries left out now.
    skipped: HashSet<String>,
    /// The revision at which each was logged, so that it is logged once and not at each reading.
    logged: HashMap<String, u64>,
}

impl Feed {
    pub(crate) fn new(js: jetstream::Context, options: Options, shared: Arc<Shared>) -> Self {
        Self { js, options, shared, skipped: HashSet::new(), logged: HashMap::new() }
    }

    /// Never ends; drop it to stop.
    pub(crate) async fn run(mut self) {
        let mut wait = Backoff::new(self.options.backoff_min(), self.options.backoff_max());
        loop {
            let loads = self.shared.loads.load(Ordering::Relaxed);
            let Err(ended) = self.session().await;
            if self.shared.set_fault(Some(ended.to_string())) {
                tracing::warn!(bucket = self.options.bucket, reason = %ended, "catalog feed interrupted, reading it again");
            }
            if self.shared.loads.load(Ordering::Relaxed) > loads {
                wait.reset();
            }
            if !matches!(ended, Ended::Reconnected) {
                tokio::time::sleep(wait.next()).await;
            }
        }
    }

    async fn session(&mut self) -> Result<std::convert::Infallible, Ended> {
        let began = Instant::now();
        // A request that was lost with a connection is not waited for longer than a silent broker is.
        let patience = self.options.heartbeat() * 3;
        let subscribed = tokio::time::timeout(patience, self.subscribe()).await;
        let (mut stream, pending) = subscribed.map_err(|_| Ended::Silent(patience))??;
        let snapshot = self.load(&mut stream, pending).await?;
        self.shared.loads.fetch_add(1, Ordering::Relaxed);
        let entries = snapshot.len();
        // In this order: who waits for the snapshot finds all well.
        self.shared.set_fault(None);
        self.shared.publish(snapshot.clone());
        tracing::info!(
            bucket = self.options.bucket,
            entries,
            skipped = self.skipped.len(),
            revision = snapshot.revision,
            duration_ms = began.elapsed().as_millis(),
            "catalog read"
        );
        self.follow(&mut stream, snapshot).await
    }

    async fn subscribe(&self) -> Result<(Messages, u64), Ended> {
        let client = self.js.client();
        let connects = client.statistics().connects.load(Ordering::Relaxed);
        let inbox = client.new_inbox();
        // Subscribed before the consumer exists, so that its first message finds someone.
        let subscriber = client.subscribe(inbox.clone()).await.map_err(Ended::broker)?;
        let heartbeat = self.options.heartbeat();
        let config = push::Config {
            deliver_subject: inbox,
            description: Some("catalog feed".to_owned()),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            filter_subject: format!("$KV.{}.>", self.options.bucket),
            replay_policy: ReplayPolicy::Instant,
            flow_control: true,
            idle_heartbeat: heartbeat,
            num_replicas: 1,
            memory_storage: true,
            inactive_threshold: Duration::from_secs(10),
            ..Default::default()
        };
        let stream = format!("KV_{}", self.options.bucket);
        let consumer = self.js.create_consumer_on_stream(config, stream).await.map_err(Ended::broker)?;
        self.shared.heard();
        let pending = consumer.cached_info().num_pending;
        let prefix = format!("$KV.{}.", self.options.bucket);
        Ok((
            Messages {
                js: self.js.clone(),
                subscriber,
                prefix,
                connects,
                heartbeat,
                next: 1,
                heard: TokioInstant::now(),
            },
            pending,
        ))
    }

    /// All entries as they are. What did not change keeps the `Arc` it had in the last snapshot.
    async fn load(&mut self, stream: &mut Messages, mut pending: u64) -> Result<Snapshot, Ended> {
        let old = self.shared.snapshot.load_full();
        self.skipped.clear();
        let mut snapshot = Snapshot::default();
        while pending > 0 {
            if let Some(change) = stream.next(&self.shared).await? {
                pending = change.pending;
                self.apply(&mut snapshot, Some(&old), change);
            }
        }
        self.logged.retain(|key, _| self.skipped.contains(key));
        self.shared.skipped.store(self.skipped.len(), Ordering::Relaxed);
        Ok(snapshot)
    }

    /// Applies changes as they come. One is published at once; of a burst, as much as came within
    /// `rebuild_interval`.
    async fn follow(
        &mut self,
        stream: &mut Messages,
        mut snapshot: Snapshot,
    ) -> Result<std::convert::Infallible, Ended> {
        let interval = self.options.rebuild_interval();
        let mut published = TokioInstant::now();
        let mut dirty = false;
        loop {
            let due = published + interval;
            let change = tokio::select! {
                biased;
                change = stream.next(&self.shared) => change?,
                () = tokio::time::sleep_until(due), if dirty => None,
            };
            if let Some(change) = change {
                self.apply(&mut snapshot, None, change);
                dirty = true;
            }
            if dirty && TokioInstant::now() >= due {
                self.shared.skipped.store(self.skipped.len(), Ordering::Relaxed);
                self.shared.publish(snapshot.clone());
                published = TokioInstant::now();
                dirty = false;
            }
        }
    }

    /// `old`: where else to look for what was there before, when `snapshot` is being made from nothing.
    fn apply(&mut self, snapshot: &mut Snapshot, old: Option<&Snapshot>, change: Change) {
        snapshot.revision = snapshot.revision.max(change.revision);
        let outcome = match EntryKey::parse(&change.key) {
            None => Err("its key is none of ours".to_owned()),
            Some(key) => kinds::apply(snapshot, old, &key, &change),
        };
        let Err(reason) = outcome else {
            self.skipped.remove(&change.key);
            self.logged.remove(&change.key);
            return;
        };
        if self.logged.insert(change.key.clone(), change.revision) != Some(change.revision) {
            let (bucket, key, revision) = (&self.options.bucket, &change.key, change.revision);
            tracing::warn!(bucket, key, revision, reason, "catalog entry left out");
        }
        self.skipped.insert(change.key);
    }
}

/// Puts one change into the snapshot. An entry that cannot be used also takes what stood there before: a
/// key that was narrowed by a newer version must not keep its old scopes.
pub(crate) fn apply<R: Resource>(
    snapshot: &mut Snapshot,
    old: Option<&Snapshot>,
    key: &EntryKey,
    change: &Change,
) -> Result<(), String> {
    let outcome = match &change.value {
        None => {
            snapshot.remove::<R>(&key.tenant, &key.id);
            Ok(())
        }
        Some(value) => put::<R>(snapshot, old, key, (change.revision, value)),
    };
    outcome.inspect_err(|_| snapshot.remove::<R>(&key.tenant, &key.id))
}

fn put<R: Resource>(
    snapshot: &mut Snapshot,
    old: Option<&Snapshot>,
    key: &EntryKey,
    (revision, value): (u64, &[u8]),
) -> Result<(), String> {
    let own = |resource: &R| {
        let own = resource.tenant() == &key.tenant && resource.id() == key.id;
        if own { Ok(()) } else { Err("it says it is another's than its key says".to_owned()) }
    };
    let resource = match entry::read::<R>(value).map_err(|e| e.to_string())? {
        entry::Read::Live(resource) => resource,
        entry::Read::Deleted(deleted) => {
            own(&deleted.resource)?;
            snapshot.insert_deleted(Entry { revision, value: Arc::new(deleted) });
            return Ok(());
        }
    };
    own(&resource)?;
    let value = match old.unwrap_or(snapshot).entry::<R>(&key.tenant, &key.id) {
        Some(old) if *old.value == resource => Arc::clone(&old.value),
        _ => Arc::new(resource),
    };
    let taken = "another tenant has a key of that id";
    if snapshot.insert(&Entry { revision, value }) { Ok(()) } else { Err(taken.to_owned()) }
}

/// Waits that double up to a limit, each of a random half to whole of it, so that a fleet does not come back in step.
struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    fn reset(&mut self) {
        self.next = self.min;
    }

    fn next(&mut self) -> Duration {
        let wait = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.max);
        wait
    }
}
