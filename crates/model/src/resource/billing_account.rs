//! What is agreed with one party about money.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Meta,
    fault::{Fault, Faults},
};
use crate::{BillingAccountId, Currency, CustomerId, Date, Decimal, ItemId, PlanId, TenantId, time_zone};

/// Lines of an address, at most.
pub const ADDRESS_LINES_MAX: usize = 8;
/// Stretches of time with a plan, at most.
pub const ASSIGNMENTS_MAX: usize = 100;
/// Coupons, at most.
pub const COUPONS_MAX: usize = 20;
/// Commitments, at most.
pub const COMMITMENTS_MAX: usize = 20;
/// Prepaid credits, at most.
pub const CREDITS_MAX: usize = 100;
/// Taxes, at most.
pub const TAXES_MAX: usize = 10;
/// Thresholds of spend, at most.
pub const THRESHOLDS_MAX: usize = 20;
/// Quotas, at most.
pub const QUOTAS_MAX: usize = 20;
/// Longest address of mail, in bytes (RFC 5321, section 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;

/// All that is agreed with one party: the tenant itself, or one of its customers. Days are those of the account's time zone;
/// what holds `until` a day does not hold on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillingAccount {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id, unique within the tenant.
    pub id: BillingAccountId,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Whose use is charged; none: the tenant's as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// Who makes invoices out, or to whom.
    #[serde(default, skip_serializing_if = "Party::is_empty")]
    pub bill_to: Party,
    /// Who makes its invoices out: the seller.
    #[serde(default, skip_serializing_if = "Party::is_empty")]
    pub bill_from: Party,
    /// The currency of all amounts; its plans must have the same.
    pub currency: Currency,
    /// Where its days and months begin: a name of the IANA time zone database.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// The plans it is on, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<Assignment>,
    /// What is taken off the subtotal, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coupons: Vec<Coupon>,
    /// What is paid at least, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commitments: Vec<Commitment>,
    /// What was paid before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credits: Vec<Credit>,
    /// What is added; each is a line of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Tax>,
    /// Amounts of a month's spend whose crossing is told, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Decimal>,
    /// Quantities of a month's use whose crossing is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<Quota>,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Who makes invoices out, or to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Party {
    /// A person or a company.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The lines of the address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<String>,
    /// As an authority knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
    /// Where mail about invoices goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl Party {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A plan and when it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// Which.
    pub plan: PlanId,
    /// The first day.
    pub from: Date,
    /// The first day on which it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// What is taken off: a part of what is left by the coupons before it, or an amount a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    /// Its id, unique within the account's coupons.
    pub id: ItemId,
    /// As an invoice calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Either this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Decimal>,
    /// Or this, whole in each month in which it holds on any day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Decimal>,
    /// The first day.
    pub from: Date,
    /// The first day on which it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// What is paid at least, whatever is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// Its id, unique within the account's commitments.
    pub id: ItemId,
    /// A month's.
    pub amount: Decimal,
    /// The first day.
    pub from: Date,
    /// The first day on which it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// What was paid before, and is used up by invoices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// Its id, unique within the account's credits.
    pub id: ItemId,
    /// As an invoice calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What was paid.
    pub amount: Decimal,
    /// The first day.
    pub from: Date,
    /// The first day on which what is left of it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Date>,
}

/// What is added for an authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// Its id, unique within the account's taxes.
    pub id: ItemId,
    /// As an invoice calls it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Of the subtotal after coupons.
    pub percent: Decimal,
}

/// How much of something may be used in a month before that is told. Nothing is refused because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The meter, as plans name it.
    pub meter: String,
    /// In the meter's own units.
    pub quantity: u64,
}

