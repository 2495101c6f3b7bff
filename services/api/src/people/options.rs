//! The section `api.people` of the configuration.

use std::time::Duration;

use identity::LockoutPolicy;
use runtime::config::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How people log in. How long a session lives without a refresh is `topology.session_idle_hours`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PeopleOptions {
    /// Days after which a session ends, however often it was refreshed.
    pub session_days_max: u32,
    /// Sessions of one user; who begins another ends the oldest.
    pub sessions_per_user_max: usize,
    /// Failed attempts with one name, one after the other, that lock it on a replica; 429 until the lock is over.
    pub lockout_failures: u32,
    /// How long the first lock lasts; each further one is twice as long.
    pub lockout_ms_min: Millis,
    /// How long a lock lasts at most.
    pub lockout_ms_max: Millis,
    /// Names whose failures a replica remembers.
    pub lockout_names_max: usize,
    /// Passwords hashed at once: each takes a core and 19 MiB for some 25 ms.
    pub hashes_at_once: usize,
    /// Requests that may wait for their turn; 503 above.
    pub hashes_waiting_max: usize,
    /// The least number of characters of a password.
    pub password_length_min: usize,
}

impl Default for PeopleOptions {
    fn default() -> Self {
        Self {
            session_days_max: 30,
            sessions_per_user_max: 32,
            lockout_failures: 5,
            lockout_ms_min: Millis(60_000),
            lockout_ms_max: Millis(3_600_000),
            lockout_names_max: 100_000,
            hashes_at_once: 2,
            hashes_waiting_max: 100,
            password_length_min: 12,
        }
    }
}

impl PeopleOptions {
    /// Refuses values with which nothing could work.
    pub(crate) fn check(&self) -> Result<(), String> {
        let days = usize::try_from(self.session_days_max).unwrap_or(usize::MAX);
        let failures = usize::try_from(self.lockout_failures).unwrap_or(usize::MAX);
        let at_least_one = [
            ("session_days_max", days),
            ("sessions_per_user_max", self.sessions_per_user_max),
            ("lockout_failures", failures),
            ("lockout_names_max", self.lockout_names_max),
            ("hashes_at_once", self.hashes_at_once),
        ];
        if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("api.people.{name} must be at least 1"));
        }
        if (8..=64).contains(&self.password_length_min) {
            Ok(())
        } else {
            Err("api.people.password_length_min must be 8 to 64".to_owned())
        }
    }

    pub(super) fn lockout(&self) -> LockoutPolicy {
        LockoutPolicy {
            failures_max: self.lockout_failures,
            lock_min: self.lockout_ms_min.duration(),
            lock_max: self.lockout_ms_max.duration(),
            ..LockoutPolicy::default()
        }
    }

    pub(super) fn session_whole(&self) -> Duration {
        Duration::from_secs(24 * 60 * 60 * u64::from(self.session_days_max))
    }
}
