//! The keys of the four keyspaces.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `ids` | keyed 128-bit hash of tenant, source and id (or of tenant and record id) | what is kept under it, and where |
//! | `log` | number | the keys of a transaction that are in memory and not in `ids` yet |
//! | `data` | `E` tenant block | a block of events |
//! | `data` | `U` tenant block | a block of usage records |
//! | `index` | `H` tenant block | the head of a block of events: how many, when, of which types, sources and subjects |
//! | `index` | `R` tenant meter minute | a sum |
//! | `index` | `R` tenant meter customer minute | a customer's part of it |
//! | `index` | `B` kind level tenant period | the first and last block that may hold something of that minute or day |
//! | `index` | `T` partition slot | where the events of one of the partition's last batches are (`tail`) |
//! | `index` | `D` tenant block index | the event's data was erased |
//! | `index` | `M` name | facts about the store |
//!
//! Every key of a tenant's has its id in front, ended by a zero byte, which no id contains: so a tenant's rows are
//! contiguous and no walk over one tenant's can meet another's. Numbers are big-endian, so that they sort.

use std::hash::Hasher as _;

use model::{CustomerId, Micros, TenantId};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// Microseconds in a minute: the grain of usage sums.
pub(super) const MINUTE_US: i64 = 60_000_000;
/// Microseconds in a day.
pub(super) const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// What an event or a usage record is found by.
pub(super) type IdKey = [u8; 16];

/// Hashes identities under a key that only this store knows, so that nobody can make two collide.
#[derive(Clone, Copy)]
pub(super) struct IdHasher([u8; 16]);

impl IdHasher {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    fn start(&self, tenant: &TenantId) -> SipHasher13 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(tenant.as_bytes());
        hasher.write_u8(0);
        hasher
    }

    /// Of an event, which is that of its usage record too: one lookup serves both.
    pub(super) fn event(&self, tenant: &TenantId, source: &str, id: &str) -> IdKey {
        let mut hasher = self.start(tenant);
        hasher.write(source.as_bytes());
        hasher.write_u8(b' ');
        hasher.write(id.as_bytes());
        hasher.finish128().as_bytes()
    }

    /// Of a usage record.
    pub(super) fn record(&self, tenant: &TenantId, id: &str) -> IdKey {
        let mut hasher = self.start(tenant);
        hasher.write(id.as_bytes());
        hasher.finish128().as_bytes()
    }

    /// Marks a cursor as one of this store's and this tenant's.
    pub(super) fn seal(&self, tenant: &TenantId, kind: u8, position: Position) -> u32 {
        let mut hasher = self.start(tenant);
        hasher.write_u8(kind);
        hasher.write_u64(position.block);
        hasher.write_u32(position.index);
        u32::try_from(hasher.finish128().h1 & 0xffff_ffff).unwrap_or_default()
    }
}

impl std::fmt::Debug for IdHasher {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdHasher")
    }
}

/// Where an event or a usage record is: its block and its index in there. Positions of a tenant's rise in the
/// order the store took them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) block: u64,
    pub(super) index: u32,
}

/// Blocks of events and blocks of usage records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Events,
    Usage,
}

impl Kind {
    pub(super) const fn tag(self) -> u8 {
        match self {
            Self::Events => b'E',
            Self::Usage => b'U',
        }
    }
}

fn tenant_key(tag: &[u8], tenant: &TenantId, room: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(tag.len() + tenant.len() + 1 + room);
    key.extend_from_slice(tag);
    key.extend_from_slice(tenant.as_bytes());
    key.push(0);
    key
}

/// A time period's number in an order that sorts as bytes: the sign bit turned.
fn sortable(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The key of a block in `data`.
pub(super) fn block(kind: Kind, tenant: &TenantId, block: u64) -> Vec<u8> {
    let mut key = tenant_key(&[kind.tag()], tenant, 8);
    key.extend_from_slice(&block.to_be_bytes());
    key
}

/// The key of a block's head in `index`.
pub(super) fn head(tenant: &TenantId, block: u64) -> Vec<u8> {
    let mut key = tenant_key(b"H", tenant, 8);
    key.extend_from_slice(&block.to_be_bytes());
    key
}

/// What every block of a kind of a tenant's begins with.
pub(super) fn blocks(kind: Kind, tenant: &TenantId) -> Vec<u8> {
    tenant_key(&[kind.tag()], tenant, 0)
}

/// What every head of a tenant's begins with.
pub(super) fn heads(tenant: &TenantId) -> Vec<u8> {
    tenant_key(b"H", tenant, 0)
}

/// What every key of a tenant's in `index` begins with that speaks of events or usage: heads, sums, bounds, marks.
pub(super) fn traces(tenant: &TenantId) -> [Vec<u8>; 7] {
    [&b"H"[..], b"R", b"D", b"BEm", b"BEd", b"BUm", b"BUd"].map(|tag| tenant_key(tag, tenant, 0))
}

/// What the marks of a block's erased events begin with.
pub(super) fn erased_of(tenant: &TenantId, block: u64) -> Vec<u8> {
    let mut key = tenant_key(b"D", tenant, 12);
    key.extend_from_slice(&block.to_be_bytes());
    key
}

/// The key of the mark of an event whose data was erased, in `index`.
pub(super) fn erased(tenant: &TenantId, position: Position) -> Vec<u8> {
    let mut key = erased_of(tenant, position.block);
    key.extend_from_slice(&position.index.to_be_bytes());
    key
}

/// The block number a key of either kind ends with.
pub(super) fn block_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|end| u64::from_be_bytes(*end))
}

