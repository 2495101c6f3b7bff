//! What tenants count for themselves.

use std::collections::BTreeMap;

use model::resource::{Aggregation, Meter};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// What a tenant counts in its events besides what the fleet meters. It is asked for as the meter `own/<id>`, and counts events from
/// the moment it is made, within a second; neither `aggregation` nor `scale` can be changed.
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
    /// The type of the events it counts, exactly; absent: those of all types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    /// How it is put together: `sum`, `count` (how many events have the value, or are there at all), `unique` (how many different
    /// values), `max`, or `latest`.
    #[schema(value_type = String)]
    aggregation: Aggregation,
    /// Where in the event's data the value is: a JSON pointer (RFC 6901), such as `/order/amount`. Required but for `count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Decimals that are kept of a number, 0 to 6: with 2, 12.345 counts as 1234. Only for `sum`, `max` and `latest`.
    #[serde(default)]
    scale: u8,
}

impl Managed for Meter {
    type Spec = Spec;

    const COLLECTION: &'static str = "meters";
    const SCHEMA: &'static str = "Meter";

    fn spec(&self) -> Spec {
        let Self { tenant: _, id: _, name, event_type, aggregation, value, scale, meta } = self.clone();
        let (description, labels) = (meta.description, meta.labels);
        Spec { name, description, labels, event_type, aggregation, value, scale }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { name, description, labels, event_type, aggregation, value, scale } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        let meta = super::meta(description, labels);
        Ok(Built::new(Self { tenant, id, name, event_type, aggregation, value, scale, meta }))
    }
}
