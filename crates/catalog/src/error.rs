//! What can go wrong with a catalog operation, each with its error code.

use std::fmt;

use model::{ErrorCode, resource::Fault};

use crate::{EntryKey, Kind};

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

impl From<Fault> for FieldError {
    fn from(Fault { pointer, detail }: Fault) -> Self {
        Self { pointer, detail }
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
    /// There was one of that id, which keeps it.
    #[error("{kind} {id:?} was deleted and keeps its id until it is purged; undelete it")]
    Deleted {
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
    #[error("{kind} {id:?} still has {}; delete them first", Named(.holders))]
    InUse {
        /// What.
        kind: Kind,
        /// Its id.
        id: String,
        /// What names it, in order of kind and id.
        holders: Vec<EntryKey>,
    },
    /// The tenant has as many as it may.
    #[error(
        "the tenant's limit `{limit}` is {max}, and it has as many; delete some, or have an operator raise it in the tenant's limits or \
         its plan"
    )]
    OverLimit {
        /// The name of the limit.
        limit: &'static str,
        /// What it is.
        max: u32,
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
            Self::Exists { .. } | Self::Deleted { .. } | Self::Stale { .. } => ErrorCode::Conflict,
            Self::InUse { .. } | Self::OverLimit { .. } => ErrorCode::Unprocessable,
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

/// Names told of one kind; the others are only counted.
const NAMES_MAX: usize = 10;

/// `2 sources ("hub", "till"), 1 key ("k1")`.
struct Named<'a>(&'a [EntryKey]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, same) in self.0.chunk_by(|a, b| a.kind == b.kind).enumerate() {
            let Some(first) = same.first() else { continue };
            let plural = if same.len() == 1 { "" } else { "s" };
            let names: Vec<String> = same.iter().take(NAMES_MAX).map(|key| format!("{:?}", key.id)).collect();
            let more = if same.len() > NAMES_MAX { ", …" } else { "" };
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{} {}{plural} ({}{more})", same.len(), first.kind, names.join(", "))?;
        }
        Ok(())
    }
}

pub(crate) fn unavailable(error: impl fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_resource_is_named_up_to_a_limit() {
        let acme: model::TenantId = "acme".parse().unwrap();
        let mut holders = vec![EntryKey::new(Kind::Source, &acme, "hub")];
        holders.extend((0..12).map(|n| EntryKey::new(Kind::Key, &acme, format!("k{n}"))));
        let told = Named(&holders).to_string();
        assert!(told.starts_with(r#"1 source ("hub"), 12 keys ("k0", "k1""#), "{told}");
        assert!(told.ends_with(r#""k9", …)"#), "{told}");
    }
}
