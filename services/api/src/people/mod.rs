//! People: passwords, sessions, and what comes of them.
//!
//! Invariant: what a stranger learns, and how long it takes, does not depend on whether there is such a user. A password is in no
//! record, answer or log; what is kept of one is a hash, sealed.

mod bootstrap;
pub(crate) mod browser;
mod bucket;
pub(crate) mod invitations;
pub(crate) mod login;
mod members;
pub(crate) mod one_time;
mod options;
mod passwords;
pub(crate) mod sessions;

use std::sync::{Mutex, PoisonError};

use bus::Bus;
use catalog::Sealer;
use identity::{HashError, HashParams, Hasher, Lockouts, PasswordRules};
use model::{ErrorCode, Micros};
use runtime::problem::Problem;

use self::browser::Csrf;
use self::invitations::not_good;
pub use self::{
    bootstrap::{BootstrapError, FIRST_SUPERUSER, Superuser, first_superuser, superuser},
    options::PeopleOptions,
};
pub(crate) use self::{login::Begun, members::members, one_time::OneTime, sessions::Sessions};

/// What logging in needs.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) sessions: Sessions,
    pub(crate) one_time: OneTime,
    pub(crate) options: PeopleOptions,
    pub(crate) csrf: Csrf,
    pub(crate) hasher: Hasher,
    lockouts: Mutex<Lockouts>,
}

impl People {
    pub(crate) fn new(options: PeopleOptions, bus: Bus, sealer: &Sealer) -> Result<Self, HashError> {
        Ok(Self {
            csrf: Csrf::new(sealer),
            hasher: Hasher::new(HashParams::OWASP, options.hashes_at_once, options.hashes_waiting_max)?,
            lockouts: Mutex::new(Lockouts::new(options.lockout(), options.lockout_names_max)),
            sessions: Sessions::new(bus.clone(), options.session_whole()),
            one_time: OneTime::new(bus),
            options,
        })
    }

    fn rules(&self) -> PasswordRules {
        PasswordRules { length_min: self.options.password_length_min, ..PasswordRules::default() }
    }

    /// Insists that a name may be tried.
    fn check_lock(&self, name: &str, now: Micros) -> Result<(), Problem> {
        let lockouts = self.lockouts.lock().unwrap_or_else(PoisonError::into_inner);
        lockouts.check(name, now).map_err(|locked| {
            let seconds = (locked.until - locked.now).max(0).div_euclid(1_000_000) + 1;
            Problem::new(ErrorCode::RateLimited, locked.to_string())
                .retry_after(u32::try_from(seconds).unwrap_or(u32::MAX))
        })
    }

    fn failed(&self, name: &str, now: Micros) {
        self.lockouts.lock().unwrap_or_else(PoisonError::into_inner).failed(name, now);
    }

    fn succeeded(&self, name: &str) {
        self.lockouts.lock().unwrap_or_else(PoisonError::into_inner).succeeded(name);
    }
}

/// No answer about a password.
fn unhashed(error: HashError) -> Problem {
    match error {
        HashError::Busy => Problem::new(ErrorCode::Unavailable, error.to_string()).retry_after(1),
        error => Problem::internal(error),
    }
}
