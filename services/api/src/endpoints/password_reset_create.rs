//! `POST /api/v1/users/{id}/password-resets`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use identity::OneTimePurpose;
use model::ErrorCode;
use runtime::problem::Problem;

use super::{invitation_create::OneTime, session_list::known};
use crate::{
    app::App,
    control::{Call, Thing, Verb, change},
    kinds::user::permissions,
    people::invitations,
};

/// Let a user set a password
///
/// Whoever holds the token, an hour at most, sets the user's password by it. Whoever makes one could act as the user, and so must be
/// able to do all that the user may.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/password-resets", tag = "people", operation_id = "create_password_reset",
    params(("id" = String, Path, description = "The user's id.")),
    responses(
        (status = 201, description = "A token for the user.", body = OneTime),
        (status = 403, description = "The caller may not change users, fleet-wide, or may not do what the user may."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = Call::admit(app, Verb::Create, Thing::PasswordReset, request).await?;
        call.learn_held().await;
        let outcome = reset(&call).await;
        call.finish(outcome).await
    })
    .await
}

async fn reset(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let user = known(&call.app, call.id())?;
    let theirs = permissions(&call.app.catalog.snapshot(), &user);
    if let Some(lacking) = theirs.into_iter().find(|permission| !call.caller.may_give_permission(*permission))
    {
        let detail = format!("they may {lacking}, which you may not, everywhere");
        return Err(Problem::new(ErrorCode::Forbidden, detail));
    }
    let issued = invitations::issue(call, OneTimePurpose::PasswordReset, &user, None, None).await?;
    Ok((StatusCode::CREATED, Json(OneTime::from(issued))).into_response())
}
