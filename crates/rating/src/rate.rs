//! From prices and quantities to the lines of an invoice, in the order in which `lib.rs` says it.

use std::collections::BTreeMap;

use model::{
    Date, Decimal, ItemId,
    resource::{BillingAccount, Charge, Credit},
};
use num_traits::{Signed, Zero};

use crate::{
    Draft, Error, Line, LineKind, Period, Quantities, Segment, Share,
    draft::Part,
    exact::{Exact, exact, round, shown, sum, whole},
    period::days,
    price::{Priced, price},
};

/// All that an invoice is made of.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// Who pays.
    pub account: &'a BillingAccount,
    /// The month.
    pub period: &'a Period,
    /// It, cut where prices change ([`crate::segments`]).
    pub segments: &'a [Segment<'a>],
    /// What was used.
    pub quantities: &'a Quantities,
    /// What earlier invoices have left of each credit.
    pub balances: &'a BTreeMap<ItemId, Decimal>,
    /// What earlier months came to more or less than was invoiced ([`crate::late`]).
    pub late: &'a [Line],
}

/// Rates a month.
///
/// # Errors
/// [`Error::NoQuantity`] or [`Error::NoBalance`] if something is not known that the sum depends on, [`Error::Overflow`] if a
/// figure has too many digits.
pub fn rate(basis: Basis<'_>) -> Result<Draft, Error> {
    let mut sheet = Sheet { basis, lines: Vec::new() };
    for segment in basis.segments {
        sheet.segment(segment)?;
    }
    sheet.commitment()?;
    let subtotal = sheet.sum(|_| true)?;
    sheet.coupons(subtotal)?;
    let discounts = sheet.sum(|kind| kind == LineKind::Coupon)?;
    sheet.lines.extend_from_slice(basis.late);
    let late = sum(basis.late.iter().map(|line| line.amount), basis.account.currency)?;
    sheet.taxes()?;
    let taxes = sheet.sum(|kind| kind == LineKind::Tax)?;
    let total = sheet.sum(|_| true)?;
    let credits = sheet.credits(total)?;
    let due = sheet.sum(|_| true)?;
    let BillingAccount { tenant, id, currency, time_zone, .. } = basis.account;
    Ok(Draft {
        tenant: tenant.clone(),
        account: id.clone(),
        period: basis.period.id(),
        time_zone: time_zone.clone(),
        currency: *currency,
        lines: sheet.lines,
        subtotal,
        discounts: discounts.negated(),
        late,
        taxes,
        total,
        credits,
        due,
    })
}

/// As an invoice calls a thing: by its name, if it has one.
fn called<'a>(id: &'a ItemId, name: &'a str) -> &'a str {
    if name.is_empty() { id.as_str() } else { name }
}

struct Sheet<'a> {
    basis: Basis<'a>,
    lines: Vec<Line>,
}

