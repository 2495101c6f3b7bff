//! Which partition an event goes to: the coarsest of its time that is not full.
//!
//! How full one is, is known by and large: each writer adds what it has put there to a number in the index, an eighth
//! of a partition at a time, and goes by what it read last. So a partition holds at most what the options say, plus an
//! eighth for each writer.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use model::{Micros, TenantId};

use super::{
    Inner,
    key::{Bucket, Key, Level, day},
    statements::Cql,
};
use crate::Error;

/// Partitions a writer remembers; beyond it forgets all, and reads again what it needs.
const KNOWN_MAX: usize = 200_000;
/// After this long a partition is listed in the index again: what expires there must not do so before its events.
const LIST_AGAIN_US: i64 = 3_600_000_000;
/// How much longer than an event its entry in the index lives, seconds: [`LIST_AGAIN_US`], and as much again to be safe.
const INDEX_TTL_MORE: i32 = 2 * 3_600;
/// A writer tells what it has added after this part of a partition.
const TELL_PARTS: u64 = 8;

type Known = HashMap<(TenantId, Bucket), Fill>;
/// A day and level of a tenant, for how long, listed in which period of [`LIST_AGAIN_US`].
type ListedDay = (TenantId, i32, Level, i32, i64);

/// What this writer knows of partitions.
#[derive(Debug, Default)]
pub(super) struct Placing {
    known: Mutex<Known>,
    days: Mutex<HashSet<ListedDay>>,
}

#[derive(Debug, Clone, Copy)]
struct Fill {
    /// Bytes, as the index has them.
    told: u64,
    /// What this writer has added since.
    untold: u64,
    listed_at: Micros,
    ttl: i32,
}

/// The time an entry of the index lives, for events that live `ttl` seconds (0: for ever).
pub(super) fn index_ttl(ttl: i32) -> i32 {
    if ttl == 0 { 0 } else { ttl.saturating_add(INDEX_TTL_MORE) }
}

enum Found {
    /// There is room; the number is what is to be told to the index now, if any.
    Room(Option<u64>),
    Full,
    Unknown,
}

impl Placing {
    fn look(&self, at: &(TenantId, Bucket), bytes: u64, max: u64, ttl: i32, now: Micros) -> Found {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(fill) = known.get_mut(at) else { return Found::Unknown };
        // A shorter life is covered by a longer one; 0 is the longest.
        let covered = fill.ttl == 0 || (ttl != 0 && ttl <= fill.ttl);
        if !covered || now.saturating_sub(fill.listed_at) > LIST_AGAIN_US {
            return Found::Unknown;
        }
        if at.1.level == Level::Second {
            return Found::Room(None);
        }
        if fill.told + fill.untold >= max {
            return Found::Full;
        }
        fill.untold += bytes;
        let tell = fill.untold >= max / TELL_PARTS;
        Found::Room(tell.then(|| std::mem::take(&mut fill.untold)))
    }

    fn learn(&self, at: (TenantId, Bucket), told: u64, ttl: i32, now: Micros) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let fill = known.entry(at).or_insert(Fill { told, untold: 0, listed_at: now, ttl });
        (fill.told, fill.listed_at, fill.ttl) = (told, now, ttl);
    }

    fn add_told(&self, at: &(TenantId, Bucket), told: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fill) = known.get_mut(at) {
            fill.told = told;
        }
    }

    /// Whether the day is not known to be listed; from now on it is taken to be.
    fn day_is_new(&self, tenant: &TenantId, day: i32, level: Level, ttl: i32, now: Micros) -> bool {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        if days.len() >= KNOWN_MAX {
            days.clear();
        }
        days.insert((tenant.clone(), day, level, ttl, now.div_euclid(LIST_AGAIN_US)))
    }

    fn forget_day(&self, tenant: &TenantId, day: i32, level: Level, ttl: i32, now: Micros) {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        days.remove(&(tenant.clone(), day, level, ttl, now.div_euclid(LIST_AGAIN_US)));
    }

    /// Forgets what is known of a tenant, whose index is being taken away.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != tenant);
        self.days.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, ..)| of != tenant);
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.days.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Inner {
    /// The partition for an event of so many bytes. It is listed in the index when this returns.
    pub(super) async fn place(
        &self,
        tenant: &TenantId,
        key: Key,
        bytes: u64,
        ttl: i32,
        now: Micros,
    ) -> Result<Bucket, Error> {
        let max = self.options.partition_bytes_max;
        // Many small events are as bad as few large ones.
        let bytes = bytes.max(max / u64::from(self.options.partition_rows_max));
        for level in Level::ALL {
            let at = (tenant.clone(), Bucket::new(level, key));
            loop {
                match self.placing.look(&at, bytes, max, ttl, now) {
                    Found::Room(None) => return Ok(at.1),
                    Found::Room(Some(added)) => {
                        self.tell(&at, key, added, ttl).await?;
                        return Ok(at.1);
                    }
                    Found::Full => break,
                    Found::Unknown => self.list(&at, key, ttl, now).await?,
                }
            }
        }
        Err(Error::Corrupt("a second has no partition".into()))
    }

    /// Lists a partition in the index and reads how full it is.
    async fn list(&self, at: &(TenantId, Bucket), key: Key, ttl: i32, now: Micros) -> Result<(), Error> {
        let (tenant, bucket) = at;
        let (level, window, shard) = bucket.values();
        let day = day(key.received_at);
        let index_ttl = index_ttl(ttl);
        if self.placing.day_is_new(tenant, day, bucket.level, ttl, now) {
            let written = self.run(Cql::InsertDay, (tenant.as_str(), day, level, index_ttl)).await;
            if let Err(error) = written {
                self.placing.forget_day(tenant, day, bucket.level, ttl, now);
                return Err(error);
            }
        }
        let values = (tenant.as_str(), day, level, window, shard, index_ttl);
        self.run(Cql::InsertBucket, values).await?;
        let told = if bucket.level == Level::Second { 0 } else { self.fill(tenant, day, *bucket).await? };
        self.placing.learn(at.clone(), told, ttl, now);
        Ok(())
    }

    async fn fill(&self, tenant: &TenantId, day: i32, bucket: Bucket) -> Result<u64, Error> {
        let (level, window, shard) = bucket.values();
        let rows = self.rows(Cql::Fill, (tenant.as_str(), day, level, window, shard)).await?;
        let row = rows.maybe_first_row::<(Option<i64>,)>().map_err(super::failure::unreadable)?;
        Ok(row.and_then(|(fill,)| fill).map_or(0, i64::cast_unsigned))
    }

    /// Adds to what the index says of a partition. Two writers that do so at once may lose one's part: it is a hint.
    async fn tell(&self, at: &(TenantId, Bucket), key: Key, added: u64, ttl: i32) -> Result<(), Error> {
        let (tenant, bucket) = at;
        let (level, window, shard) = bucket.values();
        let day = day(key.received_at);
        let told = self.fill(tenant, day, *bucket).await?.saturating_add(added);
        let values = (index_ttl(ttl), told.cast_signed(), tenant.as_str(), day, level, window, shard);
        self.run(Cql::SetFill, values).await?;
        self.placing.add_told(at, told);
        Ok(())
    }
}
