//! What can go wrong in a store.

use model::ErrorCode;

/// A store's failure. Nothing of the call it answers was kept, or it is not known: retrying is always safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store does not answer, is shutting down, or refuses for want of room. Retry with backoff.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The disk is full. Retry with backoff; an operator must act.
    #[error("the store's disk is full: {0}")]
    Full(String),
    /// The cursor is not one of this store's.
    #[error("the cursor is not valid: {0}")]
    BadCursor(String),
    /// The query or the record asks for what no store can give or keep. Do not retry.
    #[error("{0}")]
    Invalid(String),
    /// What was read back makes no sense.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
    /// Opening failed: what, where, and what to do.
    #[error("{0}")]
    Open(String),
}

impl Error {
    /// The code callers see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) | Self::Full(_) | Self::Open(_) => ErrorCode::Unavailable,
            Self::BadCursor(_) | Self::Invalid(_) => ErrorCode::InvalidArgument,
            Self::Corrupt(_) => ErrorCode::Internal,
        }
    }
}
