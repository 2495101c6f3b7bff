//! `DELETE /api/v1/dead-letters/{id}`.

use axum::extract::{Path, State};
use http::StatusCode;
use runtime::problem::Problem;

use crate::{
    app::{App, DeletesLetters},
    letters,
    params::Params,
};

/// Delete one dead letter
///
/// The event is gone for good, unless it was stored before.
#[utoipa::path(
    delete, path = "/api/v1/dead-letters/{id}", tag = "dead letters", operation_id = "delete_dead_letter",
    params(("id" = u64, Path, description = "Its id.")),
    responses((status = 204, description = "It is gone."))
)]
pub(super) async fn handle(
    State(app): State<App>,
    DeletesLetters(caller): DeletesLetters,
    Path(id): Path<String>,
    params: Params,
) -> Result<StatusCode, Problem> {
    params.finish()?;
    let letter = letters::get(&app, &caller.tenant.id, &id).await?;
    letters::delete(&app, &letter).await?;
    Ok(StatusCode::NO_CONTENT)
}
