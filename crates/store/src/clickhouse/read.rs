//! Sums and lists.

use std::collections::BTreeMap;

use clickhouse::{Client, Row, query::Query};
use model::{CustomerId, Micros, TenantId};
use serde::Deserialize;

use super::{
    Options,
    error::within,
    rollup,
    row::ListRow,
    statements::{LIST, SUM_BYTES, SUM_EVENTS, SUM_METER},
};
use crate::{Cursor, Error, METER_BYTES, METER_EVENTS, UsageBucket, UsagePage, UsageQuery};

pub(super) const MINUTE_US: i64 = 60_000_000;
pub(super) const HOUR_US: i64 = 60 * MINUTE_US;

/// Records of a page when the query names no limit.
const LIMIT_DEFAULT: u32 = 100;
/// The most records of a page, whatever the query says.
const LIMIT_MAX: u32 = 10_000;

/// First and last time of a query; `None` when there is none between them.
pub(super) fn range(query: &UsageQuery) -> Option<(Micros, Micros)> {
    let since = query.since_us.unwrap_or(Micros::MIN);
    let last = query.until_us.map_or(Some(Micros::MAX), |until| until.checked_sub(1))?;
    (since <= last).then_some((since, last))
}

/// Of a query's buckets.
pub(super) fn width(query: &UsageQuery) -> Result<i64, Error> {
    let width = query.bucket_us;
    if width < 0 || width % MINUTE_US != 0 {
        return Err(Error::Invalid(format!("a bucket of {width} µs is not a whole number of minutes")));
    }
    Ok(width)
}

#[derive(Debug, Row, Deserialize)]
struct SumRow {
    bucket: i64,
    first_us: i64,
    value: u128,
}

pub(super) async fn sum(
    client: &Client,
    options: &Options,
    tenant: &TenantId,
    meter: &str,
    query: &UsageQuery,
) -> Result<Vec<UsageBucket>, Error> {
    let width = width(query)?;
    let Some((since, last)) = range(query) else { return Ok(Vec::new()) };
    let customer = query.customer.as_ref();
    let records = Records { client, options, tenant, customer, meter, width };
    let mut sums = Sums::default();
    let rolled = rollup::usable(&records, since, last).await?;
    for (since, last) in rolled.gaps {
        records.sum(since, last, &mut sums).await?;
    }
    let bucket = |hour: i64| if width == 0 { 0 } else { hour.saturating_mul(HOUR_US).div_euclid(width) };
    for (hour, value) in &rolled.hours {
        sums.add(bucket(*hour), Micros::MAX, *value);
    }
    if width > 0 {
        let start = |bucket: i64| bucket.saturating_mul(width);
        return Ok(sums.buckets(start));
    }
    // The first record may be in an hour that was not read.
    if let Some((hour, _)) = rolled.hours.first()
        && hour.saturating_mul(HOUR_US) < sums.first_us
    {
        let since = hour.saturating_mul(HOUR_US);
        let mut first = Sums::default();
        records.sum(since, since.saturating_add(HOUR_US - 1), &mut first).await?;
        // A void record may have come in between.
        sums.first_us = if first.values.is_empty() { since } else { first.first_us };
    }
    let first = sums.first_us.div_euclid(MINUTE_US).saturating_mul(MINUTE_US);
    Ok(sums.buckets(|_| first))
}

/// A tenant's records of a meter, to be summed one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a Options,
    pub(super) tenant: &'a TenantId,
    /// Whose alone.
    pub(super) customer: Option<&'a CustomerId>,
    pub(super) meter: &'a str,
    /// Of a bucket in microseconds; 0 for one bucket.
    pub(super) width: i64,
}

impl Records<'_> {
    async fn sum(&self, since: Micros, last: Micros, sums: &mut Sums) -> Result<(), Error> {
        let statement = match self.meter {
            METER_EVENTS => super::query(self.client, &SUM_EVENTS),
            METER_BYTES => super::query(self.client, &SUM_BYTES),
            other => super::query(self.client, &SUM_METER).param("meter", other),
        };
        // One bucket for all is one on each side of 1970, put together here.
        let divisor = if self.width == 0 { i64::MAX } else { self.width };
        let statement = within_range(statement, self.tenant, since, last)
            .param("customer", self.customer.map_or("", |customer| customer.as_str()))
            .param("width", divisor);
        for row in within(self.options.read_timeout(), statement.fetch_all::<SumRow>()).await? {
            sums.add(if self.width == 0 { 0 } else { row.bucket }, row.first_us, row.value);
        }
        Ok(())
    }
}

/// Sums by the number of their bucket.
#[derive(Debug)]
struct Sums {
    values: BTreeMap<i64, u128>,
    /// The first time among what was read one by one.
    first_us: Micros,
}

impl Default for Sums {
    fn default() -> Self {
        Self { values: BTreeMap::new(), first_us: Micros::MAX }
    }
}

