//! `POST /superuser`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use catalog::Kind;
use model::{ErrorCode, FLEET, resource::User};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    tenant_create::{self, SeedTenant},
    user_create::{self, SeedNewcomer},
    words,
};
use crate::{
    app::App,
    control::{
        Call, Thing, Verb, change,
        idempotency::{self, Begun},
    },
};

const ROLE: &str = "superuser";
const TENANT: &str = "Default Tenant";

/// The first superuser.
#[derive(Deserialize, ToSchema)]
#[schema(as = SeedNewSuperuser)]
pub(super) struct NewSuperuser {
    /// By which they log in.
    #[schema(required = true, nullable = false)]
    email: Option<String>,
    /// For people.
    username: Option<String>,
}

/// The first superuser, and a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedSuperuserAnswer)]
pub(super) struct Made {
    data: Both,
}

/// What was made.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedSuperuser)]
struct Both {
    user: SeedNewcomer,
    tenant: SeedTenant,
}

/// Make the first superuser, as in the seed
///
/// In a fleet in which there was never a user, with the tenant `Default Tenant`. Whoever does it must be an operator: not, as in
/// the seed, whoever comes first.
#[utoipa::path(
    post, path = "/superuser", tag = "seed", operation_id = "create_seed_superuser", request_body = NewSuperuser,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is answered the same, for a day.")),
    responses(
        (status = 201, description = "They are made.", body = Made),
        (status = 409, description = "There is a user, or was one; or the same request is being worked."),
        (status = 413, description = "It is larger than a resource may be."),
        (status = 415, description = "It is not sent as `application/json`."),
        (status = 422, description = "The idempotency key was used with another body."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let mut call = Call::admit(app, Verb::Create, Thing::Resource(Kind::User), request).await?;
        call.learn_held().await;
        let outcome = create(&mut call).await;
        call.finish(outcome).await
    })
    .await
    .map_err(|problem| words::told(problem, &[]))
}

async fn create(call: &mut Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let (NewSuperuser { email, username }, bytes) = super::read(call).await?;
    let email = email.filter(|email| !email.is_empty()).ok_or_else(|| words::missing("email"))?;
    match idempotency::begin(call, &bytes).await? {
        Begun::Before(answer) => Ok(answer),
        Begun::Now(claim) => {
            let made = make(call, &email, username.unwrap_or_default()).await;
            claim.end(made.map(super::made)).await
        }
    }
}

async fn make(call: &mut Call, email: &str, username: String) -> Result<Both, Problem> {
    let snapshot = call.app.catalog.snapshot();
    if snapshot.each::<User>(None).next().is_some() || snapshot.each_deleted::<User>(None).next().is_some() {
        return Err(Problem::new(ErrorCode::Conflict, "Superuser already exists"));
    }
    call.turn_to(Thing::Resource(Kind::Tenant), None);
    let tenant = tenant_create::make(call, TENANT).await?;
    let user = user_create::make(call, email, username, &FLEET, &[ROLE.to_owned()]).await?;
    Ok(Both { user, tenant })
}
