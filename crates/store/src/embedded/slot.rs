//! What `ids` says of an identity.

use super::keys::Position;

/// The event is stored.
pub(super) const EVENT: u8 = 1;
/// Its usage, or the usage record of this id, is recorded.
pub(super) const USAGE: u8 = 2;

/// What is kept under an identity: an event, a usage record, or both, each exact on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// [`EVENT`], [`USAGE`] or both.
    pub(super) kept: u8,
    /// Where the event is, if it is stored.
    pub(super) position: Position,
}

impl Default for Slot {
    fn default() -> Self {
        Self { kept: 0, position: Position { block: 0, index: 0 } }
    }
}

/// One byte of flags, one of index, eight of block: small enough that the engine keeps it without an allocation.
pub(super) type Encoded = [u8; 10];

impl Slot {
    pub(super) fn encode(&self) -> Encoded {
        let mut out = [0; 10];
        out[0] = self.kept;
        // A block holds at most 128 events (`event_block::EVENTS_MAX`).
        out[1] = u8::try_from(self.position.index).unwrap_or(u8::MAX);
        out[2..].copy_from_slice(&self.position.block.to_be_bytes());
        out
    }

    /// Bytes that are none of ours give an empty slot: the event would be written again, never lost.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let Ok(bytes) = Encoded::try_from(bytes) else { return Self::default() };
        let [kept, index, block @ ..] = bytes;
        Self { kept, position: Position { block: u64::from_be_bytes(block), index: u32::from(index) } }
    }

    pub(super) fn event(&self) -> Option<Position> {
        (self.kept & EVENT != 0).then_some(self.position)
    }
}
