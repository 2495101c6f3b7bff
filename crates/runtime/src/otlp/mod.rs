//! Traces, metrics and logs for an OpenTelemetry collector.
//!
//! Spans exist only for sampled traces: each hop looks at one byte of what it was handed, and only where that says so something
//! is allocated, locked or sent. What cannot be sent is dropped and counted, and never waited for (docs/adr/0019-traces.md).

mod export;
mod logs;
mod metrics;
mod options;
mod queue;
mod sampler;
mod span;
mod tls;
mod transport;
mod value;

use std::{sync::OnceLock, time::Duration};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::InstrumentationScope,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as Wire},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    export::{Exporter, Signal},
    logs::LogLayer,
    queue::{Queue, Records},
    sampler::Sampler,
    transport::Transport,
    value::attribute,
};
pub use self::{
    metrics::exemplar,
    options::{Protocol, TelemetryOptions},
    span::{Kind, RequestSpan, Span},
    value::Value,
};
use crate::trace::TraceContext;

/// What services are called that tell of no name: the fleet in one process.
pub const SERVICE: &str = "eventrunner";
/// The version of OpenTelemetry's conventions that names of attributes are from.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";
/// How long the end of a process waits for what is not sent yet.
const FLUSH: Duration = Duration::from_secs(3);

/// A span with the service that made it.
type Made = (&'static str, Wire);

/// What a process does about telemetry: set once, at its start.
#[derive(Debug)]
struct Pipeline {
    options: TelemetryOptions,
    traces: Option<(Sampler, Queue<Made>)>,
}

static PIPELINE: OnceLock<Pipeline> = OnceLock::new();

fn traces() -> Option<&'static (Sampler, Queue<Made>)> {
    PIPELINE.get()?.traces.as_ref()
}

/// Where spans go, if they do.
fn spans() -> Option<&'static Queue<Made>> {
    traces().map(|(_, queue)| queue)
}

/// Who decides what is traced, if anything is.
pub(crate) fn sampler() -> Option<&'static Sampler> {
    traces().map(|(sampler, _)| sampler)
}

/// Whether spans are sent from here. What loops over the parts of a message looks at this first.
#[must_use]
pub fn is_tracing() -> bool {
    traces().is_some()
}

/// Where people look at a trace, if the configuration says so and it is recorded.
#[must_use]
pub fn trace_url(trace: &TraceContext) -> Option<String> {
    let options = &PIPELINE.get()?.options;
    trace.sampled().then(|| options.url_of(&trace.trace_id())).flatten()
}

/// The tasks that send.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

/// Begins to send. Gives what log lines are to be handed to. Needs the async runtime if there is an endpoint.
///
/// # Errors
/// If the options cannot be used.
pub(crate) fn start(
    options: &TelemetryOptions,
    service: &'static str,
) -> Result<(Sending, Option<LogLayer>), String> {
    options.check()?;
    let mut sending = Sending::default();
    let (mut traces, mut log_layer) = (None, None);
    if !options.otlp_endpoint.is_empty() {
        let transport = Transport::new(options)?;
        let process = Process::new(service);
        let exporter = |signal| Exporter::new(signal, transport.clone(), sending.stopping.clone());
        if options.traces {
            let (queue, records) = queue::queue(Signal::Traces, options.queue_records_max);
            let sampler = Sampler::new(
                options.sample_ratio,
                options.sampled_requests_per_second_max,
                options.spans_per_second_max,
            );
            traces = Some((sampler, queue));
            sending.tasks.spawn(send_spans(exporter(Signal::Traces), records, process.clone()));
        }
        if options.logs {
            let (queue, records) = queue::queue(Signal::Logs, options.queue_records_max);
            log_layer = Some(LogLayer(queue));
            sending.tasks.spawn(send_logs(exporter(Signal::Logs), records, process.clone()));
        }
        if options.metrics {
            let every = options.metrics_interval_seconds.duration();
            sending.tasks.spawn(send_metrics(exporter(Signal::Metrics), every, process));
        }
    }
    // Somebody who starts twice fails at the logs.
    let _ = PIPELINE.set(Pipeline { options: options.clone(), traces });
    Ok((sending, log_layer))
}

