//! The engine's section of the configuration.

use bus::{members::MembersOptions, reader::ReaderOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HousekeepingOptions;

/// How events are worked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How partitions are read. A message under way holds its events in memory: up to 64 KB packed, in each of
    /// `in_flight_max` places of each partition.
    pub reader: ReaderOptions,
    /// How usage that waits for a store of its own is read. A message holds the records of one batch of events, and the
    /// store wants thousands at once: hence the many.
    pub metering: ReaderOptions,
    /// How replicas share the partitions.
    pub members: MembersOptions,
    /// What is done beside the events, by one replica at a time.
    pub housekeeping: HousekeepingOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reader: ReaderOptions::default(),
            metering: ReaderOptions { in_flight_max: 512, pull_messages: 512, ..ReaderOptions::default() },
            members: MembersOptions::default(),
            housekeeping: HousekeepingOptions::default(),
        }
    }
}
