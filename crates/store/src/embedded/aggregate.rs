//! Usage put together from its records: whatever is no plain sum.

use std::collections::{BTreeMap, HashSet};

use model::{Micros, TenantId, Text};

use super::{
    bounds,
    disk::Disk,
    keys::{Kind, MINUTE_US},
    read_usage::{blocks, check_width, within},
};
use crate::{
    Aggregation, Error, GROUPED_BUCKETS_MAX, GroupUsage, Grouping, UNIQUE_MAX, UsageBucket, UsageQuery,
    UsageRecord,
};

pub(super) fn aggregate(
    disk: &Disk,
    tenant: &TenantId,
    meter: &str,
    aggregation: Aggregation,
    query: &UsageQuery,
) -> Result<Vec<UsageBucket>, Error> {
    let mut tallies = Tallies::new(aggregation, query.bucket_us, None);
    tallies.read(disk, tenant, meter, query)?;
    Ok(tallies.finish().pop().map(|all| all.buckets).unwrap_or_default())
}

pub(super) fn grouped(
    disk: &Disk,
    tenant: &TenantId,
    meter: &str,
    aggregation: Aggregation,
    by: Grouping,
    query: &UsageQuery,
) -> Result<Vec<GroupUsage>, Error> {
    let mut tallies = Tallies::new(aggregation, query.bucket_us, Some(by));
    tallies.read(disk, tenant, meter, query)?;
    Ok(tallies.finish())
}

/// What has been counted so far, by group (all are of none where they are not told apart).
struct Tallies {
    aggregation: Aggregation,
    width_us: i64,
    by: Option<Grouping>,
    groups: BTreeMap<Option<Text>, Group>,
    buckets: usize,
    /// Different values over all buckets.
    values: usize,
}

#[derive(Default)]
struct Group {
    tallies: BTreeMap<Micros, Tally>,
    /// The first record's minute, which a single bucket begins with.
    first_us: Option<Micros>,
}

/// One bucket.
#[derive(Default)]
struct Tally {
    value: u64,
    /// Of [`Aggregation::Unique`].
    values: HashSet<u64>,
    /// Of [`Aggregation::Latest`]: which record the value is of.
    of: Option<(Micros, Text)>,
}

impl Tallies {
    fn new(aggregation: Aggregation, width_us: i64, by: Option<Grouping>) -> Self {
        Self { aggregation, width_us, by, groups: BTreeMap::new(), buckets: 0, values: 0 }
    }

    fn read(&mut self, disk: &Disk, tenant: &TenantId, meter: &str, query: &UsageQuery) -> Result<(), Error> {
        check_width(query)?;
        let UsageQuery { since_us, until_us, .. } = *query;
        if since_us.zip(until_us).is_some_and(|(since, until)| since >= until) {
            return Ok(());
        }
        let snapshot = disk.snapshot();
        let Some(range) = bounds::find(disk, &snapshot, Kind::Usage, tenant, since_us, until_us)? else {
            return Ok(());
        };
        for block in blocks(disk, &snapshot, tenant, range) {
            let (_, block) = block?;
            if !block.overlaps(since_us, until_us) {
                continue;
            }
            for record in block.records(tenant)?.iter().filter(|r| within(r, query)) {
                if let Some(value) = record.value_of(meter) {
                    self.add(record, value)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, record: &UsageRecord, value: u64) -> Result<(), Error> {
        let group = self.by.and_then(|by| record.group(by)).cloned();
        let minute_us = record.at_us.div_euclid(MINUTE_US).saturating_mul(MINUTE_US);
        let start = match self.width_us {
            0 => 0,
            width => minute_us.div_euclid(width).saturating_mul(width),
        };
        let group = self.groups.entry(group).or_default();
        group.first_us = Some(group.first_us.map_or(minute_us, |first| first.min(minute_us)));
        let tally = group.tallies.entry(start).or_insert_with(|| {
            self.buckets += 1;
            Tally::default()
        });
        self.values += usize::from(tally.add(self.aggregation, record, value));
        if self.by.is_some() && self.buckets > GROUPED_BUCKETS_MAX {
            return Err(too_many("buckets", GROUPED_BUCKETS_MAX));
        }
        if self.values > UNIQUE_MAX {
            return Err(too_many("different values", UNIQUE_MAX));
        }
        Ok(())
    }

    fn finish(self) -> Vec<GroupUsage> {
        let width_us = self.width_us;
        let groups = self.groups.into_iter().map(|(group, found)| {
            let single = if width_us == 0 { found.first_us } else { None };
            let buckets = found
                .tallies
                .into_iter()
                .map(|(start, tally)| UsageBucket { start_us: single.unwrap_or(start), value: tally.value });
            GroupUsage { group, buckets: buckets.collect() }
        });
        groups.collect()
    }
}

impl Tally {
    /// Whether it has one more value to remember.
    fn add(&mut self, aggregation: Aggregation, record: &UsageRecord, value: u64) -> bool {
        match aggregation {
            Aggregation::Sum => self.value = self.value.saturating_add(value),
            Aggregation::Count => self.value += 1,
            Aggregation::Max => self.value = self.value.max(value),
            Aggregation::Latest => {
                let is_later = |(at_us, id): &(Micros, Text)| {
                    (record.at_us, record.id.as_bytes()) > (*at_us, id.as_bytes())
                };
                if self.of.as_ref().is_none_or(is_later) {
                    self.of = Some((record.at_us, record.id.clone()));
                    self.value = value;
                }
            }
            Aggregation::Unique => {
                let is_new = self.values.insert(value);
                self.value += u64::from(is_new);
                return is_new;
            }
        }
        false
    }
}

fn too_many(what: &str, most: usize) -> Error {
    Error::Invalid(format!("there are more than {most} {what}: ask for a shorter range"))
}
