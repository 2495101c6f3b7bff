//! What of a request goes into one message: split by stream and partition, and cut to the size of a full message.

use bytes::BytesMut;
use model::{TenantId, Text, partition_of};
use proto::hops;

use super::{AcceptError, Inner, Item, Lane, Placed, traced::Sends};
use crate::topology::{EVENTS, RAW};

/// A part of a request that goes to one partition of a stream in one message.
pub(super) struct Piece<'a> {
    pub(super) lane: &'a Lane,
    pub(super) partition: usize,
    pub(super) encoded: BytesMut,
    pub(super) events: usize,
}

impl Inner {
    /// Splits a request by stream and partition, and so that no piece is over the size of a full message.
    pub(super) fn pieces(
        &self,
        stamp: &hops::Stamp,
        items: Vec<Placed>,
        sends: &mut Sends,
    ) -> Result<Vec<Piece<'_>>, AcceptError> {
        let keyed = items.iter().any(|placed| placed.key.is_some());
        let tenant = keyed.then(|| std::str::from_utf8(&stamp.tenant).ok()?.parse().ok()).flatten();
        let mut raw = Split::new(&self.raw, tenant.as_ref());
        let mut normal = Split::new(&self.normal, tenant.as_ref());
        for Placed { key, item } in items {
            let size = item.encoded_len() + 8;
            match item {
                Item::Raw(item) => raw.add(key.as_ref(), item, size),
                Item::Normal(event) => normal.add(key.as_ref(), event, size),
            }
        }
        let mut pieces = Vec::with_capacity(1);
        self.cut(&sends.begin(RAW, stamp, raw.len()), raw, &mut pieces)?;
        self.cut(&sends.begin(EVENTS, stamp, normal.len()), normal, &mut pieces)?;
        Ok(pieces)
    }

    fn cut<'a, M: prost::Message>(
        &self,
        stamp: &hops::Stamp,
        split: Split<'a, '_, M>,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), AcceptError> {
        /// A stamp and the framing around the items.
        const OVERHEAD: usize = 1_024;
        let limit = self.bus.message_bytes_max().saturating_sub(OVERHEAD);
        let full = self.options.message_bytes_max.min(limit);
        let lane = split.lane;
        for (partition, items) in split.partitions {
            let (mut rest, mut at, mut bytes) = (&*items, 0, 0);
            while let Some((_, size)) = rest.get(at) {
                let size = *size;
                if size > limit {
                    return Err(AcceptError::TooLarge { size, limit });
                }
                if at > 0 && (bytes + size > full || at >= self.options.message_events_max) {
                    let (piece, others) = rest.split_at(at);
                    pieces.push(Piece { lane, partition, encoded: encode(stamp, piece), events: at });
                    (rest, at, bytes) = (others, 0, 0);
                }
                (at, bytes) = (at + 1, bytes + size);
            }
            if !rest.is_empty() {
                pieces.push(Piece { lane, partition, encoded: encode(stamp, rest), events: rest.len() });
            }
        }
        Ok(())
    }
}

/// What of a request goes to one stream, by partition, each item with its size.
struct Split<'a, 't, M> {
    lane: &'a Lane,
    /// Whose it is, if that matters.
    tenant: Option<&'t TenantId>,
    unkeyed: usize,
    /// Few: a request rarely holds many keys.
    partitions: Vec<(usize, Vec<(M, usize)>)>,
}

impl<'a, 't, M> Split<'a, 't, M> {
    fn new(lane: &'a Lane, tenant: Option<&'t TenantId>) -> Self {
        Self { lane, tenant, unkeyed: lane.current.partition() as usize, partitions: Vec::new() }
    }

    fn len(&self) -> usize {
        self.partitions.iter().map(|(_, items)| items.len()).sum()
    }

    fn add(&mut self, key: Option<&Text>, item: M, size: usize) {
        let partition = match (self.tenant, key) {
            (Some(tenant), Some(key)) => partition_of(tenant, key, self.lane.current.partitions) as usize,
            _ => self.unkeyed,
        };
        match self.partitions.iter_mut().find(|(of, _)| *of == partition) {
            Some((_, items)) => items.push((item, size)),
            None => self.partitions.push((partition, vec![(item, size)])),
        }
    }
}

/// A group as one element of `RawBatch.groups` or `EventBatch.groups`, whose groups are alike: a stamp, and what is under
/// it. Messages are joined by concatenation.
fn encode<M: prost::Message>(stamp: &hops::Stamp, items: &[(M, usize)]) -> BytesMut {
    use prost::encoding::{WireType, encode_key, encode_varint, message};
    let items = || items.iter().map(|(item, _)| item);
    let bytes =
        message::encoded_len(1, stamp) + items().map(|item| message::encoded_len(2, item)).sum::<usize>();
    let mut encoded = BytesMut::with_capacity(bytes + 8);
    encode_key(1, WireType::LengthDelimited, &mut encoded);
    encode_varint(bytes as u64, &mut encoded);
    message::encode(1, stamp, &mut encoded);
    for item in items() {
        message::encode(2, item, &mut encoded);
    }
    encoded
}
