//! What `/metrics` shows, as OTLP: the same names, cumulative since the process began.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric as Wire,
        NumberDataPoint, Sum, exemplar, metric::Data, number_data_point,
    },
};
use prometheus::proto::{LabelPair, MetricFamily, MetricType};

use super::{span::now_ns, value::attribute};
use crate::{
    metrics::{Kind, Metric},
    trace::TraceContext,
};

/// For each histogram of which a sampled request was observed: by its name and its label values, the last one in each bucket.
static EXEMPLARS: LazyLock<Mutex<HashMap<Series, Vec<Option<Exemplar>>>>> = LazyLock::new(Mutex::default);

/// A metric's name and the values of its labels.
type Series = (&'static str, Vec<String>);

/// Remembers an observation of a sampled trace, so that the histogram's bucket leads to it. For the few that are sampled:
/// it takes a lock.
pub fn exemplar(metric: Metric, labels: &[&str], observed: f64, trace: &TraceContext) {
    let Kind::Histogram(bounds) = metric.kind() else { return };
    let (trace_id, span_id) = trace.ids();
    let exemplar = Exemplar {
        time_unix_nano: now_ns(),
        trace_id: trace_id.into(),
        span_id: span_id.into(),
        value: Some(exemplar::Value::AsDouble(observed)),
        ..Exemplar::default()
    };
    let bucket = bounds.iter().position(|bound| observed <= *bound).unwrap_or(bounds.len());
    let key = (metric.name(), labels.iter().map(|label| (*label).to_owned()).collect());
    let mut all = EXEMPLARS.lock().unwrap_or_else(PoisonError::into_inner);
    let buckets = all.entry(key).or_insert_with(|| vec![None; bounds.len() + 1]);
    if let Some(place) = buckets.get_mut(bucket) {
        *place = Some(exemplar);
    }
}

/// Takes what was remembered of a histogram: each observation is sent once.
fn exemplars(name: &str, labels: &[LabelPair]) -> Vec<Exemplar> {
    let mut all = EXEMPLARS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = all.iter_mut().filter(|((of, values), _)| {
        *of == name
            && values.len() == labels.len()
            && values.iter().all(|v| labels.iter().any(|l| l.value() == v))
    });
    found.next().map(|(_, buckets)| buckets.iter_mut().filter_map(Option::take).collect()).unwrap_or_default()
}

/// All families, and how many points they have.
pub(crate) fn convert(families: &[MetricFamily], began_ns: u64) -> (Vec<Wire>, usize) {
    let at = Times { began_ns, now_ns: now_ns() };
    let metrics = families.iter().filter_map(|family| {
        Some(Wire {
            name: family.name().to_owned(),
            description: family.help().to_owned(),
            unit: unit(family.name()).to_owned(),
            data: Some(at.data(family)?),
            ..Wire::default()
        })
    });
    (metrics.collect(), families.iter().map(|family| family.get_metric().len()).sum())
}

/// UCUM, as OpenTelemetry writes units: what a name of ours ends in.
fn unit(name: &str) -> &'static str {
    match name.strip_suffix("_total").unwrap_or(name).rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

struct Times {
    began_ns: u64,
    now_ns: u64,
}

impl Times {
    fn data(&self, family: &MetricFamily) -> Option<Data> {
        let metrics = || family.get_metric().iter();
        let numbers = |value: fn(&prometheus::proto::Metric) -> f64| {
            metrics().map(|m| self.number(m.get_label(), value(m))).collect()
        };
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        match family.get_field_type() {
            MetricType::COUNTER => Some(Data::Sum(Sum {
                data_points: numbers(|m| m.get_counter().get_value()),
                aggregation_temporality,
                is_monotonic: true,
            })),
            MetricType::GAUGE => {
                Some(Data::Gauge(Gauge { data_points: numbers(|m| m.get_gauge().get_value()) }))
            }
            MetricType::HISTOGRAM => {
                let points =
                    metrics().map(|m| self.histogram(family.name(), m.get_label(), m.get_histogram()));
                Some(Data::Histogram(Histogram { data_points: points.collect(), aggregation_temporality }))
            }
            // There are none of these here.
            MetricType::SUMMARY | MetricType::UNTYPED => None,
        }
    }

    fn number(&self, labels: &[LabelPair], value: f64) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.began_ns,
            time_unix_nano: self.now_ns,
            value: Some(number_data_point::Value::AsDouble(value)),
            ..NumberDataPoint::default()
        }
    }

    fn histogram(
        &self,
        name: &str,
        labels: &[LabelPair],
        of: &prometheus::proto::Histogram,
    ) -> HistogramDataPoint {
        // Prometheus counts what is at most a bound, OTLP what is in a bucket; the last one has no bound.
        let finite = || of.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
        let mut below = 0;
        let mut bucket_counts: Vec<u64> = finite()
            .map(|bucket| {
                let count = bucket.cumulative_count().saturating_sub(below);
                below = bucket.cumulative_count();
                count
            })
            .collect();
        bucket_counts.push(of.get_sample_count().saturating_sub(below));
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.began_ns,
            time_unix_nano: self.now_ns,
            count: of.get_sample_count(),
            sum: Some(of.get_sample_sum()),
            bucket_counts,
            explicit_bounds: finite().map(prometheus::proto::Bucket::upper_bound).collect(),
            exemplars: exemplars(name, labels),
            ..HistogramDataPoint::default()
        }
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    labels.iter().map(|label| attribute(label.name(), label.value())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics;

    /// A histogram that no other test of this process observes.
    const OF: (Metric, &[&str]) = (Metric::IngestRequestDuration, &["grpc"]);

    fn point() -> HistogramDataPoint {
        let (metrics, _) = convert(&metrics::registry().gather(), 7);
        let found = metrics.into_iter().find(|metric| metric.name == OF.0.name()).unwrap();
        assert_eq!(found.unit, "s");
        let Some(Data::Histogram(histogram)) = found.data else { panic!("{:?}", found.data) };
        let attributes = attributes_of(OF.1[0]);
        histogram.data_points.into_iter().find(|point| point.attributes == attributes).unwrap()
    }

    fn attributes_of(protocol: &str) -> Vec<KeyValue> {
        vec![attribute("protocol", protocol)]
    }

    #[test]
    fn a_histogram_counts_by_bucket_and_leads_to_traces() {
        let histogram = metrics::histogram(OF.0, OF.1);
        [0.0001, 0.0007, 0.0008, 99.0].into_iter().for_each(|seconds| histogram.observe(seconds));
        let trace = TraceContext::random();
        exemplar(OF.0, OF.1, 0.0007, &TraceContext::random());
        exemplar(OF.0, &["http"], 0.0007, &TraceContext::random());
        exemplar(OF.0, OF.1, 0.0008, &trace);
        exemplar(OF.0, OF.1, 99.0, &trace);
        let first = point();
        assert_eq!((first.count, first.start_time_unix_nano), (4, 7));
        assert_eq!(first.bucket_counts.len(), first.explicit_bounds.len() + 1);
        assert_eq!((&first.bucket_counts[..3], first.bucket_counts.last()), (&[1, 2, 0][..], Some(&1)));
        let last: Vec<_> = first.exemplars.iter().map(|e| (e.trace_id.clone(), e.value)).collect();
        let of = |seconds| (trace.ids().0.to_vec(), Some(exemplar::Value::AsDouble(seconds)));
        assert_eq!(last, [of(0.0008), of(99.0)], "the last one of each bucket");
        assert_eq!(point().exemplars, [], "each once");
    }

    #[test]
    fn counters_are_sums_and_gauges_are_gauges() {
        metrics::counter(Metric::HttpPanics, &[]).inc_by(3);
        metrics::gauge(Metric::ProcessOpenFiles, &[]).set(2.0);
        let (metrics, points) = convert(&metrics::registry().gather(), 7);
        assert!(points >= 2);
        let data = |name| metrics.iter().find(|m| m.name == name).and_then(|m| m.data.clone());
        match data(Metric::HttpPanics.name()) {
            Some(Data::Sum(sum)) => {
                assert!(sum.is_monotonic);
                assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsDouble(3.0)));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(data(Metric::ProcessOpenFiles.name()), Some(Data::Gauge(_))));
        assert_eq!(unit("eventrunner_process_cpu_seconds_total"), "s");
    }
}
