//! Invoices: made of what is agreed ([`Terms`]) and what was used, kept for ever, and held against the events they come from.
//!
//! Invariant: a month of an account has one invoice that counts; invoices and credit notes are numbered without a gap; what is
//! made is never changed. It holds whoever dies when, and however many do the same at once ([`Series`]).
//!
//! ```no_run
//! # async fn example(bus: bus::Bus, usage: std::sync::Arc<dyn store::UsageStore>, catalog: catalog::Catalog)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use billing::{Biller, Ledger, Terms};
//!
//! let biller = Biller::new(Ledger::new(&bus), usage);
//! let (tenant, account) = ("acme".parse()?, "main".parse()?);
//! let terms = Terms::of(&catalog.snapshot(), &tenant, &account).ok_or("no such account")?;
//! let october = rating::Period::named(&terms.account.time_zone, "2026-10")?;
//! let made = biller.finalize(&terms, &october, model::Clock::now(&model::SystemClock)).await?;
//! println!("{} {}", billing::invoice_number(made.invoice.number), made.invoice.document.draft.due);
//! # Ok(()) }
//! ```

mod biller;
mod compare;
mod documents;
mod error;
mod records;
pub mod render;
mod series;

pub use self::{
    biller::{Biller, CreditWish, Finalized, Preview},
    compare::{Comparison, Difference, Fault, compare},
    documents::{CreditNote, History, Invoice, Ledger, Terms},
    error::Error,
    records::records_path,
    series::{Numbered, Series},
};

/// An invoice's number as people read it.
#[must_use]
pub fn invoice_number(number: u64) -> String {
    format!("INV-{number:06}")
}

/// A credit note's number as people read it.
#[must_use]
pub fn credit_note_number(number: u64) -> String {
    format!("CN-{number:06}")
}
