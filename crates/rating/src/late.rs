//! What an invoiced month comes to once more of it is known.

use std::collections::{BTreeMap, BTreeSet};

use model::{Date, Decimal, ItemId};
use num_traits::Zero;

use crate::{
    Draft, Error, Line, LineKind,
    exact::{Exact, exact, round, shown},
};

/// What is put right by one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    /// All charges of a meter and their minimums.
    Meter(String),
    /// A flat fee.
    Fee(ItemId),
    /// The plans' minimums.
    Minimum,
    /// The commitment.
    Commitment,
    /// A coupon: the rest of its id.
    Coupon(String),
}

impl Matter {
    /// What a line is about; nothing if it follows from the others, or is of another month.
    fn of(line: &Line) -> Option<Self> {
        match line.kind {
            LineKind::Charge | LineKind::Minimum => Some(match (&line.meter, &line.charge) {
                (Some(meter), _) => Self::Meter(meter.clone()),
                (None, Some(charge)) => Self::Fee(charge.clone()),
                (None, None) => Self::Minimum,
            }),
            LineKind::Commitment => Some(Self::Commitment),
            LineKind::Coupon => Some(Self::Coupon(line.id.trim_start_matches("coupon/").to_owned())),
            LineKind::Late | LineKind::Tax | LineKind::Credit => None,
        }
    }

    fn id(&self) -> String {
        match self {
            Self::Meter(meter) => format!("meter/{meter}"),
            Self::Fee(charge) => format!("fee/{charge}"),
            Self::Minimum => "minimum".to_owned(),
            Self::Commitment => "commitment".to_owned(),
            Self::Coupon(id) => format!("coupon/{id}"),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Meter(meter) => meter.clone(),
            Self::Fee(charge) => charge.to_string(),
            Self::Minimum => "minimum".to_owned(),
            Self::Commitment => "commitment".to_owned(),
            Self::Coupon(id) => format!("coupon {id}"),
        }
    }
}

struct Difference {
    amount: Exact,
    quantity: Exact,
    /// Stretches whose quantity is counted: several charges may be of one meter.
    counted: BTreeSet<(bool, Date)>,
    from: Date,
    until: Date,
}

impl Difference {
    /// None yet, of what a line is about.
    fn of(line: &Line) -> Self {
        let zero = Exact::zero;
        Self {
            amount: zero(),
            quantity: zero(),
            counted: BTreeSet::new(),
            from: line.from,
            until: line.until,
        }
    }

    fn take(&mut self, line: &Line, is_now: bool) {
        let signed = |value: Decimal| if is_now { exact(value) } else { -exact(value) };
        self.amount += signed(line.amount);
        if let Some(quantity) = line.quantity
            && self.counted.insert((is_now, line.from))
        {
            self.quantity += signed(quantity);
        }
        self.from = self.from.min(line.from);
        self.until = self.until.max(line.until);
    }
}

/// The lines that put an invoiced month right, for the next invoice of the account: a line for each meter, fee, minimum,
/// commitment or coupon that has changed, with the difference in quantity and amount. Taxes are not among them: the invoice they go
/// into adds its own.
///
/// `previous` is the month as it was charged last: the draft of its invoice, or the one that the last late lines were made of.
/// `now` is the same month rated again.
///
/// # Errors
/// [`Error::Unlike`] if they are not of the same month of the same account; [`Error::Overflow`].
pub fn late(previous: &Draft, now: &Draft) -> Result<Vec<Line>, Error> {
    let key = |draft: &Draft| {
        (
            draft.tenant.clone(),
            draft.account.clone(),
            draft.period.clone(),
            draft.currency,
            draft.time_zone.clone(),
        )
    };
    if key(previous) != key(now) {
        return Err(Error::Unlike);
    }
    let mut differences: BTreeMap<Matter, Difference> = BTreeMap::new();
    for (draft, is_now) in [(previous, false), (now, true)] {
        for line in &draft.lines {
            if let Some(matter) = Matter::of(line) {
                differences.entry(matter).or_insert_with(|| Difference::of(line)).take(line, is_now);
            }
        }
    }
    let changed = differences.into_iter().filter(|(_, d)| !(d.amount.is_zero() && d.quantity.is_zero()));
    changed.map(|(matter, difference)| line(previous, &matter, &difference)).collect()
}

fn line(draft: &Draft, matter: &Matter, difference: &Difference) -> Result<Line, Error> {
    let Difference { amount, quantity, counted, from, until } = difference;
    let quantity = if counted.is_empty() { None } else { Some(shown(quantity)?) };
    let (period, what) = (&draft.period, matter.name());
    let name = match quantity {
        Some(quantity) => format!("late: {period} {what} {} units", grouped(quantity)),
        None => format!("late: {period} {what}"),
    };
    let meter = if let Matter::Meter(meter) = matter { Some(meter.clone()) } else { None };
    Ok(Line {
        id: format!("late/{period}/{}", matter.id()),
        kind: LineKind::Late,
        name,
        from: *from,
        until: *until,
        share: None,
        plan: None,
        charge: None,
        meter,
        quantity,
        per: None,
        included: None,
        parts: Vec::new(),
        amount: round(amount, draft.currency)?,
    })
}

/// A whole number with its sign and its thousands set apart: `+1,234`.
fn grouped(quantity: Decimal) -> String {
    let sign = if quantity.is_negative() { "" } else { "+" };
    format!("{sign}{}", model::grouped(&quantity.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let cases = [
            ("0", "+0"),
            ("7", "+7"),
            ("-999", "-999"),
            ("1234", "+1,234"),
            ("-1000000", "-1,000,000"),
            ("123456", "+123,456"),
        ];
        for (quantity, text) in cases {
            assert_eq!(grouped(quantity.parse().unwrap()), text);
        }
    }
}
