//! Argon2id, off the threads that serve requests, and no faster for a name that nobody has.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task};

/// Cost of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashParams {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl HashParams {
    /// The least that OWASP recommends of argon2id: 19 MiB, two passes, one lane (Password Storage Cheat Sheet).
    pub const OWASP: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

    fn argon2(self) -> Result<Argon2<'static>, HashError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, None);
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|_| HashError::Params)?))
    }
}

/// A password's hash in the PHC form, `$argon2id$v=19$m=…`. Not shown by `Debug`: who has it can try passwords at home.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// As it is stored.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// As it was stored. What is none never matches a password.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Parameters that argon2 does not take.
    #[error("argon2 does not take these parameters")]
    Params,
    /// As many as may wait already do: try again later.
    #[error("too many passwords are being checked at this moment")]
    Busy,
    /// The machine gave no memory or randomness, or the process is ending.
    #[error("a password could not be hashed")]
    Failed,
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password is the one.
    pub matches: bool,
    /// The hash to store instead: it matched, and was made by other parameters than today's.
    pub rehashed: Option<PasswordHash>,
}

/// Hashes and compares, a few at a time: each takes memory and a core for some ten milliseconds.
#[derive(Debug, Clone)]
pub struct Hasher {
    argon2: Argon2<'static>,
    /// Compared with where there is nobody.
    nobody: PasswordHash,
    running: Arc<Semaphore>,
    /// Running or waiting.
    admitted: Arc<Semaphore>,
    /// Hashes that were made, to compare or to keep.
    made: Arc<AtomicU64>,
}

impl Hasher {
    /// With a number of hashes made at once, and of callers that may wait for their turn. Takes the time of one hash.
    ///
    /// # Errors
    /// If argon2 does not take the parameters.
    pub fn new(params: HashParams, at_once: usize, waiting_max: usize) -> Result<Self, HashError> {
        let argon2 = params.argon2()?;
        // Nobody's password, and nobody's salt: to match it one would have to guess 256 bits.
        let nobody = hash(&argon2, &hex::encode(rand::random::<[u8; 32]>()))?;
        let at_once = at_once.max(1);
        Ok(Self {
            argon2,
            nobody,
            running: Arc::new(Semaphore::new(at_once)),
            admitted: Arc::new(Semaphore::new(
                at_once.saturating_add(waiting_max).min(Semaphore::MAX_PERMITS),
            )),
            made: Arc::default(),
        })
    }

    /// How many hashes it has made, to compare or to keep: what its work costs is this, whoever was asked for.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// If too many wait, or the machine fails.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, HashError> {
        let (argon2, made) = (self.argon2.clone(), Arc::clone(&self.made));
        self.work(move || {
            made.fetch_add(1, Ordering::Relaxed);
            hash(&argon2, password.expose_secret())
        })
        .await
    }

    /// Compares a password with the hash of somebody, or of nobody: both take the same time, so that a caller cannot learn who
    /// is there. (Somebody's hash of other parameters takes the time of those, until it is rehashed.)
    ///
    /// # Errors
    /// If too many wait, or the machine fails. That is neither a "yes" nor a "no".
    pub async fn verify(
        &self,
        stored: Option<&PasswordHash>,
        password: SecretString,
    ) -> Result<Verified, HashError> {
        let (known, stored) = (stored.is_some(), stored.unwrap_or(&self.nobody).clone());
        let (argon2, made) = (self.argon2.clone(), Arc::clone(&self.made));
        self.work(move || {
            made.fetch_add(1, Ordering::Relaxed);
            let matches =
                argon2.verify_password(password.expose_secret().as_bytes(), stored.expose()).is_ok();
            let matches = matches & known;
            let rehashed = if matches && !is_current(&argon2, &stored) {
                made.fetch_add(1, Ordering::Relaxed);
                Some(hash(&argon2, password.expose_secret())?)
            } else {
                None
            };
            Ok(Verified { matches, rehashed })
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| HashError::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| HashError::Failed)?;
        let done = task::spawn_blocking(move || {
            // Given back when the work is done, also if nobody waits for it any more.
            let _permits = (admitted, running);
            work()
        });
        done.await.map_err(|_| HashError::Failed)?
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<PasswordHash, HashError> {
    let hash: phc::PasswordHash = argon2.hash_password(password.as_bytes()).map_err(|_| HashError::Failed)?;
    Ok(PasswordHash(hash.to_string()))
}

/// Whether it was made as hashes are made today.
fn is_current(argon2: &Argon2<'_>, stored: &PasswordHash) -> bool {
    let Ok(stored) = phc::PasswordHash::new(stored.expose()) else { return false };
    let params = phc::ParamsString::try_from(argon2.params());
    stored.algorithm == Algorithm::Argon2id.ident()
        && stored.version == Some(Version::V0x13.into())
        && params.is_ok_and(|params| params == stored.params)
}
