//! Who takes which partition: replicas announce themselves in a KV bucket, and rendezvous hashing over the live
//! ones names each partition's owner.
//!
//! A view may be stale for a moment; the pin of the partition's consumer makes that harmless. What this gives is
//! an even load and a quick hand-over.

use std::{
    collections::HashMap,
    hash::Hasher as _,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream::kv::{Operation, Store};
use futures::StreamExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Backoff, Bus, Error, topology::MEMBERS};

/// How replicas find each other.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MembersOptions {
    /// This replica's name, unique among those of a service; random when empty. A name that survives a restart (a
    /// pod's) makes the restarted replica take its partitions back at once.
    pub replica: String,
    /// How often a replica says that it is alive.
    pub announce_ms: u64,
    /// Silence after which a replica counts as dead.
    pub ttl_ms: u64,
}

impl Default for MembersOptions {
    fn default() -> Self {
        Self { replica: String::new(), announce_ms: 1_000, ttl_ms: 3_000 }
    }
}

/// Which partitions are this replica's, by partition number.
pub type Owned = Arc<[bool]>;

/// This replica's place among those of its service. Leaves when dropped, silently; [`Members::leave`] says so.
#[derive(Debug)]
pub struct Members {
    owned: watch::Receiver<Owned>,
    store: Store,
    key: String,
    leaving: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Members {
    /// Announces this replica and starts to listen for the others.
    ///
    /// # Errors
    /// If the bucket of members cannot be reached.
    pub async fn join(
        bus: &Bus,
        service: &str,
        partitions: u32,
        options: &MembersOptions,
    ) -> Result<Self, Error> {
        let what = format!("bucket {MEMBERS}");
        let store =
            bus.jetstream().get_key_value(MEMBERS).await.map_err(|e| Error::broker(what.clone(), &e))?;
        let replica = if options.replica.is_empty() {
            format!("r{:016x}", rand::random::<u64>())
        } else {
            options.replica.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-")
        };
        let key = format!("{service}.{replica}");
        store.put(&key, "".into()).await.map_err(|e| Error::broker(what, &e))?;
        let (sender, owned) = watch::channel(Owned::from(vec![false; partitions as usize]));
        let view = View { prefix: format!("{service}."), me: replica, heard: HashMap::new(), sender };
        let leaving = CancellationToken::new();
        let task = tokio::spawn(follow(
            bus.clone(),
            store.clone(),
            view,
            key.clone(),
            options.clone(),
            leaving.clone(),
        ));
        Ok(Self { owned, store, key, leaving, task: AbortOnDropHandle::new(task) })
    }

    /// Which partitions are this replica's, now and on.
    #[must_use]
    pub fn owned(&self) -> watch::Receiver<Owned> {
        self.owned.clone()
    }

    /// Tells the others at once that this replica's partitions are free.
    pub async fn leave(self) {
        self.leaving.cancel();
        self.task.abort();
        let said = tokio::time::timeout(Duration::from_secs(1), self.store.purge(&self.key)).await;
        if !matches!(said, Ok(Ok(()))) {
            tracing::debug!(
                key = self.key,
                "could not say that this replica leaves; its announcement will lapse"
            );
        }
    }
}

/// What one replica knows of the others.
struct View {
    prefix: String,
    me: String,
    heard: HashMap<String, Instant>,
    sender: watch::Sender<Owned>,
}

impl View {
    fn hear(&mut self, key: &str, operation: Operation) {
        let Some(replica) = key.strip_prefix(&self.prefix) else { return };
        match operation {
            Operation::Put => {
                self.heard.insert(replica.to_owned(), Instant::now());
            }
            Operation::Delete | Operation::Purge => {
                self.heard.remove(replica);
            }
        }
        self.decide();
    }

    fn forget_silent(&mut self, ttl: Duration) {
        self.heard.retain(|_, at| at.elapsed() < ttl);
        self.decide();
    }

    fn decide(&self) {
        let mine = |partition: u32| {
            let others = self.heard.keys().filter(|r| **r != self.me);
            let weight = weight(&self.me, partition);
            others.map(|r| self::weight(r, partition)).all(|w| w < weight)
        };
        self.sender.send_if_modified(|owned| {
            let now: Owned = (0u32..).take(owned.len()).map(mine).collect();
            let changed = *owned != now;
            *owned = now;
            changed
        });
    }
}

/// Rendezvous hashing: the live replica with the greatest weight owns the partition.
fn weight(replica: &str, partition: u32) -> (u64, u64) {
    let mut hasher = SipHasher13::new();
    hasher.write(replica.as_bytes());
    hasher.write_u32(partition);
    // The second half only parts equal weights.
    let mut tie = SipHasher13::new_with_keys(1, 0);
    tie.write(replica.as_bytes());
    (hasher.finish(), tie.finish())
}

async fn follow(
    bus: Bus,
    store: Store,
    mut view: View,
    key: String,
    options: MembersOptions,
    leaving: CancellationToken,
) {
    let ttl = Duration::from_millis(options.ttl_ms);
    let mut announce = tokio::time::interval(Duration::from_millis(options.announce_ms.max(10)));
    announce.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut backoff = Backoff::default();
    while !leaving.is_cancelled() {
        let watch = store.watch_with_history(format!("{}>", view.prefix)).await;
        let Ok(mut watch) = watch else {
            backoff.wait().await;
            continue;
        };
        loop {
            tokio::select! {
                entry = watch.next() => match entry {
                    Some(Ok(entry)) => {
                        backoff.reset();
                        view.hear(&entry.key, entry.operation);
                    }
                    Some(Err(error)) => {
                        tracing::debug!(%error, "watch of members ended");
                        break;
                    }
                    None => break,
                },
                _ = announce.tick() => {
                    // While the broker is away nobody can be heard: the view stays as it is.
                    if bus.is_connected() {
                        if store.put(&key, "".into()).await.is_ok() {
                            view.heard.insert(view.me.clone(), Instant::now());
                            view.forget_silent(ttl);
                        }
                    } else {
                        let now = Instant::now();
                        view.heard.values_mut().for_each(|at| *at = now);
                    }
                }
            }
        }
        backoff.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_and_an_even_share() {
        let replicas = ["a", "b", "c"];
        let mut shares = [0; 3];
        for partition in 0..300 {
            let weights: Vec<_> = replicas.iter().map(|r| weight(r, partition)).collect();
            let owner = (0..3).max_by_key(|i| weights[*i]).unwrap();
            assert_eq!(weights.iter().filter(|w| **w == weights[owner]).count(), 1);
            shares[owner] += 1;
        }
        assert!(shares.iter().all(|s| *s > 60), "{shares:?}");
    }

    #[test]
    fn a_silent_replica_loses_its_share() {
        let (sender, owned) = watch::channel(Owned::from(vec![false; 16]));
        let mut view = View { prefix: "s.".into(), me: "a".into(), heard: HashMap::new(), sender };
        view.hear("s.a", Operation::Put);
        assert!(owned.borrow().iter().all(|o| *o));
        view.hear("s.b", Operation::Put);
        view.hear("other.c", Operation::Put);
        let share = owned.borrow().iter().filter(|o| **o).count();
        assert!((1..16).contains(&share));
        view.hear("s.b", Operation::Purge);
        assert!(owned.borrow().iter().all(|o| *o));
    }
}
