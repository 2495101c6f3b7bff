"""The doors: what comes in, what is refused and why, how long it takes."""

from grafana import Board, Panel, Row, prom, quantiles

BOARD = Board(
    uid="eventrunner-ingest",
    title="EventRunner / Ingest",
    about="The doors: requests over HTTP and gRPC, until the broker has what they brought.",
    rows=[
        Row("Requests", [
            Panel("Requests", "reqps", [
                prom('sum by (protocol) (rate(eventrunner_ingest_requests_total{FLEET}[$__rate_interval]))', "{{protocol}}")]),
            Panel("Refused, by code", "reqps", [
                prom('sum by (code) (rate(eventrunner_ingest_rejected_requests_total{FLEET}[$__rate_interval]))', "{{code}}")],
                "Each code has a page in docs/errors. `unavailable` and `internal` are ours."),
            Panel("Refused because of a tenant's limits", "reqps", [
                prom('sum by (limit) (rate(eventrunner_ingest_rate_limited_requests_total{FLEET}[$__rate_interval]))', "{{limit}}")]),
            Panel("Until the answer", "s", quantiles("eventrunner_ingest_request_duration_seconds", "protocol"), limits=(0.25,)),
            Panel("Being worked on", "short", [
                prom('sum by (protocol) (eventrunner_ingest_in_flight_requests{FLEET})', "{{protocol}}")]),
            Panel("Bytes", "Bps", [
                prom('sum by (protocol) (rate(eventrunner_ingest_received_bytes_total{FLEET}[$__rate_interval]))', "{{protocol}}")]),
        ]),
        Row("Events", [
            Panel("Accepted, by form", "ops", [
                prom('sum by (mode) (rate(eventrunner_ingest_events_total{FLEET, result="accepted"}[$__rate_interval]))',
                     "{{mode}}")], kind="bars"),
            Panel("Refused, by form", "ops", [
                prom('sum by (mode) (rate(eventrunner_ingest_events_total{FLEET, result="rejected"}[$__rate_interval]))',
                     "{{mode}}")], kind="bars"),
        ]),
        Row("Between the door and the broker", [
            Panel("Until the broker acknowledges", "s",
                  quantiles("eventrunner_bus_ack_duration_seconds", "stream")),
            Panel("Events in one message", "short", [
                prom("""sum by (stream) (rate(eventrunner_bus_batch_size_events_sum{FLEET}[$__rate_interval]))
                    / sum by (stream) (rate(eventrunner_bus_batch_size_events_count{FLEET}[$__rate_interval]))""", "{{stream}}")],
                "Full messages are cheap ones: it rises with the load."),
            Panel("Waiting to be packed or acknowledged", "short", [
                prom('sum by (stream) (eventrunner_bus_queued_events{FLEET})', "{{stream}}")]),
            Panel("Refused because queue or stream was full", "ops", [
                prom('sum by (stream) (rate(eventrunner_bus_full_events_total{FLEET}[$__rate_interval]))', "{{stream}}")], width=12),
            Panel("Messages that the broker did not acknowledge", "ops", [
                prom('sum by (stream) (rate(eventrunner_bus_failed_batches_total{FLEET}[$__rate_interval]))', "{{stream}}")], width=12),
        ]),
        Row("Connections", [
            Panel("Open", "short", [prom('eventrunner_http_open_connections{FLEET}', "{{instance}}")]),
            Panel("New", "ops", [
                prom('rate(eventrunner_http_accepted_connections_total{FLEET}[$__rate_interval])', "{{instance}}")]),
            Panel("Cut off, and waits for a free one", "ops", [
                prom('sum by (reason) (rate(eventrunner_http_closed_connections_total{FLEET}[$__rate_interval]))', "{{reason}}"),
                prom('sum(rate(eventrunner_http_full_waits_total{FLEET}[$__rate_interval]))', "all in use"),
                prom('sum(rate(eventrunner_http_handler_panics_total{FLEET}[$__rate_interval]))', "panics")]),
        ]),
    ],
)
