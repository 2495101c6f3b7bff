//! `GET /api/admin/credentials`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use catalog::Kind;
use model::resource::ApiKey;
use runtime::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::{credential_create::MADE_BY, words};
use crate::{
    app::App,
    control::{Call, Thing, Verb},
};

/// Clients.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedCredentialList)]
pub(super) struct Listed {
    data: Vec<Client>,
}

/// A client, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = SeedClient)]
struct Client {
    /// An API key's id.
    client_id: String,
    name: String,
    #[schema(format = DateTime)]
    created_at: String,
}

/// List one's API credentials, as in the seed
///
/// The keys of the caller's tenant that the caller made here.
#[utoipa::path(
    get, path = "/api/admin/credentials", tag = "seed", operation_id = "list_seed_credentials",
    responses((status = 200, description = "All of them.", body = Listed))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let listed = async {
        let tenant = super::home(&app, request.headers()).await?;
        let thing = Thing::Resource(Kind::Key);
        let call = Call::admit_to(app, Verb::Read, thing, tenant, request).await?;
        let outcome = list(&call);
        call.finish(outcome).await
    };
    listed.await.map_err(|problem| words::told(problem, &[]))
}

fn list(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let caller = call.caller.who.named();
    let snapshot = call.app.catalog.snapshot();
    let keys = snapshot.list::<ApiKey>(Some(call.tenant()?)).into_iter().map(|entry| entry.value);
    let own = keys.filter(|key| key.meta.labels.get(MADE_BY) == Some(&caller)).map(|key| Client {
        client_id: key.id.to_string(),
        name: key.name.clone(),
        created_at: key.meta.created_at.clone(),
    });
    Ok(Json(Listed { data: own.collect() }).into_response())
}
