//! `POST /api/v1/dead-letters/{id}/redrive`.

use axum::{
    Json,
    extract::{Path, State},
};
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::{App, RedrivesLetters},
    letters,
    params::Params,
};

/// What a redrive did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Redrive)]
pub(super) struct Redrive {
    /// Letters that are on their way again.
    pub(super) redriven: u64,
    /// Whether letters that match may be left: ask again.
    pub(super) more: bool,
    /// What ended it early, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) stopped: Option<Stopped>,
}

/// What ended a redrive early.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RedriveStopped)]
pub(super) struct Stopped {
    /// An error code.
    pub(super) code: &'static str,
    /// For a person.
    pub(super) detail: String,
}

/// Redrive one dead letter
///
/// Sends the event through the fleet again, from the beginning, and deletes the letter. It keeps its identity: what
/// was stored already stays as it is. Redriving twice is redriving once.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/redrive", tag = "dead letters", operation_id = "redrive_dead_letter",
    params(("id" = u64, Path, description = "Its id.")),
    responses(
        (status = 200, description = "It is on its way.", body = Redrive),
        (status = 422, description = "A letter holds no event."),
    )
)]
pub(super) async fn handle(
    State(app): State<App>,
    RedrivesLetters(caller): RedrivesLetters,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Redrive>, Problem> {
    params.finish()?;
    let letter = letters::get(&app, &caller.tenant.id, &id).await?;
    match letters::redrive(&app, &[letter]).await {
        (0, Some(problem)) => Err(problem),
        // On its way; should deleting it have failed, a second redrive does no harm.
        (redriven, _) => Ok(Json(Redrive { redriven, more: false, stopped: None })),
    }
}
