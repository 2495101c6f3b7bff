//! The section `api` of the configuration.

use runtime::{config::Millis, http::ServerOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{McpOptions, people::PeopleOptions};

/// The port the service listens on unless told otherwise, for HTTP and gRPC.
pub const PORT: u16 = 8081;

/// Where the service listens, and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The listener, for HTTP and gRPC.
    pub http: ServerOptions,
    /// Event streams (SSE and gRPC together) a tenant may have open on one replica; 429 above.
    pub streams_per_tenant_max: usize,
    /// Events asked of the broker at once for one stream: what waits in memory for a slow reader.
    pub stream_buffer_events: usize,
    /// The same in bytes. Raised to the size of the broker's largest message where it is lower.
    pub stream_buffer_bytes: usize,
    /// Silence on a server-sent event stream after which a comment is sent, so that nothing in between closes it.
    pub stream_heartbeat_ms: Millis,
    /// How long a client of server-sent events is told to wait before it connects again.
    pub stream_retry_ms: Millis,
    /// From a gRPC call to its `open` message.
    pub stream_open_timeout_ms: Millis,
    /// Messages of the tenant stream read at most to find one event for its receipt.
    pub receipt_scan_events_max: usize,
    /// And how long that may take.
    pub receipt_scan_ms: Millis,
    /// How long the tenant stream may be read to find the message of an event whose data is erased; 503 above.
    pub erase_scan_ms: Millis,
    /// Events looked at by one request that searches by data; it says how far it came.
    pub search_events_max: u64,
    /// And how long that may take.
    pub search_ms: Millis,
    /// Dead letters read at most for one request that filters them.
    pub letters_scan_max: usize,
    /// Dead letters redriven or deleted at most by one request; it says whether there are more.
    pub letters_change_max: usize,
    /// How long a store may take to answer; 503 above.
    pub store_timeout_ms: Millis,
    /// Bytes of a resource as it is sent; 413 above. Twice as much must fit into a message of the broker.
    pub resource_bytes_max: usize,
    /// How people log in.
    pub people: PeopleOptions,
    /// The API as tools of language models.
    pub mcp: McpOptions,
    /// How often the bytes that tenants read by streams are metered: 100 to 60,000 ms. What was not yet is lost if the process
    /// dies.
    pub egress_flush_ms: Millis,
    /// Audit records read at most for one request that filters them.
    pub audit_scan_max: usize,
    /// How long a request with an `Idempotency-Key` is believed to be worked by whoever began it.
    pub idempotency_pending_ms: Millis,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            http: ServerOptions::on_port(PORT),
            streams_per_tenant_max: 100,
            stream_buffer_events: 256,
            stream_buffer_bytes: 1 << 20,
            stream_heartbeat_ms: Millis(15_000),
            stream_retry_ms: Millis(2_000),
            stream_open_timeout_ms: Millis(10_000),
            receipt_scan_events_max: 100_000,
            receipt_scan_ms: Millis(2_000),
            erase_scan_ms: Millis(20_000),
            search_events_max: 50_000,
            search_ms: Millis(2_000),
            letters_scan_max: 10_000,
            letters_change_max: 1_000,
            store_timeout_ms: Millis(10_000),
            resource_bytes_max: 256 << 10,
            people: PeopleOptions::default(),
            mcp: McpOptions::default(),
            egress_flush_ms: Millis(5_000),
            audit_scan_max: 10_000,
            idempotency_pending_ms: Millis(30_000),
        }
    }
}

impl Options {
    /// Refuses values with which nothing could work.
    ///
    /// # Errors
    /// The name of the first such option and what it must be.
    pub fn check(&self) -> Result<(), String> {
        self.people.check()?;
        self.mcp.check()?;
        let at_least_one = [
            ("streams_per_tenant_max", self.streams_per_tenant_max),
            ("stream_buffer_events", self.stream_buffer_events),
            ("search_events_max", usize::try_from(self.search_events_max).unwrap_or(usize::MAX)),
            ("letters_scan_max", self.letters_scan_max),
            ("letters_change_max", self.letters_change_max),
            ("resource_bytes_max", self.resource_bytes_max),
            ("audit_scan_max", self.audit_scan_max),
        ];
        match at_least_one.into_iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("api.{name} must be at least 1")),
            None if self.stream_heartbeat_ms.0 == 0 => {
                Err("api.stream_heartbeat_ms must be at least 1".to_owned())
            }
            None if !(100..=60_000).contains(&self.egress_flush_ms.0) => {
                Err("api.egress_flush_ms must be 100 to 60,000".to_owned())
            }
            None => Ok(()),
        }
    }
}
