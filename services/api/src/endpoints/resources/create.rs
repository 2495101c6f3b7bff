//! `POST` to a list: makes one.

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use runtime::problem::Problem;
use serde_json::{Value, json};

use crate::{
    app::App,
    control::{
        Call, Managed, Verb, body,
        change::{self, Mode},
        docs,
        idempotency::{self, Begun},
    },
};

pub(super) fn operation<R: Managed>() -> Value {
    let secret = R::SHOWN_ONCE.map(|(name, _)| format!(" The answer holds `{name}`, this once."));
    let secret = secret.unwrap_or_default();
    json!({
        "summary": format!("Make {}", docs::a::<R>()),
        "description": format!(
            "Refused if there is one of that id, or was one that is not purged yet. With an `Idempotency-Key` it may be sent \
             again: it is done once, and answered the same.{secret}"
        ),
        "operationId": format!("create_{}", docs::singular::<R>()),
        "parameters": docs::parameters::<R>(&[docs::idempotency_key(), docs::dry_run()], false),
        "requestBody": docs::body::<R>(body::JSON),
        "responses": {
            "200": docs::answer::<R>("It could be made: a dry run.", false),
            "201": docs::answer::<R>("It is made.", true),
            "409": docs::text("It exists already, or was deleted and not purged; or the same request is being worked."),
            "413": docs::text("It is larger than a resource may be."),
            "415": docs::text("It is not sent as `application/json`."),
            "422": docs::text("The idempotency key was used with another body."),
        },
    })
}

pub(super) async fn handle<R: Managed>(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = super::admit::<R>(app, Verb::Create, request).await?;
        let outcome = create::<R>(&mut call).await;
        call.finish(outcome).await
    })
    .await
}

async fn create<R: Managed>(call: &mut Call) -> Result<Response, Problem> {
    let mode = super::mode(call)?;
    let bytes = call.body(body::JSON).await?;
    let given = body::object(&bytes)?;
    if mode == Mode::Dry {
        idempotency::check(&call.headers)?;
        return Ok(change::create::<R>(call, given, mode).await?.into_response());
    }
    match idempotency::begin(call, &bytes).await? {
        Begun::Before(answer) => Ok(answer),
        Begun::Now(claim) => {
            let outcome = change::create::<R>(call, given, mode).await;
            claim.end(outcome).await
        }
    }
}