impl Sums {
    fn add(&mut self, bucket: i64, first_us: Micros, value: u128) {
        let sum = self.values.entry(bucket).or_insert(0);
        *sum = sum.saturating_add(value);
        self.first_us = self.first_us.min(first_us);
    }

    fn buckets(self, start: impl Fn(i64) -> Micros) -> Vec<UsageBucket> {
        let clamp = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        let bucket = |(bucket, value)| UsageBucket { start_us: start(bucket), value: clamp(value) };
        self.values.into_iter().map(bucket).collect()
    }
}

pub(super) async fn list(
    client: &Client,
    options: &Options,
    tenant: &TenantId,
    query: &UsageQuery,
) -> Result<UsagePage, Error> {
    let none = || UsagePage { records: Vec::new(), next: None };
    let Some((since, last)) = range(query) else { return Ok(none()) };
    let from = match &query.cursor {
        Some(cursor) => Position::of(cursor)?.max(Position { at_us: since, key: 0 }),
        None => Position { at_us: since, key: 0 },
    };
    if from.at_us > last {
        return Ok(none());
    }
    let limit = if query.limit == 0 { LIMIT_DEFAULT } else { query.limit.min(LIMIT_MAX) };
    let records = within_range(super::query(client, &LIST), tenant, from.at_us, last)
        .param("key", from.key)
        .param("customer", query.customer.as_deref().unwrap_or_default())
        .param("meter", query.meter.as_deref().unwrap_or_default())
        .param("limit", limit);
    let rows = within(options.read_timeout(), records.fetch_all::<ListRow>()).await?;
    let full = u32::try_from(rows.len()).is_ok_and(|rows| rows == limit);
    let next =
        rows.last().filter(|_| full).and_then(|row| Position { at_us: row.at_us, key: row.key }.next());
    let records = rows.into_iter().map(|row| row.record(tenant)).collect::<Result<_, _>>()?;
    Ok(UsagePage { records, next: next.map(Position::cursor) })
}

pub(super) fn within_range(statement: Query, tenant: &TenantId, since: Micros, last: Micros) -> Query {
    statement.param("tenant", tenant.as_str()).param("since", since).param("last", last)
}

/// A place in the order of a tenant's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    at_us: Micros,
    key: u128,
}

impl Position {
    /// What a cursor of this adapter begins with.
    const MARK: &str = "u1";

    /// The place just behind; none behind the last.
    fn next(self) -> Option<Self> {
        match self.key.checked_add(1) {
            Some(key) => Some(Self { key, ..self }),
            None => Some(Self { at_us: self.at_us.checked_add(1)?, key: 0 }),
        }
    }

    fn cursor(self) -> Cursor {
        Cursor(format!("{}~{}~{:x}", Self::MARK, self.at_us, self.key))
    }

    fn of(cursor: &Cursor) -> Result<Self, Error> {
        let foreign = || Error::BadCursor("it is not one of this list".into());
        let parts: Vec<_> = cursor.0.split('~').collect();
        let [Self::MARK, at_us, key] = parts[..] else { return Err(foreign()) };
        let at_us = at_us.parse().map_err(|_| foreign())?;
        let key = u128::from_str_radix(key, 16).map_err(|_| foreign())?;
        Ok(Self { at_us, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_and_others_are_refused() {
        for at_us in [i64::MIN, -1, 0, i64::MAX] {
            for key in [0, 1, u128::MAX] {
                let position = Position { at_us, key };
                let cursor: Cursor = position.cursor().to_string().parse().unwrap();
                assert_eq!(Position::of(&cursor), Ok(position));
            }
        }
        for text in [
            "",
            "u1",
            "u1~1",
            "u1~x~1",
            "u1~1~x",
            "u1~1~1~1",
            "e1~1~1",
            "u1~1~-1",
            "u1~99999999999999999999~0",
        ] {
            assert!(matches!(Position::of(&Cursor(text.into())), Err(Error::BadCursor(_))), "{text}");
        }
    }

    #[test]
    fn places_follow_each_other_to_the_end() {
        let at = |at_us, key| Position { at_us, key };
        assert_eq!(at(5, 7).next(), Some(at(5, 8)));
        assert_eq!(at(5, u128::MAX).next(), Some(at(6, 0)));
        assert_eq!(at(i64::MAX, u128::MAX).next(), None);
    }

    #[test]
    fn ranges() {
        let of = |since_us, until_us| range(&UsageQuery { since_us, until_us, ..UsageQuery::default() });
        assert_eq!(of(None, None), Some((i64::MIN, i64::MAX)));
        assert_eq!(of(Some(5), Some(6)), Some((5, 5)));
        assert_eq!(of(Some(5), Some(5)), None);
        assert_eq!(of(None, Some(i64::MIN)), None);
        assert_eq!(of(Some(i64::MAX), None), Some((i64::MAX, i64::MAX)));
    }
}
