"""NATS, as the fleet sees it."""

from grafana import Board, Panel, Row, prom

BOARD = Board(
    uid="eventrunner-broker",
    title="EventRunner / NATS JetStream",
    about="The broker's streams, told by the fleet: each engine and API asks it every ten seconds, so that no exporter is needed.",
    rows=[
        Row("Streams", [
            Panel("How full, of those that refuse when they are", "percentunit", [
                prom("""max by (stream) (eventrunner_broker_kept_bytes{FLEET})
                    / on (stream) max by (stream) (eventrunner_broker_limit_bytes{FLEET, when_full="refuses"})""", "{{stream}}")],
                "RAW or EVENTS full is a 503 at the doors.", limits=(0.8, 0.95), top=1),
            Panel("How full, of those that forget the oldest", "percentunit", [
                prom("""max by (stream) (eventrunner_broker_kept_bytes{FLEET})
                    / on (stream) max by (stream) (eventrunner_broker_limit_bytes{FLEET, when_full="forgets"})""", "{{stream}}")],
                "Full is what a tenant stream becomes; a full DEAD loses dead letters.", top=1),
            Panel("Bytes", "bytes", [prom('max by (stream) (eventrunner_broker_kept_bytes{FLEET})', "{{stream}}")]),
            Panel("Messages", "short", [prom('max by (stream) (eventrunner_broker_kept_messages{FLEET})', "{{stream}}")]),
            Panel("Oldest work", "s", [
                prom('max by (stream) (eventrunner_broker_oldest_work_seconds{FLEET})', "{{stream}}")], limits=(60,)),
            Panel("Waiting in each partition", "short", [
                prom('max by (stream, partition) (eventrunner_broker_pending_messages{FLEET})', "{{stream}} {{partition}}")]),
        ]),
        Row("Publishing", [
            Panel("Messages acknowledged", "ops", [
                prom('sum by (stream) (rate(eventrunner_bus_published_batches_total{FLEET}[$__rate_interval]))', "{{stream}}")]),
            Panel("Events in them", "ops", [
                prom('sum by (stream) (rate(eventrunner_bus_published_events_total{FLEET}[$__rate_interval]))', "{{stream}}")]),
            Panel("Until the acknowledgement, p99", "s", [
                prom("""histogram_quantile(0.99, sum by (le, stream)
                    (rate(eventrunner_bus_ack_duration_seconds_bucket{FLEET}[$__rate_interval])))""", "{{stream}}")],
                "Under durability `disk` it has the disk's fsync in it."),
            Panel("Not acknowledged", "ops", [
                prom('sum by (stream) (rate(eventrunner_bus_failed_batches_total{FLEET}[$__rate_interval]))', "{{stream}}")]),
        ]),
        Row("Reading", [
            Panel("Messages received", "ops", [
                prom('sum by (stage) (rate(eventrunner_consumer_received_messages_total{FLEET}[$__rate_interval]))', "{{stage}}")]),
            Panel("Events in them", "ops", [
                prom('sum by (stage) (rate(eventrunner_consumer_received_events_total{FLEET}[$__rate_interval]))', "{{stage}}")]),
            Panel("Delivered again", "ops", [
                prom('sum by (stage) (rate(eventrunner_consumer_redelivered_messages_total{FLEET}[$__rate_interval]))', "{{stage}}")]),
        ]),
        Row("Who may come in", [
            Panel("Tenants' accounts told to the broker", "ops", [
                prom('sum(rate(eventrunner_accounts_told_requests_total{FLEET}[$__rate_interval]))', "told"),
                prom('sum(rate(eventrunner_accounts_failed_requests_total{FLEET}[$__rate_interval]))', "failed")], width=12),
            Panel("Until certificates and logins end", "s", [
                prom('min by (file) (eventrunner_certificate_expiry_time_seconds{FLEET}) - time()', "{{file}}")], width=12),
        ]),
    ],
)
