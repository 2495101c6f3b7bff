//! `GET` of a list.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use runtime::problem::Problem;
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    control::{Call, Managed, Verb, docs, managed::view, select::Select},
};

pub(super) fn operation<R: Managed>() -> Value {
    let parameters = [
        docs::query("q", "Only those with this text in id, name or description, in upper or lower case."),
        docs::queries(
            "label",
            "Only those with such a label: `name`, `!name`, `name=value` or `name!=value`. Repeatable: all must hold.",
        ),
        docs::query(
            "sort",
            "`id` (default), `name`, `created_at` or `updated_at`; with `-` before it the other way round.",
        ),
        docs::query("deleted", "`true`: those that are deleted and not purged, instead."),
        docs::limit(),
        docs::query("cursor", "`next_cursor` of the previous page; the other parameters must be the same."),
    ];
    json!({
        "summary": format!("List {}", docs::plural::<R>()),
        "operationId": format!("list_{}", docs::member::<R>()),
        "parameters": docs::parameters::<R>(&parameters, false),
        "responses": {"200": docs::page::<R>()},
    })
}

pub(super) async fn handle<R: Managed>(
    State(app): State<App>,
    request: Request,
) -> Result<Response, Problem> {
    let call = super::admit::<R>(app, Verb::Read, request).await?;
    let outcome = list::<R>(&call).await;
    call.finish(outcome).await
}

async fn list<R: Managed>(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params();
    let select = Select::take(&mut params);
    params.finish()?;
    let tenant = call.listed(R::KIND).await?;
    let snapshot = call.app.catalog.snapshot();
    let (page, next) = select.page::<R>(&snapshot, tenant);
    let views = page.iter().map(|found| view(found.resource, Some(found.revision), found.deleted_at));
    let mut answer = Map::new();
    answer.insert(docs::member::<R>(), views.collect());
    if let Some(next) = next {
        answer.insert("next_cursor".to_owned(), next.into());
    }
    Ok(Json(answer).into_response())
}
