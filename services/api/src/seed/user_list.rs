//! `GET /api/tenants/{tenant}/users`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use catalog::Kind;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{user_create, users::SeedUser, words};
use crate::{
    app::App,
    control::{Call, Thing, Verb},
    people,
};

/// The users of a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedUserList)]
pub(super) struct Listed {
    data: Vec<SeedUser>,
}

/// List the users of a tenant, as in the seed
#[utoipa::path(
    get, path = "/api/tenants/{tenant}/users", tag = "seed", operation_id = "list_seed_users",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("tenant_id" = Option<String>, Query, description = "The same again, as the seed needed it."),
    ),
    responses((status = 200, description = "All of them.", body = Listed))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let listed = async {
        let call = Call::admit(app, Verb::Read, Thing::Resource(Kind::User), request).await?;
        let outcome = list(&call);
        call.finish(outcome).await
    };
    listed.await.map_err(words::told_of_tenant)
}

fn list(call: &Call) -> Result<Response, Problem> {
    let tenant = call.tenant()?;
    user_create::named_again(call, tenant)?;
    let members = people::members(&call.app.catalog.snapshot(), tenant);
    let data = members.iter().map(|(user, bindings)| {
        SeedUser::of(user, tenant, bindings.iter().map(|binding| binding.role.clone()).collect())
    });
    Ok(Json(Listed { data: data.collect() }).into_response())
}
