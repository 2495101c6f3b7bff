//! A session as it is kept, and the refresh token that goes on with it: `err_<session>_<secret>`, changed at each use.

use std::{collections::VecDeque, time::Duration};

use model::Micros;
use rand::CryptoRng;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Purpose;
use crate::secret::{self, Digest};

const PREFIX: &str = "err";
/// Used refresh tokens that a session remembers, to know them when they come again. Older ones are refused as unknown.
const REMEMBERED: usize = 32;

/// How long sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// Without a refresh.
    pub idle: Duration,
    /// In all.
    pub whole: Duration,
}

impl Default for RefreshPolicy {
    /// A day without use, thirty days in all.
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { idle: day, whole: 30 * day }
    }
}

/// Why a session does not go on. The caller is told no more than that it must log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// Not the session's refresh token.
    #[error("the refresh token is not valid")]
    Unknown,
    /// A token that was used before: the session is stolen, or was. It must be stored as revoked and its access tokens with
    /// it.
    #[error("the refresh token was used before: the session is revoked")]
    Reused,
    /// Too long without use, or too old.
    #[error("the session has expired")]
    Expired,
    /// Taken back.
    #[error("the session was revoked")]
    Revoked,
}

/// A session as the store keeps it, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its public id, which access tokens name.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// What its access tokens are good for.
    #[serde(default)]
    pub purpose: Purpose,
    /// When it began.
    pub began_at: Micros,
    /// When it was last refreshed.
    pub refreshed_at: Micros,
    /// Taken back, when.
    #[serde(default)]
    pub revoked_at: Option<Micros>,
    /// Of the refresh token that goes on with it.
    current: Digest,
    /// Of those used, the latest first.
    #[serde(default)]
    used: VecDeque<Digest>,
}

/// The session that a refresh token names, to look it up; nothing for what has not the form of one.
#[must_use]
pub fn refresh_id(presented: &str) -> Option<&str> {
    secret::id_of(PREFIX, presented)
}

impl Session {
    /// Begins one: what to store, and its first refresh token.
    pub fn begin(
        rng: &mut impl CryptoRng,
        user: impl Into<String>,
        purpose: Purpose,
        now: Micros,
    ) -> (Self, SecretString) {
        let (id, token) = secret::generate(rng, PREFIX);
        let session = Self {
            id,
            user: user.into(),
            purpose,
            began_at: now,
            refreshed_at: now,
            revoked_at: None,
            current: secret::digest(&token),
            used: VecDeque::new(),
        };
        (session, token)
    }

    /// Goes on by its refresh token: the session to store instead, and the next token. Of two that use one token at once the
    /// store lets one win, by the revision they read; the other must begin again, and finds its token used.
    ///
    /// # Errors
    /// Why not. After [`RefreshError::Reused`], store [`revoked`](Self::revoked).
    pub fn refresh(
        &self,
        rng: &mut impl CryptoRng,
        presented: &str,
        policy: RefreshPolicy,
        now: Micros,
    ) -> Result<(Self, SecretString), RefreshError> {
        let digest = Digest::of(presented);
        // All are compared, whichever matches.
        let reused = self.used.iter().fold(false, |found, used| found | (*used == digest));
        if refresh_id(presented) != Some(self.id.as_str()) || (self.current != digest && !reused) {
            return Err(RefreshError::Unknown);
        }
        if self.revoked_at.is_some() {
            return Err(RefreshError::Revoked);
        }
        if reused {
            return Err(RefreshError::Reused);
        }
        if now >= self.expires_at(policy) {
            return Err(RefreshError::Expired);
        }
        let token = secret::generate_for(rng, PREFIX, &self.id);
        let mut next = self.clone();
        next.used.push_front(self.current);
        next.used.truncate(REMEMBERED);
        next.current = secret::digest(&token);
        next.refreshed_at = now;
        Ok((next, token))
    }

    /// Taken back; for ever.
    #[must_use]
    pub fn revoked(&self, now: Micros) -> Self {
        Self { revoked_at: Some(self.revoked_at.unwrap_or(now)), ..self.clone() }
    }

    /// When it ends if nobody refreshes it. Afterwards it need not be kept.
    #[must_use]
    pub fn expires_at(&self, policy: RefreshPolicy) -> Micros {
        let after = |at: Micros, by: Duration| {
            at.saturating_add(Micros::try_from(by.as_micros()).unwrap_or(Micros::MAX))
        };
        after(self.refreshed_at, policy.idle).min(after(self.began_at, policy.whole))
    }
}
