//! The section `telemetry` of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Millis, Seconds, Secret};

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// Protobuf over HTTP/1.1; collectors listen on port 4318.
    #[default]
    #[serde(rename = "http/protobuf")]
    Http,
    /// gRPC; collectors listen on port 4317.
    #[serde(rename = "grpc")]
    Grpc,
}

/// Traces, metrics and logs for an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryOptions {
    /// Where OTLP is taken, such as `http://127.0.0.1:4318`; with `https://` over TLS. Empty: nothing is traced, and nothing sent.
    pub otlp_endpoint: String,
    /// `http/protobuf` (port 4318 of a collector) or `grpc` (4317).
    pub otlp_protocol: Protocol,
    /// PEM file of those who may have signed the collector's certificate. Not set: whoever this machine trusts.
    pub otlp_ca_file: Option<PathBuf>,
    /// Headers of each request, such as a token: `name=value`, several separated by commas.
    pub otlp_headers: Secret,
    /// How long a request may take.
    pub otlp_timeout_ms: Millis,
    /// Whether traces are sent.
    pub traces: bool,
    /// Whether metrics are sent; `/metrics` has them either way.
    pub metrics: bool,
    /// Whether logs are sent; they are written to stderr either way.
    pub logs: bool,
    /// Which part of the requests that come without a trace is traced, from 0 to 1. One that brings a trace is traced if its
    /// caller traces it.
    pub sample_ratio: f64,
    /// Most requests a second that a process begins to trace, whatever their callers ask for.
    pub sampled_requests_per_second_max: u32,
    /// Most spans a second that a process sends: a trace that is read again and again has no end. What is over it is dropped and
    /// counted.
    pub spans_per_second_max: u32,
    /// Spans, and as many log records, that wait to be sent; beyond it they are dropped and counted.
    pub queue_records_max: usize,
    /// How often metrics are sent.
    pub metrics_interval_seconds: Seconds,
    /// Where people look at a trace, such as `https://jaeger.example.com/trace/{trace_id}`: receipts tell it.
    pub trace_url: String,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            otlp_protocol: Protocol::default(),
            otlp_ca_file: None,
            otlp_headers: Secret::default(),
            otlp_timeout_ms: Millis(10_000),
            traces: true,
            metrics: true,
            logs: true,
            sample_ratio: 0.01,
            sampled_requests_per_second_max: 100,
            spans_per_second_max: 5_000,
            queue_records_max: 8_192,
            metrics_interval_seconds: Seconds(30),
            trace_url: String::new(),
        }
    }
}

/// In `trace_url`, what the id of a trace is put in place of.
const TRACE_ID: &str = "{trace_id}";

impl TelemetryOptions {
    /// Whether it can be used.
    ///
    /// # Errors
    /// Which key is wrong, why, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(format!(
                "telemetry.sample_ratio is {}; it must be from 0 (only traced callers) to 1 (all)",
                self.sample_ratio
            ));
        }
        let at_least_one = [
            ("sampled_requests_per_second_max", u64::from(self.sampled_requests_per_second_max)),
            ("spans_per_second_max", u64::from(self.spans_per_second_max)),
            ("queue_records_max", self.queue_records_max as u64),
            ("metrics_interval_seconds", self.metrics_interval_seconds.0),
            ("otlp_timeout_ms", self.otlp_timeout_ms.0),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(format!("telemetry.{key} must be at least 1"));
        }
        if !self.trace_url.is_empty() && !self.trace_url.contains(TRACE_ID) {
            return Err(format!("telemetry.trace_url must hold {TRACE_ID}, where the id of the trace goes"));
        }
        self.check_endpoint()?;
        self.headers().map(drop)
    }

    fn check_endpoint(&self) -> Result<(), String> {
        let endpoint = &self.otlp_endpoint;
        if endpoint.is_empty() {
            return Ok(());
        }
        let uri: http::Uri =
            endpoint.parse().map_err(|e| format!("telemetry.otlp_endpoint {endpoint:?} is no URL: {e}"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("telemetry.otlp_endpoint holds a login, which would be shown: put it into telemetry.otlp_headers"
                .to_owned());
        }
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.otlp_ca_file.is_some() => {
                Err("telemetry.otlp_ca_file is for an otlp_endpoint that begins with https://".to_owned())
            }
            Some("http") => Ok(()),
            _ => Err(format!(
                "telemetry.otlp_endpoint {endpoint:?} must begin with http:// or https://, such as http://127.0.0.1:4318"
            )),
        }
    }

    /// Whether the collector is spoken to over TLS.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.otlp_endpoint.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }

    /// The headers of each request.
    ///
    /// # Errors
    /// If they cannot be read. The error does not hold them.
    pub(crate) fn headers(&self) -> Result<http::HeaderMap, String> {
        let mut headers = http::HeaderMap::new();
        let text = self.otlp_headers.expose().unwrap_or_default();
        for (index, pair) in text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
            let read = || {
                let (name, value) = pair.split_once('=')?;
                let mut value: http::HeaderValue = value.trim().parse().ok()?;
                value.set_sensitive(true);
                Some((name.trim().parse::<http::HeaderName>().ok()?, value))
            };
            let (name, value) = read().ok_or_else(|| {
                format!("telemetry.otlp_headers: number {} cannot be read; write it as name=value", index + 1)
            })?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// Where people look at this trace.
    pub(crate) fn url_of(&self, trace_id: &str) -> Option<String> {
        (!self.trace_url.is_empty()).then(|| self.trace_url.replace(TRACE_ID, trace_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut TelemetryOptions);

    #[test]
    fn what_is_wrong_is_named() {
        let good = TelemetryOptions {
            otlp_endpoint: "https://collector.example.com/otlp".to_owned(),
            otlp_headers: "authorization=Bearer a=b, x-tenant = t ,".into(),
            trace_url: "https://jaeger/trace/{trace_id}".to_owned(),
            ..TelemetryOptions::default()
        };
        good.check().unwrap();
        TelemetryOptions { otlp_protocol: Protocol::Grpc, ..good.clone() }.check().unwrap();
        assert_eq!(good.url_of("abc").as_deref(), Some("https://jaeger/trace/abc"));
        let headers = good.headers().unwrap();
        assert_eq!(
            (&headers["authorization"], &headers["x-tenant"]),
            (&"Bearer a=b".parse().unwrap(), &"t".parse().unwrap())
        );
        let wrong: [(&str, Change); 9] = [
            ("sample_ratio", |o| o.sample_ratio = 1.5),
            ("sample_ratio", |o| o.sample_ratio = f64::NAN),
            ("sampled_requests_per_second_max", |o| o.sampled_requests_per_second_max = 0),
            ("queue_records_max", |o| o.queue_records_max = 0),
            ("trace_url", |o| o.trace_url = "https://jaeger/".to_owned()),
            ("otlp_endpoint", |o| o.otlp_endpoint = "collector:4318".to_owned()),
            ("otlp_endpoint", |o| o.otlp_endpoint = "http://me:secret@collector:4318".to_owned()),
            ("otlp_ca_file", |o| {
                o.otlp_endpoint = "http://collector:4318".to_owned();
                o.otlp_ca_file = Some("ca.pem".into());
            }),
            ("otlp_headers", |o| o.otlp_headers = "secret".into()),
        ];
        for (key, change) in wrong {
            let mut options = good.clone();
            change(&mut options);
            let said = options.check().unwrap_err();
            assert!(said.starts_with(&format!("telemetry.{key}")), "{key}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
