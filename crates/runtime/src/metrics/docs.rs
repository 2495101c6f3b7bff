//! `docs/metrics.md`, made from the enum.

use std::fmt::Write as _;

use super::{Kind, Label, Metric, Values};

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\nEvery service answers `GET /metrics` on its admin listener with these names. Labels are bounded: a value that\nis not listed is counted as `other`.\n\nGenerated from `crates/runtime/src/metrics/names.rs`; edit that and run\n`cargo test -p eventrunner-runtime --test docs -- --ignored`.\n",
    );
    let mut area = "";
    for &metric in Metric::ALL {
        let next = metric.name().split('_').nth(1).unwrap_or_default();
        if next != area {
            area = next;
            let _ = write!(page, "\n## {area}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n");
        }
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = metric.labels().iter().map(label).collect();
        let _ =
            writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name(), labels.join("; "), metric.help());
    }
    page
}

fn label(label: &Label) -> String {
    let values = match label.values {
        Values::OneOf(values) => values.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", "),
        Values::ErrorCode => "an [error code](errors/README.md)".to_owned(),
        Values::Bounded(how) => how.to_owned(),
    };
    format!("`{}`: {values}", label.name)
}
