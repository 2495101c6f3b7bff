//! How many events and bytes a tenant may send: a token bucket for each, on each replica of a door.
//!
//! The limits are those of the catalog's snapshot, so a change there applies to the next request.

mod bucket;

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::clock::{Clock, DefaultClock, Reference as _};
use model::{TenantId, resource::Limits};
use tokio::sync::Semaphore;

use self::bucket::{Bucket, Buckets, MadeOf};

/// Bounds of the table of tenants.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Tenants remembered at most. Over it the one not heard of for longest is forgotten: it has its burst again.
    pub tenants_max: usize,
    /// A tenant not heard of for so long is forgotten, once its bucket is full again anyway.
    pub idle_seconds: u32,
    /// How long a refusal is held back at most: see [`Quotas::hold_back`].
    pub held_back: Duration,
    /// Refusals held back at once.
    pub held_back_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tenants_max: 100_000,
            idle_seconds: 600,
            held_back: Duration::from_millis(100),
            held_back_max: 10_000,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Events: `events_per_second` and `events_burst`.
    Events,
    /// Bytes of attributes and data: `bytes_per_second` and `bytes_burst`.
    Bytes,
}

impl Unit {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Bytes => "bytes",
        }
    }
}

/// What is left after a request was let through; none of what has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Of events.
    pub events: Option<QuotaState>,
    /// Of bytes.
    pub bytes: Option<QuotaState>,
}

/// What is left of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaState {
    /// How many may come at once when the bucket is full: `q` of `RateLimit-Policy`.
    pub limit: u32,
    /// How many may come at once now: `r` of `RateLimit`.
    pub remaining: u32,
    /// Seconds until the bucket is full again if nothing comes, rounded up: `t` of `RateLimit`.
    pub reset_s: u32,
    /// Seconds it takes to fill an empty bucket, rounded up: `w` of `RateLimit-Policy`.
    pub window_s: u32,
}

/// The quota is used up, or could never hold so much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Try again later.
    #[error(
        "the tenant's limit `{0}_per_second` is {rate}, with {limit} {0} at once, and is used up; try again in {1}s, or have an \
         operator raise it in the tenant's limits or its plan",
        .unit.as_str(), whole_seconds(*.retry_after)
    )]
    Later {
        /// What was too much.
        unit: Unit,
        /// How many a second.
        rate: u32,
        /// How many may come at once when the bucket is full.
        limit: u32,
        /// When as much as was refused will fit, if nothing else comes.
        retry_after: Duration,
    },
    /// Waiting does not help: so much at once is over the burst.
    #[error(
        "{came} {0} at once are over the tenant's limit `{0}_burst` of {limit}; send smaller batches, or have an operator raise it in \
         the tenant's limits or its plan",
        .unit.as_str()
    )]
    Never {
        /// What was too much.
        unit: Unit,
        /// How many a second.
        rate: u32,
        /// The most that the quota lets through at once.
        limit: u32,
        /// How much came.
        came: u32,
    },
}

impl Exceeded {
    /// Seconds to wait, rounded up and at least 1, for `Retry-After`. A batch that never fits gets 1: the next,
    /// smaller one may come soon.
    #[must_use]
    pub fn retry_after_s(&self) -> u32 {
        match self {
            Self::Later { retry_after, .. } => whole_seconds(*retry_after),
            Self::Never { .. } => 1,
        }
    }

    /// What was too much, and its bucket as far as this request is concerned: empty.
    #[must_use]
    pub fn state(&self) -> (Unit, QuotaState) {
        let (Self::Later { unit, rate, limit, .. } | Self::Never { unit, rate, limit, .. }) = *self;
        // The window is what the burst takes to fill.
        let window_s = limit.div_ceil(rate.max(1)).max(1);
        (unit, QuotaState { limit, remaining: 0, reset_s: self.retry_after_s(), window_s })
    }
}

/// Rounded up, at least 1.
fn whole_seconds(duration: Duration) -> u32 {
    seconds_up(duration).max(1)
}

fn seconds_up(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}

