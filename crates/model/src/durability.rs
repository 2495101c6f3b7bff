//! What "accepted" promises.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What an accepted event survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power cut: no 2xx before the event is fsynced. The broker runs `sync_interval: always`.
    #[default]
    Disk,
    /// The death of any process: the broker flushes to disk on its own schedule.
    Process,
    /// The loss of a machine: a majority of three brokers holds it.
    Replicated,
}

impl Durability {
    /// As it is written in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Process => "process",
            Self::Replicated => "replicated",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Disk, Self::Process, Self::Replicated]
            .into_iter()
            .find(|d| d.as_str() == s)
            .ok_or_else(|| format!("{s:?} is no durability: use disk, process or replicated"))
    }
}
