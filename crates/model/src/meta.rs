//! What every resource of the catalog has, whatever its kind.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Micros, format_rfc3339};

/// What every resource has. Its members stand beside the resource's own: `{"id": …, "labels": …, "created_at": …}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// For people: what it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people and their tools: names with values, by which lists are narrowed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was made, RFC 3339.
    #[serde(default)]
    pub created_at: String,
    /// When it was last written, RFC 3339; empty for what an older version wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub updated_at: String,
}

impl Meta {
    /// Of what is made at that time.
    #[must_use]
    pub fn created(at: Micros) -> Self {
        Self { created_at: format_rfc3339(at), ..Self::default() }
    }
}
