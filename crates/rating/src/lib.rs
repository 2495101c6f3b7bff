//! What a billing account owes for a month: prices and quantities become the lines of an invoice. Pure: no I/O, no clock, no
//! randomness; figures come in and go out as values.
//!
//! How a sum comes about (`docs/billing.md` says it for people, with an example):
//!
//! 1. The month is a [`Period`] in the account's time zone. It is cut into [`segments`] where the account changes its plan and where
//!    a plan changes its prices. Each is rated by its own prices and its own quantities.
//! 2. What is said of a whole month (flat fees, included quantities, bounds and flat amounts of tiers, minimums, commitments) is taken in proportion: days
//!    of the segment / days of the month. Prices of units and packages are not.
//! 3. Amounts are exact fractions until the end of a line, and then rounded to the currency's decimals, half away from zero. There is one
//!    function that does so. Sums are sums of rounded lines.
//! 4. A minimum of a charge, then of a plan, adds a line for what the charge, or all of the segment's lines, are short of it. A commitment
//!    adds one for what the month is short of it. Together these lines are the subtotal.
//! 5. Coupons that hold on any day of the month take off in their order: an amount, or a percentage of what those before have left;
//!    never more than there is.
//! 6. What was used of earlier months and not invoiced in time comes as lines of its own ([`late`]), which have the coupons of their month.
//! 7. Each tax is a percentage of subtotal - discounts + late, rounded once.
//! 8. Credits that hold on any day of the month pay the total: first those that expire first, then by their ids, as far as their
//!    balances reach. What they leave is due.
//!
//! Invariant: the amounts of all lines add up to what is due; the order, the pieces and the repetitions in which use is told change nothing;
//! what has too many digits is an error, never a panic or a wrong figure.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use model::resource::{BillingAccount, Plan};
//! use rating::{Basis, Period, Quantities, rate, segments};
//!
//! let plan: Plan = serde_json::from_str(r#"{"id": "pro", "prices": [{
//!     "effective_from": "2026-01-01", "currency": "EUR", "charges": [
//!         {"id": "base", "price": {"model": "flat", "amount": "49.00"}},
//!         {"id": "events", "meter": "events", "included": "1000", "price": {"model": "per_unit", "amount": "0.002"}}]}]}"#)?;
//! let account: BillingAccount = serde_json::from_str(r#"{"tenant": "acme", "id": "main", "currency": "EUR",
//!     "plans": [{"plan": "pro", "from": "2026-01-01"}], "taxes": [{"id": "vat", "name": "VAT", "percent": "19"}]}"#)?;
//! let period = Period::named(&account.time_zone, "2026-10")?;
//! let segments = segments(&account, |_| Some(&plan), &period)?;
//! let mut quantities = Quantities::default();
//! for segment in &segments {
//!     for meter in segment.meters() {
//!         quantities.add(segment, meter, 3_501); // as a usage store sums from segment.since_us to segment.until_us
//!     }
//! }
//! let balances = BTreeMap::new();
//! let draft = rate(Basis {
//!     account: &account, period: &period, segments: &segments, quantities: &quantities, balances: &balances, late: &[],
//! })?;
//! // 49.00 + (3501 - 1000) × 0.002 = 49.00 + 5.00 = 54.00; 19 % of it is 10.26.
//! assert_eq!((draft.subtotal.to_string(), draft.due.to_string()), ("54.00".into(), "64.26".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod draft;
mod error;
mod exact;
mod late;
mod period;
mod price;
mod rate;
mod segment;

pub use self::{
    draft::{Draft, Line, LineKind, Part, Share},
    error::Error,
    late::late,
    period::Period,
    rate::{Basis, rate},
    segment::{Quantities, Record, Segment, segments},
};
