//! `POST /api/v1/password-resets/redeem`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use catalog::Kind;
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::login::{SessionTokens, answer};
use crate::{
    app::App,
    control::{Thing, Verb, Visit, change},
    people::invitations,
};

/// A new password, by a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedeemReset {
    /// The token.
    #[schema(value_type = String, write_only)]
    token: SecretString,
    /// The password they want.
    #[schema(value_type = String, write_only)]
    new_password: SecretString,
    /// Whether a browser is to keep the tokens, as at login.
    #[serde(default)]
    cookie: bool,
}

/// Set a password by a token
///
/// All sessions of the user end; the answer begins one. The token is good once, and no more after the password was set by other means.
#[utoipa::path(
    post, path = "/api/v1/password-resets/redeem", tag = "people", operation_id = "redeem_password_reset", security(()),
    request_body = RedeemReset,
    responses(
        (status = 200, description = "It is set; this is a session.", body = SessionTokens),
        (status = 400, description = "The password cannot be taken. The token stays good."),
        (status = 401, description = "The token is not good."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 503, description = "The broker does not answer, or too many passwords are being hashed."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut visit = Visit::of_stranger(app, Verb::Change, Thing::Resource(Kind::User), request);
        let outcome = redeem(&mut visit).await;
        visit.finish(outcome).await
    })
    .await
}

async fn redeem(visit: &mut Visit) -> Result<Response, Problem> {
    visit.params().finish()?;
    let RedeemReset { token, new_password, cookie } = visit.read().await?;
    let begun = invitations::reset_password(visit, token.expose_secret(), new_password).await?;
    answer(&visit.app, &begun, cookie)
}