/// The key of a sum in `index`.
pub(super) fn rollup(tenant: &TenantId, meter: &str, minute: i64) -> Vec<u8> {
    let mut key = tenant_key(b"R", tenant, 2 + meter.len() + 8);
    key.extend_from_slice(&u16::try_from(meter.len()).unwrap_or(u16::MAX).to_be_bytes());
    key.extend_from_slice(meter.as_bytes());
    key.extend_from_slice(&sortable(minute));
    key
}

/// The key of a customer's part of a sum in `index`. It lies among the tenant's sums, so that an older program erases it with
/// them; no meter's name is as long as the number says that stands in front of this one.
pub(super) fn customer_rollup(tenant: &TenantId, customer: &CustomerId, meter: &str, minute: i64) -> Vec<u8> {
    let mut key = tenant_key(b"R", tenant, 2 + meter.len() + customer.len() + 1 + 8);
    let mark = CUSTOMERS | u16::try_from(meter.len()).unwrap_or(u16::MAX);
    key.extend_from_slice(&mark.to_be_bytes());
    key.extend_from_slice(meter.as_bytes());
    key.extend_from_slice(customer.as_bytes());
    key.push(0);
    key.extend_from_slice(&sortable(minute));
    key
}

/// Marks the sums of customers.
const CUSTOMERS: u16 = 1 << 15;

/// The minute or day a key ends with.
pub(super) fn period_of(key: &[u8]) -> Option<i64> {
    key.last_chunk().map(|end| i64::from_be_bytes(*end) ^ i64::MIN)
}

/// The grain of the bounds in `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Level {
    Minute,
    Day,
}

impl Level {
    pub(super) const fn width_us(self) -> i64 {
        match self {
            Self::Minute => MINUTE_US,
            Self::Day => DAY_US,
        }
    }

    pub(super) const fn of(self, at: Micros) -> i64 {
        at.div_euclid(self.width_us())
    }
}

/// The key of a time period's block bounds in `index`.
pub(super) fn bounds(kind: Kind, level: Level, tenant: &TenantId, period: i64) -> Vec<u8> {
    let level = match level {
        Level::Minute => b'm',
        Level::Day => b'd',
    };
    let mut key = tenant_key(&[b'B', kind.tag(), level], tenant, 8);
    key.extend_from_slice(&sortable(period));
    key
}

/// The key of [`IdHasher`].
pub(super) const META_HASH_KEY: &[u8] = b"Mhash-key";
/// No block has this number or a higher one.
pub(super) const META_NEXT_BLOCK: &[u8] = b"Mnext-block";
/// There while files may hold what was taken away: a number that each removal raises.
pub(super) const META_UNTIDY: &[u8] = b"Muntidy";
/// How many events and usage records there are.
pub(super) const META_TOTALS: &[u8] = b"Mtotals";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_tenant_then_number() {
        let (a, ab): (TenantId, TenantId) = ("a".parse().unwrap(), "a-b".parse().unwrap());
        let keys = [
            rollup(&a, "bytes", i64::MIN),
            rollup(&a, "bytes", -1),
            rollup(&a, "bytes", 0),
            rollup(&a, "bytes", i64::MAX),
            rollup(&a, "events", -7),
            customer_rollup(&a, &"jane".parse().unwrap(), "bytes", 0),
            customer_rollup(&a, &"jane".parse().unwrap(), "bytes", 1),
            customer_rollup(&a, &"jane-2".parse().unwrap(), "bytes", i64::MIN),
            rollup(&ab, "bytes", i64::MIN),
        ];
        assert!(keys.is_sorted());
        assert_eq!(keys.iter().filter_map(|k| period_of(k)).collect::<Vec<_>>()[..2], [i64::MIN, -1]);
        assert!(block(Kind::Events, &a, u64::MAX) < block(Kind::Events, &ab, 0));
        assert_eq!(block_of(&block(Kind::Usage, &ab, 77)), Some(77));
    }

    #[test]
    fn an_event_and_its_usage_record_have_one_key() {
        let hasher = IdHasher::new([7; 16]);
        let tenant: TenantId = "acme".parse().unwrap();
        assert_eq!(hasher.event(&tenant, "/s", "1 2"), hasher.record(&tenant, "/s 1 2"));
        assert_ne!(hasher.event(&tenant, "/s", "1"), IdHasher::new([8; 16]).event(&tenant, "/s", "1"));
        assert_ne!(hasher.event(&tenant, "/s", "1"), hasher.event(&"acm".parse().unwrap(), "e/s", "1"));
    }
}
