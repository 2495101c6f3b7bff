//! What a plan costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Plan,
    fault::{Fault, Faults},
};
use crate::{Currency, Date, Decimal, ItemId};

/// Versions of a plan's prices, at most.
pub const VERSIONS_MAX: usize = 100;
/// Charges of a version, at most.
pub const CHARGES_MAX: usize = 50;
/// Tiers of a price, at most.
pub const TIERS_MAX: usize = 50;

/// A version of a plan's prices. What it says of a month is taken in proportion where it holds for a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The first day on which they hold, in the time zone of whoever pays; until the next version's.
    pub effective_from: Date,
    /// The currency of all amounts; all versions of a plan have the same.
    pub currency: Currency,
    /// What is charged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// What all charges of a month come to at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Decimal>,
}

/// One thing that is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Its id, unique within the version; the same thing has the same id in all versions.
    pub id: ItemId,
    /// As an invoice calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The meter whose quantity is charged; none for a flat fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// How many of the meter's units are one unit here, such as 1000000000 for gigabytes of a meter of bytes; 1 when absent.
    /// `included`, tiers, sizes and prices are said of that unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Decimal>,
    /// The quantity of a month that costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included: Option<Decimal>,
    /// What the charge comes to in a month at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Decimal>,
    /// How the quantity becomes an amount.
    pub price: Price,
}

/// How a quantity becomes an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "snake_case", deny_unknown_fields)]
pub enum Price {
    /// The same each month, whatever is used.
    Flat {
        /// A month's.
        amount: Decimal,
    },
    /// Each unit costs the same.
    PerUnit {
        /// A unit's.
        amount: Decimal,
    },
    /// Each unit costs what the tier says that it falls into.
    Graduated {
        /// Ascending; the last has no end.
        tiers: Vec<Tier>,
    },
    /// All units cost what the tier says that the last of them falls into.
    Volume {
        /// Ascending; the last has no end.
        tiers: Vec<Tier>,
    },
    /// Units are sold in packages; one that is begun costs as much as a whole one.
    Package {
        /// Units in a package.
        size: Decimal,
        /// A package's.
        amount: Decimal,
    },
}

/// A stretch of a month's quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last quantity that is in it; absent in the last tier, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Decimal>,
    /// A unit's.
    pub amount: Decimal,
    /// What is paid once a month if anything falls into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat: Option<Decimal>,
}

impl Plan {
    /// The prices that hold on a day; none before the first version.
    #[must_use]
    pub fn prices_on(&self, day: Date) -> Option<&Prices> {
        self.prices.iter().rev().find(|version| version.effective_from <= day)
    }

    /// All that is wrong with its prices.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        let first = self.prices.first();
        for (at, version) in faults.list("/prices", &self.prices, VERSIONS_MAX) {
            let currency = first.map_or(version.currency, |first| first.currency);
            faults.unless(version.currency == currency, &format!("{at}/currency"), || {
                format!("must be {currency}, as in the first version; make another plan for another currency")
            });
            prices(&mut faults, &at, version);
        }
        for (i, pair) in self.prices.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            faults.unless(
                before.effective_from < after.effective_from,
                &format!("/prices/{}/effective_from", i + 1),
                || format!("must be after {}, where the version before begins", before.effective_from),
            );
        }
        faults.into_vec()
    }
}

fn prices(faults: &mut Faults, at: &str, prices: &Prices) {
    let Prices { currency, charges, minimum, effective_from: _ } = prices;
    if let Some(minimum) = minimum {
        faults.positive_amount(&format!("{at}/minimum"), *minimum, *currency);
    }
    let pointer = format!("{at}/charges");
    for (at, one) in faults.list(&pointer, charges, CHARGES_MAX) {
        charge(faults, &at, one, *currency);
    }
    faults.unique(&pointer, charges.iter().take(CHARGES_MAX).map(|charge| charge.id.as_str()));
}

fn charge(faults: &mut Faults, at: &str, charge: &Charge, currency: Currency) {
    faults.text(&format!("{at}/name"), &charge.name);
    let flat = matches!(charge.price, Price::Flat { .. });
    let pointer = format!("{at}/meter");
    match &charge.meter {
        Some(meter) => faults.meter(&pointer, meter),
        None => {
            faults
                .unless(flat, &pointer, || "must name what is counted: only a flat fee has none".to_owned());
        }
    }
    let of_use = [
        ("meter", charge.meter.is_some()),
        ("per", charge.per.is_some()),
        ("included", charge.included.is_some()),
        ("minimum", charge.minimum.is_some()),
    ];
    for (name, said) in of_use {
        faults.unless(!(flat && said), &format!("{at}/{name}"), || {
            "must be left out: a flat fee is the same whatever is used".to_owned()
        });
    }
    if let Some(per) = charge.per {
        faults.divisor(&format!("{at}/per"), per);
    }
    if let Some(included) = charge.included {
        faults.unit(&format!("{at}/included"), included);
    }
    if let Some(minimum) = charge.minimum {
        faults.positive_amount(&format!("{at}/minimum"), minimum, currency);
    }
    price(faults, &format!("{at}/price"), &charge.price, currency);
}

fn price(faults: &mut Faults, at: &str, price: &Price, currency: Currency) {
    match price {
        Price::Flat { amount } => faults.amount(&format!("{at}/amount"), *amount, currency),
        Price::PerUnit { amount } => faults.unit(&format!("{at}/amount"), *amount),
        Price::Graduated { tiers } | Price::Volume { tiers } => {
            check_tiers(faults, &format!("{at}/tiers"), tiers, currency);
        }
        Price::Package { size, amount } => {
            faults.divisor(&format!("{at}/size"), *size);
            faults.unit(&format!("{at}/amount"), *amount);
        }
    }
}

fn check_tiers(faults: &mut Faults, at: &str, tiers: &[Tier], currency: Currency) {
    faults.unless(!tiers.is_empty(), at, || "must have at least one tier".to_owned());
    let mut below = Decimal::ZERO;
    for (i, (at, tier)) in faults.list(at, tiers, TIERS_MAX).enumerate() {
        let pointer = format!("{at}/up_to");
        let is_last = i + 1 == tiers.len();
        match tier.up_to {
            Some(up_to) => {
                faults.unless(!is_last, &pointer, || {
                    "must be left out in the last tier, which has no end".to_owned()
                });
                faults.unless(up_to > below, &pointer, || {
                    format!("must be more than {below}, where the tier begins")
                });
                faults.unit(&pointer, up_to);
                below = below.max(up_to);
            }
            None => faults.unless(is_last, &pointer, || {
                "must say where the tier ends: only the last has no end".to_owned()
            }),
        }
        faults.unit(&format!("{at}/amount"), tier.amount);
        if let Some(flat) = tier.flat {
            faults.amount(&format!("{at}/flat"), flat, currency);
        }
    }
}
