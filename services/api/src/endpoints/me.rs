//! `GET /api/v1/me`.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use model::{TenantId, resource::RoleBinding};
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{audit::Actor, call::undecided},
};

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// As the audit names them.
    actor: Actor,
    /// For people; absent of who has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Absent of who has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email: Option<String>,
    /// The roles that bindings give them by name, in every place.
    roles: Vec<MyRole>,
    /// The scopes of a key, or the roles that an issuer's token brings; both count in the actor's tenant.
    brings: Vec<String>,
}

/// A role, and where it counts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MyRole {
    /// Which role.
    role: String,
    /// In which tenant; absent if everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// The id of the binding that gives it.
    binding: String,
}

/// Ask who one is
#[utoipa::path(
    get, path = "/api/v1/me", tag = "people", operation_id = "get_me",
    responses(
        (status = 200, description = "The caller, as they are known here.", body = Me),
        (status = 403, description = "They must set another password first, or their tenant is disabled."),
    )
)]
pub(super) async fn handle(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = app.authenticate(&headers).await.map_err(|e| undecided(&e))?;
    let snapshot = app.catalog.snapshot();
    let named = caller.who.named();
    let mut bindings: Vec<_> = snapshot.list::<RoleBinding>(None);
    bindings.retain(|entry| entry.value.actor == named);
    let roles = bindings.iter().map(|entry| MyRole {
        role: entry.value.role.clone(),
        tenant: Some(entry.value.tenant.clone()).filter(|tenant| !tenant.is_fleet()),
        binding: entry.value.id.to_string(),
    });
    let user = match &caller.who {
        auth::Who::User { subject, fleet_wide: true, .. } => snapshot.user(subject),
        _ => None,
    };
    let brings = match &caller.who {
        auth::Who::Key { scopes, .. } => scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        auth::Who::User { roles, .. } => roles.iter().map(|role| role.as_str().to_owned()).collect(),
    };
    let me = Me {
        actor: (&caller).into(),
        name: user.map(|user| user.name.clone()).filter(|name| !name.is_empty()),
        email: user.and_then(|user| user.email.clone()),
        roles: roles.collect(),
        brings,
    };
    Ok(Json(me).into_response())
}
