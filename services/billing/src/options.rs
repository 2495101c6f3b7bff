//! The section `billing` of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When bills are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How long after its end a month is invoiced, in hours: what comes later goes into the next invoice. 0: it is not done by
    /// itself.
    pub close_after_hours: u32,
    /// How often is looked whether a month is over, and what is spent and used against thresholds and quotas, in seconds.
    pub look_interval_seconds: u64,
    /// Whether hours of storage are metered (`stored_byte_hours`).
    pub meter_storage: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { close_after_hours: 24, look_interval_seconds: 300, meter_storage: true }
    }
}

impl Options {
    /// Refuses values with which nothing could work.
    ///
    /// # Errors
    /// The name of the first such option and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if self.look_interval_seconds == 0 {
            return Err("billing.look_interval_seconds must be at least 1".to_owned());
        }
        Ok(())
    }
}
