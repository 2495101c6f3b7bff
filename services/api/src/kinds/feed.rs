//! Feeds.

use std::collections::BTreeMap;

use model::{
    SourceId, SystemId,
    resource::{Feed, FeedKind},
};
use runtime::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{Built, Making, Managed};

/// Where events of a system are fetched from. Kept; nothing follows it yet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The system whose events they are.
    #[schema(value_type = String)]
    system: SystemId,
    /// For people.
    #[serde(default)]
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names with values, by which lists are narrowed.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// What is at the other end: `substrate`, `ethereum` or `mqtt`.
    #[schema(value_type = String)]
    r#type: FeedKind,
    /// The other end's address: `ws` or `wss` of a chain's node, `mqtt` or `mqtts` of a broker, without user and password.
    endpoint: String,
    /// The source whose mapping makes events of what comes; none: it is taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    source: Option<SourceId>,
    /// Whether it is to be followed.
    #[serde(default = "super::yes")]
    enabled: bool,
}

impl Managed for Feed {
    type Spec = Spec;

    const COLLECTION: &'static str = "feeds";
    const SCHEMA: &'static str = "Feed";

    fn spec(&self) -> Spec {
        let Self { tenant: _, system, id: _, name, kind, endpoint, source, enabled, meta } = self.clone();
        Spec {
            system,
            name,
            description: meta.description,
            labels: meta.labels,
            r#type: kind,
            endpoint,
            source,
            enabled,
        }
    }

    fn build(spec: Spec, making: Making<'_, Self>) -> Result<Built<Self>, Problem> {
        let Spec { system, name, description, labels, r#type: kind, endpoint, source, enabled } = spec;
        let (tenant, id) = (making.tenant.clone(), super::id(making.id)?);
        let meta = super::meta(description, labels);
        Ok(Built::new(Self { tenant, system, id, name, kind, endpoint, source, enabled, meta }))
    }
}
