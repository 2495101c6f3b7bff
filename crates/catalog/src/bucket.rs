//! The bucket: how it is kept and followed.

use std::time::Duration;

use async_nats::jetstream::{self, kv};
use model::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, error::unavailable};

/// How the catalog is kept and followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The key-value bucket.
    pub bucket: String,
    /// How often the broker says that it is there, in milliseconds. Three missed ones and the entries are read again.
    pub heartbeat_ms: u32,
    /// In a burst of changes, a new snapshot at most so often, in milliseconds. A lone change is published at once.
    pub rebuild_interval_ms: u32,
    /// First wait before reading again after a failure, in milliseconds; it doubles.
    pub backoff_ms_min: u32,
    /// Longest wait before reading again after a failure, in milliseconds.
    pub backoff_ms_max: u32,
    /// Days for which a deleted resource keeps its id and can be undeleted; then it is purged.
    pub deleted_days: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bucket: "catalog".to_owned(),
            heartbeat_ms: 1_000,
            rebuild_interval_ms: 5,
            backoff_ms_min: 50,
            backoff_ms_max: 5_000,
            deleted_days: 30,
        }
    }
}

impl Options {
    pub(crate) fn heartbeat(&self) -> Duration {
        // The broker refuses a heartbeat under 100 ms.
        Duration::from_millis(self.heartbeat_ms.max(100).into())
    }

    pub(crate) fn rebuild_interval(&self) -> Duration {
        Duration::from_millis(self.rebuild_interval_ms.into())
    }

    pub(crate) fn backoff_min(&self) -> Duration {
        Duration::from_millis(self.backoff_ms_min.max(1).into())
    }

    pub(crate) fn backoff_max(&self) -> Duration {
        Duration::from_millis(self.backoff_ms_max.max(self.backoff_ms_min).into())
    }

    pub(crate) fn deleted_kept_us(&self) -> Micros {
        Micros::from(self.deleted_days) * 24 * 60 * 60 * 1_000_000
    }
}

/// Makes the bucket if there is none: history of 8, so that the last changes of an entry can be looked up.
/// One that exists is left as it is.
///
/// # Errors
/// If the broker does not answer or refuses.
pub async fn ensure_bucket(js: &jetstream::Context, options: &Options, replicas: usize) -> Result<(), Error> {
    if js.get_key_value(&options.bucket).await.is_ok() {
        return Ok(());
    }
    let config = kv::Config {
        bucket: options.bucket.clone(),
        description: "eventrunner control-plane resources".to_owned(),
        history: 8,
        num_replicas: replicas,
        ..Default::default()
    };
    js.create_key_value(config).await.map(drop).map_err(unavailable)
}
