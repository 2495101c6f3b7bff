//! Log lines as OTLP log records, with the ids of the trace they belong to.

use std::fmt;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    logs::v1::{LogRecord, SeverityNumber},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::{
    queue::Queue,
    span::now_ns,
    value::{Value, attribute},
};
use crate::trace::TraceContext;

/// What sending logs itself logs of its connections: sent too, each batch would make another.
const OWN_CONNECTIONS: [&str; 5] = ["h2", "hyper", "reqwest", "tonic", "tower"];

/// Hands each log line to the exporter.
#[derive(Debug)]
pub(crate) struct LogLayer(pub(crate) Queue<LogRecord>);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let root = metadata.target().split("::").next().unwrap_or_default();
        if OWN_CONNECTIONS.iter().any(|own| root.split('_').next() == Some(own)) {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let current = TraceContext::current_ids();
        // A line that names a trace means that one.
        let (trace_id, span_id) = match fields.trace_id {
            Some(named) => (Some(named), current.filter(|(trace, _)| *trace == named).map(|(_, span)| span)),
            None => current.unzip(),
        };
        let (severity, text) = severity(*metadata.level());
        let now = now_ns();
        self.0.push(LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: severity as i32,
            severity_text: text.to_owned(),
            body: Some(Value::from(fields.message).into()),
            attributes: [vec![attribute("code.module.name", metadata.target())], fields.others].concat(),
            trace_id: trace_id.map(Vec::from).unwrap_or_default(),
            span_id: span_id.map(Vec::from).unwrap_or_default(),
            ..LogRecord::default()
        });
    }
}

fn severity(level: Level) -> (SeverityNumber, &'static str) {
    match level {
        Level::ERROR => (SeverityNumber::Error, "ERROR"),
        Level::WARN => (SeverityNumber::Warn, "WARN"),
        Level::INFO => (SeverityNumber::Info, "INFO"),
        Level::DEBUG => (SeverityNumber::Debug, "DEBUG"),
        Level::TRACE => (SeverityNumber::Trace, "TRACE"),
    }
}

/// The fields of a line.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    trace_id: Option<[u8; 16]>,
    others: Vec<KeyValue>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.push(attribute(field.name(), value));
    }

    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            "trace_id" => match u128::from_str_radix(&text, 16) {
                Ok(id) if text.len() == 32 && id != 0 => self.trace_id = Some(id.to_be_bytes()),
                _ => self.add(field, text),
            },
            _ => self.add(field, text),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}
