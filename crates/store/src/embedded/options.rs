//! The `store` section of the configuration, as far as the embedded store reads it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;

const MIB: u64 = 1 << 20;

/// Limits of the embedded store. The defaults suit a laptop: a store just opened holds a few megabytes, one that is
/// written to at full speed up to `cache_bytes` and four times `write_buffer_bytes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// What reads may keep in memory, in bytes. Fills only with use. Writing reads filters, 1.25 bytes for each event
    /// there is: once they do not fit, writing slows down.
    pub cache_bytes: u64,
    /// What is gathered in memory before it is sorted into files, in bytes, at least 1 MiB: more means fewer,
    /// larger files and less rewriting.
    pub write_buffer_bytes: u64,
    /// The log that a crash is recovered from, in bytes, at least 64 MiB: more means a longer start after a crash,
    /// less means smaller files.
    pub journal_bytes_max: u64,
    /// Batches that may wait for the writer; who comes next waits with them.
    pub queue_batches_max: u32,
    /// Events and records of one transaction: batches are gathered until there are this many.
    pub commit_events_max: u32,
    /// Bytes of events in one transaction: batches are gathered until there are this many.
    pub commit_bytes_max: u64,
    /// Free room on the disk, in bytes, below which writes are refused as full: what the store needs to tidy up,
    /// which gives room back.
    pub reserve_bytes: u64,
    /// Reads at a time; more wait.
    pub reads_max: u32,
    /// Blocks (of up to 128 events) one page may look at before it ends, full or not.
    pub page_blocks_max: u32,
    /// Bytes of events at which a page ends, full or not.
    pub page_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 32 * MIB,
            write_buffer_bytes: 36 * MIB,
            journal_bytes_max: 128 * MIB,
            queue_batches_max: 256,
            commit_events_max: 8_192,
            commit_bytes_max: 8 * MIB,
            reserve_bytes: 128 * MIB,
            reads_max: 16,
            page_blocks_max: 2_048,
            page_bytes_max: 16 * MIB,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Error> {
        let at_least = [
            ("write_buffer_bytes", self.write_buffer_bytes, MIB),
            ("journal_bytes_max", self.journal_bytes_max, 64 * MIB),
            ("queue_batches_max", self.queue_batches_max.into(), 1),
            ("commit_events_max", self.commit_events_max.into(), 1),
            ("commit_bytes_max", self.commit_bytes_max, 1),
            ("reads_max", self.reads_max.into(), 1),
            ("page_blocks_max", self.page_blocks_max.into(), 1),
            ("page_bytes_max", self.page_bytes_max, 1),
        ];
        match at_least.into_iter().find(|(_, value, least)| value < least) {
            Some((name, value, least)) => Err(Error::Open(format!(
                "option {name} of the store is {value}; it must be at least {least}"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_unknown_keys_are_not() {
        assert_eq!(Options::default().check(), Ok(()));
        assert_eq!(serde_json::from_str::<Options>("{}").unwrap(), Options::default());
        assert!(serde_json::from_str::<Options>(r#"{"cache_byte": 1}"#).is_err());
        let few = Options { reads_max: 0, ..Options::default() };
        assert!(few.check().unwrap_err().to_string().contains("reads_max"));
    }
}
