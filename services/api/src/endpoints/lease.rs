//! `GET`, `PUT` and `DELETE` of `…/leases/{id}`, a tenant's and the fleet's.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use runtime::problem::Problem;
use serde_json::Value;

use crate::{
    app::App,
    control::{
        Call, Thing, Verb, body, change,
        lease::{Lease, Leases, Wish},
        precondition::etag,
    },
};

fn answer(lease: &Lease) -> Response {
    let mut response = Json(lease).into_response();
    response.headers_mut().insert(header::ETAG, etag(lease.revision));
    response
}

async fn read(app: App, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Lease, request).await?;
    let outcome = async {
        call.params().finish()?;
        Ok(answer(&Leases::open(&call).await?.get().await?))
    };
    let outcome = outcome.await;
    call.finish(outcome).await
}

async fn take(app: App, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let call = Call::admit(app, Verb::Replace, Thing::Lease, request).await?;
        let outcome = async {
            call.params().finish()?;
            let given = body::object(&call.body(body::JSON).await?)?;
            let wish: Wish = body::read(Value::Object(given))?;
            Ok(answer(&Leases::open(&call).await?.take(wish).await?))
        };
        let outcome = outcome.await;
        call.finish(outcome).await
    })
    .await
}

async fn end(app: App, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let call = Call::admit(app, Verb::Delete, Thing::Lease, request).await?;
        let outcome = async {
            call.params().finish()?;
            Leases::open(&call).await?.end().await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        };
        let outcome = outcome.await;
        call.finish(outcome).await
    })
    .await
}

/// See who holds a lease
///
/// A lease keeps two from doing the same work at once, as `eventrunner apply` does.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/leases/{id}", tag = "resources", operation_id = "get_lease",
    params(("tenant" = String, Path, description = "The tenant's id."), ("id" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Somebody holds it.", body = Lease),
        (status = 403, description = "The caller may not read systems."))
)]
pub(super) async fn get(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    read(app, request).await
}

/// Take a lease, or renew it
///
/// Without `If-Match` it is taken, if nobody holds it; with the `ETag` that the one had who took it, it is renewed. It ends by itself. It is
/// an agreement: it keeps nobody from anything who does not ask for it.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/leases/{id}", tag = "resources", operation_id = "replace_lease",
    params(
        ("tenant" = String, Path, description = "The tenant's id."), ("id" = String, Path, description = "Its name."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` it must have: renews it."),
    ),
    request_body = Wish,
    responses(
        (status = 200, description = "The caller holds it.", body = Lease, headers(("etag" = String, description = "Its revision."))),
        (status = 403, description = "The caller may not make and change systems."),
        (status = 409, description = "Somebody else holds it; the detail says who, and until when."),
        (status = 412, description = "It is not at the revision of `If-Match`: it was lost."),
        (status = 413, description = "The body is too large."),
        (status = 415, description = "It is not sent as `application/json`."),
    )
)]
pub(super) async fn replace(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    take(app, request).await
}

/// End a lease
///
/// Without `If-Match` whoever holds it.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/leases/{id}", tag = "resources", operation_id = "delete_lease",
    params(
        ("tenant" = String, Path, description = "The tenant's id."), ("id" = String, Path, description = "Its name."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` it must have."),
    ),
    responses(
        (status = 204, description = "Nobody holds it any more."),
        (status = 403, description = "The caller may not delete systems."),
        (status = 409, description = "Others change it at the same time."),
        (status = 412, description = "It is not at the revision of `If-Match`."),
    )
)]
pub(super) async fn delete(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    end(app, request).await
}

/// See who holds a lease of the fleet
///
/// As a tenant's.
#[utoipa::path(
    get, path = "/api/v1/fleet/leases/{id}", tag = "resources", operation_id = "get_fleet_lease",
    params(("id" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Somebody holds it.", body = Lease),
        (status = 403, description = "The caller may not read systems fleet-wide."))
)]
pub(super) async fn get_fleets(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    read(app, request).await
}

/// Take a lease of the fleet, or renew it
///
/// As a tenant's.
#[utoipa::path(
    put, path = "/api/v1/fleet/leases/{id}", tag = "resources", operation_id = "replace_fleet_lease",
    params(
        ("id" = String, Path, description = "Its name."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` it must have: renews it."),
    ),
    request_body = Wish,
    responses(
        (status = 200, description = "The caller holds it.", body = Lease, headers(("etag" = String, description = "Its revision."))),
        (status = 403, description = "The caller may not make and change systems fleet-wide."),
        (status = 409, description = "Somebody else holds it; the detail says who, and until when."),
        (status = 412, description = "It is not at the revision of `If-Match`: it was lost."),
        (status = 413, description = "The body is too large."),
        (status = 415, description = "It is not sent as `application/json`."),
    )
)]
pub(super) async fn replace_fleets(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    take(app, request).await
}

/// End a lease of the fleet
///
/// As a tenant's.
#[utoipa::path(
    delete, path = "/api/v1/fleet/leases/{id}", tag = "resources", operation_id = "delete_fleet_lease",
    params(
        ("id" = String, Path, description = "Its name."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` it must have."),
    ),
    responses(
        (status = 204, description = "Nobody holds it any more."),
        (status = 403, description = "The caller may not delete systems fleet-wide."),
        (status = 409, description = "Others change it at the same time."),
        (status = 412, description = "It is not at the revision of `If-Match`."),
    )
)]
pub(super) async fn delete_fleets(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    end(app, request).await
}
