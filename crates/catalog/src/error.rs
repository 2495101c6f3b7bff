//! What can go wrong with a catalog operation, each with its error code.

use std::fmt;

use model::ErrorCode;

use crate::Kind;

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the resource, such as `/limits/event_bytes_max`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl FieldError {
    /// An error of one field.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

/// Why a resource could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The resource breaks a rule.
    #[error("{}", Joined(.0))]
    Invalid(Vec<FieldError>),
    /// There is one of that id already.
    #[error("{kind} {id:?} exists already")]
    Exists {
        /// What.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// It is not at the revision the caller changed: someone else was quicker, or it is gone.
    #[error("{kind} {id:?} has changed since revision {expected}; read it again and repeat the change")]
    Stale {
        /// What.
        kind: Kind,
        /// Its id.
        id: String,
        /// The revision the caller expected.
        expected: u64,
    },
    /// Others depend on it.
    #[error("{kind} {id:?} still has {dependents}; delete them first")]
    InUse {
        /// What.
        kind: Kind,
        /// Its id.
        id: String,
        /// Such as `2 sources, 1 key`.
        dependents: String,
    },
    /// There is none.
    #[error("there is no {kind} {id:?}")]
    NotFound {
        /// What.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// The entry is there and cannot be read.
    #[error("{kind} {id:?} cannot be read: {reason}")]
    Unreadable {
        /// What.
        kind: Kind,
        /// Its id.
        id: String,
        /// For the operator.
        reason: String,
    },
    /// The broker does not answer, or has no such bucket.
    #[error("the catalog is not available: {0}")]
    Unavailable(String),
}

impl Error {
    /// The code callers see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidArgument,
            Self::Exists { .. } | Self::Stale { .. } | Self::InUse { .. } => ErrorCode::Conflict,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Unreadable { .. } => ErrorCode::Internal,
            Self::Unavailable(_) => ErrorCode::Unavailable,
        }
    }

    /// The fields at fault, if it is about fields.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(fields) => fields,
            _ => &[],
        }
    }
}

struct Joined<'a>(&'a [FieldError]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
