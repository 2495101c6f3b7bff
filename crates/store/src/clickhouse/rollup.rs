//! Sums by hour, which are exact or are not used.
//!
//! An hour that is gone is summed up once, from `FINAL` rows. What makes the sum outdated is a record that comes to the
//! hour later, after an outage for instance, and nobody's clock is trusted to tell:
//!
//! - Who rolls up first moves the horizon (`open`) behind the hours it will read, then reads them.
//! - Who writes first inserts its records, then looks at the horizon: for an hour before it, it adds a mark, and only then
//!   answers its caller.
//!
//! So of a roll-up and a write that meet, one sees the other: either the records were there to be read, or there is a mark.
//! A roll-up says how many marks its hour had before it read the records; it holds as long as there are no more. Sums take
//! the hours that hold, and read the records of the others, and of what sticks out of whole hours.
//!
//! Customers have sums of their own, with the marks of the hour. They are made before the tenant's, so that an hour whose making was
//! interrupted is made again; and how far they are made is said apart, as an older program makes the tenant's alone. An hour of
//! a customer that such a program made again does not hold, and is read.
//!
//! Erasing a tenant adds a mark to all of its hours, after its records are gone.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use clickhouse::{Client, Row};
use model::Micros;
use serde::{Deserialize, Serialize};

use super::{
    Options,
    error::within,
    query,
    read::{HOUR_US, Records},
    statements::{
        DAYS_TO_ROLL_UP, HORIZON, INSERT_MARKS, MARKS, MOVE_HORIZON, OUTDATED_HOURS, ROLL_UP,
        ROLL_UP_CUSTOMERS, ROLL_UP_CUSTOMERS_HOUR, ROLL_UP_HOUR, ROLLED_UP_CUSTOMER_HOURS, ROLLED_UP_HOURS,
    },
    writer::{Writer, bulk_insert},
};
use crate::{Error, UsageRecord};

const DAY_US: i64 = 24 * HOUR_US;

/// Fewer whole hours are as soon read record by record.
const HOURS_MIN: i64 = 24;

/// Stretches of records that one sum reads apart; with more of them it reads what lies between, too.
const GAPS_MAX: usize = 8;

/// Outdated hours asked for at a time.
const AGAIN_MAX: u32 = 1_000;

/// What a run of [`roll_up`](super::ClickHouse::roll_up) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolledUp {
    /// Days whose hours were summed up, in part or whole.
    pub days: u32,
    /// Hours of a tenant summed up again, because of what came late or was erased.
    pub again: u32,
}

/// Hours counted from 1970.
#[derive(Debug, Clone, Copy, Row, Deserialize)]
struct Horizon {
    /// Before this one an hour may be read by a roll-up at any moment.
    opened: i64,
    /// Before this one every hour that holds records has a roll-up or marks.
    finished: i64,
    /// The same of customers.
    customers_finished: i64,
}

impl Horizon {
    async fn read(client: &Client, options: &Options) -> Result<Self, Error> {
        Ok(within(options.read_timeout(), query(client, &HORIZON).fetch_one::<Self>()).await?)
    }

    async fn write(self, client: &Client, options: &Options) -> Result<(), Error> {
        let moved = query(client, &MOVE_HORIZON)
            .param("open", self.opened)
            .param("done", self.finished)
            .param("customers_done", self.customers_finished);
        Ok(within(options.write_timeout(), moved.execute()).await?)
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Row, Serialize)]
struct Mark<'a> {
    tenant: &'a str,
    hour: i64,
    n: u64,
}

/// Marks the hours of records that came late. Called when they are inserted and before their writer is told.
pub(super) async fn mark_late(
    client: &Client,
    options: &Options,
    records: impl Iterator<Item = &UsageRecord>,
) -> Result<(), Error> {
    let horizon = Horizon::read(client, options).await?;
    let hours = records.map(|record| Mark {
        tenant: record.tenant.as_str(),
        hour: record.at_us.div_euclid(HOUR_US),
        n: 1,
    });
    let late: BTreeSet<_> = hours.filter(|mark| mark.hour < horizon.opened).collect();
    if late.is_empty() {
        return Ok(());
    }
    let mut insert = bulk_insert::<Mark<'_>>(client, options, MARKS, &INSERT_MARKS).await?;
    for mark in &late {
        insert.write(mark).await?;
    }
    Ok(insert.end().await?)
}

#[derive(Debug, Row, Deserialize)]
struct Outdated {
    tenant: String,
    hour: i64,
    marks: u64,
}

