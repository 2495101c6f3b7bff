//! Reading usage back.

use std::collections::BTreeMap;

use bytes::Bytes;
use fjall::{Readable as _, Snapshot};
use model::{Micros, TenantId};

use super::{
    Options, bounds, cursor,
    disk::Disk,
    keys::{self, Kind, MINUTE_US, Position},
    usage_block::UsageBlock,
};
use crate::{Error, METER_NAME_MAX, UsageBucket, UsagePage, UsageQuery, UsageRecord};

const LIMIT_DEFAULT: u32 = 100;

/// The blocks of usage records in `first..=last`.
pub(super) fn blocks(
    disk: &Disk,
    snapshot: &Snapshot,
    tenant: &TenantId,
    (first, last): (u64, u64),
) -> impl Iterator<Item = Result<(u64, UsageBlock), Error>> {
    let key = |number| keys::block(Kind::Usage, tenant, number);
    let range = (first <= last).then(|| snapshot.range(&disk.data, key(first)..=key(last)));
    range.into_iter().flatten().map(|entry| {
        let (key, value) = entry.into_inner().map_err(Disk::read_error)?;
        let number = keys::block_of(&key).ok_or_else(|| Error::Corrupt("a block without a number".into()))?;
        Ok((number, UsageBlock::decode(Bytes::copy_from_slice(&value))?))
    })
}

/// Whether a query asks for a record by its time and customer.
pub(super) fn within(record: &UsageRecord, query: &UsageQuery) -> bool {
    query.since_us.is_none_or(|t| record.at_us >= t)
        && query.until_us.is_none_or(|t| record.at_us < t)
        && (query.customer.is_none() || record.customer == query.customer)
}

pub(super) fn list(
    disk: &Disk,
    options: &Options,
    tenant: &TenantId,
    query: &UsageQuery,
) -> Result<UsagePage, Error> {
    let UsageQuery { since_us, until_us, .. } = *query;
    let after =
        query.cursor.as_ref().map(|c| cursor::decode(&disk.hasher, Kind::Usage, tenant, c)).transpose()?;
    let limit = if query.limit == 0 { LIMIT_DEFAULT } else { query.limit };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut blocks_left = options.page_blocks_max;
    let mut done = after;
    let mut records = Vec::new();
    let next = |done: Option<Position>| done.map(|at| cursor::encode(&disk.hasher, Kind::Usage, tenant, at));
    let snapshot = disk.snapshot();
    let Some((first, last)) = bounds::find(disk, &snapshot, Kind::Usage, tenant, since_us, until_us)? else {
        return Ok(UsagePage { records, next: None });
    };
    // A block whose end the list has reached is not looked at again: each page gets on by one block at least.
    let first = after.map_or(first, |at| first.max(at.block + u64::from(at.index == u32::MAX)));
    for block in blocks(disk, &snapshot, tenant, (first, last)) {
        if blocks_left == 0 {
            return Ok(UsagePage { records, next: next(done) });
        }
        blocks_left -= 1;
        let (number, block) = block?;
        if block.overlaps(since_us, until_us) {
            for (index, record) in (0..).zip(block.records(tenant)?) {
                let at = Position { block: number, index };
                if done.is_some_and(|done| at <= done) {
                    continue;
                }
                let has_meter = || query.meter.as_ref().is_none_or(|meter| record.value_of(meter).is_some());
                if within(&record, query) && has_meter() {
                    if records.len() == limit {
                        return Ok(UsagePage { records, next: next(done) });
                    }
                    records.push(record);
                }
                done = Some(at);
            }
        }
        done = Some(Position { block: number, index: u32::MAX });
    }
    Ok(UsagePage { records, next: None })
}

pub(super) fn check_width(query: &UsageQuery) -> Result<(), Error> {
    if query.bucket_us < 0 || query.bucket_us % MINUTE_US != 0 {
        return Err(Error::Invalid("the width of a bucket must be a whole number of minutes".into()));
    }
    Ok(())
}

/// Sums by the start of their bucket.
struct Buckets {
    width_us: i64,
    sums: BTreeMap<Micros, u64>,
    /// The first record's minute, which a single bucket begins with.
    first_us: Option<Micros>,
}

