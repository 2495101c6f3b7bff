//! Who takes which partition: replicas announce themselves in a KV bucket, and rendezvous hashing over the live
//! ones names each partition's owner. Nobody gets more than their share: hashing alone would leave one of three
//! replicas without any of four partitions one time in ten.
//!
//! A view may be stale for a moment; the pin of the partition's consumer makes that harmless. What this gives is
//! an even load and a quick hand-over.

use std::{
    collections::HashMap,
    hash::Hasher as _,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream::kv::Operation;
use futures::{FutureExt as _, StreamExt as _, future::FusedFuture as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Backoff, Bus, Error,
    topology::{self, MEMBERS},
};

/// How replicas find each other.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MembersOptions {
    /// This replica's name, unique among those of a service; random when empty. A name that survives a restart (a
    /// pod's) makes the restarted replica take its partitions back at once.
    pub replica: String,
    /// How often a replica says that it is alive.
    pub announce_ms: u64,
    /// Silence after which a replica counts as dead, as long as this one hears itself.
    pub ttl_ms: u64,
}

impl Default for MembersOptions {
    fn default() -> Self {
        Self { replica: String::new(), announce_ms: 500, ttl_ms: 2_000 }
    }
}

/// Which partitions are this replica's, by partition number.
pub type Owned = Arc<[bool]>;

/// This replica's place among those of its service. Leaves when dropped, silently; [`Members::leave`] says so.
#[derive(Debug)]
pub struct Members {
    owned: watch::Receiver<Owned>,
    bus: Bus,
    key: String,
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
        let store = topology::members(bus).await?;
        let replica = if options.replica.is_empty() {
            format!("r{:016x}", rand::random::<u64>())
        } else {
            options.replica.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-")
        };
        let key = format!("{service}.{replica}");
        store.put(&key, "".into()).await.map_err(|e| Error::broker(format!("bucket {MEMBERS}"), &e))?;
        let (sender, owned) = watch::channel(Owned::from(vec![false; partitions as usize]));
        let ttl = Duration::from_millis(options.ttl_ms);
        let prefix = format!("{service}.");
        let view = View { prefix, me: replica, ttl, heard: HashMap::new(), complete: false, sender };
        let announce = Duration::from_millis(options.announce_ms.max(10));
        let follow = Follow { bus: bus.clone(), view, key: key.clone(), announce };
        Ok(Self { owned, bus: bus.clone(), key, task: AbortOnDropHandle::new(tokio::spawn(follow.run())) })
    }

    /// Which partitions are this replica's, now and on.
    #[must_use]
    pub fn owned(&self) -> watch::Receiver<Owned> {
        self.owned.clone()
    }

    /// Tells the others at once that this replica's partitions are theirs.
    pub async fn leave(self) {
        self.task.abort();
        let purge = async { topology::members(&self.bus).await.ok()?.purge(&self.key).await.ok() };
        if !matches!(tokio::time::timeout(Duration::from_secs(1), purge).await, Ok(Some(()))) {
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
    ttl: Duration,
    heard: HashMap<String, Instant>,
    /// Whether everybody was heard who was there before. Until then nothing is decided: whoever takes partitions and
    /// gives them back at once leaves requests at the broker, and one of those may be pinned.
    complete: bool,
    sender: watch::Sender<Owned>,
}

impl View {
    fn hear(&mut self, key: &str, operation: Operation, now: Instant) {
        let Some(replica) = key.strip_prefix(&self.prefix) else { return };
        let changed = match operation {
            Operation::Put => {
                if replica == self.me && self.is_deaf(now) {
                    // Nobody was heard meanwhile; nobody is to blame for it.
                    self.heard.values_mut().for_each(|at| *at = now);
                }
                self.heard.insert(replica.to_owned(), now).is_none()
            }
            Operation::Delete | Operation::Purge => self.heard.remove(replica).is_some(),
        };
        if changed {
            self.decide();
        }
    }

    /// What was announced before we began to listen: as long ago as the broker's clock says. Some may be dead.
    fn hear_history(&mut self, entries: &[(String, Operation, OffsetDateTime)], now: Instant) {
        let newest = entries.iter().map(|(.., at)| *at).max();
        for (key, operation, at) in entries {
            let age = newest.and_then(|newest| Duration::try_from(newest - *at).ok()).unwrap_or_default();
            self.hear(key, *operation, now.checked_sub(age).unwrap_or(now));
        }
        self.heard.retain(|_, at| now.duration_since(*at) < self.ttl);
        self.complete = true;
        self.decide();
    }

    /// Whether silence says nothing, because this replica does not even hear itself.
    fn is_deaf(&self, now: Instant) -> bool {
        self.heard.get(&self.me).is_none_or(|at| now.duration_since(*at) > self.ttl / 2)
    }

    fn forget_silent(&mut self, now: Instant) {
        if self.is_deaf(now) {
            return;
        }
        let before = self.heard.len();
        self.heard.retain(|_, at| now.duration_since(*at) < self.ttl);
        if self.heard.len() != before {
            self.decide();
        }
    }

    fn decide(&self) {
        if !self.complete {
            return;
        }
        let others = self.heard.keys().map(String::as_str).filter(|replica| *replica != self.me);
        let replicas: Vec<&str> = others.chain([self.me.as_str()]).collect();
        self.sender.send_if_modified(|owned| {
            let owners = owners(&replicas, owned.len());
            let now: Owned = owners.into_iter().map(|owner| owner == self.me).collect();
            let changed = *owned != now;
            *owned = now;
            changed
        });
    }
}

/// The owner of each partition: rendezvous hashing, the greatest weights first, until a replica has its share. The same
/// for everybody who knows the same replicas, in whatever order.
fn owners<'a>(replicas: &[&'a str], partitions: usize) -> Vec<&'a str> {
    let mut pairs: Vec<_> = replicas
        .iter()
        .enumerate()
        .flat_map(|(index, replica)| (0u32..).take(partitions).map(move |p| (weight(replica, p), p, index)))
        .collect();
    pairs.sort_unstable_by(|a, b| b.cmp(a));
    let (share, mut larger) = (partitions / replicas.len().max(1), partitions % replicas.len().max(1));
    let mut counts = vec![0; replicas.len()];
    let mut owners = vec![None; partitions];
    for (_, partition, index) in pairs {
        let owner = &mut owners[partition as usize];
        let is_full = counts[index] > share || (counts[index] == share && larger == 0);
        if owner.is_some() || is_full {
            continue;
        }
        if counts[index] == share {
            larger -= 1;
        }
        counts[index] += 1;
        *owner = Some(replicas[index]);
    }
    // As many places as partitions, so each has one.
    owners.into_iter().flatten().collect()
}

