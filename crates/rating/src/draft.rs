//! What comes out: an invoice before it has a number.

use std::collections::BTreeMap;

use model::{BillingAccountId, Currency, Date, Decimal, ItemId, PlanId, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that a month costs, line by line. The amounts of all lines together are `due`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Draft {
    /// Whose account it is of.
    pub tenant: TenantId,
    /// The account.
    pub account: BillingAccountId,
    /// The month, such as `2026-10`.
    pub period: String,
    /// Where its days begin.
    pub time_zone: String,
    /// Of all amounts.
    pub currency: Currency,
    /// In the order in which they come about.
    pub lines: Vec<Line>,
    /// Charges, minimums and commitment.
    pub subtotal: Decimal,
    /// What coupons take off, not negative.
    pub discounts: Decimal,
    /// What is put right of earlier months; may be negative.
    pub late: Decimal,
    /// All taxes.
    pub taxes: Decimal,
    /// `subtotal - discounts + late + taxes`.
    pub total: Decimal,
    /// What each credit pays of it.
    pub credits: BTreeMap<ItemId, Decimal>,
    /// What is left to pay. Negative only where less is charged than is given back of earlier months.
    pub due: Decimal,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// The same for the same thing whenever the month is rated: `charge/2026-10-01/events`, `tax/vat`.
    pub id: String,
    /// What it is.
    pub kind: LineKind,
    /// For people.
    pub name: String,
    /// The first day it is about.
    pub from: Date,
    /// The first day it is no longer about.
    pub until: Date,
    /// The part of the month it is about, where that is not the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Whose price it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanId>,
    /// What is charged: the id within the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<ItemId>,
    /// What was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// How much of it was counted, in the meter's own units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    /// How many of those are one unit of a price; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Decimal>,
    /// Units that cost nothing, for this part of the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub included: Option<Decimal>,
    /// How the amount comes about. Their amounts are shown to 12 decimals; the line's is their exact sum, rounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What is to pay for it: negative for what is taken off, given back or paid by a credit.
    pub amount: Decimal,
}

/// Days of a month that a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// So many.
    pub days: u32,
    /// Of so many.
    pub of: u32,
}

/// A step of a line's reckoning: `quantity × unit_amount + flat = amount`, each shown to 12 decimals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Units, packages or months.
    pub quantity: Decimal,
    /// Where the tier ends, for this part of the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Decimal>,
    /// Units in a package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Decimal>,
    /// What one costs.
    pub unit_amount: Decimal,
    /// What the tier costs besides, for this part of the month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat: Option<Decimal>,
    /// What it comes to.
    pub amount: Decimal,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// A charge of a plan.
    Charge,
    /// What a charge or a plan comes to at least.
    Minimum,
    /// What was agreed to be paid at least.
    Commitment,
    /// What a coupon takes off.
    Coupon,
    /// What an earlier month came to more, or less, than was invoiced.
    Late,
    /// What is added for an authority.
    Tax,
    /// What a credit pays.
    Credit,
}

impl LineKind {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Minimum => "minimum",
            Self::Commitment => "commitment",
            Self::Coupon => "coupon",
            Self::Late => "late",
            Self::Tax => "tax",
            Self::Credit => "credit",
        }
    }
}
