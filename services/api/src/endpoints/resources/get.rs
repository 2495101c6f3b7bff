//! `GET` of one.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::header;
use runtime::problem::Problem;
use serde_json::{Value, json};

use crate::{
    app::App,
    control::{Call, Managed, Verb, change, docs, managed::view, precondition::etag},
    error::of_catalog,
};

pub(super) fn operation<R: Managed>() -> Value {
    json!({
        "summary": format!("Get {}", docs::a::<R>()),
        "description": "Without secrets. The `ETag` is its revision, which a change may name in `If-Match`.",
        "operationId": format!("get_{}", docs::singular::<R>()),
        "parameters": docs::parameters::<R>(&[], true),
        "responses": {"200": docs::answer::<R>("It.", false)},
    })
}

pub(super) async fn handle<R: Managed>(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    let call = super::admit::<R>(app, Verb::Read, request).await?;
    let outcome = get::<R>(&call).await;
    call.finish(outcome).await
}

async fn get<R: Managed>(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let (tenant, id) = (call.tenant()?, call.id());
    let (revision, view) = match call.app.catalog.snapshot().entry::<R>(tenant, id) {
        Some(entry) => (entry.revision, view(&*entry.value, Some(entry.revision), None)),
        // Made a moment ago, somewhere else.
        None => match call.app.catalog.get::<R>(tenant, id).await {
            Ok(found) => (found.revision, view(&found.value, Some(found.revision), None)),
            Err(catalog::Error::NotFound { .. }) => return Err(change::nothing::<R>(call)),
            Err(error) => return Err(of_catalog(error, false)),
        },
    };
    Ok(([(header::ETAG, etag(revision))], Json(view)).into_response())
}
