//! `GET /api/v1/me/sessions` and `GET /api/v1/users/{id}/sessions`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use model::UserId;
use runtime::problem::Problem;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Call, Thing, Verb, Visit},
    error::not_found,
    people::login,
};

/// Somebody's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionList {
    /// The oldest first.
    #[schema(value_type = Vec<SessionView>)]
    sessions: Vec<Value>,
}

/// A session.
#[derive(Debug, ToSchema)]
#[schema(as = Session)]
#[expect(dead_code, reason = "describes what is made of a session as it is kept")]
pub(crate) struct SessionView {
    /// Its id.
    id: String,
    /// Whose it is.
    user: String,
    /// The tenant its tokens are at home in, if any.
    tenant: Option<String>,
    /// When it was begun.
    #[schema(format = DateTime)]
    began_at: String,
    /// When it was gone on with last.
    #[schema(format = DateTime)]
    refreshed_at: String,
    /// When it ends if nobody goes on with it.
    #[schema(format = DateTime)]
    expires_at: String,
    /// From where it was begun, as the connection said.
    address: Option<String>,
    /// With what, as it said itself.
    agent: Option<String>,
}

/// List one's sessions
#[utoipa::path(
    get, path = "/api/v1/me/sessions", tag = "people", operation_id = "list_my_sessions",
    responses(
        (status = 200, description = "All that are not over.", body = SessionList),
        (status = 403, description = "The caller is no person with a session."),
    )
)]
pub(super) async fn mine(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (visit, person) = Visit::of_person(app, Verb::Read, Thing::Session, request).await?;
    let outcome = async {
        visit.params().finish()?;
        person.may_act()?;
        list(&visit.app, &person.user.id).await
    };
    visit.finish(outcome.await).await
}

/// List a user's sessions
#[utoipa::path(
    get, path = "/api/v1/users/{id}/sessions", tag = "people", operation_id = "list_user_sessions",
    params(("id" = String, Path, description = "The user's id.")),
    responses(
        (status = 200, description = "All that are not over.", body = SessionList),
        (status = 403, description = "The caller may not read sessions, fleet-wide."),
    )
)]
pub(super) async fn of_user(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Session, request).await?;
    let outcome = async {
        call.params().finish()?;
        list(&call.app, &known(&call.app, call.id())?).await
    };
    call.finish(outcome.await).await
}

/// The id of a user who is there.
pub(super) fn known(app: &App, named: &str) -> Result<UserId, Problem> {
    let user = app.catalog.snapshot().user(named).map(|user| user.id.clone());
    user.ok_or_else(|| not_found(format!("there is no user {named:?}")))
}

async fn list(app: &App, user: &UserId) -> Result<Response, Problem> {
    let policy = app.people.sessions.policy().await?;
    let now = app.clock.now();
    let mut found = app.people.sessions.of_user(user).await?;
    found.retain(|found| {
        let session = &found.kept.session;
        session.revoked_at.is_none() && session.expires_at(policy) > now
    });
    let signed_out = app.catalog.snapshot().user(user).map_or(0, |user| user.signed_out_at_us);
    found.retain(|found| found.kept.session.began_at > signed_out);
    let sessions = found.iter().map(|found| login::view(&found.kept, policy)).collect();
    Ok(Json(SessionList { sessions }).into_response())
}
