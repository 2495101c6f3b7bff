//! Invoices as callers see them. Amounts are decimals in text: the numbers of many readers are binary fractions.

use std::collections::BTreeMap;

use billing::{CreditNote, History, Invoice, Numbered, credit_note_number, invoice_number, records_path};
use model::{CustomerId, resource::Party};
use rating::{Draft, Line};
use schemars::JsonSchema;
use serde::Serialize;
use utoipa::ToSchema;

use crate::kinds::money::schema;

/// An invoice.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Invoice)]
pub(super) struct InvoiceView {
    /// Its number, without gaps over all tenants.
    id: u64,
    /// The same for people.
    number: String,
    /// `finalized`, or `void` if it counts as never made.
    status: &'static str,
    /// When it was made.
    #[schema(format = DateTime)]
    finalized_at: String,
    /// To whom it is made out.
    #[schema(schema_with = schema::<Party>)]
    bill_to: Party,
    /// Who makes it out.
    #[schema(schema_with = schema::<Party>)]
    bill_from: Party,
    #[serde(flatten)]
    month: Month,
    /// What was taken back of it.
    credit_notes: Vec<CreditNoteView>,
}

/// What a month comes to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Month {
    /// Whose month.
    tenant: String,
    /// The billing account.
    account: String,
    /// The month, such as `2026-10`.
    period: String,
    /// Where its days begin.
    time_zone: String,
    /// Of all amounts.
    currency: String,
    /// In the order in which they come about.
    #[schema(schema_with = schema::<Vec<LineView>>)]
    lines: Vec<LineView>,
    /// Charges, minimums and commitment.
    subtotal: String,
    /// What coupons take off, not negative.
    discounts: String,
    /// What is put right of earlier months; may be negative.
    late: String,
    /// All taxes.
    taxes: String,
    /// `subtotal - discounts + late + taxes`.
    total: String,
    /// What each credit pays of it.
    credits: BTreeMap<String, String>,
    /// What is left to pay.
    due: String,
}

/// A line, with the way to what it counts.
#[derive(Debug, Serialize, JsonSchema)]
struct LineView {
    #[serde(flatten)]
    line: Line,
    /// Where the usage records that it counts are listed; each of them says where its event is.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<String>,
}

impl Month {
    /// Of an account, which may be a customer's.
    pub(super) fn new(draft: Draft, customer: Option<&CustomerId>) -> Self {
        let lines = draft.lines.iter();
        let lines =
            lines.map(|line| LineView { records: records_path(&draft, customer, line), line: line.clone() });
        let lines = lines.collect();
        let credits = draft.credits.iter().map(|(id, amount)| (id.to_string(), amount.to_string())).collect();
        Self {
            tenant: draft.tenant.to_string(),
            account: draft.account.to_string(),
            period: draft.period,
            time_zone: draft.time_zone,
            currency: draft.currency.to_string(),
            lines,
            subtotal: draft.subtotal.to_string(),
            discounts: draft.discounts.to_string(),
            late: draft.late.to_string(),
            taxes: draft.taxes.to_string(),
            total: draft.total.to_string(),
            credits,
            due: draft.due.to_string(),
        }
    }
}

impl InvoiceView {
    /// With what was taken back of it.
    pub(super) fn new(invoice: Numbered<Invoice>, history: &History) -> Self {
        let Numbered { number: id, document: Invoice { finalized_at, draft, terms, .. } } = invoice;
        let month = Month::new(draft, terms.account.customer.as_ref());
        Self {
            id,
            number: invoice_number(id),
            status: if history.is_void(id) { "void" } else { "finalized" },
            finalized_at,
            bill_to: terms.account.bill_to,
            bill_from: terms.account.bill_from,
            month,
            credit_notes: history.notes(id).map(CreditNoteView::from).collect(),
        }
    }
}

/// What takes an invoice back, whole or in part.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CreditNote)]
pub(super) struct CreditNoteView {
    /// Its number, without gaps over all tenants.
    id: u64,
    /// The same for people.
    number: String,
    /// The invoice.
    invoice: u64,
    /// Whether the invoice counts as never made.
    void: bool,
    /// Why.
    reason: String,
    /// What is given back.
    amount: String,
    /// Of what currency.
    currency: String,
    /// When it was made.
    #[schema(format = DateTime)]
    made_at: String,
}

impl From<&Numbered<CreditNote>> for CreditNoteView {
    fn from(note: &Numbered<CreditNote>) -> Self {
        let CreditNote { tenant: _, invoice, void, reason, amount, currency, made_at } =
            note.document.clone();
        Self {
            id: note.number,
            number: credit_note_number(note.number),
            invoice,
            void,
            reason,
            amount: amount.to_string(),
            currency: currency.to_string(),
            made_at,
        }
    }
}
