//! `POST /api/admin/credentials`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use catalog::Kind;
use model::{
    ErrorCode, TenantId, format_rfc3339,
    resource::{ApiKey, System},
};
use relations::{Permission, Scope as Place};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::words;
use crate::{
    app::App,
    control::{
        Call, Thing, Verb, body,
        call::undecided,
        change::{self, Mode},
        idempotency::{self, Begun},
    },
};

/// The system that a tenant's clients of the seed send as.
const SYSTEM: &str = "eventrunner";
/// What a client may do that asks for nothing.
const SCOPES: [&str; 2] = ["publish", "read"];
/// The label of a key that says who made it here.
pub(super) const MADE_BY: &str = "seed/made-by";

/// A client to be made.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = SeedNewCredential)]
#[serde(default)]
pub(super) struct NewCredential {
    /// For people: `API Key` and the time, if it is not said.
    name: Option<String>,
    /// What it may do, as keys' scopes say: `publish` and `read`, if it is not said.
    scopes: Option<Vec<String>>,
}

/// A client that was made.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedCredentialAnswer)]
pub(super) struct Made {
    data: SeedCredential,
}

/// The credentials of a client, by which `POST /oauth2/token` gives tokens.
#[derive(Serialize, ToSchema)]
struct SeedCredential {
    /// An API key's id.
    client_id: Value,
    /// The whole API key, which may also be sent as `X-API-Key`. It is in this answer and nowhere else.
    client_secret: Value,
    name: Value,
}

/// Make an API credential, as in the seed
///
/// `POST /api/v1/tenants/{tenant}/keys` in the caller's own tenant, for its system `eventrunner`, which is made if there is none.
#[utoipa::path(
    post, path = "/api/admin/credentials", tag = "seed", operation_id = "create_seed_credential",
    request_body(content = Option<NewCredential>, content_type = "application/json"),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key with the same body is answered the same, for a day.")),
    responses(
        (status = 201, description = "It is made.", body = Made),
        (status = 409, description = "The same request is being worked."),
        (status = 413, description = "It is larger than a resource may be."),
        (status = 422, description = "The idempotency key was used with another body."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let tenant = super::home(&app, request.headers()).await?;
        let thing = Thing::Resource(Kind::Key);
        let mut call = Call::admit_to(app, Verb::Create, thing, tenant, request).await?;
        call.learn_held().await;
        let outcome = create(&mut call).await;
        call.finish(outcome).await
    })
    .await
    .map_err(|problem| words::told(problem, &[]))
}

async fn create(call: &mut Call) -> Result<Response, Problem> {
    call.params().finish()?;
    // The seed took no body, too.
    let bytes = call.any_body().await?;
    let given = if bytes.is_empty() { Map::new() } else { body::object(&bytes)? };
    let NewCredential { name, scopes } = body::read(Value::Object(given))?;
    match idempotency::begin(call, &bytes).await? {
        Begun::Before(answer) => Ok(answer),
        Begun::Now(claim) => {
            let made = make(call, name, scopes).await;
            claim.end(made.map(super::made)).await
        }
    }
}

async fn make(
    call: &mut Call,
    name: Option<String>,
    scopes: Option<Vec<String>>,
) -> Result<SeedCredential, Problem> {
    let tenant = call.tenant()?.clone();
    system(call, &tenant).await?;
    call.turn_to(Thing::Resource(Kind::Key), Some(tenant));
    let name = name.unwrap_or_else(|| format!("API Key {}", format_rfc3339(call.asked.at_us)));
    let scopes = scopes.unwrap_or_else(|| SCOPES.map(str::to_owned).to_vec());
    let labels = json!({ MADE_BY: call.caller.who.named() });
    let given =
        [("system", SYSTEM.into()), ("name", name.into()), ("scopes", scopes.into()), ("labels", labels)];
    let mut key = change::create::<ApiKey>(call, super::resource(given), Mode::Do).await?.body;
    let [client_id, client_secret, name] = ["id", "key", "name"].map(|member| key[member].take());
    Ok(SeedCredential { client_id, client_secret, name })
}

/// Makes the system, unless it is there: the seed had none that its users could have made.
async fn system(call: &mut Call, tenant: &TenantId) -> Result<(), Problem> {
    let there = |call: &Call| call.app.catalog.snapshot().entry::<System>(tenant, SYSTEM).is_some();
    if there(call) {
        return Ok(());
    }
    let create = [Permission::new(relations::Verb::Create, relations::Kind::System)];
    let place = Place::Tenant(tenant.to_string());
    call.app.authority.require(&call.caller, &create, &place).await.map_err(|error| undecided(&error))?;
    call.turn_to(Thing::Resource(Kind::System), Some(tenant.clone()));
    let given = super::resource([("id", SYSTEM.into())]);
    match change::create::<System>(call, given, Mode::Do).await {
        // Somebody else was faster.
        Err(problem) if problem.code == ErrorCode::Conflict && there(call) => Ok(()),
        made => made.map(drop),
    }
}
