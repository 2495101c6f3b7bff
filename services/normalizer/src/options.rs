//! The normalizer's section of the configuration.

use bus::{members::MembersOptions, reader::ReaderOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How raw events are normalized.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How partitions are read.
    pub reader: ReaderOptions,
    /// How replicas share the partitions.
    pub members: MembersOptions,
}
