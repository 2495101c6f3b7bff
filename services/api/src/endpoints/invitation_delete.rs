//! `DELETE /api/v1/tenants/{tenant}/invitations/{id}`.

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use identity::OneTimePurpose;
use runtime::problem::Problem;

use crate::{
    app::App,
    control::{Call, Thing, Verb, audit, change},
    error::not_found,
    people::invitations,
};

/// Take an invitation back
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/invitations/{id}", tag = "people", operation_id = "delete_invitation",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("id" = String, Path, description = "The invitation's id."),
    ),
    responses((status = 204, description = "Nobody can accept it any more."))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    change::to_the_end(async move {
        let call = Call::admit(app, Verb::Delete, Thing::Invitation, request).await?;
        let outcome = delete(&call).await;
        call.finish(outcome).await
    })
    .await
}

async fn delete(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let (app, tenant, id) = (&call.app, call.tenant()?, call.id());
    let purpose = OneTimePurpose::Invitation;
    let found = app.people.one_time.find(purpose, tenant, id).await?;
    let found = found.ok_or_else(|| not_found(format!("there is no invitation {id:?}")))?;
    let before = Some(invitations::view(&found.kept));
    let announced = audit::announce(app, &call.asked, before, None).await?;
    app.people.one_time.remove(purpose, tenant, id).await?;
    audit::done(app, &call.asked, announced, found.revision).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
