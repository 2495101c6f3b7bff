//! Tokens that are good once: invitations, and an operator's links to set a new password.

use std::time::Duration;

use model::Micros;
use rand::CryptoRng;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::secret::{self, Digest};

/// What a token is good for. Each kind has its own prefix, so that one is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OneTimePurpose {
    /// To register: `eri_…`.
    Invitation,
    /// To set a new password: `erp_…`.
    PasswordReset,
}

impl OneTimePurpose {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Invitation => "eri",
            Self::PasswordReset => "erp",
        }
    }

    /// How long a token lives unless told otherwise: a week to accept an invitation, an hour to follow a link.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Invitation => Duration::from_secs(7 * 24 * 60 * 60),
            Self::PasswordReset => Duration::from_secs(60 * 60),
        }
    }
}

/// A token as the store keeps it, without its secret. What it is for (who is invited to which role, whose password) stands
/// beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeToken {
    /// Its public id, by which it is found.
    pub id: String,
    /// What it is good for.
    pub purpose: OneTimePurpose,
    /// Until when.
    pub expires_at: Micros,
    /// When it was used.
    #[serde(default)]
    pub used_at: Option<Micros>,
    digest: Digest,
}

/// Why a one-time token is refused. To callers all are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// Not this token.
    #[error("the token is not valid")]
    Unknown,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// Once is enough.
    #[error("the token was used before")]
    Used,
}

impl OneTimeToken {
    /// A new one: what to store, and the token, to be shown once.
    pub fn issue(
        rng: &mut impl CryptoRng,
        purpose: OneTimePurpose,
        lifetime: Duration,
        now: Micros,
    ) -> (Self, SecretString) {
        let (id, token) = secret::generate(rng, purpose.prefix());
        let expires_at = now.saturating_add(Micros::try_from(lifetime.as_micros()).unwrap_or(Micros::MAX));
        (Self { id, purpose, expires_at, used_at: None, digest: secret::digest(&token) }, token)
    }

    /// The id that a token names, to look it up; nothing for what has not the form of one of this purpose.
    #[must_use]
    pub fn id_of(purpose: OneTimePurpose, presented: &str) -> Option<&str> {
        secret::id_of(purpose.prefix(), presented)
    }

    /// Uses it: what to store instead. It is used once because the store lets one of two writers win, by the revision they
    /// read: do what it is good for only after that write.
    ///
    /// # Errors
    /// Why not. The secret is compared first: who does not have it learns nothing about it.
    pub fn redeem(&self, presented: &str, purpose: OneTimePurpose, now: Micros) -> Result<Self, RedeemError> {
        let known = self.digest.matches(presented) & (self.purpose == purpose);
        if !known {
            return Err(RedeemError::Unknown);
        }
        if self.used_at.is_some() {
            return Err(RedeemError::Used);
        }
        if now >= self.expires_at {
            return Err(RedeemError::Expired);
        }
        Ok(Self { used_at: Some(now), ..self.clone() })
    }
}
