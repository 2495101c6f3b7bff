//! The `store.cql` section of the configuration.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use scylla::statement::Consistency as Level;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::Error;

const MIB: u64 = 1 << 20;

/// How ScyllaDB or Cassandra is reached, and the limits of what is asked of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Nodes to begin with, `host:port`; the others are found through them.
    pub nodes: Vec<String>,
    /// The keyspace; `eventrunner migrate` makes it. Lower-case letters, digits and `_`, beginning with a letter.
    pub keyspace: String,
    /// The data centre this process is in: it alone is asked, and the consistency counts its replicas. Empty takes all
    /// nodes as one.
    pub datacenter: String,
    /// Copies of each row that a new keyspace keeps, in `datacenter` if that is named. Three survive one node's death.
    pub replication: u32,
    /// How many replicas a read waits for and a write must have been taken by.
    pub consistency: Consistency,
    /// The user; empty where the cluster asks for none.
    pub user: String,
    /// The user's password, filled in by whoever reads the configuration.
    #[serde(skip)]
    pub password: Option<SecretString>,
    /// Speak TLS. A node's certificate must name its IP address.
    pub tls: bool,
    /// PEM file of the certificate authorities to trust; the machine's own when empty.
    pub tls_ca_file: PathBuf,
    /// How long to try to reach the cluster at the start, milliseconds. Wrong credentials are not tried again.
    pub open_timeout_ms: u64,
    /// After how long without an answer a request has failed, milliseconds: more than the cluster's own timeouts (2 to 5 s),
    /// so that it is the cluster that says what happened.
    pub request_timeout_ms: u64,
    /// After how long without an answer a read is sent to a second replica too, milliseconds; 0 never does.
    pub speculate_after_ms: u64,
    /// Requests under way at a time; more wait.
    pub requests_max: u32,
    /// Requests of one written batch under way at a time.
    pub write_requests_max: u32,
    /// Bytes of rows sent to one partition at once; well below the cluster's limit (1 MiB in ScyllaDB). A larger event goes
    /// alone.
    pub batch_bytes_max: u64,
    /// Rows sent to one partition at once.
    pub batch_rows_max: u32,
    /// About how many bytes a partition of events may hold before the tenant's next go to a finer one.
    pub partition_bytes_max: u64,
    /// About how many events a partition may hold before the tenant's next go to a finer one. Seven columns each, they
    /// must stay below what Cassandra reads of expired ones before it gives up (`tombstone_failure_threshold`, 100,000).
    pub partition_rows_max: u32,
    /// Rows one page may look at before it ends, full or not.
    pub page_rows_max: u32,
    /// Requests one page may make before it ends, full or not.
    pub page_requests_max: u32,
    /// Bytes of events at which a page ends, full or not.
    pub page_bytes_max: u64,
}

/// How many replicas answer for a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// A majority in the data centre.
    #[default]
    LocalQuorum,
    /// A majority of all data centres together: exact even when two of them write the same events, at the price of the way
    /// between them.
    Quorum,
}

impl Consistency {
    pub(super) fn level(self) -> Level {
        match self {
            Self::LocalQuorum => Level::LocalQuorum,
            Self::Quorum => Level::Quorum,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:9042".into()],
            keyspace: "eventrunner".into(),
            datacenter: String::new(),
            replication: 3,
            consistency: Consistency::default(),
            user: String::new(),
            password: None,
            tls: false,
            tls_ca_file: PathBuf::new(),
            open_timeout_ms: 60_000,
            request_timeout_ms: 12_000,
            speculate_after_ms: 200,
            requests_max: 1_024,
            write_requests_max: 128,
            batch_bytes_max: 128 << 10,
            batch_rows_max: 100,
            partition_bytes_max: 32 * MIB,
            partition_rows_max: 12_500,
            page_rows_max: 10_000,
            page_requests_max: 500,
            page_bytes_max: 16 * MIB,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Error> {
        let at_least_one = [
            ("replication", u64::from(self.replication)),
            ("open_timeout_ms", self.open_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("requests_max", self.requests_max.into()),
            ("write_requests_max", self.write_requests_max.into()),
            ("batch_bytes_max", self.batch_bytes_max),
            ("batch_rows_max", self.batch_rows_max.into()),
            ("partition_bytes_max", self.partition_bytes_max),
            ("partition_rows_max", self.partition_rows_max.into()),
            ("page_rows_max", self.page_rows_max.into()),
            ("page_requests_max", self.page_requests_max.into()),
            ("page_bytes_max", self.page_bytes_max),
        ];
        let bad = |what: String| Err(Error::Open(format!("option {what}")));
        if let Some((name, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return bad(format!("{name} of the CQL store is 0; it must be at least 1"));
        }
        if self.nodes.is_empty() {
            return bad("nodes of the CQL store is empty; name at least one, as host:port".into());
        }
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let named = self.keyspace.len() <= 48
            && self.keyspace.starts_with(|c: char| c.is_ascii_lowercase())
            && self.keyspace.chars().all(letters);
        if !named {
            return bad(format!(
                "keyspace of the CQL store is {:?}; it must be at most 48 of a-z, 0-9 and '_', a letter first",
                self.keyspace
            ));
        }
        // It stands between quotes in a statement.
        if self.datacenter.contains(['\'', '\\']) {
            return bad(format!("datacenter of the CQL store is {:?}, which is no name", self.datacenter));
        }
        Ok(())
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_unknown_keys_are_not() {
        assert_eq!(Options::default().check(), Ok(()));
        assert_eq!(serde_json::from_str::<Options>("{}").unwrap().keyspace, "eventrunner");
        assert!(serde_json::from_str::<Options>(r#"{"node": []}"#).is_err());
        let quorum = serde_json::from_str::<Options>(r#"{"consistency": "quorum"}"#).unwrap();
        assert_eq!(quorum.consistency, Consistency::Quorum);
    }

    #[test]
    fn what_cannot_work_is_named() {
        let of = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(of(|o| o.batch_rows_max = 0).contains("batch_rows_max"));
        assert!(of(|o| o.nodes.clear()).contains("nodes"));
        for keyspace in ["", "Events", "1st", "a-b", "a b", &"x".repeat(49)] {
            let options = Options { keyspace: keyspace.into(), ..Options::default() };
            assert!(options.check().unwrap_err().to_string().contains("keyspace"), "{keyspace:?}");
        }
        assert!(of(|o| o.datacenter = "a'b".into()).contains("datacenter"));
    }
}
