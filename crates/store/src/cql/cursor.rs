//! Cursors: where a walk has got to, sealed so that only those given to this tenant are taken back.

use std::hash::Hasher as _;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use model::TenantId;
use prost::Message;
use siphasher::sip::SipHasher13;

use super::{
    key::{Key, Level},
    walk::{Ahead, Position},
};
use crate::{Cursor, Error, Order};

/// A position as it travels.
#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(sint64, tag = "1")]
    received_at: i64,
    #[prost(sint64, tag = "2")]
    partition: i64,
    #[prost(sint64, tag = "3")]
    sequence: i64,
    #[prost(sint32, tag = "4")]
    index: i32,
    #[prost(bool, tag = "5")]
    newest_first: bool,
    #[prost(sint32, optional, tag = "6")]
    day: Option<i32>,
    #[prost(message, repeated, tag = "7")]
    ahead: Vec<Next>,
}

/// [`Ahead`] as it travels.
#[derive(Clone, PartialEq, Message)]
struct Next {
    #[prost(sint32, tag = "1")]
    level: i32,
    #[prost(sint32, optional, tag = "2")]
    shard: Option<i32>,
    /// After what is done.
    #[prost(sint64, tag = "3")]
    after_us: i64,
}

/// Not a secret: a cursor says nothing that its tenant may not know, and leads nowhere but into the tenant's events.
/// The seal tells a mistake from a cursor.
fn seal(tenant: &TenantId, body: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher13::new_with_keys(0x6576_656e_7473, 0x6379_6c65);
    hasher.write(tenant.as_str().as_bytes());
    hasher.write(b"\0");
    hasher.write(body);
    hasher.finish().to_be_bytes()
}

pub(super) fn encode(tenant: &TenantId, position: &Position) -> Cursor {
    let Key { received_at, partition, sequence, index } = position.done;
    let (day, ahead) = position.ahead.clone().unzip();
    let next = |Ahead { level, shard, at }: Ahead| Next {
        level: level.number().into(),
        shard: shard.map(i32::from),
        after_us: at.wrapping_sub(received_at),
    };
    let wire = Wire {
        received_at,
        partition,
        sequence,
        index,
        newest_first: position.order == Order::NewestFirst,
        day,
        ahead: ahead.unwrap_or_default().into_iter().map(next).collect(),
    };
    let mut bytes = wire.encode_to_vec();
    let seal = seal(tenant, &bytes);
    bytes.extend_from_slice(&seal);
    Cursor(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn decode(tenant: &TenantId, cursor: &Cursor) -> Result<Position, Error> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor.0).unwrap_or_default();
    let body = bytes.split_last_chunk().filter(|(body, sealed)| seal(tenant, body) == **sealed);
    let wire = body.and_then(|(body, _)| Wire::decode(body).ok());
    let Some(Wire { received_at, partition, sequence, index, newest_first, day, ahead }) = wire else {
        return Err(Error::BadCursor("use the cursor of a previous page of the same list".into()));
    };
    let next = |Next { level, shard, after_us }: Next| {
        let level = i8::try_from(level).ok().and_then(Level::of)?;
        let shard = shard.map(i8::try_from).transpose().ok()?;
        Some(Ahead { level, shard, at: received_at.wrapping_add(after_us) })
    };
    let ahead = ahead.into_iter().filter_map(next);
    Ok(Position {
        done: Key { received_at, partition, sequence, index },
        order: if newest_first { Order::NewestFirst } else { Order::OldestFirst },
        ahead: day.map(|day| (day, ahead.collect())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_to_its_tenant_only() {
        let (tenant, other): (TenantId, TenantId) = ("acme".parse().unwrap(), "acme-b".parse().unwrap());
        let middle = Key { received_at: -1, partition: 7, sequence: 1 << 40, index: 99 };
        let nexts = vec![
            Ahead { level: Level::Day, shard: None, at: -5 },
            Ahead { level: Level::Second, shard: Some(3), at: i64::MAX },
        ];
        let ahead = [None, Some((-3, vec![])), Some((i32::MAX, nexts))];
        for (done, order) in
            [(Key::MIN, Order::OldestFirst), (middle, Order::NewestFirst), (Key::MAX, Order::OldestFirst)]
        {
            for ahead in &ahead {
                let position = Position { done, order, ahead: ahead.clone() };
                let cursor: Cursor = encode(&tenant, &position).to_string().parse().unwrap();
                assert_eq!(decode(&tenant, &cursor).unwrap(), position);
                assert!(matches!(decode(&other, &cursor), Err(Error::BadCursor(_))));
            }
        }
    }
}
