//! `POST /api/v1/tenants/{tenant}/invoices`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use runtime::problem::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{biller, of_billing, view::InvoiceView};
use crate::{
    app::App,
    control::{Call, Thing, Verb, audit, body, change},
};

/// Which month of which account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvoiceWish {
    /// The billing account.
    account: String,
    /// The month, such as `2026-10`; it must be over.
    #[schema(pattern = "^(19[7-9][0-9]|2[0-9]{3})-(0[1-9]|1[0-2])$")]
    period: String,
}

/// Make the invoice of a month
///
/// Once: if there is one, it is given. It gets the next number, and nothing changes it any more; what came late goes into the next
/// invoice. The fleet does so by itself for accounts whose month is over (`billing.close_after_hours`).
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/invoices", tag = "billing", operation_id = "create_invoice",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    request_body = InvoiceWish,
    responses(
        (status = 200, description = "There is one already.", body = InvoiceView),
        (status = 201, description = "It is made.", body = InvoiceView),
        (status = 403, description = "The caller may not make invoices."),
        (status = 409, description = "The month is not over."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 422, description = "The month cannot be rated; the detail says why."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = Call::admit(app, Verb::Create, Thing::Invoice, request).await?;
        let outcome = finalize(&mut call).await;
        call.finish(outcome).await
    })
    .await
}

async fn finalize(call: &mut Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let given = body::object(&call.body(body::JSON).await?)?;
    let InvoiceWish { account, period } = body::read(Value::Object(given))?;
    let tenant = call.tenant()?.clone();
    let terms = super::terms(&call.app, &tenant, &account, "/account")?;
    let month = super::month(&terms, &period, "/period")?;
    let biller = biller(&call.app);
    let wish = Some(json!({"account": account, "period": period}));
    let announced = audit::announce(&call.app, &call.asked, None, wish).await?;
    let made = match biller.finalize(&terms, &month, call.app.clock.now()).await {
        Ok(made) => made,
        Err(error) => return Err(call.refused(announced, of_billing(error)).await),
    };
    call.asked.id = Some(made.invoice.number.to_string());
    audit::done(&call.app, &call.asked, announced, made.invoice.number).await;
    let history = super::taken_back(&call.app, &made.invoice.document).await?;
    let location = format!("/api/v1/invoice/{tenant}/{}", made.invoice.number);
    let view = InvoiceView::new(made.invoice, &history);
    let status = if made.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(view)).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
