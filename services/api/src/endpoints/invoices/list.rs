//! `GET /api/v1/tenants/{tenant}/invoices`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use billing::{Ledger, invoice_number};
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::of_billing;
use crate::{
    app::App,
    control::{Call, Thing, Verb},
};

/// One page of invoices.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvoiceList {
    /// Oldest first.
    invoices: Vec<InvoiceSummary>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// An invoice without its lines.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvoiceSummary {
    /// Its number.
    id: u64,
    /// The same for people.
    number: String,
    /// The billing account.
    account: String,
    /// The month.
    period: String,
    /// When it was made.
    #[schema(format = DateTime)]
    finalized_at: String,
    /// Of the amounts.
    currency: String,
    /// What it comes to.
    total: String,
    /// What is left to pay of it, besides what credit notes take back.
    due: String,
}

/// List a tenant's invoices
///
/// Oldest first, those that were taken back among them.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/invoices", tag = "billing", operation_id = "list_invoices",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most invoices in the page; 100 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
    ),
    responses((status = 200, description = "One page.", body = InvoiceList))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Invoice, request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}

async fn list(call: &Call) -> Result<Response, Problem> {
    let (after, limit) = super::page(&mut call.params())?;
    let ledger = Ledger::new(&call.app.bus);
    let found = ledger.invoices.page(call.tenant()?, after, limit).await.map_err(of_billing)?;
    let next_cursor = super::next(&found, limit);
    let invoices = found.into_iter().map(|invoice| {
        let draft = invoice.document.draft;
        InvoiceSummary {
            id: invoice.number,
            number: invoice_number(invoice.number),
            account: draft.account.to_string(),
            period: draft.period,
            finalized_at: invoice.document.finalized_at,
            currency: draft.currency.to_string(),
            total: draft.total.to_string(),
            due: draft.due.to_string(),
        }
    });
    Ok(Json(InvoiceList { invoices: invoices.collect(), next_cursor }).into_response())
}
