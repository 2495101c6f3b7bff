//! `GET /api/v1/tenants/{tenant}/event-types/{id}/versions`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use catalog::Kind;
use model::resource::{EventType, SchemaVersion};
use runtime::problem::Problem;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Call, Thing, Verb, change},
    error::of_catalog,
};

/// The schemas of an event type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypeVersions)]
pub(super) struct Versions {
    /// The present one first.
    versions: Vec<Version>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypeVersion)]
pub(super) struct Version {
    /// The how-many-eth.
    version: u32,
    /// Whether events are checked against it now.
    current: bool,
    /// JSON Schema 2020-12; absent where there was none for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    schema: Option<Value>,
}

/// List the versions of an event type's schema
///
/// Another schema makes another version. The present one is what events are checked against; of those before it the last 16 are
/// kept, at most 256 KiB of them.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/event-types/{id}/versions", tag = "resources",
    operation_id = "list_event_type_versions",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("id" = String, Path, description = "Its name, percent-encoded."),
    ),
    responses((status = 200, description = "All of them.", body = Versions))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Resource(Kind::EventType), request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}

async fn list(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let found = match call.app.catalog.get::<EventType>(call.tenant()?, call.id()).await {
        Ok(found) => found.value,
        Err(catalog::Error::NotFound { .. }) => return Err(change::nothing::<EventType>(call)),
        Err(error) => return Err(of_catalog(error, false)),
    };
    let old = found.old_schemas().iter().rev();
    let old = old.map(|SchemaVersion { version, schema }| Version {
        version: *version,
        current: false,
        schema: schema.clone(),
    });
    let present = Version { version: found.version(), current: true, schema: found.schema.clone() };
    let present = (present.version > 0).then_some(present);
    Ok(Json(Versions { versions: present.into_iter().chain(old).collect() }).into_response())
}