/// Rendezvous hashing: how much a replica would like a partition.
fn weight(replica: &str, partition: u32) -> (u64, u64) {
    let mut hasher = SipHasher13::new();
    hasher.write(replica.as_bytes());
    hasher.write_u32(partition);
    // The second half only parts equal weights.
    let mut tie = SipHasher13::new_with_keys(1, 0);
    tie.write(replica.as_bytes());
    (hasher.finish(), tie.finish())
}

/// Says that this replica is alive, and listens to the others saying so.
struct Follow {
    bus: Bus,
    view: View,
    key: String,
    announce: Duration,
}

impl Follow {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            // While the broker is away nobody can be heard: the view stays as it is.
            if let Err(error) = self.follow(&mut backoff).await {
                tracing::debug!(%error, "members are not heard, trying again");
            }
            backoff.wait().await;
        }
    }

    /// Until the bucket is gone: it does not outlive a restart of the broker.
    async fn follow(&mut self, backoff: &mut Backoff) -> Result<(), Error> {
        let failed = |error: &dyn std::error::Error| Error::broker(format!("bucket {MEMBERS}"), error);
        let store = topology::members(&self.bus).await?;
        let mut watch =
            store.watch_with_history(format!("{}>", self.view.prefix)).await.map_err(|e| failed(&e))?;
        let mut history = Some(Vec::new());
        let mut announce = tokio::time::interval(self.announce);
        announce.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = tokio::time::interval((self.view.ttl / 10).max(Duration::from_millis(10)));
        // Beside the rest: while the broker takes its time, others are still heard.
        let mut announcing = pin!(store.put(&self.key, "".into()).fuse());
        loop {
            tokio::select! {
                entry = watch.next() => {
                    let ended = || Error::Broker { what: "bucket".into(), reason: "the watch ended".into() };
                    let entry = entry.ok_or_else(ended)?.map_err(|e| failed(&e))?;
                    backoff.reset();
                    match &mut history {
                        None => self.view.hear(&entry.key, entry.operation, Instant::now()),
                        Some(before) => {
                            // Our own announcement is among them, so there is a last one.
                            let is_last = entry.delta == 0;
                            before.push((entry.key, entry.operation, entry.created));
                            if is_last {
                                self.view.hear_history(&history.take().unwrap_or_default(), Instant::now());
                            }
                        }
                    }
                }
                put = &mut announcing => { put.map_err(|e| failed(&e))?; }
                _ = announce.tick(), if announcing.is_terminated() => {
                    announcing.set(store.put(&self.key, "".into()).fuse());
                }
                _ = look.tick() => self.view.forget_silent(Instant::now()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_owner_and_an_even_share() {
        for (replicas, partitions, shares) in [
            (&["a"][..], 4, &[4][..]),
            (&["a", "b", "c"], 4, &[1, 1, 2]),
            (&["a", "b", "c"], 12, &[4, 4, 4]),
            (&["a", "b", "c", "d", "e"], 3, &[0, 0, 1, 1, 1]),
            (&["a", "b", "c"], 1_024, &[341, 341, 342]),
            (&["a"], 0, &[0]),
        ] {
            let owners = owners(replicas, partitions);
            assert_eq!(owners.len(), partitions);
            let mut counts: Vec<usize> =
                replicas.iter().map(|r| owners.iter().filter(|o| *o == r).count()).collect();
            counts.sort_unstable();
            assert_eq!(counts, shares, "{replicas:?}");
            let reversed: Vec<&str> = replicas.iter().rev().copied().collect();
            assert_eq!(owners, super::owners(&reversed, partitions), "everybody sees the same");
        }
    }

    #[test]
    fn few_partitions_move_when_a_replica_goes() {
        let (all, left) = (owners(&["a", "b", "c", "d"], 240), owners(&["a", "b", "c"], 240));
        let moved = all.iter().zip(&left).filter(|(before, now)| **before != "d" && before != now).count();
        // 60 must; the share of some others is full when they are given away.
        assert!(moved < 40, "{moved} of 180 moved without need");
    }

    fn view(ttl: Duration) -> (View, watch::Receiver<Owned>) {
        let (sender, owned) = watch::channel(Owned::from(vec![false; 16]));
        let (prefix, me, heard) = ("s.".into(), "a".into(), HashMap::new());
        (View { prefix, me, ttl, heard, complete: false, sender }, owned)
    }

    #[test]
    fn a_silent_replica_loses_its_share() {
        let (second, start) = (Duration::from_secs(1), Instant::now());
        let (mut view, owned) = view(4 * second);
        let share = || owned.borrow().iter().filter(|o| **o).count();
        view.hear("s.a", Operation::Put, start);
        assert_eq!(share(), 0, "there may be others");
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + seconds * second;
        let put = |key: &str, seconds| (key.to_owned(), Operation::Put, at(seconds));
        view.hear_history(&[put("s.dead", 2), put("s.b", 7), put("other.c", 7), put("s.a", 7)], start);
        assert_eq!(share(), 8, "a and b, not who was silent for five seconds before");
        view.hear("s.b", Operation::Purge, start);
        assert_eq!(share(), 16);

        view.hear("s.b", Operation::Put, start);
        for n in 1..4 {
            view.hear("s.a", Operation::Put, start + n * second);
            view.forget_silent(start + n * second);
            assert_eq!(share(), 8, "not yet");
        }
        view.hear("s.a", Operation::Put, start + 4 * second);
        view.forget_silent(start + 4 * second);
        assert_eq!(share(), 16, "silent for the whole time");
    }

    #[test]
    fn who_is_deaf_blames_nobody() {
        let (second, start) = (Duration::from_secs(1), Instant::now());
        let (mut view, owned) = view(4 * second);
        let share = || owned.borrow().iter().filter(|o| **o).count();
        view.hear("s.a", Operation::Put, start);
        view.hear("s.b", Operation::Put, start);
        view.hear_history(&[], start);
        view.forget_silent(start + 60 * second);
        assert_eq!(share(), 8, "the broker is away");
        view.hear("s.a", Operation::Put, start + 60 * second);
        view.forget_silent(start + 61 * second);
        assert_eq!(share(), 8, "and back: the other one has had no time yet");
        view.hear("s.a", Operation::Put, start + 62 * second);
        view.hear("s.a", Operation::Put, start + 64 * second);
        view.forget_silent(start + 64 * second);
        assert_eq!(share(), 16, "it has, and is silent");
    }
}
