//! Sending: one request after the other for each signal, tried again for a while, then dropped and counted.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    trace::v1::ExportTraceServiceResponse,
};
use prometheus::IntCounter;
use prost::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::transport::{Refused, Transport};
use crate::metrics::{self, Metric};

/// How long a request is tried again before what it holds is dropped: until then new records wait in the queue.
const TRY_FOR: Duration = Duration::from_secs(30);
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MOST: Duration = Duration::from_secs(8);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// As the last part of its path, and as a label.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// How many records the other end did not take, and why.
    fn rejected(self, answer: &[u8]) -> (i64, String) {
        match self {
            Self::Traces => ExportTraceServiceResponse::decode(answer)
                .ok()
                .and_then(|a| a.partial_success)
                .map(|p| (p.rejected_spans, p.error_message)),
            Self::Metrics => ExportMetricsServiceResponse::decode(answer)
                .ok()
                .and_then(|a| a.partial_success)
                .map(|p| (p.rejected_data_points, p.error_message)),
            Self::Logs => ExportLogsServiceResponse::decode(answer)
                .ok()
                .and_then(|a| a.partial_success)
                .map(|p| (p.rejected_log_records, p.error_message)),
        }
        .unwrap_or_default()
    }
}

/// Sends one signal.
#[derive(Debug)]
pub(crate) struct Exporter {
    signal: Signal,
    transport: Transport,
    stopping: CancellationToken,
    sent: IntCounter,
    failed: IntCounter,
    rejected: IntCounter,
    /// An outage is said once.
    is_failing: bool,
}

impl Exporter {
    pub(crate) fn new(signal: Signal, transport: Transport, stopping: CancellationToken) -> Self {
        let dropped = |reason| metrics::counter(Metric::TelemetryDropped, &[signal.name(), reason]);
        Self {
            signal,
            transport,
            stopping,
            sent: metrics::counter(Metric::TelemetrySent, &[signal.name()]),
            failed: dropped("export_failed"),
            rejected: dropped("rejected"),
            is_failing: false,
        }
    }

    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Sends so many records.
    pub(crate) async fn send(&mut self, request: &impl Message, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        let body = Bytes::from(request.encode_to_vec());
        let (began, mut wait) = (Instant::now(), WAIT_FIRST);
        loop {
            let refused = match self.transport.send(self.signal, body.clone()).await {
                Ok(answer) => return self.taken(&answer, records),
                Err(refused) => refused,
            };
            self.say(&refused);
            if !refused.is_passing || began.elapsed() + wait > TRY_FOR || self.stopping.is_cancelled() {
                self.failed.inc_by(records);
                return;
            }
            let jitter = wait.mul_f64(rand::random::<f64>() / 2.0);
            tokio::select! {
                () = tokio::time::sleep(wait / 2 + jitter) => {}
                // Once more, and no longer.
                () = self.stopping.cancelled() => {}
            }
            wait = (wait * 2).min(WAIT_MOST);
        }
    }

    fn taken(&mut self, answer: &[u8], records: u64) {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(signal = self.signal.name(), "telemetry is taken again");
        }
        let (rejected, reason) = self.signal.rejected(answer);
        let rejected = u64::try_from(rejected).unwrap_or_default().min(records);
        if rejected > 0 {
            tracing::warn!(signal = self.signal.name(), rejected, reason, "telemetry was not taken whole");
        }
        self.rejected.inc_by(rejected);
        self.sent.inc_by(records - rejected);
    }

    fn say(&mut self, refused: &Refused) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let (signal, reason) = (self.signal.name(), &refused.reason);
            tracing::warn!(signal, reason, "telemetry is not taken; further failures are only counted");
        }
    }
}
