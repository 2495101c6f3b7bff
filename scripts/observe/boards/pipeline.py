"""From the door to the tenant's stream: what waits, where, and for how long."""

from grafana import Board, Panel, Row, prom, quantiles

BOARD = Board(
    uid="eventrunner-pipeline",
    title="EventRunner / Pipeline",
    about="Normalizer, engine and metering: how far behind each partition is, what comes twice, what cannot go on.",
    rows=[
        Row("What waits", [
            Panel("Oldest work, as the broker sees it", "s", [
                prom('max by (stream) (eventrunner_broker_oldest_work_seconds{FLEET})', "{{stream}}")],
                "RAW waits for normalizers, EVENTS for engines, USAGE for the usage store. Also what nobody has taken.", limits=(60,)),
            Panel("Oldest work in hand, by stage and partition", "s", [
                prom('max by (stage, partition) (eventrunner_consumer_lag_age_seconds{FLEET})', "{{stage}} {{partition}}")],
                "Of the messages a process has begun and not finished.", limits=(60,)),
            Panel("Messages nobody was handed yet", "short", [
                prom('max by (stream, partition) (eventrunner_broker_pending_messages{FLEET})', "{{stream}} {{partition}}")],
                "A message is packed: up to a hundred events and more."),
            Panel("Messages under way", "short", [
                prom('max by (stream, partition) (eventrunner_broker_unacknowledged_messages{FLEET})', "{{stream}} {{partition}}")]),
            Panel("Delivered again", "ops", [
                prom('sum by (stage) (rate(eventrunner_consumer_redelivered_messages_total{FLEET}[$__rate_interval]))', "{{stage}}")],
                "After a crash or a restart. Always: somebody dies before it is done, or acks are lost."),
            Panel("Dead letters, by stage and reason", "ops", [
                prom('sum by (stage, code) (rate(eventrunner_dead_written_letters_total{FLEET}[$__rate_interval])) > 0',
                     "{{stage}} {{code}}")], kind="bars"),
        ]),
        Row("Who works", [
            Panel("Partitions of each process", "short", [
                prom('eventrunner_consumer_owned_partitions{FLEET}', "{{instance}} {{stage}}")], kind="bars"),
            Panel("Taken over", "ops", [
                prom('sum by (stage) (rate(eventrunner_consumer_taken_over_partitions_total{FLEET}[$__rate_interval]))', "{{stage}}")],
                "Each restart hands partitions over. Without restarts it should be nothing."),
            Panel("Partitions without an owner", "short", [
                prom("""count by (stage) (max by (stage, partition) (eventrunner_consumer_held_partitions{FLEET}) == 0)
                    or sum by (stage) (eventrunner_consumer_owned_partitions{FLEET}) * 0""", "{{stage}}")], limits=(1,)),
        ]),
        Row("Normalizer", [
            Panel("Events", "ops", [
                prom('sum by (result) (rate(eventrunner_normalizer_events_total{FLEET}[$__rate_interval]))', "{{result}}")]),
            Panel("Not normalized, by code", "ops", [
                prom('sum by (code) (rate(eventrunner_normalizer_dead_events_total{FLEET}[$__rate_interval]))', "{{code}}")]),
            Panel("Time for a batch, without I/O", "s", quantiles("eventrunner_normalizer_batch_duration_seconds")),
        ]),
        Row("Engine", [
            Panel("Events", "ops", [
                prom('sum(rate(eventrunner_engine_finished_events_total{FLEET}[$__rate_interval]))', "finished"),
                prom('sum(rate(eventrunner_engine_mended_events_total{FLEET}[$__rate_interval]))', "streamed again"),
                prom('sum by (reason) (rate(eventrunner_engine_unmetered_values_total{FLEET}[$__rate_interval]))',
                     "not metered: {{reason}}")],
                "Not metered: values of tenants' own meters; the events themselves were."),
            Panel("Time of a batch, by part", "s", [
                prom("""histogram_quantile(0.99, sum by (le, stage)
                    (rate(eventrunner_engine_duration_seconds_bucket{FLEET}[$__rate_interval])))""", "{{stage}} p99"),
                prom("""histogram_quantile(0.5, sum by (le, stage)
                    (rate(eventrunner_engine_duration_seconds_bucket{FLEET}[$__rate_interval])))""", "{{stage}} p50")]),
            Panel("Events in a batch", "short", [
                prom("""sum(rate(eventrunner_engine_batch_size_events_sum{FLEET}[$__rate_interval]))
                    / sum(rate(eventrunner_engine_batch_size_events_count{FLEET}[$__rate_interval]))""", "mean")]),
        ]),
        Row("Readers", [
            Panel("Connected", "short", [
                prom('sum by (transport) (eventrunner_api_connected_subscribers{FLEET})', "{{transport}}")]),
            Panel("Events sent", "ops", [
                prom('sum by (transport) (rate(eventrunner_api_streamed_events_total{FLEET}[$__rate_interval]))', "{{transport}}")]),
            Panel("Requests of the API", "reqps", [
                prom('sum by (status) (rate(eventrunner_api_requests_total{FLEET}[$__rate_interval]))', "{{status}}")]),
            Panel("Slowest routes of the API", "s", [
                prom("""topk(10, histogram_quantile(0.99, sum by (le, route)
                    (rate(eventrunner_api_request_duration_seconds_bucket{FLEET}[$__rate_interval]))))""", "{{route}}")], width=16),
            Panel("Calls of tools over MCP", "reqps", [
                prom('sum by (outcome) (rate(eventrunner_api_mcp_requests_total{FLEET}[$__rate_interval]))', "{{outcome}}")]),
        ]),
    ],
)
