//! `GET /api/v1/tenants/{tenant}/audit`.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use runtime::problem::Problem;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{
        Call, Thing, Verb,
        audit_log::{self, Filter},
    },
};

/// One page of the audit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditList)]
pub(super) struct AuditList {
    /// Oldest first, each a CloudEvent.
    #[schema(value_type = Vec<AuditRecord>)]
    records: Vec<Box<RawValue>>,
    /// For the next page; absent at the end. A page may be short, even empty, and still have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A record of the audit, a CloudEvent.
#[derive(Debug, ToSchema)]
#[schema(as = AuditRecord)]
#[expect(dead_code, reason = "describes what the audit writes")]
pub(crate) struct AuditRecord {
    /// Always `1.0`.
    specversion: String,
    /// Its id.
    id: String,
    /// The path of the tenant.
    source: String,
    /// `dev.eventrunner.audit.<kind>.<action>`.
    r#type: String,
    /// `<kind>/<id>`.
    #[schema(nullable = false)]
    subject: Option<String>,
    /// When it was asked for.
    #[schema(format = DateTime)]
    time: String,
    /// Always JSON.
    datacontenttype: String,
    /// What it says.
    data: crate::control::audit::Data,
}

/// List a tenant's audit
///
/// What was done to the tenant's resources, and what its keys were refused, oldest first. A change has two records: one that
/// announces it, written before it is made, and one that it was done. A filter given several times matches any of its
/// values.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/audit", tag = "audit", operation_id = "list_audit",
    params(
        ("tenant" = String, Path, description = "The tenant's id."),
        ("kind" = Option<Vec<String>>, Query, description = "Only of these kinds: `system`, `key`, …. Repeatable."),
        ("id" = Option<Vec<String>>, Query, description = "Only of resources of these ids. Repeatable."),
        ("action" = Option<Vec<String>>, Query, description = "Only `read`, `create`, `replace`, `change`, `delete` or `undelete`. Repeatable."),
        ("outcome" = Option<Vec<String>>, Query, description = "Only `announced`, `done` or `refused`. Repeatable."),
        ("actor" = Option<Vec<String>>, Query, description = "Only by these: `key:<id>`, `user:<subject>`, or the id alone. Repeatable."),
        ("since" = Option<String>, Query, description = "At or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Before, RFC 3339."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most records in the page; 100 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
    ),
    responses((status = 200, description = "One page.", body = AuditList))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Audit, request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}

/// One page of whatever audit the request is allowed.
pub(super) async fn list(call: &Call) -> Result<Response, Problem> {
    let mut params = call.params();
    let filter = Filter::take(&mut params);
    let limit = params.limit(100, 1_000);
    let cursor = |v: &str| v.parse().map_err(|_| "use the next_cursor of a previous page".to_owned());
    let after = params.read("cursor", cursor).unwrap_or(0);
    params.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = audit_log::page(&call.app, call.tenant()?, &filter, after, limit).await?;
    let next_cursor = page.next.map(|next| next.to_string());
    Ok(Json(AuditList { records: page.records, next_cursor }).into_response())
}