/// The buckets of all tenants. One for each door; shared by its requests.
///
/// ```
/// # use std::sync::Arc;
/// use auth::quota::{Exceeded, Options, Quotas};
/// use model::resource::Limits;
/// let acme: model::TenantId = "acme".parse()?;
/// let limits = Limits { events_per_second: 10, events_burst: 100, ..Limits::default() };
/// let quotas = Quotas::new(Options::default());
/// assert_eq!(quotas.check(&acme, &limits, 60, 9_000)?.events.map(|q| q.remaining), Some(40));
/// assert!(matches!(quotas.check(&acme, &limits, 60, 9_000), Err(Exceeded::Later { limit: 100, .. })));
/// assert!(matches!(quotas.check(&acme, &limits, 101, 0), Err(Exceeded::Never { limit: 100, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Quotas<C: Clock = DefaultClock> {
    buckets: RwLock<HashMap<TenantId, Buckets<C>>>,
    places: Semaphore,
    options: Options,
    clock: C,
    start: C::Instant,
}

impl<C: Clock> std::fmt::Debug for Quotas<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Quotas {
    /// An empty table: each tenant begins with its burst.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self::with_clock(options, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Quotas<C> {
    /// As [`Quotas::new`], with the time of `clock`.
    pub fn with_clock(options: Options, clock: C) -> Self {
        let start = clock.now();
        let places = Semaphore::new(options.held_back_max.min(Semaphore::MAX_PERMITS));
        Self { buckets: RwLock::default(), places, options, clock, start }
    }

    /// Takes `events` and `bytes` from the tenant's buckets, by the limits that hold for it: all of a bucket or nothing. The events of
    /// a request that is refused for its bytes are taken.
    ///
    /// # Errors
    /// If that many are not left.
    pub fn check(
        &self,
        tenant: &TenantId,
        limits: &Limits,
        events: u32,
        bytes: usize,
    ) -> Result<Left, Exceeded> {
        let made_of = MadeOf::of(limits);
        if made_of.events.is_none() && made_of.bytes.is_none() {
            return Ok(Left::default());
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        {
            let all = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(buckets) = all.get(tenant).filter(|b| b.made_of == made_of) {
                return self.take(buckets, events, bytes);
            }
        }
        let mut all = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have put it there between the two locks.
        if all.get(tenant).is_none_or(|b| b.made_of != made_of) {
            self.make_room(&mut all);
            all.insert(tenant.clone(), self.buckets(made_of));
        }
        match all.get(tenant) {
            Some(buckets) => self.take(buckets, events, bytes),
            None => Ok(Left::default()),
        }
    }

    /// Waits a moment, before a request that is over its quota is told so. Who sends on without listening is so slowed down by
    /// its own connections, and takes less from those who share the door. Each for another while, at
    /// least half of the most: told all at once, they would come back all at once. When too many are held back already, not at all.
    pub async fn hold_back(&self) {
        if let Ok(_place) = self.places.try_acquire() {
            tokio::time::sleep(self.options.held_back.mul_f64(rand::random_range(0.5..1.0))).await;
        }
    }

    /// Tenants remembered now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no tenant is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn now(&self) -> u64 {
        self.clock.now().duration_since(self.start).as_u64()
    }

    fn buckets(&self, made_of: MadeOf) -> Buckets<C> {
        Buckets {
            made_of,
            events: made_of.events.map(|size| Bucket::new(Unit::Events, size, &self.clock)),
            bytes: made_of.bytes.map(|size| Bucket::new(Unit::Bytes, size, &self.clock)),
            last_used: AtomicU64::new(self.now()),
        }
    }

    fn take(&self, buckets: &Buckets<C>, events: u32, bytes: u32) -> Result<Left, Exceeded> {
        buckets.last_used.store(self.now(), Ordering::Relaxed);
        let take = |bucket: &Option<Bucket<C>>, count| match (bucket, NonZeroU32::new(count)) {
            (Some(bucket), Some(count)) => bucket.take(count, &self.clock).map(Some),
            _ => Ok(None),
        };
        Ok(Left { events: take(&buckets.events, events)?, bytes: take(&buckets.bytes, bytes)? })
    }

    /// Called with room for one more to be made: drops the idle, then, if that is not enough, the longest unused.
    fn make_room(&self, buckets: &mut HashMap<TenantId, Buckets<C>>) {
        if buckets.len() < self.options.tenants_max.max(1) {
            return;
        }
        let now = self.now();
        let idle_min = Duration::from_secs(self.options.idle_seconds.into());
        buckets.retain(|_, b| b.idle(now) < idle_min.max(b.fill()));
        if buckets.len() >= self.options.tenants_max.max(1)
            && let Some(oldest) = buckets
                .iter()
                .min_by_key(|(_, b)| b.last_used.load(Ordering::Relaxed))
                .map(|(tenant, _)| tenant.clone())
        {
            buckets.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests;
