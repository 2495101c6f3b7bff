//! `POST /api/v1/sessions/refresh`.

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
    people::{browser, login},
};

/// What goes on with a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refresh {
    /// The session's present refresh token. Left out, it is the cookie's, which takes the header `X-CSRF-Token` too.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only, nullable = false)]
    refresh_token: Option<SecretString>,
    /// The tenant to be at home in from now on. Left out, it stays.
    #[serde(default)]
    #[schema(nullable = false)]
    tenant: Option<String>,
}

/// Go on with a session
///
/// A refresh token is good once. One that comes again is somebody else's too, so that the session is ended for both.
#[utoipa::path(
    post, path = "/api/v1/sessions/refresh", tag = "people", operation_id = "refresh_session", security(()),
    request_body = Refresh,
    responses(
        (status = 200, description = "The next pair of tokens.", body = SessionTokens),
        (status = 400, description = "It is no such body, or the tenant is none of theirs."),
        (status = 401, description = "The session is over."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 503, description = "The broker does not answer."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut visit = Visit::of_stranger(app, Verb::Change, Thing::Session, request);
        let outcome = refresh(&mut visit).await;
        visit.finish(outcome).await
    })
    .await
}

async fn refresh(visit: &mut Visit) -> Result<Response, Problem> {
    visit.params().finish()?;
    let Refresh { refresh_token, tenant } = visit.read().await?;
    let (token, cookie) = match &refresh_token {
        Some(token) => (token.expose_secret().to_owned(), false),
        None => (browser::refresh_token(&visit.app, &visit.headers).unwrap_or_default().to_owned(), true),
    };
    let begun = login::go_on(visit, &token, tenant.as_deref()).await?;
    answer(&visit.app, &begun, cookie)
}
