//! The section `ingest_grpc` of the configuration.

use std::time::Duration;

use model::EventLimits;
use runtime::http::ServerOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The port, where none is configured.
pub(crate) const PORT: u16 = 9090;

/// Limits of the gRPC door. A tenant's own limits (largest event, most events in a batch, rate) stand in the
/// tenant and hold besides these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The listener and its timeouts.
    pub server: ServerOptions,
    /// The largest message, bytes; after undoing gzip or zstd as well. Room for a batch of 10,000 events of 800 bytes.
    pub message_bytes_max: usize,
    /// The largest value of one attribute of an event, bytes.
    pub attribute_bytes_max: usize,
    /// All attributes of an event together, bytes: they become headers of one message.
    pub attributes_bytes_max: usize,
    /// Extension attributes of an event.
    pub extensions_max: usize,
    /// From the head of a call that is not a stream to its answer, unless the caller's deadline is nearer.
    pub call_timeout_ms: u64,
    /// Messages of one `StreamEvents` call that may await their acknowledgement; then it is not read further.
    pub stream_window_messages: usize,
    /// Bytes of events of one `StreamEvents` call that may await their acknowledgement; then it is not read further.
    pub stream_window_bytes: usize,
    /// A `StreamEvents` call that brings nothing for so long, and awaits nothing, is ended.
    pub stream_idle_timeout_ms: u64,
    /// A request over its tenant's quota is answered so many milliseconds later, at most: it slows down who does not listen.
    pub over_quota_pause_ms: u64,
    /// Requests that are held back so at once; over it they are answered at once.
    pub over_quota_paused_max: usize,
    /// Tenants whose quota is kept at once.
    pub quota_tenants_max: usize,
    /// A tenant not heard of for so long has its quota forgotten, once it is full again anyway.
    pub quota_idle_seconds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: ServerOptions::on_port(PORT),
            message_bytes_max: 8 << 20,
            attribute_bytes_max: 4 << 10,
            attributes_bytes_max: 64 << 10,
            extensions_max: 64,
            call_timeout_ms: 30_000,
            stream_window_messages: 1_024,
            stream_window_bytes: 16 << 20,
            stream_idle_timeout_ms: 600_000,
            over_quota_pause_ms: 100,
            over_quota_paused_max: 10_000,
            quota_tenants_max: 100_000,
            quota_idle_seconds: 600,
        }
    }
}

impl Options {
    /// The limits of one event of a tenant.
    pub(crate) fn event_limits(&self, event_bytes_max: u32) -> EventLimits {
        EventLimits {
            event_bytes_max: usize::try_from(event_bytes_max).unwrap_or(usize::MAX),
            attribute_bytes_max: self.attribute_bytes_max,
            attributes_bytes_max: self.attributes_bytes_max,
            extensions_max: self.extensions_max,
        }
    }

    pub(crate) fn quota(&self) -> auth::quota::Options {
        auth::quota::Options {
            tenants_max: self.quota_tenants_max,
            idle_seconds: self.quota_idle_seconds,
            held_back: Duration::from_millis(self.over_quota_pause_ms),
            held_back_max: self.over_quota_paused_max,
        }
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.call_timeout_ms)
    }

    pub(crate) fn stream_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.stream_idle_timeout_ms)
    }
}
