//! The stream of events that could not go on.

use model::Text;
use proto::hops;

/// `dead.<stage>.<tenant>`.
#[must_use]
pub fn subject(stage: &str, tenant: &str) -> String {
    format!("dead.{stage}.{tenant}")
}

/// The message id of a dead letter: the same event that fails again at the same place is one letter.
#[must_use]
pub fn message_id(stage: &str, partition: u32, sequence: u64, index: u32) -> String {
    format!("{stage}.{partition}.{sequence}.{index}")
}

/// The text of a field of the wire form, as far as it is text.
#[must_use]
pub fn text(field: &bytes::Bytes) -> Text {
    Text::try_from(field.clone()).unwrap_or_else(|_| String::from_utf8_lossy(field).into_owned().into())
}

/// The tenant a dead letter belongs to, as its subject has it.
#[must_use]
pub fn tenant_of(letter: &hops::DeadLetter) -> Text {
    letter.stamp.as_ref().map(|s| text(&s.tenant)).unwrap_or_default()
}
