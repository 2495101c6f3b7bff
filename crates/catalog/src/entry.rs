//! The bytes of an entry: a resource, or one that was deleted.

use serde::{Deserialize, de::IgnoredAny};

use crate::{Error, FieldError, Resource, resource::Deleted};

/// What an entry holds.
#[derive(Debug)]
pub(crate) enum Read<R> {
    Live(R),
    Deleted(Deleted<R>),
}

/// Reads an entry.
pub(crate) fn read<R: Resource>(value: &[u8]) -> Result<Read<R>, serde_json::Error> {
    // A deleted one lacks what every resource must have, so it cannot be read as one.
    match serde_json::from_slice(value) {
        Ok(resource) => Ok(Read::Live(resource)),
        Err(error) => serde_json::from_slice(value).map(Read::Deleted).map_err(|_| error),
    }
}

/// Whether an entry of whatever kind holds something that is not deleted.
pub(crate) fn is_live(value: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        deleted: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Probe>(value).is_ok_and(|probe| probe.deleted.is_none())
}

/// Writes an entry.
pub(crate) fn write(value: &impl serde::Serialize) -> Result<bytes::Bytes, Error> {
    serde_json::to_vec(value).map(Into::into).map_err(|error| {
        Error::Invalid(vec![FieldError::new("", format!("cannot be written as JSON: {error}"))])
    })
}
