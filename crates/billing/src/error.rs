//! What can go wrong with invoices, each with its error code.

use model::ErrorCode;

/// Why an invoice could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker or the usage store does not answer. Nothing is known to be done.
    #[error("{0}")]
    Unavailable(String),
    /// What was asked for cannot be: the pointer into the request, and why.
    #[error("{detail}")]
    Invalid {
        /// JSON pointer, or `query:<name>`.
        pointer: &'static str,
        /// What is wrong and what would be right.
        detail: String,
    },
    /// There is no such account, invoice or month.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// The month cannot be rated.
    #[error(transparent)]
    Rating(#[from] rating::Error),
    /// A document that is kept cannot be read, or one cannot be written.
    #[error("{0}")]
    Document(String),
}

impl Error {
    /// With the whole chain of causes.
    pub(crate) fn unavailable(error: &dyn std::error::Error) -> Self {
        Self::Unavailable(bus::chain(error))
    }

    /// The code callers see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Invalid { .. } => ErrorCode::InvalidArgument,
            Self::Rating(_) => ErrorCode::Unprocessable,
            Self::NotFound(_) => ErrorCode::NotFound,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::Document(_) => ErrorCode::Internal,
        }
    }
}
