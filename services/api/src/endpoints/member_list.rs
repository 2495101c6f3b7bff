//! `GET /api/v1/tenants/{tenant}/users`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use catalog::Kind;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Call, Thing, Verb},
    people,
};

/// The users who have a role in a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberList {
    /// In order of their ids.
    users: Vec<Member>,
}

/// A user who has a role in the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Member {
    /// Their id.
    id: String,
    /// For people.
    name: String,
    /// Their address, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// Whether nothing of theirs is believed any more.
    disabled: bool,
    /// The roles that bindings of the tenant give them.
    roles: Vec<MemberRole>,
}

/// A role in the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberRole {
    /// Which role.
    role: String,
    /// The id of the binding that gives it; deleting it takes the role away.
    binding: String,
}

/// List the users of a tenant
///
/// Those whom a binding of the tenant names. Users themselves are the fleet's.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/users", tag = "people", operation_id = "list_tenant_users",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    responses((status = 200, description = "All of them.", body = MemberList))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Resource(Kind::User), request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}

async fn list(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let members = people::members(&call.app.catalog.snapshot(), call.tenant()?);
    let users = members.into_iter().map(|(user, bindings)| Member {
        id: user.id.to_string(),
        name: user.name.clone(),
        email: user.email.clone(),
        disabled: user.disabled,
        roles: bindings
            .iter()
            .map(|b| MemberRole { role: b.role.clone(), binding: b.id.to_string() })
            .collect(),
    });
    Ok(Json(MemberList { users: users.collect() }).into_response())
}
