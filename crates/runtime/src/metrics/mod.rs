//! Metrics: one enum of names, one registry, handles that are looked up once and kept.
//!
//! ```
//! use runtime::metrics::{self, Metric};
//!
//! let requests = metrics::counter(Metric::IngestRequests, &["http"]); // at start
//! requests.inc(); // on the path: one atomic add
//! assert!(metrics::render().contains("eventrunner_ingest_requests_total{protocol=\"http\"}"));
//! ```

mod docs;
mod names;
mod process;

use std::sync::LazyLock;

use axum::{Router, response::IntoResponse, routing::get};
use http::header;
use prometheus::{Encoder as _, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};

pub use prometheus::{Counter, Gauge, Histogram, HistogramTimer, IntCounter, IntGauge};

pub use self::{
    docs::markdown,
    names::{Kind, Label, Metric, Values},
};

enum Family {
    Integer(prometheus::IntCounterVec),
    Float(prometheus::CounterVec),
    Gauge(prometheus::GaugeVec),
    Histogram(HistogramVec),
}

struct Families {
    registry: Registry,
    /// Indexed by the metric's discriminant.
    families: Vec<Family>,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(|| {
    let registry = Registry::new();
    let families = Metric::ALL.iter().map(|&metric| register(&registry, metric)).collect();
    Families { registry, families }
});

/// Counts of seconds have fractions, all others are whole.
fn is_float(metric: Metric) -> bool {
    metric.name().ends_with("_seconds_total")
}

#[expect(clippy::expect_used, reason = "the names are constants, and a test registers each")]
fn register(registry: &Registry, metric: Metric) -> Family {
    let labels: Vec<&str> = metric.labels().iter().map(|l| l.name).collect();
    let opts = Opts::new(metric.name(), metric.help());
    let valid = "a constant and unique name";
    match metric.kind() {
        Kind::Counter if is_float(metric) => {
            let family = prometheus::CounterVec::new(opts, &labels).expect(valid);
            registry.register(Box::new(family.clone())).expect(valid);
            Family::Float(family)
        }
        Kind::Counter => {
            let family = prometheus::IntCounterVec::new(opts, &labels).expect(valid);
            registry.register(Box::new(family.clone())).expect(valid);
            Family::Integer(family)
        }
        Kind::Gauge => {
            let family = prometheus::GaugeVec::new(opts, &labels).expect(valid);
            registry.register(Box::new(family.clone())).expect(valid);
            Family::Gauge(family)
        }
        Kind::Histogram(buckets) => {
            let opts = HistogramOpts::from(opts).buckets(buckets.to_vec());
            let family = HistogramVec::new(opts, &labels).expect(valid);
            registry.register(Box::new(family.clone())).expect(valid);
            Family::Histogram(family)
        }
    }
}

fn family(metric: Metric) -> &'static Family {
    &FAMILIES.families[metric as usize]
}

/// The values in order, unknown ones replaced by `other` so that labels stay bounded.
fn admitted<'a>(metric: Metric, values: &[&'a str]) -> Vec<&'a str> {
    let labels = metric.labels();
    assert_eq!(labels.len(), values.len(), "{} has the labels {labels:?}", metric.name());
    labels.iter().zip(values).map(|(label, value)| label.values.admit(value)).collect()
}

/// The handle of a counter with these label values. Look it up once and keep it.
///
/// # Panics
/// If the metric is not a counter of whole numbers, or has other labels: a mistake of the caller's code.
#[must_use]
pub fn counter(metric: Metric, labels: &[&str]) -> IntCounter {
    match family(metric) {
        Family::Integer(family) => family.with_label_values(&admitted(metric, labels)),
        _ => panic!("{} is no counter of whole numbers", metric.name()),
    }
}

/// The handle of a gauge with these label values. Look it up once and keep it.
///
/// # Panics
/// If the metric is not a gauge, or has other labels: a mistake of the caller's code.
#[must_use]
pub fn gauge(metric: Metric, labels: &[&str]) -> Gauge {
    match family(metric) {
        Family::Gauge(family) => family.with_label_values(&admitted(metric, labels)),
        _ => panic!("{} is no gauge", metric.name()),
    }
}

/// The handle of a histogram with these label values. Look it up once and keep it.
///
/// # Panics
/// If the metric is not a histogram, or has other labels: a mistake of the caller's code.
#[must_use]
pub fn histogram(metric: Metric, labels: &[&str]) -> Histogram {
    match family(metric) {
        Family::Histogram(family) => family.with_label_values(&admitted(metric, labels)),
        _ => panic!("{} is no histogram", metric.name()),
    }
}

