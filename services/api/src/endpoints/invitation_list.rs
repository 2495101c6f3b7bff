//! `GET /api/v1/tenants/{tenant}/invitations`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use runtime::problem::Problem;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Call, Thing, Verb},
    people::invitations,
};

/// The invitations of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InvitationList {
    /// Those first that end first.
    #[schema(value_type = Vec<InvitationView>)]
    invitations: Vec<Value>,
}

/// An invitation, without its token.
#[derive(Debug, ToSchema)]
#[schema(as = PendingInvitation)]
#[expect(dead_code, reason = "describes what is made of an invitation as it is kept")]
pub(crate) struct InvitationView {
    /// Its id.
    id: String,
    /// When it was made.
    #[schema(format = DateTime)]
    issued_at: String,
    /// Until when it is good.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Who invited: `key:<id>`, `user:<id>`.
    by: String,
    /// The role it gives.
    role: String,
    /// Whom it is for, if that was said.
    #[schema(nullable = false)]
    email: Option<String>,
}

/// List a tenant's invitations
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/invitations", tag = "people", operation_id = "list_invitations",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    responses((status = 200, description = "All that can still be accepted.", body = InvitationList))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Invitation, request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}

async fn list(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let all = call.app.people.one_time.invitations(call.tenant()?, call.app.clock.now()).await?;
    let invitations = all.iter().map(invitations::view).collect();
    Ok(Json(InvitationList { invitations }).into_response())
}
