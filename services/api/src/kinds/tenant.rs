//! Tenants.

use std::collections::BTreeMap;

use async_nats::jetstream::{ErrorCode as JetStreamCode, context::GetStreamErrorKind};
use bus::topology::tenant_stream;
use model::{
    PlanId,
    resource::{DEFAULT_PLACEMENT, Tenant, TenantStream},
};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::limits::Limits;
use crate::{
    app::App,
    control::{Built, Making, Managed},
    error::of_broker,
};

/// A customer whose data is isolated.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Whether its keys and doors answer 403.
    #[serde(default)]
    disabled: bool,
    /// Which tenant stream holds its events.
    #[serde(default = "default_placement")]
    placement: String,
    /// The plan it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    plan: Option<PlanId>,
    /// What it may use, where that is not as its plan says. What holds is at `…/limits`.
    #[serde(default)]
    limits: Limits,
    /// Days for which its stored events are kept; 0: until erased.
    #[serde(default)]
    retention_days: u32,
    /// How its stream holds its events: `single` or `packed`.
    #[serde(default)]
    #[schema(value_type = String)]
    tenant_stream: TenantStream,
}

fn default_placement() -> String {
    DEFAULT_PLACEMENT.to_owned()
}

impl Managed for Tenant {
    type Spec = Spec;

    const COLLECTION: &'static str = crate::control::managed::TENANTS;
    const SCHEMA: &'static str = "Tenant";

    fn spec(&self) -> Spec {
        let Self { id: _, name, disabled, placement, plan, limits, retention_days, tenant_stream, meta } =
            self.clone();
        Spec {
            name,
            description: meta.description,
            labels: meta.labels,
            disabled,
            placement,
            plan,
            limits: limits.into(),
            retention_days,
            tenant_stream,
        }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec {
            name,
            description,
            labels,
            disabled,
            placement,
            plan,
            limits,
            retention_days,
            tenant_stream,
        } = spec;
        Ok(Built::new(Self {
            id: making.tenant.clone(),
            name,
            disabled,
            placement,
            plan,
            limits: limits.into(),
            retention_days,
            tenant_stream,
            meta: super::meta(description, labels),
        }))
    }

    /// Without its stream nothing of the tenant's would ever be published.
    async fn look(&self, app: &App) -> Result<(), Problem> {
        if self.placement == DEFAULT_PLACEMENT {
            return Ok(());
        }
        match app.bus.jetstream().get_stream(tenant_stream(&self.placement)).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(e) if e.error_code() == JetStreamCode::STREAM_NOT_FOUND => {
                    let detail = format!("there is no stream {:?}", tenant_stream(&self.placement));
                    Err(super::fault("/placement", detail))
                }
                _ => Err(of_broker(error)),
            },
        }
    }
}
