//! What the fleet meters. To add a meter, add a line to [`METERS`]: the stores, the API and its documentation follow from it.

use model::resource::Aggregation;

/// A meter of the fleet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// Its name in records and queries.
    pub name: &'static str,
    /// What a value is a number of.
    pub unit: &'static str,
    /// What it counts.
    pub counts: &'static str,
    /// How it is put together.
    pub aggregation: Aggregation,
    /// Whether records say which of the tenant's customers it was.
    pub by_customer: bool,
}

/// Accepted events.
pub const METER_EVENTS: &str = "events";
/// Bytes of attributes and data of accepted events.
pub const METER_BYTES: &str = "bytes";
/// Bytes sent to the tenant's readers.
pub const METER_EGRESS_BYTES: &str = "egress_bytes";
/// Bytes of stored events times hours.
pub const METER_STORED_BYTE_HOURS: &str = "stored_byte_hours";
/// Attempts of deliveries.
pub const METER_DELIVERIES: &str = "deliveries";
/// Processor time of the tenant's components, in microseconds.
pub const METER_CPU_US: &str = "cpu_us";
/// Memory that the tenant's components held: bytes times seconds.
pub const METER_MEMORY_BYTE_SECONDS: &str = "memory_byte_seconds";

const fn sum(name: &'static str, unit: &'static str, counts: &'static str) -> Meter {
    Meter { name, unit, counts, aggregation: Aggregation::Sum, by_customer: false }
}

const fn by_customer(meter: Meter) -> Meter {
    Meter { by_customer: true, ..meter }
}

/// Every meter of the fleet's. The first two are of each event; what has no producer yet is always 0.
pub const METERS: &[Meter] = &[
    by_customer(sum(METER_EVENTS, "events", "Accepted events, each once, at the time of receipt")),
    by_customer(sum(METER_BYTES, "bytes", "Attributes and data of accepted events")),
    sum(
        METER_EGRESS_BYTES,
        "bytes",
        "Events sent to the tenant's readers over SSE, gRPC and NATS, before compression",
    ),
    sum(
        METER_STORED_BYTE_HOURS,
        "byte-hours",
        "Stored events: bytes times the hours for which they were kept",
    ),
    sum(METER_DELIVERIES, "deliveries", "Attempts to deliver events"),
    sum(METER_CPU_US, "microseconds", "Processor time of the tenant's components"),
    sum(METER_MEMORY_BYTE_SECONDS, "byte-seconds", "Memory of the tenant's components: bytes times seconds"),
];

/// The fleet's meter of that name.
#[must_use]
pub fn meter(name: &str) -> Option<&'static Meter> {
    METERS.iter().find(|meter| meter.name == name)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use model::resource::OWN_METERS;

    use super::*;

    #[test]
    fn names_are_unique_and_no_tenants() {
        let names: BTreeSet<_> = METERS.iter().map(|meter| meter.name).collect();
        assert_eq!(names.len(), METERS.len());
        assert!(names.iter().all(|name| !name.starts_with(OWN_METERS)));
        // The columns that records of events have.
        assert_eq!([METERS[0].name, METERS[1].name], [METER_EVENTS, METER_BYTES]);
    }

    #[test]
    fn the_page_lists_each() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/http-api.md");
        let page = fs::read_to_string(page).unwrap();
        let rows = METERS.iter().map(|Meter { name, unit, counts, aggregation, .. }| {
            format!("| `{name}` | {unit} | {} | {counts} |\n", aggregation.as_str())
        });
        let table = format!(
            "| meter | unit | put together by | counts |\n|---|---|---|---|\n{}",
            rows.collect::<String>()
        );
        assert!(page.contains(&table), "docs/http-api.md lacks this table:\n{table}");
    }
}
