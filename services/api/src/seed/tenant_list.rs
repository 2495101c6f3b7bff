//! `GET /api/tenants`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use catalog::Kind;
use model::resource::Tenant;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{tenant_create::SeedTenant, words};
use crate::{
    app::App,
    control::{
        Call, Thing, Verb,
        select::{LIMIT_MAX, Select},
    },
};

/// Tenants.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedTenantList)]
pub(super) struct Listed {
    data: Vec<SeedTenant>,
    /// Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    metadata: Option<More>,
}

/// That there are more.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedMore)]
struct More {
    /// For the next page.
    next_cursor: String,
}

/// List tenants, as in the seed
///
/// Those that the caller may read: their own, or all. A thousand at most; then `metadata.next_cursor` leads on.
#[utoipa::path(
    get, path = "/api/tenants", tag = "seed", operation_id = "list_seed_tenants",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most in the page; 1000 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page; the other parameters must be the same."),
    ),
    responses((status = 200, description = "One page.", body = Listed))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Resource(Kind::Tenant), request)
        .await
        .map_err(|problem| words::told(problem, &[]))?;
    let outcome = list(&call).await;
    call.finish(outcome).await.map_err(|problem| words::told(problem, &[]))
}

async fn list(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params();
    let select = Select::take_pages_of(&mut params, LIMIT_MAX);
    params.finish()?;
    let whose = call.listed(Kind::Tenant).await?;
    let snapshot = call.app.catalog.snapshot();
    let (page, next) = select.page::<Tenant>(&snapshot, whose);
    let data = page.iter().map(|found| SeedTenant::of(&call.app, found.resource)).collect();
    let metadata = next.map(|next_cursor| More { next_cursor });
    Ok(Json(Listed { data, metadata }).into_response())
}
