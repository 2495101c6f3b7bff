//! `POST …/undelete`: takes a deletion back.

use axum::{
    extract::{Request, State},
    response::Response,
};
use runtime::problem::Problem;
use serde_json::{Value, json};

use crate::{
    app::App,
    control::{
        Call, Managed, Verb, change, docs,
        idempotency::{self, Begun},
    },
};

pub(super) fn operation<R: Managed>() -> Value {
    json!({
        "summary": format!("Undelete {}", docs::a::<R>()),
        "description": "As it was, as long as it is not purged, and what it names is there.",
        "operationId": format!("undelete_{}", docs::singular::<R>()),
        "parameters": docs::parameters::<R>(&[docs::if_match(), docs::idempotency_key()], true),
        "responses": {
            "200": docs::answer::<R>("It is back.", false),
            "409": docs::text("Others keep changing it; or the same request is being worked."),
            "412": docs::text("What is left of it is not at the revision of `If-Match`."),
            "422": docs::text("The idempotency key was used with another body."),
        },
    })
}

pub(super) async fn handle<R: Managed>(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = super::admit::<R>(app, Verb::Undelete, request).await?;
        let outcome = undelete::<R>(&mut call).await;
        call.finish(outcome).await
    })
    .await
}

async fn undelete<R: Managed>(call: &mut Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let body = call.any_body().await?;
    match idempotency::begin(call, &body).await? {
        Begun::Before(answer) => Ok(answer),
        Begun::Now(claim) => {
            let outcome = change::undelete::<R>(call).await;
            claim.end(outcome).await
        }
    }
}
