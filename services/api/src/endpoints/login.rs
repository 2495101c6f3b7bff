//! `POST /api/v1/login`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};
use model::format_rfc3339;
use runtime::problem::Problem;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Thing, Verb, Visit, change},
    people::{Begun, browser, login},
};

/// Who somebody says they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The user's id, or their e-mail address.
    username: String,
    /// The password.
    #[schema(value_type = String, write_only)]
    password: SecretString,
    /// The tenant to be at home in, of those in which they have a role. Left out, it is the only one.
    #[serde(default)]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// Whether a browser is to keep the tokens, in cookies that no script reads: `Secure; HttpOnly; SameSite=Lax`.
    #[serde(default)]
    cookie: bool,
}

/// A session, and what it is used by. Both tokens are in this answer and nowhere else.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionTokens)]
pub(super) struct SessionTokens {
    /// What requests carry: `Authorization: Bearer <access_token>`. Absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds for which the access token is good.
    expires_in: u64,
    /// What gets the next pair. It is good once. Absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// What requests by cookie that change something carry as `X-CSRF-Token`; without it the cookie is not looked at. Only if the
    /// tokens are in cookies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    csrf_token: Option<String>,
    /// When the session ends if it is not refreshed.
    #[schema(format = DateTime)]
    refresh_expires_at: String,
    /// The session's id.
    session: String,
    /// The user's id.
    user: String,
    /// The tenant they are at home in; absent if in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tenant: Option<String>,
    /// Whether they may do nothing before they have set another password.
    must_change_password: bool,
}

/// The answer to whoever has begun a session: nobody on the way keeps it (RFC 6749, section 5.1).
///
/// # Errors
/// If this process has no key.
pub(super) fn answer(app: &App, begun: &Begun, cookie: bool) -> Result<Response, Problem> {
    let Begun { user, tenant, session, access, said, refresh, refresh_expires_at } = begun;
    let lives_us = said.expires_at.saturating_sub(said.issued_at).max(0);
    let told = |secret: &SecretString| (!cookie).then(|| secret.expose_secret().to_owned());
    let tokens = SessionTokens {
        access_token: told(access),
        token_type: "Bearer",
        expires_in: u64::try_from(lives_us / 1_000_000).unwrap_or_default(),
        refresh_token: told(refresh),
        csrf_token: if cookie { Some(app.people.csrf.of(session)?) } else { None },
        refresh_expires_at: format_rfc3339(*refresh_expires_at),
        session: session.clone(),
        user: user.id.to_string(),
        tenant: tenant.as_ref().map(ToString::to_string),
        must_change_password: user.must_change_password,
    };
    let mut response = Json(tokens).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if cookie {
        for line in browser::set(begun) {
            headers.append(header::SET_COOKIE, line);
        }
    }
    Ok(response)
}

/// Log in
///
/// By name and password. The refusal says neither whether there is such a user nor what was wrong, and takes as long. After
/// repeated failures with a name it is locked for a while, whether anybody has it or not.
#[utoipa::path(
    post, path = "/api/v1/login", tag = "people", operation_id = "log_in", security(()), request_body = Login,
    responses(
        (status = 200, description = "They are who they say.", body = SessionTokens),
        (status = 400, description = "It is no such body, or the tenant is none of theirs."),
        (status = 401, description = "The name or the password is not right."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 429, description = "Too many failures with this name; `Retry-After` says when it may be tried again."),
        (status = 503, description = "The broker does not answer, or too many passwords are being checked."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut visit = Visit::of_stranger(app, Verb::Create, Thing::Session, request);
        let outcome = log_in(&mut visit).await;
        visit.finish(outcome).await
    })
    .await
}

async fn log_in(visit: &mut Visit) -> Result<Response, Problem> {
    visit.params().finish()?;
    let Login { username, password, tenant, cookie } = visit.read().await?;
    let begun = login::log_in(visit, &username, password, tenant.as_deref()).await?;
    answer(&visit.app, &begun, cookie)
}
