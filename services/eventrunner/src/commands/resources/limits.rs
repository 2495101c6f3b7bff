//! Limits as flags, of plans and tenants.

use super::Flag;

/// What may be limited.
pub(super) const FLAGS: &[Flag] = &[
    Flag::number("events-per-second", "/limits/events_per_second", "Events a second, sustained; 0: no limit"),
    Flag::number(
        "events-burst",
        "/limits/events_burst",
        "Events that may come at once before the rate is enforced; 0: a second's",
    ),
    Flag::number(
        "bytes-per-second",
        "/limits/bytes_per_second",
        "Bytes of attributes and data a second, sustained; 0: no limit",
    ),
    Flag::number(
        "bytes-burst",
        "/limits/bytes_burst",
        "Bytes that may come at once before the rate is enforced; 0: a second's",
    ),
    Flag::number(
        "event-bytes-max",
        "/limits/event_bytes_max",
        "The largest event, in bytes of attributes and data",
    ),
    Flag::number("batch-events-max", "/limits/batch_events_max", "The most events in one batch request"),
    Flag::number("resources-max", "/limits/resources_max", "The most resources of all kinds; 0: no limit"),
    Flag::number("subscriptions-max", "/limits/subscriptions_max", "The most subscriptions; 0: no limit"),
    Flag::number(
        "retention-days-max",
        "/limits/retention_days_max",
        "The longest retention, in days; 0: no limit",
    ),
];
