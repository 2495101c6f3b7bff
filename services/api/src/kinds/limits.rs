//! Limits, as tenants and plans say them.

use model::resource::TenantLimits;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a tenant may use. A limit is the tenant's own, or, where that is left out, its plan's, or else everybody's.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = TenantLimits)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    /// Events a second, sustained, at each replica of a door; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<u32>,
    /// Events that may come at once before the rate is enforced; 0: as many as that allows in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_burst: Option<u32>,
    /// Bytes of attributes and data a second, sustained, at each replica of a door; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u32>,
    /// Bytes that may come at once before the rate is enforced; 0: as many as that allows in a second, and at least one event
    /// of `event_bytes_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_burst: Option<u32>,
    /// The largest event, in bytes of attributes and data; 262144 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_bytes_max: Option<u32>,
    /// The most events in one batch request; 10000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_events_max: Option<u32>,
    /// Resources of all kinds in the catalog; 0: no limit; 10000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    resources_max: Option<u32>,
    /// Subscriptions in the catalog; 0: no limit; 1000 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_max: Option<u32>,
    /// The longest `retention_days`; 0 (default): no limit, and events may be kept until erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_days_max: Option<u32>,
}

macro_rules! same_members {
    ($($name:ident),* $(,)?) => {
        impl From<TenantLimits> for Limits {
            fn from(limits: TenantLimits) -> Self {
                let TenantLimits { $($name),* } = limits;
                Self { $($name),* }
            }
        }

        impl From<Limits> for TenantLimits {
            fn from(limits: Limits) -> Self {
                let Limits { $($name),* } = limits;
                Self { $($name),* }
            }
        }
    };
}

same_members!(
    events_per_second,
    events_burst,
    bytes_per_second,
    bytes_burst,
    event_bytes_max,
    batch_events_max,
    resources_max,
    subscriptions_max,
    retention_days_max,
);