impl Sending {
    /// Sends what is left, and ends; does not wait for long.
    pub(crate) async fn stop(mut self) {
        self.stopping.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FLUSH, all).await.is_err() {
            tracing::warn!("the last telemetry was not taken in time");
        }
    }
}

/// What is said of this process with whatever it sends.
#[derive(Debug, Clone)]
struct Process {
    service: &'static str,
    instance: String,
    began_ns: u64,
}

impl Process {
    fn new(service: &'static str) -> Self {
        // A random UUID (RFC 9562, version 4), as the conventions want.
        let id = rand::random::<u128>() & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let hex = format!("{id:032x}");
        let parts: Vec<&str> =
            [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().filter_map(|p| hex.get(p)).collect();
        Self { service, instance: parts.join("-"), began_ns: span::now_ns() }
    }

    /// Services of one process are told apart, as they are when each has its own.
    fn resource(&self, service: &str) -> Option<Resource> {
        let name = if service == SERVICE { SERVICE.to_owned() } else { format!("{SERVICE}-{service}") };
        Some(Resource {
            attributes: vec![
                attribute("service.name", name),
                attribute("service.namespace", SERVICE),
                attribute("service.version", env!("CARGO_PKG_VERSION")),
                attribute("service.instance.id", self.instance.clone()),
                attribute("process.pid", std::process::id()),
                attribute("telemetry.sdk.language", "rust"),
                attribute("telemetry.sdk.name", SERVICE),
                attribute("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
            ],
            ..Resource::default()
        })
    }

    fn own(&self) -> Option<Resource> {
        self.resource(self.service)
    }
}

fn scope() -> Option<InstrumentationScope> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Some(InstrumentationScope { name: SERVICE.to_owned(), version, ..InstrumentationScope::default() })
}

async fn send_spans(mut exporter: Exporter, mut records: Records<Made>, process: Process) {
    let stopping = exporter.stopping();
    while let Some(made) = records.gather(&stopping).await {
        let count = made.len();
        let mut by_service: Vec<(&str, Vec<Wire>)> = Vec::new();
        for (service, span) in made {
            // What has no service of its own is the process's.
            let service = if service == SERVICE { process.service } else { service };
            match by_service.iter_mut().find(|(of, _)| *of == service) {
                Some((_, spans)) => spans.push(span),
                None => by_service.push((service, vec![span])),
            }
        }
        let resource_spans = by_service.into_iter().map(|(service, spans)| ResourceSpans {
            resource: process.resource(service),
            scope_spans: vec![ScopeSpans { scope: scope(), spans, schema_url: SCHEMA.to_owned() }],
            schema_url: SCHEMA.to_owned(),
        });
        exporter.send(&ExportTraceServiceRequest { resource_spans: resource_spans.collect() }, count).await;
    }
}

async fn send_logs(mut exporter: Exporter, mut records: Records<LogRecord>, process: Process) {
    let stopping = exporter.stopping();
    while let Some(log_records) = records.gather(&stopping).await {
        let count = log_records.len();
        let scope_logs = vec![ScopeLogs { scope: scope(), log_records, schema_url: SCHEMA.to_owned() }];
        let logs = ResourceLogs { resource: process.own(), scope_logs, schema_url: SCHEMA.to_owned() };
        exporter.send(&ExportLogsServiceRequest { resource_logs: vec![logs] }, count).await;
    }
}

async fn send_metrics(mut exporter: Exporter, every: Duration, process: Process) {
    let stopping = exporter.stopping();
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = stopping.cancelled() => true,
        };
        let (metrics, points) = metrics::convert(&crate::metrics::gather(), process.began_ns);
        let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, schema_url: SCHEMA.to_owned() }];
        let all = ResourceMetrics { resource: process.own(), scope_metrics, schema_url: SCHEMA.to_owned() };
        exporter.send(&ExportMetricsServiceRequest { resource_metrics: vec![all] }, points).await;
        if is_last {
            return;
        }
    }
}
