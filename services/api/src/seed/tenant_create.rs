//! `POST /api/tenants`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use catalog::Kind;
use model::{
    ErrorCode,
    resource::{Customer, Tenant},
};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::words;
use crate::{
    app::App,
    control::{
        Call, Thing, Verb,
        change::{self, Mode},
        idempotency::{self, Begun},
    },
};

/// A tenant to be made.
#[derive(Deserialize, ToSchema)]
#[schema(as = SeedNewTenant)]
pub(super) struct NewTenant {
    /// What it is called; no two are called the same.
    #[schema(required = true, nullable = false, min_length = 1)]
    name: Option<String>,
}

/// A tenant that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedTenantAnswer)]
pub(super) struct Made {
    data: SeedTenant,
}

/// A tenant, as the seed's clients know it.
#[derive(Serialize, ToSchema)]
pub(super) struct SeedTenant {
    id: String,
    name: String,
    /// The ids of its customers.
    customers: Vec<String>,
    active: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl SeedTenant {
    /// Of a tenant that is there.
    pub(super) fn of(app: &App, tenant: &Tenant) -> Self {
        let snapshot = app.catalog.snapshot();
        let customers = snapshot.each::<Customer>(Some(&tenant.id)).map(|e| e.value.id.to_string());
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            customers: customers.collect(),
            active: !tenant.disabled,
            created_at: tenant.meta.created_at.clone(),
            updated_at: tenant.meta.updated_at.clone(),
        }
    }
}

/// Make a tenant, as in the seed
///
/// `POST /api/v1/tenants` with a UUID for an id, which follows from the name: so no two have the same.
#[utoipa::path(
    post, path = "/api/tenants", tag = "seed", operation_id = "create_seed_tenant", request_body = NewTenant,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is answered the same, for a day.")),
    responses(
        (status = 201, description = "It is made.", body = Made),
        (status = 409, description = "There is one of that name, or was one that is not purged yet; or the same request is being worked."),
        (status = 413, description = "It is larger than a resource may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 422, description = "The idempotency key was used with another body."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = Call::admit(app, Verb::Create, Thing::Resource(Kind::Tenant), request).await?;
        let outcome = create(&mut call).await;
        call.finish(outcome).await
    })
    .await
    .map_err(|problem| words::told(problem, &[(ErrorCode::Forbidden, "Only superuser can create tenants")]))
}

async fn create(call: &mut Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let (NewTenant { name }, bytes) = super::read(call).await?;
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| words::missing("name"))?;
    match idempotency::begin(call, &bytes).await? {
        Begun::Before(answer) => Ok(answer),
        Begun::Now(claim) => {
            let made = make(call, &name).await;
            claim.end(made.map(super::made)).await
        }
    }
}

/// Makes the tenant of that name.
pub(super) async fn make(call: &mut Call, name: &str) -> Result<SeedTenant, Problem> {
    let id = id_of(name);
    let given = super::resource([("id", id.as_str().into()), ("name", name.into())]);
    change::create::<Tenant>(call, given, Mode::Do).await?;
    let snapshot = call.app.catalog.snapshot();
    let made = id.parse().ok().and_then(|id| snapshot.tenant(&id).cloned());
    let made = made.ok_or_else(|| Problem::internal("a tenant that was made is not there"))?;
    Ok(SeedTenant::of(&call.app, &made))
}

/// The id of the tenant of a name: a UUID of a hash of it (RFC 9562, section 5.8).
fn id_of(name: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
