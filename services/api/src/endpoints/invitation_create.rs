//! `POST /api/v1/tenants/{tenant}/invitations`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use identity::OneTimePurpose;
use model::ErrorCode;
use runtime::problem::Problem;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Call, Thing, Verb, body, change},
    people::invitations::{self, Issued},
};

/// Whom somebody invites, and to what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invitation {
    /// The role they get in the tenant, as bindings name roles. None that allows what the inviter may not do.
    role: String,
    /// Their address, if they have one: it becomes the new user's.
    #[serde(default)]
    #[schema(nullable = false)]
    email: Option<String>,
}

/// What is good once. The token is in this answer and nowhere else.
#[derive(Serialize, ToSchema)]
#[schema(as = OneTimeToken)]
pub(super) struct OneTime {
    /// What to hand to whom it is for.
    token: String,
    /// Its id.
    id: String,
    /// Until when it is good.
    #[schema(format = DateTime)]
    expires_at: String,
}

impl From<Issued> for OneTime {
    fn from(Issued { kept, token }: Issued) -> Self {
        let expires_at = model::format_rfc3339(kept.token.expires_at);
        Self { token: token.expose_secret().to_owned(), id: kept.token.id, expires_at }
    }
}

/// Invite somebody to a tenant
///
/// Whoever holds the token, a week at most, registers by it or, being a user already, joins the tenant.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/invitations", tag = "people", operation_id = "create_invitation",
    params(("tenant" = String, Path, description = "The tenant's id.")), request_body = Invitation,
    responses(
        (status = 201, description = "They are invited.", body = OneTime),
        (status = 403, description = "The caller may not make users and bindings in the tenant, or may not do what the role allows."),
        (status = 413, description = "It is larger than such a body may be."),
        (status = 415, description = "It is not sent as `application/json`."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = Call::admit(app, Verb::Create, Thing::Invitation, request).await?;
        call.learn_held().await;
        let outcome = invite(&call).await;
        call.finish(outcome).await
    })
    .await
}

async fn invite(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let given = body::object(&call.body(body::JSON).await?)?;
    let Invitation { role, email } = body::read(Value::Object(given))?;
    let tenant = call.tenant()?;
    let bad = |pointer: &str, detail: &str| {
        Problem::new(ErrorCode::InvalidArgument, "the body has an impossible value").field(pointer, detail)
    };
    let email = email.map(|email| email.to_lowercase());
    if email.as_deref().is_some_and(|email| email.len() > 254 || !email.contains('@')) {
        return Err(bad("/email", "must be an address such as alice@example.com"));
    }
    invitations::check_role(call, &role).await?;
    let purpose = OneTimePurpose::Invitation;
    let issued = invitations::issue(call, purpose, tenant, Some(role), email).await?;
    Ok((StatusCode::CREATED, Json(OneTime::from(issued))).into_response())
}
