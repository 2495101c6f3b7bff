//! What can go wrong between us and the broker.

use model::ErrorCode;

/// A failure of the broker or of the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made, or the broker does not answer.
    #[error("the broker at {url} cannot be reached: {reason}")]
    Connect {
        /// Where it was looked for.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The broker does not know who is asking, or what is configured for it to know cannot be used.
    #[error("{0}")]
    Login(String),
    /// The broker is there and refuses, or answered something unexpected.
    #[error("the broker refused {what}: {reason}")]
    Broker {
        /// What was asked of it.
        what: String,
        /// Its answer.
        reason: String,
    },
    /// The broker is set up otherwise than configured.
    #[error("{0}")]
    Mismatch(String),
}

impl Error {
    /// A refusal or silence of the broker, with the whole chain of causes.
    pub fn broker(what: impl Into<String>, error: &dyn std::error::Error) -> Self {
        Self::Broker { what: what.into(), reason: crate::chain(error) }
    }

    /// The code callers see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Unavailable
    }
}
