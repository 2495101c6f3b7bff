//! `GET /api/v1/tenants/{tenant}/credit-notes`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use billing::Ledger;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{of_billing, view::CreditNoteView};
use crate::{
    app::App,
    control::{Call, Thing, Verb},
};

/// One page of credit notes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreditNoteList {
    /// Oldest first.
    credit_notes: Vec<CreditNoteView>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List a tenant's credit notes
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/credit-notes", tag = "billing", operation_id = "list_credit_notes",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most credit notes in the page; 100 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
    ),
    responses((status = 200, description = "One page.", body = CreditNoteList))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Invoice, request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}

async fn list(call: &Call) -> Result<Response, Problem> {
    let (after, limit) = super::page(&mut call.params())?;
    let ledger = Ledger::new(&call.app.bus);
    let found = ledger.credit_notes.page(call.tenant()?, after, limit).await.map_err(of_billing)?;
    let next_cursor = super::next(&found, limit);
    let credit_notes = found.iter().map(CreditNoteView::from).collect();
    Ok(Json(CreditNoteList { credit_notes, next_cursor }).into_response())
}