pub(super) async fn roll_up(client: &Client, options: &Options, now_us: Micros) -> Result<RolledUp, Error> {
    let mut done = RolledUp::default();
    let delay = i64::try_from(options.rollup_delay_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let until = now_us.saturating_sub(delay).div_euclid(HOUR_US);
    let horizon = Horizon::read(client, options).await?;
    let finished = horizon.finished.min(horizon.customers_finished);
    if until > finished {
        if until > horizon.opened {
            Horizon { opened: until, ..horizon }.write(client, options).await?;
        }
        let (since, last) = (finished.saturating_mul(HOUR_US), until.saturating_mul(HOUR_US) - 1);
        done.days = roll_up_days(client, options, since, last).await?;
        let opened = until.max(horizon.opened);
        Horizon { opened, finished: until, customers_finished: until }.write(client, options).await?;
    }
    loop {
        let again = roll_up_again(client, options).await?;
        done.again += again;
        if again < AGAIN_MAX {
            return Ok(done);
        }
    }
}

/// Outdated hours, as many as one run takes.
async fn roll_up_again(client: &Client, options: &Options) -> Result<u32, Error> {
    let outdated = query(client, &OUTDATED_HOURS).param("limit", AGAIN_MAX);
    let outdated = within(options.write_timeout(), outdated.fetch_all::<Outdated>()).await?;
    for hour in &outdated {
        let since = hour.hour.saturating_mul(HOUR_US);
        for statement in [&ROLL_UP_CUSTOMERS_HOUR, &ROLL_UP_HOUR] {
            let again = query(client, statement)
                .param("tenant", &hour.tenant)
                .param("hour", hour.hour)
                .param("marks", hour.marks)
                .param("since", since)
                .param("last", since.saturating_add(HOUR_US - 1));
            within(options.write_timeout(), again.execute()).await?;
        }
    }
    Ok(u32::try_from(outdated.len()).unwrap_or(u32::MAX))
}

/// A day at a time, which bounds what the server holds in memory.
async fn roll_up_days(client: &Client, options: &Options, since: Micros, last: Micros) -> Result<u32, Error> {
    let days = query(client, &DAYS_TO_ROLL_UP).param("since", since).param("last", last);
    let days = within(options.write_timeout(), days.fetch_all::<i64>()).await?;
    for day in &days {
        let begin = day.saturating_mul(DAY_US);
        for statement in [&ROLL_UP_CUSTOMERS, &ROLL_UP] {
            let rolled = query(client, statement)
                .param("since", begin.max(since))
                .param("last", begin.saturating_add(DAY_US - 1).min(last));
            within(options.write_timeout(), rolled.execute()).await?;
        }
    }
    Ok(u32::try_from(days.len()).unwrap_or(u32::MAX))
}

/// Rolls up again and again, as long as somebody holds the writer.
pub(super) fn keep_up(client: &Client, options: &Arc<Options>, writer: &Arc<Writer>) {
    if options.rollup_interval_ms == 0 {
        return;
    }
    let (client, options, held): (_, _, Weak<Writer>) =
        (client.clone(), Arc::clone(options), Arc::downgrade(writer));
    tokio::spawn(async move {
        loop {
            // Replicas that start together need not roll up together.
            let wait = rand::random_range(options.rollup_interval_ms / 2..=options.rollup_interval_ms);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if held.strong_count() == 0 {
                return;
            }
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
            match roll_up(&client, &options, i64::try_from(now).unwrap_or(i64::MAX)).await {
                Ok(done) => tracing::debug!(days = done.days, again = done.again, "usage rolled up"),
                Err(error) => tracing::warn!(%error, "usage not rolled up, trying again"),
            }
        }
    });
}

/// What a sum can take from roll-ups, and what it must read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usable {
    /// Hours that hold and have the meter, in order, with its sum.
    pub(super) hours: Vec<(i64, u128)>,
    /// First and last time of what must be read, in order.
    pub(super) gaps: Vec<(Micros, Micros)>,
}

#[derive(Debug, Clone, Copy, Row, Deserialize)]
struct Hour {
    hour: i64,
    holds: u8,
    has: u8,
    value: u128,
}

pub(super) async fn usable(records: &Records<'_>, since: Micros, last: Micros) -> Result<Usable, Error> {
    let all = || Usable { hours: Vec::new(), gaps: vec![(since, last)] };
    let Records { client, options, .. } = *records;
    let (first, end) = whole_hours(since, last);
    if records.width % HOUR_US != 0 || end.saturating_sub(first) < HOURS_MIN {
        return Ok(all());
    }
    // Before the hours: one that is finished by then is among them.
    let horizon = Horizon::read(client, options).await?;
    let end = end.min(records.customer.map_or(horizon.finished, |_| horizon.customers_finished));
    if end.saturating_sub(first) < HOURS_MIN {
        return Ok(all());
    }
    let hours = match records.customer {
        Some(customer) => query(client, &ROLLED_UP_CUSTOMER_HOURS).param("customer", customer.as_str()),
        None => query(client, &ROLLED_UP_HOURS),
    };
    let hours = hours
        .param("tenant", records.tenant.as_str())
        .param("meter", records.meter)
        .param("first", first)
        .param("end", end);
    let hours = within(options.read_timeout(), hours.fetch_all::<Hour>()).await?;
    Ok(part(&hours, first..end, since, last))
}

