//! Usage put together from its records: whatever is no plain sum.

use std::collections::BTreeMap;

use clickhouse::{Client, Row};
use model::{Micros, TenantId, Text};
use serde::Deserialize;

use super::{
    Options,
    error::within,
    read::{self, MINUTE_US, within_range},
    statements::Statement,
};
use crate::{
    Aggregation, Error, GROUPED_BUCKETS_MAX, GroupUsage, Grouping, UNIQUE_MAX, UsageBucket, UsageQuery,
};

/// A value of a meter's records by bucket and, if `grouping` names one (see [`word`]), by group: the bucket's number (0 if `width`
/// is), the first time in it, the value. A record's own value is the sum of those it has of the meter, as
/// [`UsageRecord::value_of`] says.
///
/// [`UsageRecord::value_of`]: crate::UsageRecord::value_of
macro_rules! from_records {
    ($name:literal, $value:literal) => {
        Statement {
            name: $name,
            text: concat!(
                "SELECT of_group, bucket, min(at_us) AS first_us, toUInt128(",
                $value,
                ") AS value
FROM
(
    SELECT
        at_us,
        id,
        multiIf(
            {grouping:String} = 'source' AND origin != 'other',
                toNullable(if(origin = 'event', substring(id, 1, position(id, ' ') - 1), source)),
            {grouping:String} = 'event_type', nullIf(CAST(event_type, 'String'), ''),
            {grouping:String} = 'customer', nullIf(CAST(customer, 'String'), ''),
            NULL) AS of_group,
        if({width:Int64} = 0, 0, intDiv(at_us, greatest({width:Int64}, 1))
            - (at_us % greatest({width:Int64}, 1) < 0)) AS bucket,
        toUInt128(if(empty(meters),
            if({meter:String} = 'events', events, bytes),
            arraySum((name, value) -> if(name = {meter:String}, toUInt128(value), toUInt128(0)),
                mapKeys(meters), mapValues(meters)))) AS total,
        least(total, toUInt128(18446744073709551615)) AS amount
    FROM usage_records FINAL
    WHERE tenant = {tenant:String} AND at_us >= {since:Int64} AND at_us <= {last:Int64} AND void = 0
        AND ({customer:String} = '' OR customer = {customer:String})
        AND if(empty(meters), {meter:String} IN ('events', 'bytes'), mapContains(meters, {meter:String}))
)
GROUP BY of_group, bucket ORDER BY of_group ASC NULLS FIRST, bucket
LIMIT {limit:UInt64}
SETTINGS optimize_move_to_prewhere_if_final = 0, do_not_merge_across_partitions_select_final = 1"
            ),
        }
    };
}

pub(super) const SUM_RECORDS: Statement = from_records!("sum_records", "sum(amount)");
pub(super) const COUNT_RECORDS: Statement = from_records!("count_records", "count()");
pub(super) const UNIQUE_VALUES: Statement = from_records!("unique_values", "uniqExact(amount)");
pub(super) const MAX_VALUE: Statement = from_records!("max_value", "max(amount)");
pub(super) const LATEST_VALUE: Statement = from_records!("latest_value", "argMax(amount, (at_us, id))");

const fn statement(aggregation: Aggregation) -> &'static Statement {
    match aggregation {
        Aggregation::Sum => &SUM_RECORDS,
        Aggregation::Count => &COUNT_RECORDS,
        Aggregation::Unique => &UNIQUE_VALUES,
        Aggregation::Max => &MAX_VALUE,
        Aggregation::Latest => &LATEST_VALUE,
    }
}

/// A tenant's meter, and how it is put together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a Options,
    pub(super) tenant: &'a TenantId,
    pub(super) meter: &'a str,
    pub(super) aggregation: Aggregation,
}

#[derive(Debug, Row, Deserialize)]
struct Found {
    of_group: Option<String>,
    bucket: i64,
    first_us: i64,
    value: u128,
}

pub(super) async fn aggregate(asked: Asked<'_>, query: &UsageQuery) -> Result<Vec<UsageBucket>, Error> {
    let groups = groups(asked, query, None).await?;
    Ok(groups.into_values().next().unwrap_or_default())
}

pub(super) async fn grouped(
    asked: Asked<'_>,
    by: Grouping,
    query: &UsageQuery,
) -> Result<Vec<GroupUsage>, Error> {
    let groups = groups(asked, query, Some(by)).await?;
    let usage = |(group, buckets): (Option<String>, _)| GroupUsage { group: group.map(Text::from), buckets };
    Ok(groups.into_iter().map(usage).collect())
}

/// What a statement calls a grouping; empty: none.
const fn word(by: Option<Grouping>) -> &'static str {
    match by {
        None => "",
        Some(Grouping::Source) => "source",
        Some(Grouping::EventType) => "event_type",
        Some(Grouping::Customer) => "customer",
    }
}

async fn groups(
    asked: Asked<'_>,
    query: &UsageQuery,
    by: Option<Grouping>,
) -> Result<BTreeMap<Option<String>, Vec<UsageBucket>>, Error> {
    let Asked { client, options, tenant, meter, aggregation } = asked;
    let width = read::width(query)?;
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let Some((since, last)) = read::range(query) else { return Ok(groups) };
    let most = if by.is_some() { GROUPED_BUCKETS_MAX } else { usize::MAX >> 1 };
    let found = within_range(super::query(client, statement(aggregation)), tenant, since, last)
        .param("meter", meter)
        .param("grouping", word(by))
        .param("customer", query.customer.as_deref().unwrap_or_default())
        .param("width", width)
        .param("limit", u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1));
    let found = within(options.read_timeout(), found.fetch_all::<Found>()).await?;
    if found.len() > most {
        return Err(too_many("buckets", most));
    }
    let values: u128 = found.iter().map(|row| row.value).fold(0, u128::saturating_add);
    if aggregation == Aggregation::Unique && usize::try_from(values).is_ok_and(|n| n > UNIQUE_MAX) {
        return Err(too_many("different values", UNIQUE_MAX));
    }
    for Found { of_group, bucket, first_us, value } in found {
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        groups
            .entry(of_group)
            .or_default()
            .push(UsageBucket { start_us: start(width, bucket, first_us), value });
    }
    Ok(groups)
}

fn start(width: i64, bucket: i64, first_us: Micros) -> Micros {
    if width == 0 {
        first_us.div_euclid(MINUTE_US).saturating_mul(MINUTE_US)
    } else {
        bucket.saturating_mul(width)
    }
}

fn too_many(what: &str, most: usize) -> Error {
    Error::Invalid(format!("there are more than {most} {what}: ask for a shorter range"))
}
