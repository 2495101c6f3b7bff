//! `DELETE /api/v1/me/sessions/{id}` and `DELETE /api/v1/users/{id}/sessions/{session}`.

use axum::{
    extract::{Path, Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use runtime::problem::Problem;

use super::session_list::known;
use crate::{
    app::App,
    control::{Call, Thing, Verb, Visit, audit::Asked, change},
    error::not_found,
    people::login,
};

/// End one of one's sessions
///
/// No token of it is good any more, anywhere, within a second.
#[utoipa::path(
    delete, path = "/api/v1/me/sessions/{session}", tag = "people", operation_id = "end_my_session",
    params(("session" = String, Path, description = "The session's id.")),
    responses(
        (status = 204, description = "It is over."),
        (status = 403, description = "The caller is no person with a session."),
    )
)]
pub(super) async fn mine(
    State(app): State<App>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let (mut visit, person) = Visit::of_person(app, Verb::Delete, Thing::Session, request).await?;
        visit.asked.id = Some(session.clone());
        let outcome = async {
            visit.params().finish()?;
            person.may_act()?;
            end(&visit.app, &visit.asked, &person.user.id, &session).await
        };
        let outcome = outcome.await;
        visit.finish(outcome).await
    })
    .await
}

/// End a user's session
///
/// No token of it is good any more, anywhere, within a second.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}/sessions/{session}", tag = "people", operation_id = "end_user_session",
    params(
        ("id" = String, Path, description = "The user's id."),
        ("session" = String, Path, description = "The session's id."),
    ),
    responses(
        (status = 204, description = "It is over."),
        (status = 403, description = "The caller may not end sessions, fleet-wide."),
    )
)]
pub(super) async fn of_user(
    State(app): State<App>,
    Path((user, session)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = Call::admit(app, Verb::Delete, Thing::Session, request).await?;
        call.asked.id = Some(session.clone());
        let outcome = async {
            call.params().finish()?;
            let user = known(&call.app, &user)?;
            end(&call.app, &call.asked, &user, &session).await
        };
        let outcome = outcome.await;
        call.finish(outcome).await
    })
    .await
}

async fn end(app: &App, asked: &Asked, user: &str, session: &str) -> Result<Response, Problem> {
    let found = app.people.sessions.find(user, session).await?;
    let found = found.ok_or_else(|| not_found(format!("there is no session {session:?}")))?;
    login::end(app, asked, found).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
