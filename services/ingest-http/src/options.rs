//! The section `ingest_http` of the configuration.

use std::time::Duration;

use model::EventLimits;
use runtime::{config::Seconds, http::ServerOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The port, where none is configured.
pub(crate) const PORT: u16 = 8080;

/// Limits of the HTTP door. A tenant's own limits (largest event, most events in a batch, rate) stand in the
/// tenant and hold besides these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The listener and its timeouts.
    pub server: ServerOptions,
    /// The largest body as it arrives, bytes. Room for a batch of 10,000 events of 800 bytes.
    pub body_bytes_max: usize,
    /// The largest body after undoing gzip or zstd, bytes; counted while undoing it.
    pub decoded_bytes_max: usize,
    /// The largest value of one attribute of an event, bytes.
    pub attribute_bytes_max: usize,
    /// All attributes of an event together, bytes: they become headers of one message.
    pub attributes_bytes_max: usize,
    /// Extension attributes of an event.
    pub extensions_max: usize,
    /// Compressed bodies over this many bytes are undone off the threads that serve requests.
    pub decode_inline_bytes_max: usize,
    /// Sources whose mapping is kept compiled; over it the table begins anew.
    pub compiled_sources_max: usize,
    /// A request over its tenant's quota is answered so many milliseconds later, at most: it slows down who does not listen.
    pub over_quota_pause_ms: u64,
    /// Requests that are held back so at once; over it they are answered at once.
    pub over_quota_paused_max: usize,
    /// Tenants whose quota is kept at once.
    pub quota_tenants_max: usize,
    /// A tenant not heard of for so long has its quota forgotten, once it is full again anyway.
    pub quota_idle_seconds: Seconds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: ServerOptions::on_port(PORT),
            body_bytes_max: 8 << 20,
            decoded_bytes_max: 16 << 20,
            attribute_bytes_max: 4 << 10,
            attributes_bytes_max: 64 << 10,
            extensions_max: 64,
            decode_inline_bytes_max: 16 << 10,
            compiled_sources_max: 10_000,
            over_quota_pause_ms: 100,
            over_quota_paused_max: 10_000,
            quota_tenants_max: 100_000,
            quota_idle_seconds: Seconds(600),
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
}

impl Options {
    /// How the tenants' quotas are kept.
    #[must_use]
    pub fn quota(&self) -> auth::quota::Options {
        auth::quota::Options {
            tenants_max: self.quota_tenants_max,
            idle_seconds: u32::try_from(self.quota_idle_seconds.0).unwrap_or(u32::MAX),
            held_back: Duration::from_millis(self.over_quota_pause_ms),
            held_back_max: self.over_quota_paused_max,
        }
    }
}
