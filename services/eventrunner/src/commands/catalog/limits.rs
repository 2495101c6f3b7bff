//! `eventrunner tenants limits`.

use model::{
    TenantId,
    resource::{Limits, Tenant},
};
use serde::Serialize;

use super::{OneArgs, Opened, id};
use crate::{
    exit::Result,
    output::{Column, Output, item},
};

const COLUMNS: &[Column] = &[
    Column("limit", "/name"),
    Column("value", "/value"),
    Column("from", "/origin"),
    Column("used", "/used"),
];

/// One limit, as the API tells it; how much of a rate is used is known there only.
#[derive(Debug, Serialize)]
struct Limit {
    name: &'static str,
    value: u32,
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<usize>,
}

pub(super) async fn run(args: OneArgs, output: Output) -> Result<()> {
    let tenant_id: TenantId = id(&args.id)?;
    let opened = Opened::open(&args.connect).await?;
    let tenant = opened.catalog.get::<Tenant>(&tenant_id, &args.id).await?.value;
    let snapshot = opened.catalog.snapshot();
    let counts = snapshot.counts(&tenant_id);
    let plan = tenant.plan.as_ref().and_then(|plan| snapshot.plan(plan));
    let limits = Limits::origins(&tenant.limits, plan.map(|plan| &plan.limits));
    let items = limits.into_iter().map(|(name, value, origin)| {
        let used = match name {
            "resources_max" => Some(counts.resources),
            "subscriptions_max" => Some(counts.subscriptions),
            "retention_days_max" => usize::try_from(tenant.retention_days).ok(),
            _ => None,
        };
        item(&Limit { name, value, origin: origin.as_str(), used })
    });
    output.list(COLUMNS, &items.collect::<Result<Vec<_>>>()?)?;
    opened.close().await;
    Ok(())
}
