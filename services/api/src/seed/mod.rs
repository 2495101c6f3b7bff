//! The routes of the seed, EventRunner in Go, for clients that know no other (docs/moving/eventrunner.md): one file an endpoint.
//!
//! They translate and decide nothing: requests, envelope and words are the seed's; who may, what is checked, the audit, limits and
//! idempotency are those of [`crate::endpoints`].

mod credential_create;
mod credential_list;
mod login;
mod superuser_create;
mod tenant_create;
mod tenant_list;
mod user_create;
mod user_list;
mod users;
mod words;

use bytes::Bytes;
use http::HeaderMap;
use runtime::problem::Problem;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::words::Failure;
use crate::{
    app::App,
    control::{Call, body, change::Answer},
};

/// Every endpoint, with its documentation.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(login::handle))
        .routes(routes!(superuser_create::handle))
        .routes(routes!(tenant_list::handle, tenant_create::handle))
        .routes(routes!(user_list::handle, user_create::of_tenant))
        .routes(routes!(user_create::of_query))
        .routes(routes!(credential_list::handle, credential_create::handle))
}

/// The answer to what was made, to be remembered by its idempotency key.
fn made(data: impl Serialize) -> Answer {
    Answer { status: 201, revision: None, location: None, body: json!({ "data": data }) }
}

/// A resource to be made, as its own endpoint is sent it.
fn resource<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The body of a request that makes something; members that the seed had and nobody needs are passed over, as it did.
async fn read<T: DeserializeOwned>(call: &Call) -> Result<(T, Bytes), Problem> {
    let bytes = call.body(body::JSON).await?;
    Ok((body::read(Value::Object(body::object(&bytes)?))?, bytes))
}

/// The tenant of a request that names none: its caller's own.
async fn home(app: &App, headers: &HeaderMap) -> Result<String, Problem> {
    match app.authenticate(headers).await {
        Ok(caller) if caller.tenant.id.is_fleet() => Err(words::missing("tenant_id")),
        Ok(caller) => Ok(caller.tenant.id.to_string()),
        // Whoever is nobody is refused before it matters.
        Err(_) => Ok(String::new()),
    }
}
