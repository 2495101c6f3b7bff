//! The door's handles, looked up once.

use model::ErrorCode;
use runtime::metrics::{Gauge, Histogram, InFlight, IntCounter, Metric, counter, gauge, histogram};

const PROTOCOL: &str = "http";

#[derive(Debug)]
pub(crate) struct Metrics {
    requests: IntCounter,
    in_flight: Gauge,
    received_bytes: IntCounter,
    duration: Histogram,
    rate_limited: IntCounter,
    /// By the label of [`Form`].
    accepted: [(&'static str, IntCounter); 7],
}

const MODES: [&str; 7] = ["binary", "structured", "batch", "ndjson", "raw", "webhook", "protobuf"];

impl Metrics {
    pub(crate) fn new() -> Self {
        // What is our fault is seen at 0 from the start: an alert looks at how it grows.
        for code in [ErrorCode::Internal, ErrorCode::Unavailable] {
            drop(counter(Metric::IngestRejectedRequests, &[PROTOCOL, code.as_str()]));
        }
        Self {
            requests: counter(Metric::IngestRequests, &[PROTOCOL]),
            in_flight: gauge(Metric::IngestInFlightRequests, &[PROTOCOL]),
            received_bytes: counter(Metric::IngestReceivedBytes, &[PROTOCOL]),
            duration: histogram(Metric::IngestRequestDuration, &[PROTOCOL]),
            rate_limited: counter(Metric::IngestRateLimitedRequests, &[PROTOCOL, "events"]),
            accepted: MODES.map(|mode| (mode, counter(Metric::IngestEvents, &[PROTOCOL, mode, "accepted"]))),
        }
    }

    pub(crate) fn begin(&self) -> InFlight {
        self.requests.inc();
        InFlight::enter(&self.in_flight)
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.inc_by(bytes as u64);
    }

    pub(crate) fn accepted(&self, mode: &str, events: usize) {
        if let Some((_, accepted)) = self.accepted.iter().find(|(label, _)| *label == mode) {
            accepted.inc_by(events as u64);
        }
    }

    pub(crate) fn rejected(&self, mode: &str, events: usize, code: ErrorCode) {
        counter(Metric::IngestRejectedRequests, &[PROTOCOL, code.as_str()]).inc();
        if events > 0 {
            counter(Metric::IngestEvents, &[PROTOCOL, mode, "rejected"]).inc_by(events as u64);
        }
        if code == ErrorCode::RateLimited {
            self.rate_limited.inc();
        }
    }

    pub(crate) fn took(&self, seconds: f64) {
        self.duration.observe(seconds);
    }
}
