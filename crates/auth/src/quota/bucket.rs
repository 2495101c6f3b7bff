//! What one tenant has left: a bucket of events and one of bytes.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use governor::{
    Quota as Rate, RateLimiter,
    clock::Clock,
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use model::resource::Limits;

use super::{Exceeded, QuotaState, Unit, seconds_up, whole_seconds};

/// What one tenant has.
pub(super) struct Buckets<C: Clock> {
    pub(super) made_of: MadeOf,
    pub(super) events: Option<Bucket<C>>,
    pub(super) bytes: Option<Bucket<C>>,
    /// Nanoseconds since `Quotas::start`.
    pub(super) last_used: AtomicU64,
}

/// What buckets were made of: other limits in the catalog make other buckets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct MadeOf {
    pub(super) events: Option<Size>,
    pub(super) bytes: Option<Size>,
}

/// How much one bucket holds, and how fast it fills.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    rate: NonZeroU32,
    capacity: NonZeroU32,
}

impl MadeOf {
    pub(super) fn of(limits: &Limits) -> Self {
        let size = |rate: u32, burst: u32, least: u32| {
            let rate = NonZeroU32::new(rate)?;
            // A burst of 0 means what the rate allows in a second.
            let capacity =
                NonZeroU32::new(burst).or_else(|| NonZeroU32::new(least.max(rate.get()))).unwrap_or(rate);
            Some(Size { rate, capacity })
        };
        Self {
            events: size(limits.events_per_second, limits.events_burst, 0),
            // Else an event that may come could never come.
            bytes: size(limits.bytes_per_second, limits.bytes_burst, limits.event_bytes_max),
        }
    }
}

/// So many bytes are counted as one: a bucket keeps time in nanoseconds, and a byte of a fast tenant takes only some.
const CELL_BYTES: u32 = 64;

pub(super) struct Bucket<C: Clock> {
    unit: Unit,
    size: Size,
    fill: Duration,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
}

impl<C: Clock> Buckets<C> {
    /// How long it takes until both are full, whatever was taken.
    pub(super) fn fill(&self) -> Duration {
        let fill = |bucket: &Option<Bucket<C>>| bucket.as_ref().map_or(Duration::ZERO, |b| b.fill);
        fill(&self.events).max(fill(&self.bytes))
    }

    pub(super) fn idle(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.last_used.load(Ordering::Relaxed)))
    }
}

impl<C: Clock + Clone> Bucket<C> {
    pub(super) fn new(unit: Unit, size: Size, clock: &C) -> Self {
        let cell = Self::cell(unit);
        let period = (1_000_000_000 * u64::from(cell) / u64::from(size.rate.get())).max(1);
        let period = Duration::from_nanos(period);
        let cells = Self::cells(unit, size.capacity);
        let quota =
            Rate::with_period(period).unwrap_or_else(|| Rate::per_second(size.rate)).allow_burst(cells);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone())
            .with_middleware::<StateInformationMiddleware>();
        Self { unit, size, fill: period.saturating_mul(cells.get()), limiter }
    }

    const fn cell(unit: Unit) -> u32 {
        match unit {
            Unit::Events => 1,
            Unit::Bytes => CELL_BYTES,
        }
    }

    fn cells(unit: Unit, count: NonZeroU32) -> NonZeroU32 {
        NonZeroU32::new(count.get().div_ceil(Self::cell(unit))).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn take(&self, count: NonZeroU32, clock: &C) -> Result<QuotaState, Exceeded> {
        let Self { unit, size: Size { rate, capacity }, .. } = *self;
        let (rate, limit) = (rate.get(), capacity.get());
        match self.limiter.check_n(Self::cells(unit, count)) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity().saturating_mul(Self::cell(unit)).min(limit);
                let missing = u64::from(limit.saturating_sub(remaining));
                let fill = u64::try_from(self.fill.as_nanos()).unwrap_or(u64::MAX);
                let reset = fill / u64::from(limit) * missing;
                Ok(QuotaState {
                    limit,
                    remaining,
                    reset_s: seconds_up(Duration::from_nanos(reset)),
                    window_s: whole_seconds(self.fill),
                })
            }
            Ok(Err(not_until)) => {
                Err(Exceeded::Later { unit, rate, limit, retry_after: not_until.wait_time_from(clock.now()) })
            }
            Err(_) => Err(Exceeded::Never { unit, rate, limit, came: count.get() }),
        }
    }
}
