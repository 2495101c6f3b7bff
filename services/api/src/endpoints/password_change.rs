//! `PUT /api/v1/me/password`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use catalog::Kind;
use runtime::problem::Problem;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::login::{SessionTokens, answer};
use crate::{
    app::App,
    control::{Person, Thing, Verb, Visit, change},
    people::login,
};

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The password they have.
    #[schema(value_type = String, write_only)]
    current_password: SecretString,
    /// The one they want: 12 to 128 characters, not what somebody would try first.
    #[schema(value_type = String, write_only)]
    new_password: SecretString,
}

/// Change one's password
///
/// All sessions end, also the one that this request is of; the answer begins another. Whoever must set another password may do
/// nothing else before.
#[utoipa::path(
    put, path = "/api/v1/me/password", tag = "people", operation_id = "change_password", request_body = PasswordChange,
    responses(
        (status = 200, description = "It is changed; this is a new session.", body = SessionTokens),
        (status = 400, description = "The new password cannot be taken."),
        (status = 401, description = "Nobody's token, or the present password is not right."),
        (status = 403, description = "The caller is no person with a session."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 429, description = "Too many failures; `Retry-After` says when it may be tried again."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let thing = Thing::Resource(Kind::User);
        let (mut visit, person) = Visit::of_person(app, Verb::Change, thing, request).await?;
        visit.asked.id = Some(person.user.id.to_string());
        let outcome = change_password(&mut visit, &person).await;
        visit.finish(outcome).await
    })
    .await
}

async fn change_password(visit: &mut Visit, person: &Person) -> Result<Response, Problem> {
    visit.params().finish()?;
    let PasswordChange { current_password, new_password } = visit.read().await?;
    let begun = login::change_password(visit, person, current_password, new_password).await?;
    answer(&visit.app, &begun, visit.by_cookie)
}