impl Sheet<'_> {
    fn round(&self, amount: &Exact) -> Result<Decimal, Error> {
        round(amount, self.basis.account.currency)
    }

    fn sum(&self, of: impl Fn(LineKind) -> bool) -> Result<Decimal, Error> {
        let lines = self.lines.iter().filter(|line| of(line.kind));
        sum(lines.map(|line| line.amount), self.basis.account.currency)
    }

    /// A line of the whole month without anything that only some have.
    fn line(&self, kind: LineKind, id: &str, name: &str, amount: Decimal) -> Line {
        let prefix = kind.as_str();
        Line {
            id: if id.is_empty() { prefix.to_owned() } else { format!("{prefix}/{id}") },
            kind,
            name: name.to_owned(),
            from: self.basis.period.first(),
            until: self.basis.period.end(),
            share: None,
            plan: None,
            charge: None,
            meter: None,
            quantity: None,
            per: None,
            included: None,
            parts: Vec::new(),
            amount,
        }
    }

    fn line_of(&self, segment: &Segment<'_>, kind: LineKind, id: &str, name: &str, amount: Decimal) -> Line {
        let of = self.basis.period.days();
        Line {
            from: segment.from,
            until: segment.until,
            share: (segment.days < of).then_some(Share { days: segment.days, of }),
            plan: Some(segment.plan.clone()),
            ..self.line(kind, &format!("{}{id}", segment.from), name, amount)
        }
    }

    /// The part of the month that lies between two days.
    fn share(&self, from: Date, until: Date) -> Exact {
        whole(days(from, until).into()) / whole(self.basis.period.days().into())
    }

    fn segment(&mut self, segment: &Segment<'_>) -> Result<(), Error> {
        let share = self.share(segment.from, segment.until);
        let begin = self.lines.len();
        for charge in &segment.prices.charges {
            self.charge(segment, charge, &share)?;
        }
        if let Some(minimum) = segment.prices.minimum {
            let amounts = self.lines.iter().skip(begin).map(|line| line.amount);
            let amount = sum(amounts, self.basis.account.currency)?;
            let missing = self.missing(minimum, &share, amount)?;
            if let Some(missing) = missing {
                let name = format!("Minimum of {}", segment.plan);
                self.lines.push(self.line_of(segment, LineKind::Minimum, "", &name, missing));
            }
        }
        Ok(())
    }

    /// What an amount is short of the share of a month's minimum.
    fn missing(&self, minimum: Decimal, share: &Exact, amount: Decimal) -> Result<Option<Decimal>, Error> {
        let minimum = self.round(&(exact(minimum) * share))?;
        let missing = self.round(&(exact(minimum) - exact(amount)))?;
        Ok(Some(missing).filter(|missing| missing.is_positive()))
    }

    fn charge(&mut self, segment: &Segment<'_>, charge: &Charge, share: &Exact) -> Result<(), Error> {
        let quantity = match charge.meter.as_deref() {
            Some(meter) => Some(self.basis.quantities.get(segment, meter)?),
            None => None,
        };
        let Priced { included, parts, amount } = price(charge, quantity.unwrap_or_default(), share)?;
        let amount = self.round(&amount)?;
        let name = called(&charge.id, &charge.name);
        let id = format!("/{}", charge.id);
        let line = Line {
            charge: Some(charge.id.clone()),
            meter: charge.meter.clone(),
            ..self.line_of(segment, LineKind::Charge, &id, name, amount)
        };
        let missing =
            charge.minimum.map(|minimum| self.missing(minimum, share, amount)).transpose()?.flatten();
        let minimum = missing.map(|missing| Line {
            charge: Some(charge.id.clone()),
            meter: charge.meter.clone(),
            ..self.line_of(segment, LineKind::Minimum, &id, &format!("Minimum of {name}"), missing)
        });
        self.lines.push(Line {
            quantity: quantity.map(|quantity| shown(&whole(quantity))).transpose()?,
            per: charge.per,
            included: included.as_ref().map(shown).transpose()?,
            parts,
            ..line
        });
        self.lines.extend(minimum);
        Ok(())
    }

    fn commitment(&mut self) -> Result<(), Error> {
        let mut parts = Vec::new();
        let mut committed = Exact::zero();
        for commitment in &self.basis.account.commitments {
            let Some((from, until)) = self.basis.period.part(commitment.from, commitment.until) else {
                continue;
            };
            let share = self.share(from, until);
            let amount = exact(commitment.amount) * &share;
            parts.push(Part {
                quantity: shown(&share)?,
                up_to: None,
                size: None,
                unit_amount: commitment.amount,
                flat: None,
                amount: shown(&amount)?,
            });
            committed += amount;
        }
        let spent = self.sum(|_| true)?;
        let missing = self.round(&(exact(self.round(&committed)?) - exact(spent)))?;
        if missing.is_positive() {
            let line = self.line(LineKind::Commitment, "", "Rest of the commitment", missing);
            self.lines.push(Line { parts, ..line });
        }
        Ok(())
    }

    fn coupons(&mut self, subtotal: Decimal) -> Result<(), Error> {
        let mut left = exact(subtotal);
        let account = self.basis.account;
        let holding = account.coupons.iter().filter(|c| self.basis.period.touches(c.from, c.until));
        for coupon in holding.collect::<Vec<_>>() {
            let percent = coupon.percent.map(|percent| &left * exact(percent) / whole(100));
            let off = percent.or_else(|| coupon.amount.map(exact)).unwrap_or_else(Exact::zero);
            let off = self.round(&off.min(left.clone()))?;
            if off.is_positive() {
                left -= exact(off);
                let name = called(&coupon.id, &coupon.name);
                self.lines.push(self.line(LineKind::Coupon, &coupon.id, name, off.negated()));
            }
        }
        Ok(())
    }

    fn taxes(&mut self) -> Result<(), Error> {
        let base = exact(self.sum(|_| true)?);
        for tax in &self.basis.account.taxes {
            let amount = self.round(&(&base * exact(tax.percent) / whole(100)))?;
            let name = called(&tax.id, &tax.name);
            let name = format!("{name} {}%", tax.percent);
            self.lines.push(self.line(LineKind::Tax, &tax.id, &name, amount));
        }
        Ok(())
    }

    fn credits(&mut self, total: Decimal) -> Result<BTreeMap<ItemId, Decimal>, Error> {
        let account = self.basis.account;
        let holding = account.credits.iter().filter(|c| self.basis.period.touches(c.from, c.expires));
        let mut holding: Vec<&Credit> = holding.collect();
        // What would be gone first is used first.
        holding.sort_by_key(|credit| (credit.expires.is_none(), credit.expires, &credit.id));
        let mut left = exact(total);
        let mut used = BTreeMap::new();
        for credit in holding {
            let balance =
                *self.basis.balances.get(&credit.id).ok_or_else(|| Error::NoBalance(credit.id.clone()))?;
            let pays = exact(balance).min(left.clone());
            if !pays.is_positive() {
                continue;
            }
            let pays = self.round(&pays)?;
            left -= exact(pays);
            let name = called(&credit.id, &credit.name);
            self.lines.push(self.line(LineKind::Credit, &credit.id, name, pays.negated()));
            used.insert(credit.id.clone(), pays);
        }
        Ok(used)
    }
}
