//! `GET /api/v1/tenants/{tenant}/billing-accounts/{id}/preview`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use rating::Period;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{biller, of_billing, view::Month};
use crate::{
    app::App,
    control::{Call, Thing, Verb},
};

/// A month that is not invoiced yet.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvoicePreview {
    #[serde(flatten)]
    month: Month,
    /// What it will come to if use goes on as it went until now; absent before it begins and after it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    forecast: Option<Month>,
}

/// See a month before it is invoiced
///
/// As it would be invoiced now, late use of earlier months included, and what it will come to.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/billing-accounts/{id}/preview", tag = "billing", operation_id = "get_invoice_preview",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("id" = String, Path, description = "The billing account's id."),
        ("period" = Option<String>, Query, description = "The month, such as `2026-10`; the running one by default."),
    ),
    responses(
        (status = 200, description = "The month.", body = InvoicePreview),
        (status = 422, description = "The month cannot be rated; the detail says why."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Invoice, request).await?;
    let outcome = preview(&call).await;
    call.finish(outcome).await
}

async fn preview(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params();
    let period = params.one("period");
    params.finish()?;
    let terms = super::terms(&call.app, call.tenant()?, call.id(), "")?;
    let now = call.app.clock.now();
    let month = match period {
        Some(period) => super::month(&terms, &period, "query:period")?,
        None => Period::containing(&terms.account.time_zone, now).map_err(|e| of_billing(e.into()))?,
    };
    let seen = biller(&call.app).preview(&terms, &month, now).await.map_err(of_billing)?;
    let of = |draft| Month::new(draft, terms.account.customer.as_ref());
    let (month, forecast) = (of(seen.draft), seen.forecast.map(of));
    Ok(Json(InvoicePreview { month, forecast }).into_response())
}
