//! `PUT` of one: the whole of it.

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
    let made = if R::ID_IS_CHOSEN {
        " One that does not exist is made; `If-None-Match: *` says that it must not exist."
    } else {
        ""
    };
    let mut responses = json!({
        "200": docs::answer::<R>("It is as it was sent.", false),
        "409": docs::text("Others keep changing it; or it was deleted and not purged."),
        "412": docs::text("It is not at the revision of `If-Match`, or it is there although `If-None-Match` says no."),
        "413": docs::text("It is larger than a resource may be."),
        "415": docs::text("It is not sent as `application/json`."),
    });
    if R::ID_IS_CHOSEN {
        responses["201"] = docs::answer::<R>("It is made.", true);
    }
    json!({
        "summary": format!("Replace {}", docs::a::<R>()),
        "description": format!(
            "Members that are left out get their defaults, but for secrets, which stay. What only the fleet sets may be sent \
             as it was read.{made}"
        ),
        "operationId": format!("replace_{}", docs::singular::<R>()),
        "parameters": docs::parameters::<R>(&[docs::if_match(), docs::if_none_match(), docs::dry_run()], true),
        "requestBody": docs::body::<R>(body::JSON),
        "responses": responses,
    })
}

pub(super) async fn handle<R: Managed>(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let call = super::admit::<R>(app, Verb::Replace, request).await?;
        let outcome = replace::<R>(&call).await;
        call.finish(outcome).await
    })
    .await
}

async fn replace<R: Managed>(call: &Call) -> Result<Response, Problem> {
    let mode = super::mode(call)?;
    let given = body::object(&call.body(body::JSON).await?)?;
    let answer = change::modify::<R>(call, &change::Wish::Whole(Value::Object(given)), mode).await?;
    Ok(answer.into_response())
}
