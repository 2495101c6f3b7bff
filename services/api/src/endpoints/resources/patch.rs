//! `PATCH` of one: a JSON merge patch (RFC 7396).

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use runtime::problem::Problem;
use serde_json::{Value, json};

use crate::{
    app::App,
    control::{Call, Managed, Verb, body, change, docs},
};

pub(super) fn operation<R: Managed>() -> Value {
    json!({
        "summary": format!("Change {}", docs::a::<R>()),
        "description": "A JSON merge patch (RFC 7396): members that are given take the place of what is there, `null` takes \
            away. Without `If-Match` it is applied to whatever is there.",
        "operationId": format!("change_{}", docs::singular::<R>()),
        "parameters": docs::parameters::<R>(&[docs::if_match(), docs::dry_run()], true),
        "requestBody": {
            "required": true,
            "content": {body::MERGE_PATCH: {"schema": {"type": "object"}}},
        },
        "responses": {
            "200": docs::answer::<R>("It is changed.", false),
            "409": docs::text("Others keep changing it."),
            "412": docs::text("It is not at the revision of `If-Match`."),
            "413": docs::text("It is larger than a resource may be."),
            "415": docs::text("It is not sent as `application/merge-patch+json`."),
        },
    })
}

pub(super) async fn handle<R: Managed>(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let call = super::admit::<R>(app, Verb::Change, request).await?;
        let outcome = patch::<R>(&call).await;
        call.finish(outcome).await
    })
    .await
}

async fn patch<R: Managed>(call: &Call) -> Result<Response, Problem> {
    let mode = super::mode(call)?;
    let patch = body::object(&call.body(body::MERGE_PATCH).await?)?;
    let answer = change::modify::<R>(call, &change::Wish::Merged(Value::Object(patch)), mode).await?;
    Ok(answer.into_response())
}