impl BillingAccount {
    /// All that is wrong with it, but for its name and what every resource has.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        party(&mut faults, "/bill_to", &self.bill_to);
        party(&mut faults, "/bill_from", &self.bill_from);
        faults.unless(time_zone(&self.time_zone).is_some(), "/time_zone", || {
            "must be a name of the IANA time zone database, such as \"Europe/Berlin\" or \"UTC\"".to_owned()
        });
        for (at, plan) in faults.list("/plans", &self.plans, ASSIGNMENTS_MAX) {
            ends(&mut faults, &at, "until", plan.from, plan.until);
        }
        let plans: Vec<_> = self.plans.iter().map(|plan| (plan.from, plan.until)).collect();
        apart(&mut faults, "/plans", &plans);
        self.discounts(&mut faults);
        self.payments(&mut faults);
        faults.into_vec()
    }

    fn discounts(&self, faults: &mut Faults) {
        for (at, coupon) in faults.list("/coupons", &self.coupons, COUPONS_MAX) {
            faults.text(&format!("{at}/name"), &coupon.name);
            ends(faults, &at, "until", coupon.from, coupon.until);
            faults.unless(coupon.percent.is_some() != coupon.amount.is_some(), &at, || {
                "must have either a percent or an amount".to_owned()
            });
            if let Some(percent) = coupon.percent {
                faults.percent(&format!("{at}/percent"), percent);
            }
            if let Some(amount) = coupon.amount {
                faults.positive_amount(&format!("{at}/amount"), amount, self.currency);
            }
        }
        faults.unique("/coupons", self.coupons.iter().take(COUPONS_MAX).map(|coupon| coupon.id.as_str()));
        for (at, tax) in faults.list("/taxes", &self.taxes, TAXES_MAX) {
            faults.text(&format!("{at}/name"), &tax.name);
            faults.percent(&format!("{at}/percent"), tax.percent);
        }
        faults.unique("/taxes", self.taxes.iter().take(TAXES_MAX).map(|tax| tax.id.as_str()));
    }

    fn payments(&self, faults: &mut Faults) {
        let currency = self.currency;
        for (at, commitment) in faults.list("/commitments", &self.commitments, COMMITMENTS_MAX) {
            faults.positive_amount(&format!("{at}/amount"), commitment.amount, currency);
            ends(faults, &at, "until", commitment.from, commitment.until);
        }
        let commitments: Vec<_> = self.commitments.iter().map(|one| (one.from, one.until)).collect();
        apart(faults, "/commitments", &commitments);
        let ids = self.commitments.iter().take(COMMITMENTS_MAX).map(|commitment| commitment.id.as_str());
        faults.unique("/commitments", ids);
        for (at, credit) in faults.list("/credits", &self.credits, CREDITS_MAX) {
            faults.text(&format!("{at}/name"), &credit.name);
            faults.positive_amount(&format!("{at}/amount"), credit.amount, currency);
            ends(faults, &at, "expires", credit.from, credit.expires);
        }
        faults.unique("/credits", self.credits.iter().take(CREDITS_MAX).map(|credit| credit.id.as_str()));
        let mut below = Decimal::ZERO;
        for (at, threshold) in faults.list("/thresholds", &self.thresholds, THRESHOLDS_MAX) {
            faults.amount(&at, *threshold, currency);
            faults.unless(*threshold > below, &at, || format!("must be more than {below}"));
            below = below.max(*threshold);
        }
        for (n, (at, quota)) in faults.list("/quotas", &self.quotas, QUOTAS_MAX).enumerate() {
            faults.meter(&format!("{at}/meter"), &quota.meter);
            faults.unless(quota.quantity > 0, &format!("{at}/quantity"), || "must be at least 1".to_owned());
            let is_new = !self.quotas.iter().take(n).any(|before| before == quota);
            faults.unless(is_new, &at, || "is there before".to_owned());
        }
    }
}

fn party(faults: &mut Faults, at: &str, Party { name, address, tax_id, email }: &Party) {
    faults.text(&format!("{at}/name"), name);
    for (at, line) in faults.list(&format!("{at}/address"), address, ADDRESS_LINES_MAX) {
        faults.text(&at, line);
    }
    faults.text(&format!("{at}/tax_id"), tax_id.as_deref().unwrap_or_default());
    if let Some(email) = email {
        // As much of an address as can be said without a letter to it.
        let parts = email.split_once('@').filter(|(local, host)| !local.is_empty() && !host.is_empty());
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        let good = parts.is_some_and(|(_, host)| !host.contains('@')) && email.chars().all(plain);
        faults.unless(good && email.len() <= EMAIL_BYTES_MAX, &format!("{at}/email"), || {
            format!("must be an address such as alice@example.com, at most {EMAIL_BYTES_MAX} bytes long")
        });
    }
}

fn ends(faults: &mut Faults, at: &str, name: &str, from: Date, end: Option<Date>) {
    faults.unless(end.is_none_or(|end| from < end), &format!("{at}/{name}"), || {
        format!("must be after {from}, where it begins")
    });
}

/// Each begins where the one before has ended, or later.
fn apart(faults: &mut Faults, at: &str, stretches: &[(Date, Option<Date>)]) {
    for (i, pair) in stretches.windows(2).enumerate() {
        let [(_, end), (from, _)] = pair else { continue };
        let pointer = format!("{at}/{}/from", i + 1);
        match end {
            Some(end) => faults.unless(end <= from, &pointer, || {
                format!("must be {end} or later, where the one before ends")
            }),
            None => {
                faults.unless(false, &pointer, || format!("must not come after {at}/{i}, which has no end"));
            }
        }
    }
}
