//! `POST /api/v1/dead-letters/redrive`.

use axum::{Json, extract::State};
use runtime::problem::Problem;

use super::letter_redrive::{Redrive, Stopped};
use crate::{
    app::{App, RedrivesLetters},
    letters::{self, Filter},
    params::Params,
};

/// Redrive all dead letters that match
///
/// All of the tenant's without a filter, oldest first, a bounded number in one request: `more` says whether to ask
/// again. Letters that come back meanwhile are left for the next request.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/redrive", tag = "dead letters", operation_id = "redrive_dead_letters",
    params(
        ("stage" = Option<String>, Query, description = "`normalizer` or `engine`."),
        ("code" = Option<String>, Query, description = "An error code."),
        ("source" = Option<String>, Query, description = "The `source` the event has, or would have had."),
        ("since" = Option<String>, Query, description = "Given up at or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Given up before, RFC 3339."),
    ),
    responses((status = 200, description = "How many, and whether there are more.", body = Redrive))
)]
pub(super) async fn handle(
    State(app): State<App>,
    RedrivesLetters(caller): RedrivesLetters,
    mut params: Params,
) -> Result<Json<Redrive>, Problem> {
    let filter = Filter::take(&mut params);
    params.finish()?;
    let done = letters::redrive_all(&app, &caller.tenant.id, &filter).await?;
    match done.stopped {
        Some(problem) if done.letters == 0 => Err(problem),
        stopped => Ok(Json(Redrive {
            redriven: done.letters,
            more: done.more,
            stopped: stopped.map(|p| Stopped { code: p.code.as_str(), detail: p.public_detail().to_owned() }),
        })),
    }
}
