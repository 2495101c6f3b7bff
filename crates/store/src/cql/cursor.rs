//! Cursors: the key of the last event looked at, sealed so that only those given to this tenant are taken back.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use model::TenantId;
use siphasher::sip::SipHasher13;
use std::hash::Hasher as _;

use super::key::Key;
use crate::{Cursor, Error};

const VERSION: u8 = 1;
const LEN: usize = 1 + 28 + 8;

/// Not a secret: a cursor says nothing that its tenant may not know, and leads nowhere but into the tenant's events.
/// The seal tells a mistake from a cursor.
fn seal(tenant: &TenantId, body: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x6576_656e_7473, 0x6379_6c65);
    hasher.write(tenant.as_str().as_bytes());
    hasher.write(b"\0");
    hasher.write(body);
    hasher.finish()
}

pub(super) fn encode(tenant: &TenantId, key: Key) -> Cursor {
    let mut bytes = Vec::with_capacity(LEN);
    bytes.push(VERSION);
    bytes.extend_from_slice(&key.received_at.to_be_bytes());
    bytes.extend_from_slice(&key.partition.to_be_bytes());
    bytes.extend_from_slice(&key.sequence.to_be_bytes());
    bytes.extend_from_slice(&key.index.to_be_bytes());
    let seal = seal(tenant, &bytes);
    bytes.extend_from_slice(&seal.to_be_bytes());
    Cursor(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

pub(super) fn decode(tenant: &TenantId, cursor: &Cursor) -> Result<Key, Error> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(&cursor.0).ok().filter(|bytes| bytes.len() == LEN);
    let key = decoded.and_then(|bytes| {
        let (body, sealed) = bytes.split_last_chunk()?;
        let (version, rest) = body.split_first()?;
        let (received_at, rest) = rest.split_first_chunk()?;
        let (partition, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let index = rest.first_chunk()?;
        let genuine = *version == VERSION && seal(tenant, body).to_be_bytes() == *sealed;
        genuine.then_some(Key {
            received_at: i64::from_be_bytes(*received_at),
            partition: i64::from_be_bytes(*partition),
            sequence: i64::from_be_bytes(*sequence),
            index: i32::from_be_bytes(*index),
        })
    });
    key.ok_or_else(|| Error::BadCursor("use the cursor of a previous page of the same list".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_to_its_tenant_only() {
        let (tenant, other): (TenantId, TenantId) = ("acme".parse().unwrap(), "acme-b".parse().unwrap());
        let middle = Key { received_at: -1, partition: 7, sequence: 1 << 40, index: 99 };
        for key in [Key::MIN, middle, Key::MAX] {
            let cursor: Cursor = encode(&tenant, key).to_string().parse().unwrap();
            assert_eq!(decode(&tenant, &cursor), Ok(key));
            assert!(matches!(decode(&other, &cursor), Err(Error::BadCursor(_))));
        }
    }
}
