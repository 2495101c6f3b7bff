//! What a tenant counts for itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Meta;
use crate::{MeterId, TenantId, Text};

/// How what was counted is put together over a span of time. Always exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// The sum of the values.
    #[default]
    Sum,
    /// How many records have a value.
    Count,
    /// How many different values there are.
    Unique,
    /// The greatest value.
    Max,
    /// The value of the latest record; of several at the same time, of the one whose id is the last in order of bytes.
    Latest,
}

impl Aggregation {
    /// Each there is.
    pub const ALL: [Self; 5] = [Self::Sum, Self::Count, Self::Unique, Self::Max, Self::Latest];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Unique => "unique",
            Self::Max => "max",
            Self::Latest => "latest",
        }
    }
}

/// What a tenant counts for itself, in each event as it is metered. What was metered stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meter {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id, unique within the tenant.
    pub id: MeterId,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// The type of the events it counts; none: those of all types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// How it is put together.
    pub aggregation: Aggregation,
    /// Where in the event's data the value is: a JSON pointer (RFC 6901). None where events are counted as such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Decimals that are kept of a value: it is multiplied by ten to the power of this, and the rest is cut off.
    #[serde(default)]
    pub scale: u8,
    /// What every resource has.
    #[serde(flatten)]
    pub meta: Meta,
}

/// What the names of tenants' own meters begin with in usage records, so that none is the name of one of the fleet's.
pub const OWN_METERS: &str = "own/";

impl Meter {
    /// Its name in usage records.
    #[must_use]
    pub fn record_name(&self) -> Text {
        format!("{OWN_METERS}{}", self.id).into()
    }
}
