//! A quantity becomes an amount.

use model::{
    Decimal,
    resource::{Charge, Price, Tier},
};
use num_traits::{Signed, Zero};

use crate::{
    Error,
    draft::Part,
    exact::{Exact, exact, shown, whole},
};

/// What a charge comes to in a part of a month, before it is rounded.
pub(crate) struct Priced {
    pub(crate) included: Option<Exact>,
    pub(crate) parts: Vec<Part>,
    pub(crate) amount: Exact,
}

/// Prices a quantity in the meter's units, used in that share of a month.
pub(crate) fn price(charge: &Charge, quantity: u128, share: &Exact) -> Result<Priced, Error> {
    let units = whole(quantity) / charge.per.map_or_else(|| whole(1), exact);
    let included = charge.included.map(|included| exact(included) * share);
    let billable = included.as_ref().map_or_else(|| units.clone(), |included| &units - included);
    let billable = if billable.is_negative() { Exact::zero() } else { billable };
    let mut sheet = Sheet { parts: Vec::new(), amount: Exact::zero() };
    match &charge.price {
        Price::Flat { amount } => sheet.add(share, *amount, None)?,
        Price::PerUnit { amount } => sheet.add(&billable, *amount, None)?,
        Price::Graduated { tiers } => graduated(&mut sheet, tiers, &billable, share)?,
        Price::Volume { tiers } => volume(&mut sheet, tiers, &billable, share)?,
        Price::Package { size, amount } => {
            sheet.add(&(billable / exact(*size)).ceil(), *amount, None)?;
            sheet.parts.iter_mut().for_each(|part| part.size = Some(*size));
        }
    }
    Ok(Priced { included, parts: sheet.parts, amount: sheet.amount })
}

struct Sheet {
    parts: Vec<Part>,
    amount: Exact,
}

impl Sheet {
    /// Adds so many of something. None of it is no part, and costs nothing.
    fn add(
        &mut self,
        quantity: &Exact,
        unit_amount: Decimal,
        tier: Option<(&Tier, &Exact)>,
    ) -> Result<(), Error> {
        if quantity.is_zero() {
            return Ok(());
        }
        let (up_to, flat) = match tier {
            Some((tier, share)) => {
                (tier.up_to.map(|v| exact(v) * share), tier.flat.map(|v| exact(v) * share))
            }
            None => (None, None),
        };
        let amount = quantity * exact(unit_amount) + flat.clone().unwrap_or_else(Exact::zero);
        self.parts.push(Part {
            quantity: shown(quantity)?,
            up_to: up_to.as_ref().map(shown).transpose()?,
            size: None,
            unit_amount,
            flat: flat.as_ref().map(shown).transpose()?,
            amount: shown(&amount)?,
        });
        self.amount += amount;
        Ok(())
    }
}

fn graduated(sheet: &mut Sheet, tiers: &[Tier], billable: &Exact, share: &Exact) -> Result<(), Error> {
    let mut below = Exact::zero();
    for tier in tiers {
        if *billable <= below {
            break;
        }
        let end = tier.up_to.map(|up_to| exact(up_to) * share).filter(|end| end < billable);
        let end = end.unwrap_or_else(|| billable.clone());
        sheet.add(&(&end - &below), tier.amount, Some((tier, share)))?;
        below = end;
    }
    Ok(())
}

fn volume(sheet: &mut Sheet, tiers: &[Tier], billable: &Exact, share: &Exact) -> Result<(), Error> {
    let holds = |tier: &&Tier| tier.up_to.is_none_or(|up_to| *billable <= exact(up_to) * share);
    match tiers.iter().find(holds) {
        Some(tier) => sheet.add(billable, tier.amount, Some((tier, share))),
        None => Ok(()),
    }
}