impl Buckets {
    fn add(&mut self, minute_us: Micros, value: u64) {
        self.first_us = Some(self.first_us.map_or(minute_us, |first| first.min(minute_us)));
        let start = match self.width_us {
            0 => 0,
            width => minute_us.div_euclid(width).saturating_mul(width),
        };
        let sum = self.sums.entry(start).or_insert(0);
        *sum = sum.saturating_add(value);
    }

    fn finish(self) -> Vec<UsageBucket> {
        let single = if self.width_us == 0 { self.first_us } else { None };
        let bucket = |(start, value)| UsageBucket { start_us: single.unwrap_or(start), value };
        self.sums.into_iter().map(bucket).collect()
    }
}

pub(super) fn sum(
    disk: &Disk,
    tenant: &TenantId,
    meter: &str,
    query: &UsageQuery,
) -> Result<Vec<UsageBucket>, Error> {
    check_width(query)?;
    let mut buckets = Buckets { width_us: query.bucket_us, sums: BTreeMap::new(), first_us: None };
    let (since, until) = (query.since_us.unwrap_or(Micros::MIN), query.until_us.unwrap_or(Micros::MAX));
    if since >= until || meter.len() > METER_NAME_MAX {
        return Ok(Vec::new());
    }
    let snapshot = disk.snapshot();
    // Whole minutes are read from their sums, what sticks out on either side from the records.
    let first_whole = since.div_euclid(MINUTE_US) + i64::from(since.rem_euclid(MINUTE_US) != 0);
    let end_whole = match query.until_us {
        Some(until) => until.div_euclid(MINUTE_US),
        None => i64::MAX,
    };
    let first_whole = if query.since_us.is_some() { first_whole } else { i64::MIN };
    if first_whole >= end_whole {
        add_records(disk, &snapshot, tenant, meter, query, (since, until), &mut buckets)?;
        return Ok(buckets.finish());
    }
    if query.since_us.is_some() {
        let edge = (since, first_whole.saturating_mul(MINUTE_US));
        add_records(disk, &snapshot, tenant, meter, query, edge, &mut buckets)?;
    }
    let key = |minute| match &query.customer {
        Some(customer) => keys::customer_rollup(tenant, customer, meter, minute),
        None => keys::rollup(tenant, meter, minute),
    };
    let range = key(first_whole)..key(end_whole);
    for entry in snapshot.range(&disk.index, range) {
        let (key, value) = entry.into_inner().map_err(Disk::read_error)?;
        let minute = keys::period_of(&key);
        let value = value.first_chunk().map(|n| u64::from_be_bytes(*n));
        let (Some(minute), Some(value)) = (minute, value) else {
            return Err(Error::Corrupt("a sum that is none".into()));
        };
        buckets.add(minute.saturating_mul(MINUTE_US), value);
    }
    if query.until_us.is_some() {
        add_records(
            disk,
            &snapshot,
            tenant,
            meter,
            query,
            (end_whole.saturating_mul(MINUTE_US), until),
            &mut buckets,
        )?;
    }
    Ok(buckets.finish())
}

/// Adds the records of a part of a minute.
fn add_records(
    disk: &Disk,
    snapshot: &Snapshot,
    tenant: &TenantId,
    meter: &str,
    query: &UsageQuery,
    (since, until): (Micros, Micros),
    buckets: &mut Buckets,
) -> Result<(), Error> {
    let (since, until) = (Some(since), Some(until));
    let part = UsageQuery { since_us: since, until_us: until, ..query.clone() };
    let Some(range) = bounds::find(disk, snapshot, Kind::Usage, tenant, since, until)? else { return Ok(()) };
    for block in blocks(disk, snapshot, tenant, range) {
        let (_, block) = block?;
        if !block.overlaps(since, until) {
            continue;
        }
        for record in block.records(tenant)?.iter().filter(|r| within(r, &part)) {
            for (_, value) in record.meters.iter().filter(|(name, _)| &**name == meter) {
                buckets.add(record.at_us.div_euclid(MINUTE_US).saturating_mul(MINUTE_US), *value);
            }
        }
    }
    Ok(())
}
