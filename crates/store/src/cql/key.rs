//! Where an event stands: its key among all of a tenant's, and the partition it is in.

use model::{Batch, Micros};

/// The order of a tenant's events, the same on each replica and after each redelivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) received_at: Micros,
    pub(super) partition: i64,
    pub(super) sequence: i64,
    pub(super) index: i32,
}

impl Key {
    pub(super) const MIN: Self = Self::before(Micros::MIN);
    pub(super) const MAX: Self =
        Self { received_at: Micros::MAX, partition: i64::MAX, sequence: i64::MAX, index: i32::MAX };

    pub(super) fn of(batch: &Batch, index: u32, received_at: Micros) -> Self {
        Self {
            received_at,
            partition: batch.partition.into(),
            sequence: batch.sequence.cast_signed(),
            index: index.cast_signed(),
        }
    }

    /// Before every event received at `at` or later, after every one received before.
    pub(super) const fn before(at: Micros) -> Self {
        Self { received_at: at, partition: i64::MIN, sequence: i64::MIN, index: i32::MIN }
    }

    /// Its values in the order of the columns.
    pub(super) fn values(self) -> (i64, i64, i64, i32) {
        (self.received_at, self.partition, self.sequence, self.index)
    }
}

/// How wide the window is whose events share a partition. The writer takes the widest that is not full, so that
/// small tenants have few partitions and large ones none that grows without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    Day,
    Hour,
    Minute,
    /// Never full: its rows are spread over [`SHARDS`] partitions.
    Second,
}

/// Partitions of one second.
pub(super) const SHARDS: u32 = 4;

impl Level {
    pub(super) const ALL: [Self; 4] = [Self::Day, Self::Hour, Self::Minute, Self::Second];

    pub(super) fn number(self) -> i8 {
        match self {
            Self::Day => 0,
            Self::Hour => 1,
            Self::Minute => 2,
            Self::Second => 3,
        }
    }

    pub(super) fn of(number: i8) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    pub(super) const fn width_us(self) -> i64 {
        match self {
            Self::Day => 86_400_000_000,
            Self::Hour => 3_600_000_000,
            Self::Minute => 60_000_000,
            Self::Second => 1_000_000,
        }
    }

    /// The window a time is in.
    pub(super) const fn window(self, at: Micros) -> i64 {
        at.div_euclid(self.width_us())
    }

    /// When a window begins.
    pub(super) const fn start(self, window: i64) -> Micros {
        window.saturating_mul(self.width_us())
    }
}

/// The day a time is in, as the index names it.
pub(super) fn day(at: Micros) -> i32 {
    // A day is 8.64e10 µs: what 64 bits can say of microseconds fits 32 bits of days.
    i32::try_from(Level::Day.window(at)).unwrap_or(if at < 0 { i32::MIN } else { i32::MAX })
}

/// A partition of a tenant's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Bucket {
    pub(super) level: Level,
    pub(super) window: i64,
    pub(super) shard: i8,
}

impl Bucket {
    pub(super) fn new(level: Level, key: Key) -> Self {
        let shard = match level {
            Level::Second => i8::try_from(key.partition.rem_euclid(i64::from(SHARDS))).unwrap_or_default(),
            _ => 0,
        };
        Self { level, window: level.window(key.received_at), shard }
    }

    /// Its values in the order of the partition key.
    pub(super) fn values(self) -> (i8, i64, i8) {
        (self.level.number(), self.window, self.shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_window_inside_its_day() {
        for at in [Micros::MIN, -9_000_000_000_000_000, -1, 0, 1, 1_795_255_200_000_000, Micros::MAX] {
            for level in Level::ALL {
                let window = level.window(at);
                let start = level.start(window);
                assert!(start <= at, "{level:?} {at}");
                assert!(
                    at.wrapping_sub(start).cast_unsigned() < level.width_us().cast_unsigned()
                        || start == Micros::MIN
                );
                assert_eq!(Level::of(level.number()), Some(level));
            }
            assert_eq!(i64::from(day(at)), Level::Day.window(at));
        }
        assert_eq!((Level::of(-1), Level::of(4)), (None, None));
    }

    #[test]
    fn only_seconds_are_spread() {
        let key = |partition| Key { received_at: 0, partition, sequence: 1, index: 0 };
        for level in [Level::Day, Level::Hour, Level::Minute] {
            assert_eq!(Bucket::new(level, key(7)).shard, 0);
        }
        let shards: Vec<_> = (0..6).map(|p| Bucket::new(Level::Second, key(p)).shard).collect();
        assert_eq!(shards, [0, 1, 2, 3, 0, 1]);
    }
}
