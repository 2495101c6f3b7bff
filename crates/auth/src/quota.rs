//! How many events a tenant may send: one token bucket a tenant, on each replica of a door.
//!
//! The limits stand in the tenant's own resource, so a change in the catalog applies to the next request.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota as Rate, RateLimiter,
    clock::{Clock, DefaultClock, Reference as _},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use model::{
    TenantId,
    resource::{Tenant, TenantLimits},
};
use tokio::sync::Semaphore;

/// Bounds of the table of tenants.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Tenants remembered at most. Over it the one not heard of for longest is forgotten: it has its burst again.
    pub tenants_max: usize,
    /// A tenant not heard of for so long is forgotten, once its bucket is full again anyway.
    pub idle_seconds: u32,
    /// How long a refusal is held back: see [`Quotas::hold_back`].
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

/// What is left after a request was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaState {
    /// Events that may come at once when the bucket is full: `q` of `RateLimit-Policy`.
    pub limit: u32,
    /// Events that may come at once now: `r` of `RateLimit`.
    pub remaining: u32,
    /// Seconds until the bucket is full again if nothing comes, rounded up: `t` of `RateLimit`.
    pub reset_s: u32,
    /// Seconds it takes to fill an empty bucket, rounded up: `w` of `RateLimit-Policy`.
    pub window_s: u32,
}

