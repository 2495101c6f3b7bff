//! The door's handles, looked up once.

use model::ErrorCode;
use runtime::metrics::{Gauge, Histogram, InFlight, IntCounter, Metric, counter, gauge, histogram};

const PROTOCOL: &str = "grpc";
const MODE: &str = "protobuf";

#[derive(Debug)]
pub(crate) struct Metrics {
    requests: IntCounter,
    in_flight: Gauge,
    received_bytes: IntCounter,
    duration: Histogram,
    rate_limited: IntCounter,
    accepted: IntCounter,
    rejected: IntCounter,
}

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
            accepted: counter(Metric::IngestEvents, &[PROTOCOL, MODE, "accepted"]),
            rejected: counter(Metric::IngestEvents, &[PROTOCOL, MODE, "rejected"]),
        }
    }

    /// A call, or one message of a stream.
    pub(crate) fn begin(&self) -> InFlight {
        self.requests.inc();
        InFlight::enter(&self.in_flight)
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.inc_by(bytes as u64);
    }

    pub(crate) fn events(&self, accepted: usize, rejected: usize) {
        self.accepted.inc_by(accepted as u64);
        self.rejected.inc_by(rejected as u64);
    }

    /// A whole call or message refused.
    pub(crate) fn refused(&self, code: ErrorCode) {
        counter(Metric::IngestRejectedRequests, &[PROTOCOL, code.as_str()]).inc();
        if code == ErrorCode::RateLimited {
            self.rate_limited.inc();
        }
    }

    pub(crate) fn took(&self, seconds: f64) {
        self.duration.observe(seconds);
    }
}
