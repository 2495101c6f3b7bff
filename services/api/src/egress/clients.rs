//! What tenants' NATS clients read, metered: each node of the broker says how much it has sent to the clients of each account.
//!
//! Invariant: every byte is metered once, by however many replicas, and whichever of them dies. How far the count of a node is metered
//! is an [entry](Entry) in the broker, which replicas replace only as they know it; it has one record, which is in the usage store before
//! the entry is replaced. An entry is read before the node is asked: a count lower than the entry's is then that of a node that has
//! forgotten the account, and never one that somebody read earlier.
//!
//! Entries go by the name of the account: who reads them cannot tell whose they are, so that an erased tenant's may stay, and one that
//! is made again under its id pays for no more of it than the last record.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use bus::{Bus, accounts::Sent, topology::EGRESS};
use catalog::Catalog;
use model::{Clock as _, SystemClock, TenantId, resource::NatsCredential};
use store::UsageStore;
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use crate::accounts::Told;

/// Meters what the broker counts.
pub(crate) struct Clients {
    told: Arc<Told>,
    bus: Bus,
    catalog: Catalog,
    usage: Arc<dyn UsageStore>,
    interval: Duration,
    /// For one look.
    patience: Duration,
    /// Of each node and account.
    known: HashMap<String, Known>,
    is_refused: bool,
    is_failing: bool,
}

/// What is in the bucket, as far as it is known here.
struct Known {
    tenant: TenantId,
    /// With its revision; none if there is none. Its record is in the store.
    entry: Option<(Entry, u64)>,
}

impl Clients {
    pub(crate) fn new(
        told: Arc<Told>,
        bus: Bus,
        catalog: Catalog,
        usage: Arc<dyn UsageStore>,
        interval: Duration,
        patience: Duration,
    ) -> Self {
        let known = HashMap::new();
        Self { told, bus, catalog, usage, interval, patience, known, is_refused: false, is_failing: false }
    }

    /// Looks every interval until `served`, and once more then.
    pub(crate) async fn run(mut self, served: CancellationToken) {
        let mut is_last = false;
        while !is_last {
            tokio::select! {
                biased;
                () = served.cancelled() => is_last = true,
                () = tokio::time::sleep(self.interval) => {}
            }
            if !self.bus.is_connected() {
                continue;
            }
            let looked = tokio::time::timeout(self.patience, self.look()).await;
            self.say(
                looked.unwrap_or_else(|_| Err("the broker or the usage store does not answer".to_owned())),
            );
        }
    }

    fn say(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(%error, "what tenants' NATS clients read is not metered yet, trying again");
            }
            Err(_) => {}
        }
    }

    /// Whose clients may have read something.
    fn tenants(&self) -> Vec<TenantId> {
        let snapshot = self.catalog.snapshot();
        let mut tenants: BTreeSet<TenantId> = self.known.values().map(|known| known.tenant.clone()).collect();
        let credentials = snapshot.list::<NatsCredential>(None);
        tenants.extend(credentials.iter().map(|entry| entry.value.tenant.clone()));
        tenants.retain(|tenant| snapshot.tenant(tenant).is_some());
        tenants.into_iter().collect()
    }

    async fn look(&mut self) -> Result<(), String> {
        let tenants = self.tenants();
        if tenants.is_empty() {
            self.known.clear();
            return Ok(());
        }
        let Some(all) = self.told.accounts().sent(&tenants).await.map_err(|e| e.to_string())? else {
            if !self.is_refused {
                self.is_refused = true;
                tracing::debug!(
                    "the broker does not tell what tenants' NATS clients read: run `eventrunner nats init` again"
                );
            }
            return Ok(());
        };
        let store = self.bus.jetstream().get_key_value(EGRESS).await.map_err(|e| e.to_string())?;
        let mut before = std::mem::take(&mut self.known);
        let mut outcome = Ok(());
        for sent in all {
            let key = format!("{}.{}", sent.node, sent.account);
            let known = match before.remove(&key) {
                Some(known) => self.step(&store, &key, &sent, known).await,
                None => self.read(&store, &key, &sent).await.map(Some),
            };
            match known {
                Ok(Some(known)) => drop(self.known.insert(key, known)),
                Ok(None) => {}
                // It is read again.
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    /// What is in the bucket, good for the next look: what the node said just now may be older.
    async fn read(&self, store: &Store, key: &str, sent: &Sent) -> Result<Known, String> {
        let found = read(store, key).await?;
        if let Some((entry, _)) = &found {
            self.write(entry, sent).await?;
        }
        Ok(Known { tenant: sent.tenant.clone(), entry: found })
    }

    /// Meters what is new. None if somebody else was quicker.
    async fn step(
        &self,
        store: &Store,
        key: &str,
        sent: &Sent,
        known: Known,
    ) -> Result<Option<Known>, String> {
        let before = known.entry.as_ref();
        let Some(next) = Entry::next(before.map(|(entry, _)| entry), sent.bytes, SystemClock.now()) else {
            return Ok(Some(known));
        };
        let Some(revision) = replace(store, key, &next, before.map(|(_, revision)| *revision)).await? else {
            return Ok(None);
        };
        self.write(&next, sent).await?;
        Ok(Some(Known { entry: Some((next, revision)), ..known }))
    }

    async fn write(&self, entry: &Entry, sent: &Sent) -> Result<(), String> {
        let Some(record) = entry.record(&sent.tenant, &sent.node) else { return Ok(()) };
        // What comes to a tenant that is being erased would stay.
        if self.catalog.snapshot().tenant(&sent.tenant).is_none() {
            return Ok(());
        }
        self.usage.write(vec![record]).await.map_err(|e| e.to_string())
    }
}

/// What is in the bucket, with its revision. A copy that is behind does no harm: it cannot be replaced.
async fn read(store: &Store, key: &str) -> Result<Option<(Entry, u64)>, String> {
    let found = store.entry(key).await.map_err(|e| e.to_string())?;
    let Some(found) = found.filter(|found| found.operation == Operation::Put) else { return Ok(None) };
    let entry = serde_json::from_slice(&found.value).map_err(|e| e.to_string())?;
    Ok(Some((entry, found.revision)))
}

/// Puts an entry in the place of that revision, or where none was. Its revision; none if somebody else was quicker.
async fn replace(store: &Store, key: &str, entry: &Entry, old: Option<u64>) -> Result<Option<u64>, String> {
    let bytes = serde_json::to_vec(entry).map_err(|e| e.to_string())?.into();
    match old {
        None => match store.create(key, bytes).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.to_string()),
        },
        Some(old) => match store.update(key, bytes, old).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(error) => Err(error.to_string()),
        },
    }
}
