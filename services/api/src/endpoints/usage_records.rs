//! `GET /api/v1/usage/{tenant}/records`.

use axum::{
    Json,
    extract::{Path, State},
};
use runtime::problem::Problem;
use serde::Serialize;
use store::UsageQuery;
use utoipa::ToSchema;

use super::usage_sum::{customer, meter_name};
use crate::{
    app::{App, ReadsUsage, own_tenant},
    params::Params,
    views::UsageItem,
};

/// One page of usage records.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageRecordList)]
pub(super) struct UsageRecordList {
    /// In the order the store took them.
    records: Vec<UsageItem>,
    /// For the next page; absent at the end. A page may be short, even empty, and still have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List a tenant's usage records
///
/// What the sums are made of: one record an event, with the event's identity and where it is.
#[utoipa::path(
    get, path = "/api/v1/usage/{tenant}/records", tag = "usage", operation_id = "list_usage_records",
    params(
        ("tenant" = String, Path, description = "The key's own tenant."),
        ("since" = Option<String>, Query, description = "Used at or after, RFC 3339."),
        ("until" = Option<String>, Query, description = "Used before, RFC 3339."),
        ("customer" = Option<String>, Query, description = "Only what this customer used."),
        ("meter" = Option<String>, Query, description = "Only records that have this meter, such as `events` or `own/<id>`."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most records in the page; 100 by default."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the previous page."),
    ),
    responses((status = 200, description = "One page.", body = UsageRecordList))
)]
pub(super) async fn handle(
    State(app): State<App>,
    ReadsUsage(caller): ReadsUsage,
    Path(tenant): Path<String>,
    mut params: Params,
) -> Result<Json<UsageRecordList>, Problem> {
    let tenant = own_tenant(&caller, &tenant)?;
    let (since_us, until_us) = params.range();
    let (customer, meter) = (params.read("customer", customer), params.read("meter", meter_name));
    let (limit, cursor) = (params.limit(100, 1_000), params.cursor());
    params.finish()?;
    let query = UsageQuery { since_us, until_us, customer, meter, bucket_us: 0, limit, cursor };
    let page = app.ask(app.stores.usage.list(tenant, &query)).await?;
    Ok(Json(UsageRecordList {
        records: page.records.iter().map(UsageItem::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
