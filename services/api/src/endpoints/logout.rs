//! `POST /api/v1/logout`.

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use runtime::problem::Problem;

use crate::{
    app::App,
    control::{Person, Thing, Verb, Visit, change},
    people::{browser, login},
};

/// Log out
///
/// Ends the session of the access token: no token of it is good any more, anywhere, within a second.
#[utoipa::path(
    post, path = "/api/v1/logout", tag = "people", operation_id = "log_out",
    responses(
        (status = 204, description = "The session is over."),
        (status = 401, description = "Nobody's token, or its session was over already."),
        (status = 403, description = "The caller is no person with a session."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let (visit, person) = Visit::of_person(app, Verb::Delete, Thing::Session, request).await?;
        let outcome = log_out(&visit, &person).await;
        visit.finish(outcome).await
    })
    .await
}

async fn log_out(visit: &Visit, person: &Person) -> Result<Response, Problem> {
    visit.params().finish()?;
    let found = visit.app.people.sessions.find(&person.user.id, person.session()).await?;
    if let Some(found) = found {
        login::end(&visit.app, &visit.asked, found).await?;
    } else {
        // It has left the bucket, and what is left of it is this token.
        login::end_tokens(&visit.app, &person.user.id, person.session()).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    if visit.by_cookie {
        let headers = response.headers_mut();
        for line in browser::unset() {
            headers.append(header::SET_COOKIE, line);
        }
    }
    Ok(response)
}
