"""The doors: what comes in, what is refused and why, how long it takes."""

from grafana import Board, Panel, Row, prom, quantiles

BOARD = Board(
    uid="eventrunner-ingest",
    title="EventRunner / Ingest",
    about="The doors: requests over HTTP and gRPC, until the broker has what they brought.",
    rows=[
        Row("Requests", [
            Panel("Requests", "reqps", [
                prom('sum by (protocol) (rate(eventrunner_ingest_requests_total{FLEET}[$__rate_interval]))', "{{protocol}}")],
                "A request may bring one event or thousands."),
            Panel("Refused, by code", "reqps", [
                prom('sum by (code) (rate(eventrunner_ingest_rejected_requests_total{FLEET}[$__rate_interval]))', "{{code}}")],
                "Each code has a page in docs/errors. `unavailable` and `internal` are ours.", alerts=("AcceptErrors", "AcceptErrorsSlow")),
            Panel("Refused because of a tenant's limits", "reqps", [
                prom('sum by (limit) (rate(eventrunner_ingest_rate_limited_requests_total{FLEET}[$__rate_interval]))', "{{limit}}")],
                "Answered 429, by the limit that was reached: of requests, of events or of bytes a second."),
            Panel("Until the answer", "s", quantiles("eventrunner_ingest_request_duration_seconds", "protocol"),
                "From the request's head until the broker has all that it brought.", limits=(0.25,), alerts=("AcceptLatency", "AcceptLatencySlow")),
            Panel("Being worked on", "short", [
                prom('sum by (protocol) (eventrunner_ingest_in_flight_requests{FLEET})', "{{protocol}}")],
                "Requests that have begun and are not answered."),
            Panel("Bytes", "Bps", [
                prom('sum by (protocol) (rate(eventrunner_ingest_received_bytes_total{FLEET}[$__rate_interval]))', "{{protocol}}")],
                "Bodies as they arrived, compressed if they were."),
        ]),
        Row("Events", [
            Panel("Accepted, by form", "eps", [
                prom('sum by (mode) (rate(eventrunner_ingest_events_total{FLEET, result="accepted"}[$__rate_interval]))',
                     "{{mode}}")], "Kept by the broker, and answered so.", kind="bars", width=12),
            Panel("Refused, by form", "eps", [
                prom('sum by (mode) (rate(eventrunner_ingest_events_total{FLEET, result="rejected"}[$__rate_interval]))',
                     "{{mode}}")], "A batch is kept whole or refused whole; PublishEvents answers for each event.", kind="bars", width=12),
        ]),
        Row("Between the door and the broker", [
            Panel("Until the broker acknowledges", "s",
                  quantiles("eventrunner_bus_ack_duration_seconds", "stream"),
                "Most of what a request waits for. Under durability `disk` the broker's fsync is in it.", alerts=("AcceptLatency",)),
            Panel("Events in one message", "short", [
                prom("""sum by (stream) (rate(eventrunner_bus_batch_size_events_sum{FLEET}[$__rate_interval]))
                    / sum by (stream) (rate(eventrunner_bus_batch_size_events_count{FLEET}[$__rate_interval]))""", "{{stream}}")],
                "Full messages are cheap ones: it rises with the load."),
            Panel("Waiting to be packed or acknowledged", "short", [
                prom('sum by (stream) (eventrunner_bus_queued_events{FLEET})', "{{stream}}")],
                "Events in the memory of processes; bounded, and when it is full requests wait."),
            Panel("Refused because queue or stream was full", "eps", [
                prom('sum by (stream) (rate(eventrunner_bus_full_events_total{FLEET}[$__rate_interval]))', "{{stream}}")],
                "At the doors a 503.", width=12, alerts=("StreamNearlyFull", "AcceptErrors")),
            Panel("Messages that the broker did not acknowledge", "mps", [
                prom('sum by (stream) (rate(eventrunner_bus_failed_batches_total{FLEET}[$__rate_interval]))', "{{stream}}")],
                "It was away, or too slow. At the doors a 503.", width=12, alerts=("AcceptErrors",)),
        ]),
        Row("Connections", [
            Panel("Open", "short", [prom('eventrunner_http_open_connections{FLEET}', "{{instance}}")],
                "Over all listeners of a process, the admin port's too."),
            Panel("New", "cps", [
                prom('rate(eventrunner_http_accepted_connections_total{FLEET}[$__rate_interval])', "{{instance}}")],
                "Near the number of requests: a producer opens a connection for each, which costs it and us a handshake."),
            Panel("Cut off, and waits for a free one", "cps", [
                prom('sum by (reason) (rate(eventrunner_http_closed_connections_total{FLEET}[$__rate_interval]))', "{{reason}}"),
                prom('sum(rate(eventrunner_http_full_waits_total{FLEET}[$__rate_interval]))', "all in use"),
                prom('sum(rate(eventrunner_http_handler_panics_total{FLEET}[$__rate_interval]))', "panics")],
                "Closed by us, by reason; `all in use`: a listener had as many as it may; `panics`: a fault of ours."),
        ]),
    ],
)
