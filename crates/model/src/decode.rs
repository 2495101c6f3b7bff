//! Why bytes are no event.

use crate::{ErrorCode, InvalidEvent};

/// Why a message is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not what their content type says: not UTF-8, not JSON, something after the end.
    #[error("{0}")]
    Malformed(String),
    /// They can be read, and break a rule of CloudEvents.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
}

impl DecodeError {
    /// The code a caller is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) => ErrorCode::Malformed,
            Self::Invalid(_) => ErrorCode::InvalidEvent,
        }
    }
}

/// One event of a batch that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {index}: {error}")]
pub struct BadItem {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub error: InvalidEvent,
}

/// Why a batch cannot be taken as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes are no batch.
    #[error("{0}")]
    Malformed(String),
    /// The batch holds more events than allowed; reading stopped there.
    #[error("the batch holds more than {items_max} events")]
    TooMany {
        /// The limit.
        items_max: usize,
    },
    /// Each event that breaks a rule, in order; the others are good.
    #[error("{} of the batch's events are not valid", .0.len())]
    Items(Vec<BadItem>),
}

impl BatchError {
    /// The code a caller is answered with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) => ErrorCode::Malformed,
            Self::TooMany { .. } => ErrorCode::TooLarge,
            Self::Items(_) => ErrorCode::InvalidEvent,
        }
    }
}