/// The whole hours between two times: the first, and the one after the last.
fn whole_hours(since: Micros, last: Micros) -> (i64, i64) {
    let first = since.div_euclid(HOUR_US) + i64::from(since.rem_euclid(HOUR_US) != 0);
    let end = last.div_euclid(HOUR_US) + i64::from(last.rem_euclid(HOUR_US) == HOUR_US - 1);
    (first, end)
}

/// Parts a range into hours to take and stretches to read. Of the whole hours those that are not listed are empty.
fn part(hours: &[Hour], whole: std::ops::Range<i64>, since: Micros, last: Micros) -> Usable {
    let mut gaps: Vec<(Micros, Micros)> = Vec::new();
    let begin = |hour: i64| hour.saturating_mul(HOUR_US);
    let mut gap = |from: Micros, to: Micros| match gaps.last_mut() {
        _ if from > to => {}
        Some(before) if before.1.saturating_add(1) >= from => before.1 = to,
        _ => gaps.push((from, to)),
    };
    gap(since, begin(whole.start).saturating_sub(1));
    for hour in hours.iter().filter(|hour| hour.holds == 0) {
        gap(begin(hour.hour), begin(hour.hour).saturating_add(HOUR_US - 1));
    }
    gap(begin(whole.end), last);
    if gaps.len() > GAPS_MAX {
        gaps = gaps.first().zip(gaps.last()).map(|(first, last)| (first.0, last.1)).into_iter().collect();
    }
    let read = |hour: i64| gaps.iter().any(|(from, to)| (*from..=*to).contains(&begin(hour)));
    let taken = hours.iter().filter(|hour| hour.has == 1 && !read(hour.hour));
    Usable { hours: taken.map(|hour| (hour.hour, hour.value)).collect(), gaps }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hour: i64, holds: bool, has: bool) -> Hour {
        Hour { hour, holds: holds.into(), has: has.into(), value: hour.unsigned_abs().into() }
    }

    fn at(hour: i64) -> Micros {
        hour * HOUR_US
    }

    #[test]
    fn whole_hours_lie_within_both_ends() {
        let cases = [
            ((0, HOUR_US - 1), (0, 1)),
            ((0, HOUR_US - 2), (0, 0)),
            ((1, HOUR_US - 1), (1, 1)),
            ((1, 2 * HOUR_US), (1, 2)),
            ((-1, HOUR_US), (0, 1)),
            ((-HOUR_US, -1), (-1, 0)),
        ];
        for ((since, last), want) in cases {
            assert_eq!(whole_hours(since, last), want, "{since}..={last}");
        }
        let (first, end) = whole_hours(Micros::MIN, Micros::MAX);
        assert!(first.checked_mul(HOUR_US).is_some() && end.checked_mul(HOUR_US).is_some());
    }

    #[test]
    fn hours_that_hold_are_taken_and_the_rest_is_read_once() {
        let hours = [
            hour(1, true, true),
            hour(2, false, true),
            hour(3, false, false),
            hour(5, true, false),
            hour(6, true, true),
        ];
        let parted = part(&hours, 1..8, at(0) + 5, at(9) + 7);
        assert_eq!(parted.hours, [(1, 1), (6, 6)]);
        assert_eq!(parted.gaps, [(5, at(1) - 1), (at(2), at(4) - 1), (at(8), at(9) + 7)]);
        let exact = part(&[], 1..8, at(1), at(8) - 1);
        assert_eq!(exact, Usable { hours: vec![], gaps: vec![] });
        let ends = part(&hours[..1], 1..8, Micros::MIN, Micros::MAX);
        assert_eq!(ends.gaps, [(Micros::MIN, at(1) - 1), (at(8), Micros::MAX)]);
    }

    #[test]
    fn many_gaps_are_read_as_one() {
        let hours: Vec<_> = (0..40).map(|n| hour(n, n % 2 == 0 || n < 10, true)).collect();
        let parted = part(&hours, 0..40, at(0), at(40) - 1);
        assert_eq!(parted.gaps, [(at(11), at(40) - 1)]);
        assert_eq!(parted.hours.len(), 11);
    }
}
