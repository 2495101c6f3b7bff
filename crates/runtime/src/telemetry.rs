//! Structured logs, on stderr: stdout belongs to data. And the start and end of whatever a collector is sent.

use std::{
    fmt,
    io::{self, IsTerminal as _},
    panic,
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    lifecycle::panic_message,
    otlp::{self, TelemetryOptions},
    trace::TraceContext,
};

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "pretty" => Ok(Self::Pretty),
            other => Err(format!("{other:?} is no log format: use auto, json or pretty")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Pretty => "pretty",
        })
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// `auto`, `json` or `pretty`.
    pub format: LogFormat,
    /// Levels by target, such as `info,engine=debug` (the syntax of tracing-subscriber's `EnvFilter`).
    pub filter: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        // The broker client's own lines about reconnecting come on top of ours; only its warnings are news. What MCP warns of is a
        // caller's fault, and told to it.
        Self { format: LogFormat::Auto, filter: "info,async_nats=warn,rmcp=error".to_owned() }
    }
}

/// Why logs cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("log.filter {filter:?} cannot be read: {reason}")]
    Filter {
        /// As configured.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is to be sent, or where, cannot be used.
    #[error("{0}")]
    Otlp(String),
    /// There is a logger already.
    #[error("logs are initialized already")]
    Twice,
}

/// What a process tells of itself.
#[derive(Debug, Default)]
#[must_use = "what is not sent yet is lost without `shutdown`"]
pub struct Telemetry {
    sending: otlp::Sending,
}

impl Telemetry {
    /// Sends what is left, within a few seconds. The last thing a process does.
    pub async fn shutdown(self) {
        self.sending.stop().await;
    }
}

/// Starts the logs of the process and logs panics with the trace id of the request they happened in; begins to send traces,
/// metrics and logs if there is somebody to send them to, which needs the async runtime. `service` is what this process runs.
///
/// # Errors
/// If the filter cannot be read, the options cannot be used, or logs have been started before.
pub fn init(
    options: &LogOptions,
    telemetry: &TelemetryOptions,
    service: &'static str,
) -> Result<Telemetry, Error> {
    let filter = EnvFilter::try_new(&options.filter)
        .map_err(|error| Error::Filter { filter: options.filter.clone(), reason: error.to_string() })?;
    let terminal = io::stderr().is_terminal();
    let pretty = match options.format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = if pretty {
        lines.with_ansi(terminal).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    let (sending, records) = otlp::start(telemetry, service).map_err(Error::Otlp)?;
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(records)
        .try_init()
        .map_err(|_| Error::Twice)?;
    panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let trace_id = TraceContext::current_id();
        tracing::error!(message = "panicked", reason = panic_message(panic.payload()), at, trace_id);
    }));
    Ok(Telemetry { sending })
}
