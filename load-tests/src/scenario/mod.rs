//! What can be run.

pub(crate) mod kill;
pub(crate) mod path;
pub(crate) mod stores;

use clap::Args;

/// What every scenario sends.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Events in one request
    #[arg(long, default_value_t = 100)]
    pub(crate) batch: u64,
    /// Bytes of each event's data
    #[arg(long, default_value_t = 512)]
    pub(crate) data_bytes: usize,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 16)]
    pub(crate) connections: usize,
}

impl LoadArgs {
    /// The load, different in each run, and the requests that carry `events` of it.
    pub(crate) fn load(&self, events: u64) -> (crate::load::Load, u64) {
        let batch = self.batch.max(1);
        (crate::load::Load::new(rand::random(), batch, self.data_bytes), events.div_ceil(batch))
    }
}
