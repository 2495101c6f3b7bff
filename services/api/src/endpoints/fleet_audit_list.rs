//! `GET /api/v1/fleet/audit`.

use axum::{
    extract::{Request, State},
    response::Response,
};
use runtime::problem::Problem;

use super::audit_list::{AuditList, list};
use crate::{
    app::App,
    control::{Call, Thing, Verb},
};

/// List the fleet's audit
///
/// What people did who are at home in no tenant, their sessions, and what was refused to whom nobody knows. Otherwise as a tenant's.
#[utoipa::path(
    get, path = "/api/v1/fleet/audit", tag = "audit", operation_id = "list_fleet_audit",
    params(
        ("kind" = Option<Vec<String>>, Query, description = "Only of these kinds: `user`, `session`, …. Repeatable."),
        ("id" = Option<Vec<String>>, Query, description = "Only of resources of these ids. Repeatable."),
        ("action" = Option<Vec<String>>, Query, description = "Only `read`, `create`, `replace`, `change`, `delete` or `undelete`. Repeatable."),
        ("outcome" = Option<Vec<String>>, Query, description = "Only `announced`, `done` or `refused`. Repeatable."),
        ("actor" = Option<Vec<String>>, Query, description = "Only by these: `key:<id>`, `user:<subject>`, or the id alone. Repeatable."),
        ("since" = Option<String>, Query, description = "At or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Before, RFC 3339."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most records in the page; 100 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
    ),
    responses(
        (status = 200, description = "One page.", body = AuditList),
        (status = 403, description = "The caller may not read the audit, fleet-wide."),
    )
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Audit, request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}
