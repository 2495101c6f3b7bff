//! `POST /api/login`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use identity::oauth::NO_STORE;
use model::ErrorCode;
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words;
use crate::{
    app::App,
    control::{Thing, Verb, Visit, change},
    people::login,
};

/// Who somebody says they are.
#[derive(Deserialize, ToSchema)]
#[schema(as = SeedLogin)]
pub(super) struct Login {
    #[schema(required = true, nullable = false)]
    email: Option<String>,
    #[schema(required = true, nullable = false, value_type = String, write_only)]
    password: Option<SecretString>,
}

/// A session that was begun.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedLoginAnswer)]
pub(super) struct Begun {
    data: Tokens,
}

/// What a session is used by. Both are in this answer and nowhere else.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedTokens)]
struct Tokens {
    /// What requests carry: `Authorization: Bearer <token>`.
    token: String,
    /// What gets the next pair, once, at `POST /api/v1/sessions/refresh`.
    session_token: String,
}

/// Log in, as in the seed
///
/// `POST /api/v1/login`, whose session this is: the token is good for minutes, not for thirty days.
#[utoipa::path(
    post, path = "/api/login", tag = "seed", operation_id = "log_in_seed", security(()), request_body = Login,
    responses(
        (status = 201, description = "They are who they say.", body = Begun),
        (status = 400, description = "It is no such body.", body = super::Failure),
        (status = 401, description = "The address or the password is not right.", body = super::Failure),
        (status = 413, description = "It is larger than such a body may be.", body = super::Failure),
        (status = 415, description = "It is not sent as `application/json`.", body = super::Failure),
        (status = 429, description = "Too many failures with this address; `Retry-After` says when it may be tried again.", body = super::Failure),
        (status = 503, description = "The broker does not answer, or too many passwords are being checked.", body = super::Failure),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut visit = Visit::of_stranger(app, Verb::Create, Thing::Session, request);
        let outcome = log_in(&mut visit).await;
        visit.finish(outcome).await
    })
    .await
    .map_err(|problem| words::told(problem, &[(ErrorCode::Unauthenticated, "Invalid credentials")]))
}

async fn log_in(visit: &mut Visit) -> Result<Response, Problem> {
    visit.params().finish()?;
    let Login { email, password } = visit.read().await?;
    let email = email.ok_or_else(|| words::missing("email"))?;
    let password = password.ok_or_else(|| words::missing("password"))?;
    let begun = login::log_in(visit, &email, password, None).await?;
    let [token, session_token] = [&begun.access, &begun.refresh].map(|t| t.expose_secret().to_owned());
    let answer = Json(Begun { data: Tokens { token, session_token } });
    Ok((StatusCode::CREATED, NO_STORE, answer).into_response())
}
