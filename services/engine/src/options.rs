//! The engine's section of the configuration.

use bus::{members::MembersOptions, reader::ReaderOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How events are worked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How partitions are read. A message under way holds its events in memory: up to 64 KB packed, in each of
    /// `in_flight_max` places of each partition.
    pub reader: ReaderOptions,
    /// How replicas share the partitions.
    pub members: MembersOptions,
}
