//! `DELETE /api/v1/dead-letters`.

use axum::{Json, extract::State};
use model::ErrorCode;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::{App, DeletesLetters},
    letters::{self, Filter},
    params::Params,
};

/// What a purge did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Purge)]
pub(super) struct Purge {
    /// Letters that are gone.
    deleted: u64,
    /// Whether letters that match may be left: ask again.
    more: bool,
}

/// Delete all dead letters that match
///
/// A filter is needed, or `all=true`: the events are gone for good, unless they were stored before.
#[utoipa::path(
    delete, path = "/api/v1/dead-letters", tag = "dead letters", operation_id = "purge_dead_letters",
    params(
        ("stage" = Option<String>, Query, description = "`normalizer` or `engine`."),
        ("code" = Option<String>, Query, description = "An error code."),
        ("source" = Option<String>, Query, description = "The `source` the event has, or would have had."),
        ("since" = Option<String>, Query, description = "Given up at or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Given up before, RFC 3339."),
        ("all" = Option<bool>, Query, description = "`true`: all of the tenant's, without a filter."),
    ),
    responses((status = 200, description = "How many, and whether there are more.", body = Purge))
)]
pub(super) async fn handle(
    State(app): State<App>,
    DeletesLetters(caller): DeletesLetters,
    mut params: Params,
) -> Result<Json<Purge>, Problem> {
    let filter = Filter::take(&mut params);
    let all = params.choice("all", &[("true", true), ("false", false)]).unwrap_or(false);
    params.finish()?;
    if filter.is_empty() && !all {
        return Err(Problem::new(ErrorCode::InvalidArgument, "say which dead letters to delete")
            .field("query:all", "must be true where no filter is given"));
    }
    let (deleted, more) = letters::purge(&app, &caller.tenant.id, &filter).await?;
    Ok(Json(Purge { deleted, more }))
}
