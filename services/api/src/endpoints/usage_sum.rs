//! `GET /api/v1/usage/{tenant}`.

use axum::{
    Json,
    extract::{Path, State},
};
use model::{ErrorCode, Micros, format_rfc3339};
use runtime::problem::Problem;
use serde::Serialize;
use store::{METER_BYTES, METER_EVENTS, UsageQuery};
use utoipa::ToSchema;

use crate::{
    app::{App, ReadsUsage, own_tenant},
    params::Params,
};

const MINUTE_US: Micros = 60_000_000;
/// Buckets of one answer.
const BUCKETS_MAX: i64 = 10_000;

/// Sums of one meter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(super) struct Usage {
    /// Whose usage.
    tenant: String,
    /// What was counted.
    meter: &'static str,
    /// `minute`, `hour`, `day` or `total`.
    bucket: &'static str,
    /// Used at or after; absent: since the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    since: Option<String>,
    /// Used before; absent: until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    until: Option<String>,
    /// Over all buckets.
    total: u64,
    /// In time order; those without usage are left out.
    buckets: Vec<Bucket>,
}

/// A sum over a span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageBucket)]
pub(super) struct Bucket {
    /// Its beginning.
    #[schema(format = DateTime)]
    start: String,
    /// The sum.
    value: u64,
}

/// The name of a width, the width, and the range it has when none is given.
pub(crate) type Width = (&'static str, Micros, Option<Micros>);

/// What `meter` may say.
pub(crate) const METERS: [(&str, &str); 2] = [(METER_EVENTS, METER_EVENTS), (METER_BYTES, METER_BYTES)];

/// What `bucket` may say.
pub(crate) const WIDTHS: [(&str, Width); 4] = [
    ("minute", ("minute", MINUTE_US, Some(1_440 * MINUTE_US))),
    ("hour", ("hour", 60 * MINUTE_US, Some(31 * 1_440 * MINUTE_US))),
    ("day", ("day", 1_440 * MINUTE_US, Some(366 * 1_440 * MINUTE_US))),
    ("total", ("total", 0, None)),
];

/// Sum a tenant's usage
///
/// Counted at the time an event was received, each event once. By `minute`, `hour` or `day` (UTC) the range is the
/// last 24 hours, 31 days or 366 days unless `since` says otherwise.
#[utoipa::path(
    get, path = "/api/v1/usage/{tenant}", tag = "usage", operation_id = "get_usage",
    params(
        ("tenant" = String, Path, description = "The key's own tenant."),
        ("meter" = Option<String>, Query, description = "`events` (default) or `bytes` (of attributes and data)."),
        ("since" = Option<String>, Query, description = "Used at or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Used before, RFC 3339."),
        ("bucket" = Option<String>, Query, description = "`minute`, `hour`, `day`, or `total` (default)."),
    ),
    responses((status = 200, description = "The sums.", body = Usage))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsUsage(caller): ReadsUsage,
    Path(tenant): Path<String>,
    mut params: Params,
) -> Result<Json<Usage>, Problem> {
    let tenant = own_tenant(&caller, &tenant)?;
    let meter = params.choice("meter", &METERS).unwrap_or(METER_EVENTS);
    let (bucket, bucket_us, usual_us) = params.choice("bucket", &WIDTHS).unwrap_or(("total", 0, None));
    let (since, until_us) = params.range();
    params.finish()?;
    let end_us = until_us.unwrap_or_else(|| app.clock.now());
    let since_us = since.or_else(|| usual_us.map(|range| end_us.saturating_sub(range)));
    check_width(since_us, end_us, bucket_us)?;
    let query = UsageQuery { since_us, until_us, bucket_us, ..Default::default() };
    let buckets = app.ask(app.stores.usage.sum(tenant, meter, &query)).await?;
    Ok(Json(Usage {
        tenant: tenant.to_string(),
        meter,
        bucket,
        since: since_us.map(format_rfc3339),
        until: until_us.map(format_rfc3339),
        total: buckets.iter().map(|b| b.value).sum(),
        buckets: buckets
            .iter()
            .map(|b| Bucket { start: format_rfc3339(b.start_us), value: b.value })
            .collect(),
    }))
}

fn check_width(since_us: Option<Micros>, end_us: Micros, bucket_us: Micros) -> Result<(), Problem> {
    match since_us {
        Some(since_us) if bucket_us > 0 && end_us.saturating_sub(since_us) / bucket_us > BUCKETS_MAX => {
            let what = format!("the range has more than {BUCKETS_MAX} buckets");
            Err(Problem::new(ErrorCode::InvalidArgument, what)
                .field("query:bucket", "must be wider, or the range shorter"))
        }
        _ => Ok(()),
    }
}