/// The quota is used up, or could never hold so many events at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Try again later.
    #[error(
        "the tenant's quota of {limit} events at once is used up; try again in {}s",
        whole_seconds(*.retry_after)
    )]
    Later {
        /// Events that may come at once when the bucket is full.
        limit: u32,
        /// When as many events as were refused will fit, if nothing else comes.
        retry_after: Duration,
    },
    /// Waiting does not help: so many events at once are over the burst.
    #[error("{events} events at once are over the tenant's burst of {limit}; send smaller batches")]
    Never {
        /// The largest batch the quota lets through.
        limit: u32,
        /// How many came.
        events: u32,
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

    /// Events that may come at once when the bucket is full.
    #[must_use]
    pub fn limit(&self) -> u32 {
        match self {
            Self::Later { limit, .. } | Self::Never { limit, .. } => *limit,
        }
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
/// let tenant: model::resource::Tenant = serde_json::from_value(serde_json::json!({
///     "id": "acme", "limits": { "events_per_second": 10, "events_burst": 100 },
/// }))?;
/// let quotas = Quotas::new(Options::default());
/// assert_eq!(quotas.check(&tenant, 60)?.map(|q| q.remaining), Some(40));
/// assert!(matches!(quotas.check(&tenant, 60), Err(Exceeded::Later { limit: 100, .. })));
/// assert!(matches!(quotas.check(&tenant, 101), Err(Exceeded::Never { limit: 100, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Quotas<C: Clock = DefaultClock> {
    buckets: RwLock<HashMap<TenantId, Bucket<C>>>,
    places: Semaphore,
    options: Options,
    clock: C,
    start: C::Instant,
}

struct Bucket<C: Clock> {
    /// What it was made from: another value in the catalog makes another bucket.
    rate: u32,
    capacity: NonZeroU32,
    fill: Duration,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
    /// Nanoseconds since `Quotas::start`.
    last_used: AtomicU64,
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

    /// Takes `events` from the tenant's bucket, all or none. `None`: the tenant has no limit.
    ///
    /// # Errors
    /// If that many are not left; nothing is taken then.
    pub fn check(&self, tenant: &Tenant, events: u32) -> Result<Option<QuotaState>, Exceeded> {
        let Some(rate) = NonZeroU32::new(tenant.limits.events_per_second) else { return Ok(None) };
        let capacity = capacity(&tenant.limits, rate);
        let Some(events) = NonZeroU32::new(events) else { return Ok(None) };
        {
            let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(bucket) = buckets.get(&tenant.id)
                && bucket.is_for(rate, capacity)
            {
                return self.take(bucket, events).map(Some);
            }
        }
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have put it there between the two locks.
        if !buckets.get(&tenant.id).is_some_and(|b| b.is_for(rate, capacity)) {
            self.make_room(&mut buckets);
            buckets.insert(tenant.id.clone(), self.bucket(rate, capacity));
        }
        match buckets.get(&tenant.id) {
            Some(bucket) => self.take(bucket, events).map(Some),
            None => Ok(None),
        }
    }

    /// Waits a moment, before a request that is over its quota is told so. Who sends on without listening is so slowed down by
    /// its own connections, and takes less from those who share the door. When too many are held back already, no longer.
    pub async fn hold_back(&self) {
        if let Ok(_place) = self.places.try_acquire() {
            tokio::time::sleep(self.options.held_back).await;
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

    fn bucket(&self, rate: NonZeroU32, capacity: NonZeroU32) -> Bucket<C> {
        let period = Duration::from_nanos((1_000_000_000 / u64::from(rate.get())).max(1));
        let quota = Rate::with_period(period).unwrap_or_else(|| Rate::per_second(rate)).allow_burst(capacity);
        let limiter = RateLimiter::direct_with_clock(quota, self.clock.clone())
            .with_middleware::<StateInformationMiddleware>();
        Bucket {
            rate: rate.get(),
            capacity,
            fill: period.saturating_mul(capacity.get()),
            limiter,
            last_used: AtomicU64::new(self.now()),
        }
    }

    fn take(&self, bucket: &Bucket<C>, events: NonZeroU32) -> Result<QuotaState, Exceeded> {
        bucket.last_used.store(self.now(), Ordering::Relaxed);
        let limit = bucket.capacity.get();
        match bucket.limiter.check_n(events) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                let missing = u64::from(limit.saturating_sub(remaining));
                let fill = u64::try_from(bucket.fill.as_nanos()).unwrap_or(u64::MAX);
                let reset = fill / u64::from(limit) * missing;
                Ok(QuotaState {
                    limit,
                    remaining,
                    reset_s: seconds_up(Duration::from_nanos(reset)),
                    window_s: whole_seconds(bucket.fill),
                })
            }
            Ok(Err(not_until)) => {
                Err(Exceeded::Later { limit, retry_after: not_until.wait_time_from(self.clock.now()) })
            }
            Err(_) => Err(Exceeded::Never { limit, events: events.get() }),
        }
    }

    /// Called with room for one more to be made: drops the idle, then, if that is not enough, the longest unused.
    fn make_room(&self, buckets: &mut HashMap<TenantId, Bucket<C>>) {
        if buckets.len() < self.options.tenants_max.max(1) {
            return;
        }
        let now = self.now();
        let idle_min = Duration::from_secs(self.options.idle_seconds.into());
        buckets.retain(|_, b| b.idle(now) < idle_min.max(b.fill));
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

impl<C: Clock> Bucket<C> {
    fn is_for(&self, rate: NonZeroU32, capacity: NonZeroU32) -> bool {
        self.rate == rate.get() && self.capacity == capacity
    }

    fn idle(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.last_used.load(Ordering::Relaxed)))
    }
}

/// A burst of 0 means what the rate allows in a second.
fn capacity(limits: &TenantLimits, rate: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(limits.events_burst).unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn tenant(id: &str, rate: u32, burst: u32) -> Tenant {
        serde_json::from_value(serde_json::json!({
            "id": id, "limits": { "events_per_second": rate, "events_burst": burst },
        }))
        .unwrap()
    }

    fn quotas(options: Options) -> (Quotas<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Quotas::with_clock(options, clock.clone()), clock)
    }

    #[test]
    fn the_burst_goes_then_the_rate_holds() {
        let (quotas, clock) = quotas(Options::default());
        let acme = tenant("acme", 10, 100);
        let state = quotas.check(&acme, 100).unwrap().unwrap();
        assert_eq!(state, QuotaState { limit: 100, remaining: 0, reset_s: 10, window_s: 10 });
        let later = quotas.check(&acme, 5).unwrap_err();
        assert_eq!(later, Exceeded::Later { limit: 100, retry_after: Duration::from_millis(500) });
        assert_eq!(later.retry_after_s(), 1);
        clock.advance(Duration::from_millis(500));
        assert_eq!(quotas.check(&acme, 5).unwrap().unwrap().remaining, 0);
        assert!(quotas.check(&acme, 1).is_err());
        clock.advance(Duration::from_secs(60));
        assert_eq!(quotas.check(&acme, 1).unwrap().unwrap().remaining, 99, "never more than the burst");
    }

    #[test]
    fn a_batch_over_the_burst_says_so_and_takes_nothing() {
        let (quotas, _) = quotas(Options::default());
        let acme = tenant("acme", 10, 0);
        assert_eq!(quotas.check(&acme, 11), Err(Exceeded::Never { limit: 10, events: 11 }));
        assert_eq!(quotas.check(&acme, 10).unwrap().unwrap().remaining, 0);
    }

    #[test]
    fn no_limit_leaves_no_trace() {
        let (quotas, _) = quotas(Options::default());
        assert_eq!(quotas.check(&tenant("acme", 0, 5), u32::MAX), Ok(None));
        assert!(quotas.is_empty());
    }

    #[test]
    fn tenants_do_not_share_and_new_limits_apply_at_once() {
        let (quotas, _) = quotas(Options::default());
        assert!(quotas.check(&tenant("a", 1, 1), 1).is_ok());
        assert!(quotas.check(&tenant("a", 1, 1), 1).is_err());
        assert!(quotas.check(&tenant("b", 1, 1), 1).is_ok());
        assert!(quotas.check(&tenant("a", 1, 5), 5).is_ok(), "the raised burst");
        assert!(quotas.check(&tenant("a", 1, 2), 3).is_err(), "the lowered burst");
        assert_eq!(quotas.check(&tenant("a", 0, 0), 1_000), Ok(None));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_idle_first() {
        let (quotas, clock) = quotas(Options { tenants_max: 3, idle_seconds: 10, ..Options::default() });
        assert!(quotas.check(&tenant("slow", 1, 1_000), 1_000).is_ok());
        assert!(quotas.check(&tenant("quick", 1, 1), 1).is_ok());
        clock.advance(Duration::from_secs(20));
        assert!(quotas.check(&tenant("c", 1, 1), 1).is_ok());
        assert!(quotas.check(&tenant("d", 1, 1), 1).is_ok());
        assert_eq!(quotas.len(), 3);
        let refused = quotas.check(&tenant("slow", 1, 1_000), 1_000);
        assert!(refused.is_err(), "idle, but its bucket is not full yet: it is kept");
        for n in 0..50 {
            assert!(quotas.check(&tenant(&format!("t{n}"), 1, 1), 1).is_ok());
            assert!(quotas.len() <= 3);
        }
    }

    #[test]
    fn extreme_rates_neither_panic_nor_lie() {
        let (quotas, _) = quotas(Options::default());
        let state = quotas.check(&tenant("a", u32::MAX, u32::MAX), u32::MAX).unwrap().unwrap();
        assert_eq!(state.remaining, 0);
        assert!(quotas.check(&tenant("b", 1, u32::MAX), u32::MAX).is_ok());
        assert!(matches!(quotas.check(&tenant("b", 1, u32::MAX), u32::MAX), Err(Exceeded::Later { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_held_back_as_long_as_there_is_room() {
        let options = Options { held_back_max: 2, ..Options::default() };
        let quotas = Quotas::new(options);
        let times = || async {
            let began = tokio::time::Instant::now();
            quotas.hold_back().await;
            began.elapsed()
        };
        let (first, second, third) = tokio::join!(times(), times(), times());
        assert_eq!([first, second, third], [options.held_back, options.held_back, Duration::ZERO]);
        assert_eq!(times().await, options.held_back);
    }
}