pub(crate) fn float_counter(metric: Metric) -> Option<Counter> {
    match family(metric) {
        Family::Float(family) => Some(family.with_label_values::<&str>(&[])),
        _ => None,
    }
}

/// The registry, for collectors that are not ours.
#[must_use]
pub fn registry() -> &'static Registry {
    &FAMILIES.registry
}

/// Everything as it is now.
pub(crate) fn gather() -> Vec<prometheus::proto::MetricFamily> {
    process::update();
    gauge(Metric::BuildInfo, &[env!("CARGO_PKG_VERSION")]).set(1.0);
    registry().gather()
}

/// Everything as Prometheus text (exposition format 0.0.4).
#[must_use]
pub fn render() -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&gather(), &mut text) {
        tracing::error!(%error, "metrics cannot be rendered");
    }
    String::from_utf8(text).unwrap_or_default()
}

/// `GET /metrics`. `before` brings up to date what nobody tells when it changes.
pub fn router(before: impl Fn() + Clone + Send + Sync + 'static) -> Router {
    let metrics = move || async move {
        before();
        ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], render()).into_response()
    };
    Router::new().route("/metrics", get(metrics))
}

/// Adds one now and takes it away when dropped, for gauges of what is under way.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl InFlight {
    /// One more.
    #[must_use]
    pub fn enter(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_say_area_what_and_unit() {
        const UNITS: &[&str] = &[
            "seconds",
            "bytes",
            "events",
            "requests",
            "questions",
            "batches",
            "messages",
            "partitions",
            "records",
            "values",
            "subscribers",
            "letters",
            "connections",
            "waits",
            "panics",
            "files",
            "expirations",
            "erasures",
            "processes",
            "replicas",
            "tuples",
            "tasks",
            "components",
        ];
        let mut seen = HashSet::new();
        for &metric in Metric::ALL {
            let name = metric.name();
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            let counts = name.strip_suffix("_total");
            assert_eq!(
                counts.is_some(),
                metric.kind() == Kind::Counter,
                "{name}: counters, and only they, end in _total"
            );
            assert!(!metric.help().is_empty() && metric.help().ends_with('.'), "{name}");
            if metric == Metric::BuildInfo {
                continue;
            }
            let parts: Vec<&str> = counts.unwrap_or(name).split('_').collect();
            assert!(parts.len() >= 3 && parts[0] == "eventrunner", "{name}");
            assert!(UNITS.contains(parts.last().unwrap()), "{name} ends in no unit of {UNITS:?}");
            for label in metric.labels() {
                assert!(
                    !name.split('_').any(|part| part == label.name),
                    "{name} names its label {}",
                    label.name
                );
            }
        }
    }

    #[test]
    fn each_metric_is_rendered_with_its_help() {
        for &metric in Metric::ALL {
            let values: Vec<&str> = metric
                .labels()
                .iter()
                .map(|l| match l.values {
                    Values::OneOf(values) => values[0],
                    Values::ErrorCode => "internal",
                    Values::Bounded(_) => "x",
                })
                .collect();
            match metric.kind() {
                Kind::Counter if is_float(metric) => float_counter(metric).unwrap().inc_by(0.0),
                Kind::Counter => counter(metric, &values).inc_by(0),
                Kind::Gauge => gauge(metric, &values).add(0.0),
                Kind::Histogram(_) => histogram(metric, &values).observe(1.0),
            }
            let text = render();
            assert!(
                text.contains(&format!("# HELP {} {}\n", metric.name(), metric.help())),
                "{}",
                metric.name()
            );
        }
    }

    #[test]
    fn unknown_label_values_are_other() {
        counter(Metric::IngestRequests, &["carrier-pigeon"]).inc();
        assert!(render().contains("eventrunner_ingest_requests_total{protocol=\"other\"} 1\n"));
        counter(Metric::NormalizerDeadEvents, &["no_such_code"]).inc();
        assert!(render().contains("eventrunner_normalizer_dead_events_total{code=\"other\"} 1\n"));
    }

    #[test]
    fn in_flight_goes_up_and_down() {
        let gauge = gauge(Metric::ApiSubscribers, &["sse"]);
        let one = InFlight::enter(&gauge);
        let two = InFlight::enter(&gauge);
        assert_eq!(gauge.get() as i64, 2);
        drop((one, two));
        assert_eq!(gauge.get() as i64, 0);
    }
}
