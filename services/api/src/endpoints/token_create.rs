//! `POST /oauth2/token`.

use auth::AuthError;
use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::header;
use identity::{
    Grant, Holder, Purpose,
    oauth::{self, NO_STORE, OauthError, TokenAnswer, TokenRequest},
};
use model::ErrorCode;
use runtime::problem::Problem;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Thing, Verb, Visit},
};

/// What a client asks by. Its credentials may also come as HTTP Basic.
#[derive(ToSchema)]
#[schema(as = TokenRequest)]
#[expect(dead_code, reason = "for the documentation: the form is read by the crate `identity`")]
pub(super) struct Form {
    /// Always `client_credentials`.
    #[schema(pattern = "^client_credentials$")]
    grant_type: String,
    /// An API key's id.
    #[schema(nullable = false)]
    client_id: Option<String>,
    /// The whole API key.
    #[schema(nullable = false, write_only)]
    client_secret: Option<String>,
    /// What the token is to be good for, with spaces between; all that the key has if it is left out.
    #[schema(nullable = false)]
    scope: Option<String>,
}

/// A token that was given.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct Given {
    /// What requests carry: `Authorization: Bearer <access_token>`.
    access_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// Seconds for which it is good.
    expires_in: u64,
    /// What it is good for.
    scope: String,
}

/// Why there is none (RFC 6749, section 5.2).
#[derive(Serialize, ToSchema)]
#[schema(as = TokenRefusal)]
pub(super) struct Refusal {
    /// `invalid_request`, `invalid_client`, `unauthorized_client`, `unsupported_grant_type` or `invalid_scope`.
    error: String,
    /// For people.
    error_description: String,
}

/// Get a token for an API key
///
/// OAuth 2.0, client credentials (RFC 6749, section 4.4): an API key's id is the `client_id`, the key the `client_secret`. The
/// token is good at the API and at the doors until it expires, the key is taken away, or it loses the scope.
#[utoipa::path(
    post, path = "/oauth2/token", tag = "people", operation_id = "create_token", security(()),
    request_body(content = Form, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The client is who it says.", body = Given),
        (status = 400, description = "It is no such request, or the scope is more than the key has.", body = Refusal),
        (status = 401, description = "The client is not known, or its secret is wrong.", body = Refusal),
        (status = 503, description = "The broker does not answer, or this fleet has no signing keys."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let mut visit = Visit::of_stranger(app, Verb::Create, Thing::Token, request);
    let error = match grant(&mut visit).await? {
        Ok(answer) => return Ok((NO_STORE, Json(answer.body())).into_response()),
        Err(error) => error,
    };
    let problem = Problem::new(ErrorCode::Unauthenticated, error.to_string());
    // Recorded like any other refusal, but answered as OAuth has it.
    if let Err(problem) = visit.finish(Err(problem)).await
        && problem.code == ErrorCode::Unavailable
    {
        return Err(problem);
    }
    let mut response = (error.status(), NO_STORE, Json(error.body())).into_response();
    if let Some(challenge) = error.challenge().and_then(|text| text.parse().ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    Ok(response)
}

async fn grant(visit: &mut Visit) -> Result<Result<TokenAnswer, OauthError>, Problem> {
    let body = match visit.bytes().await {
        Ok(body) => body,
        Err(problem) if problem.code == ErrorCode::TooLarge => {
            return Ok(Err(OauthError::InvalidRequest("the request is too large")));
        }
        Err(problem) => return Err(problem),
    };
    let TokenRequest { client_id, client_secret, scope, by_basic } =
        match oauth::read_token_request(&visit.headers, &body) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
    let app = &visit.app;
    let principal = match auth::authenticate(&app.catalog.snapshot(), client_secret.expose_secret()) {
        Ok(principal) if *principal.key == *client_id => principal,
        Err(AuthError::TenantDisabled(_)) => return Ok(Err(OauthError::UnauthorizedClient)),
        _ => return Ok(Err(OauthError::InvalidClient { by_basic })),
    };
    let has: Vec<&str> = principal.scopes.iter().map(|scope| scope.as_str()).collect();
    let scopes = match &scope {
        None => has,
        Some(wanted) => {
            let wanted: Vec<&str> = wanted.split_whitespace().collect();
            if !wanted.iter().all(|name| has.contains(name)) {
                return Ok(Err(OauthError::InvalidScope));
            }
            wanted
        }
    };
    let tokens = app.tokens.issuing().ok_or_else(|| {
        Problem::new(ErrorCode::Unavailable, "this fleet has no signing keys, so that it gives no tokens")
    })?;
    let grant = Grant {
        subject: client_id,
        holder: Holder::Client,
        purpose: Purpose::All,
        tenant: Some(principal.tenant.id.to_string()),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let scope = Some(scopes.join(" "));
    let (access_token, _) = tokens.issue(&mut rand::rng(), grant, app.clock.now());
    Ok(Ok(TokenAnswer { access_token, lifetime: tokens.lifetime(), scope }))
}
