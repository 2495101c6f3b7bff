//! `GET /api/v1/dead-letters/{id}`.

use axum::{
    Json,
    extract::{Path, State},
};
use runtime::problem::Problem;

use crate::{
    app::{App, ReadsLetters},
    letter_view::Detail,
    letters,
    params::Params,
};

/// Get one dead letter
///
/// With the event or the raw request, untouched.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}", tag = "dead letters", operation_id = "get_dead_letter",
    params(("id" = u64, Path, description = "Its id.")),
    responses((status = 200, description = "The letter.", body = Detail))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsLetters(caller): ReadsLetters,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Detail>, Problem> {
    params.finish()?;
    let letter = letters::get(&app, &caller.tenant.id, &id).await?;
    Ok(Json((&letter).into()))
}
