//! Several events of one tenant as one message of its stream: an `EventBatch` of the groups that are the tenant's.

use std::ops::Range;

use bytes::Bytes;
use model::{CloudEvent, Group};
use prost::Message as _;

use crate::{ConvertError, hops};

/// What a packed message says its payload is.
pub const CONTENT_TYPE: &str = "application/vnd.eventrunner.events+protobuf";

/// A packed message was none.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is not what the fleet writes.
    #[error(transparent)]
    Message(#[from] prost::DecodeError),
    /// One of its events is none.
    #[error(transparent)]
    Event(#[from] ConvertError),
}

/// The payload of these groups.
#[must_use]
pub fn pack<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Bytes {
    let groups = groups.into_iter().map(|group| hops::EventGroup {
        stamp: Some((&*group.stamp).into()),
        events: group.events.iter().map(Into::into).collect(),
    });
    hops::EventBatch { groups: groups.collect(), ..hops::EventBatch::default() }.encode_to_vec().into()
}

/// The events of a payload, in order. They borrow from it.
///
/// # Errors
/// If somebody else wrote it.
pub fn unpack(payload: Bytes) -> Result<Vec<CloudEvent>, UnpackError> {
    unpack_with(payload, |_, _| {})
}

/// The same; tells of each request the stamp and which of the events are its.
///
/// # Errors
/// If somebody else wrote it.
pub fn unpack_with(
    payload: Bytes,
    mut told: impl FnMut(hops::Stamp, Range<usize>),
) -> Result<Vec<CloudEvent>, UnpackError> {
    let batch = hops::EventBatch::decode(payload)?;
    let mut events = Vec::with_capacity(batch.groups.iter().map(|group| group.events.len()).sum());
    for group in batch.groups {
        let first = events.len();
        for event in group.events {
            events.push(event.try_into()?);
        }
        told(group.stamp.unwrap_or_default(), first..events.len());
    }
    Ok(events)
}
