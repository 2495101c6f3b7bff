//! `GET /api/v1/invoice/{tenant}` and `GET /api/v1/invoice/{tenant}/{id}`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use billing::{Invoice, Ledger, Numbered, render};
use http::{HeaderValue, header};
use model::BillingAccountId;
use runtime::problem::Problem;

use super::{of_billing, view::InvoiceView};
use crate::{
    app::App,
    control::{Call, Thing, Verb},
    error::not_found,
    params::Params,
};

/// How an invoice is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Json,
    Csv,
    Html,
    Pdf,
}

/// What `format` may say.
pub(crate) const FORMATS: [(&str, Format); 4] =
    [("json", Format::Json), ("csv", Format::Csv), ("html", Format::Html), ("pdf", Format::Pdf)];

/// Get a tenant's latest invoice
///
/// Of those that count.
#[utoipa::path(
    get, path = "/api/v1/invoice/{tenant}", tag = "billing", operation_id = "get_latest_invoice",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("account" = Option<String>, Query, description = "Only of this billing account."),
        ("format" = Option<String>, Query, description = "`json` (default), `csv`, `html` or `pdf`."),
    ),
    responses(
        (status = 200, description = "It.", content(
            (InvoiceView = "application/json"), (String = "text/csv"), (String = "text/html"), (serde_json::Value = "application/pdf"),
        )),
        (status = 404, description = "There is none yet, or no such tenant."),
    )
)]
pub(super) async fn latest(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Invoice, request).await?;
    let outcome = get_latest(&call).await;
    call.finish(outcome).await
}

/// Get an invoice
#[utoipa::path(
    get, path = "/api/v1/invoice/{tenant}/{id}", tag = "billing", operation_id = "get_invoice",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("id" = String, Path, description = "The invoice's number."),
        ("format" = Option<String>, Query, description = "`json` (default), `csv`, `html` or `pdf`."),
    ),
    responses((status = 200, description = "It.", content(
        (InvoiceView = "application/json"), (String = "text/csv"), (String = "text/html"), (serde_json::Value = "application/pdf"),
    )))
)]
pub(super) async fn one(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Invoice, request).await?;
    let outcome = get(&call).await;
    call.finish(outcome).await
}

async fn get(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params();
    let format = format(&mut params);
    params.finish()?;
    let invoice = super::find(call).await?;
    answer(call, invoice, format).await
}

async fn get_latest(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params();
    let format = format(&mut params);
    let account: Option<BillingAccountId> =
        params.read("account", |v| v.parse().map_err(|e: model::InvalidId| e.to_string()));
    params.finish()?;
    let (ledger, tenant) = (Ledger::new(&call.app.bus), call.tenant()?);
    let found = ledger.latest(tenant, account.as_ref()).await.map_err(of_billing)?;
    let invoice = found.ok_or_else(|| not_found("there is no invoice yet"))?;
    answer(call, invoice, format).await
}

fn format(params: &mut Params) -> Format {
    params.choice("format", &FORMATS).unwrap_or(Format::Json)
}

async fn answer(call: &Call, invoice: Numbered<Invoice>, format: Format) -> Result<Response, Problem> {
    let history = super::taken_back(&call.app, &invoice.document).await?;
    let (media_type, body) = match format {
        Format::Json => return Ok(Json(InvoiceView::new(invoice, &history)).into_response()),
        Format::Csv => ("text/csv; charset=utf-8", render::csv(&invoice).into_bytes()),
        Format::Html => ("text/html; charset=utf-8", render::html(&invoice, &history).into_bytes()),
        Format::Pdf => ("application/pdf", render::pdf(&invoice, &history)),
    };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    Ok(response)
}
