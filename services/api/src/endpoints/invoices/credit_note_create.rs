//! `POST /api/v1/tenants/{tenant}/credit-notes`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use billing::CreditWish;
use model::{Decimal, ErrorCode};
use runtime::problem::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{biller, of_billing, view::CreditNoteView};
use crate::{
    app::App,
    control::{
        Call, Thing, Verb, audit, body,
        change::{self, Answer},
        idempotency::{self, Begun},
    },
    kinds::money::schema,
};

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// What is to be taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreditNoteWish {
    /// The invoice's number.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    invoice: u64,
    /// How much of it; not with `void`.
    #[serde(default)]
    #[schema(schema_with = schema::<Decimal>)]
    amount: Option<Decimal>,
    /// All that is left of it; it counts as never made then, and its month can be invoiced again.
    #[serde(default)]
    void: bool,
    /// Why, for who reads the credit note.
    #[schema(min_length = 1, max_length = 1_024)]
    reason: String,
}

/// Take an invoice back, whole or in part
///
/// The invoice stays as it is. With an `Idempotency-Key` it may be sent again: it is done once.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/credit-notes", tag = "billing", operation_id = "create_credit_note",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "So that the request can be sent again."),
    ),
    request_body = CreditNoteWish,
    responses(
        (status = 201, description = "It is taken back.", body = CreditNoteView),
        (status = 403, description = "The caller may not make invoices."),
        (status = 409, description = "It was taken back already; or the same request is being worked."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 422, description = "The idempotency key was used with another body."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = Call::admit(app, Verb::Create, Thing::Invoice, request).await?;
        let outcome = create(&mut call).await;
        call.finish(outcome).await
    })
    .await
}

async fn create(call: &mut Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let bytes = call.body(body::JSON).await?;
    match idempotency::begin(call, &bytes).await? {
        Begun::Before(answer) => Ok(answer),
        Begun::Now(claim) => {
            let outcome = take_back(call, body::object(&bytes)?).await;
            claim.end(outcome).await
        }
    }
}

async fn take_back(call: &mut Call, given: serde_json::Map<String, Value>) -> Result<Answer, Problem> {
    let wish = wish(body::read(Value::Object(given))?)?;
    let tenant = call.tenant()?.clone();
    call.asked.id = Some(wish.invoice.to_string());
    let amount = wish.amount.map_or_else(|| "void".to_owned(), |amount| amount.to_string());
    let after = json!({"invoice": wish.invoice, "amount": amount, "reason": wish.reason});
    let announced = audit::announce(&call.app, &call.asked, None, Some(after)).await?;
    let now = call.app.clock.now();
    match biller(&call.app).credit(&tenant, &wish, now).await {
        Ok(note) => {
            audit::done(&call.app, &call.asked, announced, note.number).await;
            let body = serde_json::to_value(CreditNoteView::from(&note)).map_err(Problem::internal)?;
            Ok(Answer { status: 201, revision: None, location: None, body })
        }
        Err(error) => Err(call.refused(announced, of_billing(error)).await),
    }
}

fn wish(given: CreditNoteWish) -> Result<CreditWish, Problem> {
    let CreditNoteWish { invoice, amount, void, reason } = given;
    let bad = |pointer: &str, detail: &str| {
        Err(Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value")
            .field(pointer, detail))
    };
    if void == amount.is_some() {
        return bad("/amount", "must be there, or else `void` must be true");
    }
    if reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        return bad("/reason", "must be 1 to 1024 bytes long");
    }
    Ok(CreditWish { invoice, amount, reason })
}
