//! What can go wrong with a backup.

use std::{io, path::PathBuf};

/// Why a backup could not be made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker does not answer, or refuses.
    #[error(transparent)]
    Bus(#[from] bus::Error),
    /// A file cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was to be done with it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A backup is not what was written, or not finished, or of a newer program.
    #[error("{0}")]
    Damaged(String),
    /// What is to be written to is in use or holds something already.
    #[error("{0}")]
    InUse(String),
    /// The queues did not come to rest.
    #[error("{0}")]
    Restless(String),
    /// What is configured does not fit what is there.
    #[error("{0}")]
    Mismatch(String),
}

impl Error {
    pub(crate) fn refused(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Bus(bus::Error::Broker { what: what.into(), reason: reason.into() })
    }
}
