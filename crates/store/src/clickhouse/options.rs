//! The `store.clickhouse` section of the configuration.

use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::Error;

const MIB: u64 = 1 << 20;

/// More days would reach past the last time the engine can count to.
const RETENTION_DAYS_MAX: u32 = 4_000;

/// Where the usage store is and how it is written to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The server's HTTP interface, `http://host:port`. TLS is for a proxy beside it: this client speaks none.
    pub url: String,
    /// The database; `eventrunner migrate` creates it.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password, filled in by whoever reads the configuration.
    #[serde(skip)]
    pub password: Option<SecretString>,
    /// How long one query may take, in milliseconds.
    pub read_timeout_ms: u64,
    /// How long one insert may take, in milliseconds; also one statement of a migration or an erasure.
    pub write_timeout_ms: u64,
    /// Records of one insert: what is written meanwhile is gathered until there are this many. Fewer than ten
    /// thousand cost the server more for each.
    pub insert_rows_max: u32,
    /// Bytes of records at which an insert is sent, full or not.
    pub insert_bytes_max: u64,
    /// How long records wait for others to be inserted with, in milliseconds. Each insert is a file to be merged: the
    /// server wants few.
    pub linger_ms_max: u64,
    /// Inserts under way at a time.
    pub inserts_in_flight_max: u32,
    /// Bytes of records that may wait or be under way; who comes next waits.
    pub buffer_bytes_max: u64,
    /// How often the hours gone by are summed up, so that sums of months need not read every record, in milliseconds; 0
    /// leaves it to other processes, or to nobody.
    pub rollup_interval_ms: u64,
    /// How long an hour must be gone before it is summed up, in milliseconds: what comes later costs more.
    pub rollup_delay_ms: u64,
    /// Days after which usage is forgotten, counted from the time it was used; kept until the tenant is erased when
    /// not set. `eventrunner migrate` puts a change into force.
    pub retention_days: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".into(),
            database: "eventrunner".into(),
            user: "default".into(),
            password: None,
            read_timeout_ms: 30_000,
            write_timeout_ms: 60_000,
            insert_rows_max: 100_000,
            insert_bytes_max: 24 * MIB,
            linger_ms_max: 500,
            inserts_in_flight_max: 2,
            buffer_bytes_max: 96 * MIB,
            rollup_interval_ms: 600_000,
            rollup_delay_ms: 7_200_000,
            retention_days: None,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::Open(format!("store.clickhouse: {what}")));
        let at_least: [(&str, u64, u64); 7] = [
            ("read_timeout_ms", self.read_timeout_ms, 1),
            ("write_timeout_ms", self.write_timeout_ms, 1),
            ("insert_rows_max", self.insert_rows_max.into(), 1),
            ("insert_bytes_max", self.insert_bytes_max, 1),
            ("inserts_in_flight_max", self.inserts_in_flight_max.into(), 1),
            ("buffer_bytes_max", self.buffer_bytes_max, self.insert_bytes_max),
            ("retention_days", self.retention_days.unwrap_or(1).into(), 1),
        ];
        if let Some((name, value, least)) = at_least.into_iter().find(|(_, value, least)| value < least) {
            return wrong(format!("{name} is {value}; it must be at least {least}"));
        }
        if self.retention_days.is_some_and(|days| days > RETENTION_DAYS_MAX) {
            return wrong(format!("retention_days must be at most {RETENTION_DAYS_MAX}"));
        }
        if !self.url.starts_with("http://") {
            return wrong(format!(
                "url is {:?}; it must begin with http:// (for TLS, put a proxy beside this process)",
                self.url
            ));
        }
        if self.database.is_empty() {
            return wrong("database is empty".into());
        }
        Ok(())
    }

    pub(super) fn read_timeout(&self) -> Duration {
        Duration::from_millis(self.read_timeout_ms)
    }

    pub(super) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    pub(super) fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_unknown_keys_are_not() {
        assert_eq!(Options::default().check(), Ok(()));
        let read: Options = serde_json::from_str("{}").unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(Options::default()).unwrap());
        assert!(serde_json::from_str::<Options>(r#"{"urls": ""}"#).is_err());
    }

    #[test]
    fn a_wrong_option_is_named() {
        type Change = fn(&mut Options);
        let wrong: [(&str, Change); 7] = [
            ("insert_rows_max", |o| o.insert_rows_max = 0),
            ("buffer_bytes_max", |o| o.buffer_bytes_max = o.insert_bytes_max - 1),
            ("retention_days", |o| o.retention_days = Some(0)),
            ("retention_days", |o| o.retention_days = Some(4_001)),
            ("url", |o| o.url = "127.0.0.1:8123".into()),
            ("proxy", |o| o.url = "https://127.0.0.1:8443".into()),
            ("database", |o| o.database = String::new()),
        ];
        for (name, change) in wrong {
            let mut options = Options::default();
            change(&mut options);
            assert!(options.check().unwrap_err().to_string().contains(name), "{name}");
        }
    }
}
