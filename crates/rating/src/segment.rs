//! A month cut where prices change, and what was used in each piece.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Date, Micros, PlanId,
    resource::{BillingAccount, Plan, Prices},
};

use crate::{Error, Period, period::days};

/// The stretch of a month in which one version of one plan holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its first day.
    pub from: Date,
    /// The first day after it.
    pub until: Date,
    /// When it begins: microseconds since 1970.
    pub since_us: Micros,
    /// When it is over: microseconds since 1970.
    pub until_us: Micros,
    /// Its days.
    pub days: u32,
    /// The plan.
    pub plan: &'a PlanId,
    /// The version of its prices.
    pub prices: &'a Prices,
}

impl<'a> Segment<'a> {
    /// The meters whose quantities its prices need, each once.
    pub fn meters(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let meters: BTreeSet<&str> =
            self.prices.charges.iter().filter_map(|charge| charge.meter.as_deref()).collect();
        meters.into_iter()
    }
}

/// Cuts a month where the account changes its plan and where a plan changes its prices, in order of time. Days without a plan, or
/// before its first prices, are in no segment: nothing is charged for them.
///
/// # Errors
/// [`Error::NoPlan`] if `plan` does not know one that holds in the month; [`Error::Currency`] if its prices are not in the
/// account's currency.
pub fn segments<'a>(
    account: &'a BillingAccount,
    plan: impl Fn(&PlanId) -> Option<&'a Plan>,
    period: &Period,
) -> Result<Vec<Segment<'a>>, Error> {
    let mut segments: Vec<Segment<'a>> = Vec::new();
    for assignment in &account.plans {
        let Some((from, until)) = period.part(assignment.from, assignment.until) else { continue };
        let id = &assignment.plan;
        let versions = &plan(id).ok_or_else(|| Error::NoPlan(id.clone()))?.prices;
        for (i, prices) in versions.iter().enumerate() {
            let next = versions.get(i + 1).map(|next| next.effective_from);
            let from = from.max(prices.effective_from);
            let until = next.map_or(until, |next| next.min(until));
            if from >= until {
                continue;
            }
            if prices.currency != account.currency {
                let (theirs, ours) = (prices.currency, account.currency);
                return Err(Error::Currency { plan: id.clone(), theirs, ours });
            }
            // An assignment that goes on with the same prices cuts nothing.
            let from = match segments.last() {
                Some(before) if before.until == from && before.plan == id && before.prices == prices => {
                    segments.pop().map_or(from, |before| before.from)
                }
                _ => from,
            };
            segments.push(Segment {
                from,
                until,
                since_us: period.start_of(from),
                until_us: period.start_of(until),
                days: days(from, until),
                plan: id,
                prices,
            });
        }
    }
    Ok(segments)
}

/// What was used: of each meter in each segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantities(BTreeMap<(Date, String), u128>);

/// A count with its key, as usage stores keep them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The same again, at the same time, is the same use.
    pub id: &'a str,
    /// When: microseconds since 1970.
    pub at_us: Micros,
    /// What of.
    pub meter: &'a str,
    /// How much.
    pub quantity: u64,
}

impl Quantities {
    /// Adds to what was used of a meter in a segment. Nothing used is said with 0: what is not said is not known.
    pub fn add(&mut self, segment: &Segment<'_>, meter: &str, quantity: u64) {
        // So many additions that this would be too much take longer than the planet lasts.
        *self.0.entry((segment.from, meter.to_owned())).or_default() += u128::from(quantity);
    }

    /// Counts all records of the meters that the segments need, each once, in whatever order they come.
    #[must_use]
    pub fn of_records<'a>(segments: &[Segment<'_>], records: impl IntoIterator<Item = Record<'a>>) -> Self {
        let mut once: BTreeMap<_, u64> = BTreeMap::new();
        for Record { id, at_us, meter, quantity } in records {
            // Two that differ all the same must not make the order matter.
            let known = once.entry((meter, at_us, id)).or_default();
            *known = quantity.max(*known);
        }
        let mut quantities = Self::default();
        for segment in segments {
            for meter in segment.meters() {
                quantities.add(segment, meter, 0);
                let stretch = (meter, segment.since_us, "")..(meter, segment.until_us, "");
                once.range(stretch).for_each(|(_, quantity)| quantities.add(segment, meter, *quantity));
            }
        }
        quantities
    }

    pub(crate) fn get(&self, segment: &Segment<'_>, meter: &str) -> Result<u128, Error> {
        let unknown = || Error::NoQuantity { from: segment.from, meter: meter.to_owned() };
        self.0.get(&(segment.from, meter.to_owned())).copied().ok_or_else(unknown)
    }
}
