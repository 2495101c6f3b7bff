//! `GET /api/v1/tenants/{tenant}/limits`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use model::{
    TenantId,
    resource::{Limits, Tenant},
};
use runtime::problem::Problem;
use serde::Serialize;
use store::{METER_BYTES, METER_EVENTS, UsageQuery};
use utoipa::ToSchema;

use crate::{
    app::App,
    control::{Call, Thing, Verb},
    error::of_catalog,
};

/// Over how long the present use of a rate is looked at.
const WINDOW_S: u64 = 60;

/// What holds for a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Limits)]
pub(super) struct LimitList {
    /// Whose limits.
    tenant: String,
    /// The plan it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plan: Option<String>,
    /// Each of them.
    limits: Vec<Limit>,
}

/// One limit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Limit {
    /// Its name, as in the tenant's `limits`.
    name: &'static str,
    /// What it is. What 0 means stands with the tenant's `limits`.
    value: u32,
    /// Who says so: `own` (the tenant's `limits`), `plan`, or `default`.
    origin: &'static str,
    /// How much of it is used: of a rate, what the last minute had in a second on average, over all replicas; of a count, how many
    /// there are. Absent where nothing is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    used: Option<u64>,
}

/// List a tenant's limits
///
/// Each limit that holds, where it comes from, and how much of it is used. A tenant's own limits go before its plan's, and those
/// before what everybody has. An operator changes them in the tenant or in the plan.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/limits", tag = "resources", operation_id = "list_limits",
    params(("tenant" = String, Path, description = "The tenant's id.")),
    responses((status = 200, description = "All of them.", body = LimitList))
)]
pub(super) async fn handle(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let call = Call::admit(app, Verb::Read, Thing::Limits, request).await?;
    let outcome = list(&call).await;
    call.finish(outcome).await
}

async fn list(call: &Call) -> Result<Response, Problem> {
    call.params().finish()?;
    let (app, id) = (&call.app, call.tenant()?);
    let snapshot = app.catalog.snapshot();
    let tenant = match snapshot.tenant(id) {
        Some(tenant) => Arc::clone(tenant),
        // Made a moment ago, somewhere else.
        None => {
            let found = app.catalog.get::<Tenant>(id, id).await;
            Arc::new(found.map_err(|e| of_catalog(e, false))?.value)
        }
    };
    let counts = snapshot.counts(id);
    let (events, bytes) = (a_second(app, id, METER_EVENTS).await?, a_second(app, id, METER_BYTES).await?);
    let used = |name: &str| match name {
        "events_per_second" => Some(events),
        "bytes_per_second" => Some(bytes),
        "resources_max" => u64::try_from(counts.resources).ok(),
        "subscriptions_max" => u64::try_from(counts.subscriptions).ok(),
        "retention_days_max" => Some(tenant.retention_days.into()),
        _ => None,
    };
    let plan = tenant.plan.as_ref().and_then(|plan| snapshot.plan(plan));
    let limits = Limits::origins(&tenant.limits, plan.map(|plan| &plan.limits));
    let limits = limits.into_iter().map(|(name, value, origin)| Limit {
        name,
        value,
        origin: origin.as_str(),
        used: used(name),
    });
    let plan = tenant.plan.as_ref().map(ToString::to_string);
    Ok(Json(LimitList { tenant: id.to_string(), plan, limits: limits.collect() }).into_response())
}

/// What was used in a second of late, on average, rounded up.
async fn a_second(app: &App, tenant: &TenantId, meter: &str) -> Result<u64, Problem> {
    let until_us = app.clock.now();
    let window_us = i64::try_from(WINDOW_S * 1_000_000).unwrap_or(i64::MAX);
    let since_us = Some(until_us.saturating_sub(window_us));
    let query = UsageQuery { since_us, until_us: Some(until_us), bucket_us: 0, ..Default::default() };
    let sums = app.ask(app.stores.usage.sum(tenant, meter, &query)).await?;
    Ok(sums.iter().map(|sum| sum.value).sum::<u64>().div_ceil(WINDOW_S))
}
