//! `POST /api/v1/invitations/accept`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::login::{SessionTokens, answer};
use crate::{
    app::App,
    control::{Thing, Verb, Visit, change},
    people::invitations::{self, Acceptance},
};

/// Who accepts an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptInvitation {
    /// The token of the invitation.
    #[schema(value_type = String, write_only)]
    token: SecretString,
    /// The id they want, or have: 1 to 63 characters of a-z, 0-9 and '-'.
    username: String,
    /// The password they want, or, being a user already, have.
    #[schema(value_type = String, write_only)]
    password: SecretString,
    /// For people; of who is a user already it stays.
    #[serde(default)]
    name: String,
    /// Whether a browser is to keep the tokens, as at login.
    #[serde(default)]
    cookie: bool,
}

/// Accept an invitation
///
/// As a new user or, by name and password, as one who is here already. An invitation is good once.
#[utoipa::path(
    post, path = "/api/v1/invitations/accept", tag = "people", operation_id = "accept_invitation", security(()),
    request_body = AcceptInvitation,
    responses(
        (status = 200, description = "They have the role, and a session.", body = SessionTokens),
        (status = 400, description = "The name or the password cannot be taken. The invitation stays good."),
        (status = 401, description = "The invitation is not good, or the name is somebody else's."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 429, description = "Too many failures with this name; `Retry-After` says when it may be tried again."),
        (status = 503, description = "The broker does not answer, or too many passwords are being checked."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut visit = Visit::of_stranger(app, Verb::Change, Thing::Invitation, request);
        let outcome = accept(&mut visit).await;
        visit.finish(outcome).await
    })
    .await
}

async fn accept(visit: &mut Visit) -> Result<Response, Problem> {
    visit.params().finish()?;
    let AcceptInvitation { token, username, password, name, cookie } = visit.read().await?;
    let acceptance = Acceptance { username, password, name };
    let begun = invitations::accept(visit, token.expose_secret(), acceptance).await?;
    answer(&visit.app, &begun, cookie)
}
