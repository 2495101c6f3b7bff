//! Cursors: a position, sealed so that only this store's own, given to this tenant, are taken back.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use model::TenantId;

use super::keys::{IdHasher, Kind, Position};
use crate::{Cursor, Error};

pub(super) fn encode(hasher: &IdHasher, kind: Kind, tenant: &TenantId, position: Position) -> Cursor {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&position.block.to_be_bytes());
    bytes[8..12].copy_from_slice(&position.index.to_be_bytes());
    bytes[12..].copy_from_slice(&hasher.seal(tenant, kind.tag(), position).to_be_bytes());
    Cursor(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn decode(
    hasher: &IdHasher,
    kind: Kind,
    tenant: &TenantId,
    cursor: &Cursor,
) -> Result<Position, Error> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(&cursor.0).ok().and_then(|b| <[u8; 16]>::try_from(b).ok());
    let position = decoded.and_then(|bytes| {
        let (block, rest) = bytes.split_first_chunk()?;
        let (index, seal) = rest.split_first_chunk()?;
        let position = Position { block: u64::from_be_bytes(*block), index: u32::from_be_bytes(*index) };
        (hasher.seal(tenant, kind.tag(), position).to_be_bytes() == *seal).then_some(position)
    });
    position.ok_or_else(|| Error::BadCursor("use the cursor of a previous page of the same list".into()))
}
