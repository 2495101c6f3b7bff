//! `GET /api/v1/tenants/{tenant}/permissions`: may somebody do something there, and why.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use catalog::{Kind, tuples};
use model::FLEET;
use relations::{Actor, Permission};
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Call, Thing, Verb, call::undecided},
};

/// Whether somebody may do something.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PermissionCheck {
    /// What the authorizer says, or a scope of the key.
    allowed: bool,
    /// All that allows it; nothing if it is not allowed.
    because: Vec<Reason>,
}

/// What allows it: a scope of the key, or a binding.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = PermissionReason)]
pub(super) struct Reason {
    /// The scope of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    scope: Option<&'static str>,
    /// The id of the role binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    binding: Option<String>,
    /// Whether it is one of the fleet's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fleet_wide: Option<bool>,
    /// Whom it names: them, or all who have a custom role that they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actor: Option<String>,
    /// The role it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    role: Option<String>,
}

/// Ask whether somebody may do something
///
/// Decided as for a request of theirs, but for roles that a token may bring: those are not known here.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/permissions", tag = "resources", operation_id = "check_permission",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("actor" = String, Query, description = "Who, as bindings name them: `user:<id>`, `key:<id>`, `client:<id>`, `service:<name>`."),
        ("permission" = String, Query, description = "What, such as `read:event`."),
    ),
    responses(
        (status = 200, description = "The answer.", body = PermissionCheck),
        (status = 403, description = "The caller may not read role bindings."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Resource(Kind::RoleBinding), request).await?;
    let outcome = check(&call).await;
    call.finish(outcome).await
}

async fn check(call: &Call) -> Result<Response, Problem> {
    let tenant = call.tenant()?;
    let place = tuples::place(tenant);
    let mut params = call.params();
    let actor = params.required("actor", |text| Actor::named(text, &place).map_err(|e| e.to_string()));
    let permission =
        params.required("permission", |text| text.parse::<Permission>().map_err(|e| e.to_string()));
    params.finish()?;
    let (Some(actor), Some(permission)) = (actor, permission) else {
        return Err(Problem::internal("a parameter that is required and not there"));
    };
    let snapshot = call.app.catalog.snapshot();
    let given = call.app.authority.gives(&actor, permission, &place).await.map_err(|e| undecided(&e))?;
    let scopes = match &actor {
        Actor::Key(id) => snapshot.key(id).map(|key| {
            let counts = |scope: &_| key.tenant == *tenant || *scope == model::resource::Scope::Operate;
            let scopes = key.scopes.iter().copied().filter(counts);
            scopes.filter(|scope| auth::scopes::allows(*scope, permission)).collect::<Vec<_>>()
        }),
        _ => None,
    };
    let scopes = scopes.unwrap_or_default();
    let allowed = given || !scopes.is_empty();
    let mut because: Vec<Reason> =
        scopes.into_iter().map(|scope| Reason { scope: Some(scope.as_str()), ..Reason::default() }).collect();
    if given {
        for owner in [tenant, &FLEET] {
            let found = tuples::reasons(&snapshot, owner, &actor, permission);
            because.extend(found.into_iter().map(|binding| Reason {
                scope: None,
                binding: Some(binding.id.to_string()),
                fleet_wide: Some(owner.is_fleet()),
                actor: Some(binding.actor.clone()),
                role: Some(binding.role.clone()),
            }));
        }
    }
    Ok(Json(PermissionCheck { allowed, because }).into_response())
}
