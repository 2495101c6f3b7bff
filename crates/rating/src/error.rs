//! Why no invoice comes about.

use model::{Currency, Date, ItemId, PlanId};

/// Why something cannot be rated. There is no invoice then: never one with a wrong figure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The time zone is unknown.
    #[error("{0:?} is not a name of the IANA time zone database")]
    Zone(String),
    /// There is no such month.
    #[error("{0:?} is not a month such as \"2026-10\", from 1970-01 to 2999-11")]
    Month(String),
    /// The account is on a plan that does not exist.
    #[error("there is no plan {0:?}, which the account is on")]
    NoPlan(PlanId),
    /// The account's amounts are of one currency and the plan's of another.
    #[error("plan {plan:?} is in {theirs}, and the account in {ours}")]
    Currency {
        /// The plan.
        plan: PlanId,
        /// The plan's.
        theirs: Currency,
        /// The account's.
        ours: Currency,
    },
    /// Nobody has said how much was used.
    #[error("the quantity of {meter:?} from {from} on is not known")]
    NoQuantity {
        /// Where the segment begins.
        from: Date,
        /// The meter.
        meter: String,
    },
    /// Nobody has said what is left of a credit.
    #[error("the balance of credit {0:?} is not known")]
    NoBalance(ItemId),
    /// A figure has too many digits.
    #[error("a figure has more than {} digits", model::DECIMAL_DIGITS_MAX)]
    Overflow,
    /// Two drafts are not of the same month of the same account.
    #[error("the drafts are not of one month of one account")]
    Unlike,
}
