//! Who fails too often waits: a pure state machine over the times of failures.

use std::{collections::HashMap, time::Duration};

use model::Micros;
use serde::{Deserialize, Serialize};

/// When to lock, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// Failures one after the other that lock.
    pub failures_max: u32,
    /// Without a failure for so long, all are forgotten.
    pub forget_after: Duration,
    /// The first lock; each further one is twice as long.
    pub lock_min: Duration,
    /// The longest lock.
    pub lock_max: Duration,
}

impl Default for LockoutPolicy {
    /// After five failures a minute, then two, four … up to an hour; forgotten after a day.
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self { failures_max: 5, forget_after: minutes(24 * 60), lock_min: minutes(1), lock_max: minutes(60) }
    }
}

/// No attempt is heard until then, not even one with the right password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failed attempts; the next is possible in {} s", (until - now).max(0).div_euclid(1_000_000) + 1)]
pub struct Locked {
    /// When the lock ends.
    pub until: Micros,
    /// When it was asked.
    pub now: Micros,
}

/// The failures of one name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Since the last success, lock or forgetting.
    failures: u32,
    /// Locks one after the other.
    locks: u32,
    last_failure_at: Micros,
    locked_until: Micros,
}

fn span(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

impl Attempts {
    /// Insists that an attempt may be made. It is to be asked before the password is looked at.
    ///
    /// # Errors
    /// [`Locked`], until when.
    pub fn check(&self, now: Micros) -> Result<(), Locked> {
        if now < self.locked_until { Err(Locked { until: self.locked_until, now }) } else { Ok(()) }
    }

    /// After a failure.
    #[must_use]
    pub fn failed(self, policy: LockoutPolicy, now: Micros) -> Self {
        let kept = if self.is_forgotten(policy, now) { Self::default() } else { self };
        let mut next = Self { failures: kept.failures.saturating_add(1), last_failure_at: now, ..kept };
        if next.failures >= policy.failures_max {
            let doubled = policy.lock_min.saturating_mul(1_u32.checked_shl(kept.locks).unwrap_or(u32::MAX));
            next.locked_until = now.saturating_add(span(doubled.min(policy.lock_max)));
            next.locks = kept.locks.saturating_add(1);
            next.failures = 0;
        }
        next
    }

    /// After a success.
    #[must_use]
    pub fn succeeded(self) -> Self {
        Self::default()
    }

    /// Whether nothing of it matters any more.
    #[must_use]
    pub fn is_forgotten(&self, policy: LockoutPolicy, now: Micros) -> bool {
        self.check(now).is_ok() && now.saturating_sub(self.last_failure_at) >= span(policy.forget_after)
    }
}

/// The failures of all names that were tried, also those that nobody has: a lock must not tell who is there. Bounded: when it
/// is full, the name whose last failure is oldest is forgotten first, locked or not, so that whoever tries very many names loses
/// count of the first.
#[derive(Debug, Clone)]
pub struct Lockouts {
    policy: LockoutPolicy,
    names_max: usize,
    names: HashMap<String, Attempts>,
}

impl Lockouts {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new(policy: LockoutPolicy, names_max: usize) -> Self {
        Self { policy, names_max: names_max.max(1), names: HashMap::new() }
    }

    /// Insists that an attempt with this name may be made.
    ///
    /// # Errors
    /// [`Locked`], until when.
    pub fn check(&self, name: &str, now: Micros) -> Result<(), Locked> {
        self.names.get(name).map_or(Ok(()), |attempts| attempts.check(now))
    }

    /// After a failure with this name. Says what is known of it now, for who keeps it elsewhere.
    pub fn failed(&mut self, name: &str, now: Micros) -> Attempts {
        if !self.names.contains_key(name) && self.names.len() >= self.names_max {
            let policy = self.policy;
            self.names.retain(|_, attempts| !attempts.is_forgotten(policy, now));
            if self.names.len() >= self.names_max {
                let oldest = self.names.iter().min_by_key(|(_, attempts)| attempts.last_failure_at);
                if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                    self.names.remove(&oldest);
                }
            }
        }
        let attempts = self.names.entry(name.to_owned()).or_default();
        *attempts = attempts.failed(self.policy, now);
        *attempts
    }

    /// After a success with this name.
    pub fn succeeded(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// How many names have failed and are not forgotten.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nobody has failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn policy() -> LockoutPolicy {
        LockoutPolicy {
            failures_max: 3,
            forget_after: Duration::from_secs(1_000),
            lock_min: Duration::from_secs(10),
            lock_max: Duration::from_secs(60),
        }
    }

    /// What a line of attempts leads to: seconds, what is done then, until when it is locked afterwards.
    #[test]
    fn a_table_of_attempts() {
        let rows = [
            (0, "fail", 0),
            (1, "fail", 0),
            (2, "succeed", 0),
            (3, "fail", 0),
            (4, "fail", 0),
            (5, "fail", 15),
            (15, "fail", 15),
            (16, "fail", 15),
            (17, "fail", 37),
            (37, "fail", 37),
            (38, "fail", 37),
            (39, "fail", 79),
            (79, "fail", 79),
            (80, "fail", 79),
            (81, "fail", 141),
            (141, "fail", 141),
            (142, "fail", 141),
            // Never more than the longest.
            (143, "fail", 203),
            // Nothing for a long time: it begins again.
            (1_143, "fail", 0),
            (1_144, "fail", 0),
            (1_145, "fail", 1_155),
        ];
        let mut attempts = Attempts::default();
        for (second, what, locked_until) in rows {
            let now = second * SECOND;
            assert_eq!(attempts.check(now), Ok(()), "at {second} s");
            attempts = if what == "fail" { attempts.failed(policy(), now) } else { attempts.succeeded() };
            assert_eq!(attempts.locked_until, locked_until * SECOND, "at {second} s");
            if locked_until > second {
                let just_before = locked_until * SECOND - 1;
                let locked = attempts.check(just_before).unwrap_err();
                assert_eq!(locked.until, locked_until * SECOND);
                assert!(locked.to_string().ends_with("in 1 s"), "{locked}");
            }
        }
    }

    #[test]
    fn names_are_counted_apart_and_bounded() {
        let mut lockouts = Lockouts::new(policy(), 3);
        for second in 0..3 {
            lockouts.failed("a", second * SECOND);
        }
        assert!(lockouts.check("a", 3 * SECOND).is_err() && lockouts.check("b", 3 * SECOND).is_ok());
        lockouts.failed("b", 4 * SECOND);
        lockouts.failed("c", 5 * SECOND);
        lockouts.failed("d", 6 * SECOND);
        assert_eq!(lockouts.len(), 3, "the oldest made room");
        assert!(lockouts.check("a", 6 * SECOND).is_ok());
        lockouts.failed("e", 2_000 * SECOND);
        assert_eq!(lockouts.len(), 1, "the forgotten made room");
        lockouts.succeeded("e");
        assert!(lockouts.is_empty());
    }
}
