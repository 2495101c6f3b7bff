//! `GET /api/v1/dead-letters`.

use axum::{Json, extract::State};
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::{App, ReadsLetters},
    letter_view::Summary,
    letters::{self, Filter},
    params::Params,
};

/// One page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterList)]
pub(super) struct LetterList {
    /// Oldest first.
    dead_letters: Vec<Summary>,
    /// For the next page; absent at the end. A page may be short, even empty, and still have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List dead letters
///
/// Events that could not go on, oldest first, with the stage that gave up and why.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "dead letters", operation_id = "list_dead_letters",
    params(
        ("stage" = Option<String>, Query, description = "`normalizer` or `engine`."),
        ("code" = Option<String>, Query, description = "An error code."),
        ("source" = Option<String>, Query, description = "The `source` the event has, or would have had."),
        ("since" = Option<String>, Query, description = "Given up at or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Given up before, RFC 3339."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most letters in the page; 100 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
    ),
    responses((status = 200, description = "One page.", body = LetterList))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsLetters(caller): ReadsLetters,
    mut params: Params,
) -> Result<Json<LetterList>, Problem> {
    let filter = Filter::take(&mut params);
    let limit = params.limit(100, 1_000);
    let cursor = |v: &str| v.parse().map_err(|_| "use the next_cursor of a previous page".to_owned());
    let after = params.read("cursor", cursor).unwrap_or(0);
    params.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = letters::page(&app, &caller.tenant.id, &filter, after, limit).await?;
    Ok(Json(LetterList {
        dead_letters: page.letters.iter().map(Summary::from).collect(),
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}
