//! Which partition an event travels in.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::TenantId;

/// The partition of a tenant's partition key, below `partitions`. The same on every machine and in every
/// version: changing it would break the order of keys in flight.
///
/// # Panics
/// Never: `partitions` of 0 counts as 1.
#[must_use]
pub fn partition_of(tenant: &TenantId, key: &str, partitions: u32) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(tenant.as_bytes());
    hasher.write_u8(0);
    hasher.write(key.as_bytes());
    u32::try_from(hasher.finish() % u64::from(partitions.max(1))).unwrap_or_default()
}
