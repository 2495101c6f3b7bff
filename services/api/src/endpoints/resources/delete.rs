//! `DELETE` of one.

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use runtime::problem::Problem;
use serde_json::{Value, json};

use crate::{
    app::App,
    control::{Call, Managed, Verb, change, docs},
};

pub(super) fn operation<R: Managed>() -> Value {
    json!({
        "summary": format!("Delete {}", docs::a::<R>()),
        "description": "No service knows it any more within moments. It keeps its id, and can be undeleted, until it is purged. \
            One that others name cannot be deleted.",
        "operationId": format!("delete_{}", docs::singular::<R>()),
        "parameters": docs::parameters::<R>(&[docs::if_match(), docs::dry_run()], true),
        "responses": {
            "204": {"description": "It is deleted; or it could be: a dry run."},
            "409": docs::text("Others keep changing it."),
            "412": docs::text("It is not at the revision of `If-Match`."),
            "422": docs::text("Others name it; they are named in the detail."),
        },
    })
}

pub(super) async fn handle<R: Managed>(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let call = super::admit::<R>(app, Verb::Delete, request).await?;
        let outcome = delete::<R>(&call).await;
        call.finish(outcome).await
    })
    .await
}

async fn delete<R: Managed>(call: &Call) -> Result<Response, Problem> {
    let mode = super::mode(call)?;
    change::delete::<R>(call, mode).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
