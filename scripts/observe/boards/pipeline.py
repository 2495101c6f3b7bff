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
                "RAW waits for normalizers, EVENTS for engines, USAGE for the usage store. Also what nobody has taken.",
                limits=(60,), alerts=("OldestWorkWaits", "BillingDelayed")),
            Panel("Oldest work in hand, by stage and partition", "s", [
                prom('max by (stage, partition) (eventrunner_consumer_lag_age_seconds{FLEET})', "{{stage}} {{partition}}")],
                "Of the messages a process has begun and not finished.", limits=(60,), alerts=("OldestWorkWaits",)),
            Panel("Messages nobody was handed yet", "short", [
                prom('max by (stream, partition) (eventrunner_broker_pending_messages{FLEET})', "{{stream}} {{partition}}")],
                "A message is packed: up to a hundred events and more."),
            Panel("Messages under way", "short", [
                prom('max by (stream, partition) (eventrunner_broker_unacknowledged_messages{FLEET})', "{{stream}} {{partition}}")],
                "Handed to somebody who has not acknowledged them: work in hand, or what a process that died has left."),
            Panel("Delivered again", "mps", [
                prom('sum by (stage) (rate(eventrunner_consumer_redelivered_messages_total{FLEET}[$__rate_interval]))', "{{stage}}")],
                "After a crash or a restart. Always: somebody dies before it is done, or acks are lost."),
            Panel("Dead letters, by stage and reason", "eps", [
                prom('sum by (stage, code) (rate(eventrunner_dead_written_letters_total{FLEET}[$__rate_interval])) > 0',
                     "{{stage}} {{code}}")],
                "What could not go on, kept with its reason. Of any stage but the normalizer, or by `internal`, it is a fault of ours.",
                kind="bars", alerts=("DeadLettersGrow", "FleetWroteUnreadable")),
        ]),
        Row("Who works", [
            Panel("Partitions of each process", "short", [
                prom('eventrunner_consumer_owned_partitions{FLEET}', "{{instance}} {{stage}}")],
                "As even as the replicas that are up. More replicas than partitions are idle.", kind="bars"),
            Panel("Taken over", "cps", [
                prom('sum by (stage) (rate(eventrunner_consumer_taken_over_partitions_total{FLEET}[$__rate_interval]))', "{{stage}}")],
                "Each restart hands partitions over. Without restarts it should be nothing."),
            Panel("Partitions without an owner", "short", [
                prom("""count by (stage) (max by (stage, partition) (eventrunner_consumer_held_partitions{FLEET}) == 0)
                    or sum by (stage) (eventrunner_consumer_owned_partitions{FLEET}) * 0""", "{{stage}}")],
                "Their events wait. For seconds after a crash, else nothing.", limits=(1,), alerts=("OldestWorkWaits",)),
        ]),
        Row("Normalizer", [
            Panel("Events", "eps", [
                prom('sum by (result) (rate(eventrunner_normalizer_events_total{FLEET}[$__rate_interval]))', "{{result}}")],
                "Passed unchanged, mapped from raw, or made a dead letter. CloudEvents that need nothing go past it."),
            Panel("Not normalized, by code", "eps", [
                prom('sum by (code) (rate(eventrunner_normalizer_dead_events_total{FLEET}[$__rate_interval]))', "{{code}}")],
                "Each code has a page in docs/errors.", alerts=("DeadLettersGrow",)),
            Panel("Time for a batch, without I/O", "s", quantiles("eventrunner_normalizer_batch_duration_seconds"),
                "Reading, mapping and checking against schemas."),
        ]),
        Row("Engine", [
            Panel("Events", "eps", [
                prom('sum(rate(eventrunner_engine_finished_events_total{FLEET}[$__rate_interval]))', "finished"),
                prom('sum(rate(eventrunner_engine_mended_events_total{FLEET}[$__rate_interval]))', "streamed again"),
                prom('sum by (reason) (rate(eventrunner_engine_unmetered_values_total{FLEET}[$__rate_interval]))',
                     "not metered: {{reason}}")],
                "Not metered: values of tenants' own meters; the events themselves were."),
            Panel("Time of a batch, by part", "s", [
                prom("""histogram_quantile(0.99, sum by (le, stage)
                    (rate(eventrunner_engine_duration_seconds_bucket{FLEET}[$__rate_interval])))""", "{{stage}} p99"),
                prom("""histogram_quantile(0.5, sum by (le, stage)
                    (rate(eventrunner_engine_duration_seconds_bucket{FLEET}[$__rate_interval])))""", "{{stage}} p50")],
                "`store`: event store and usage; `stream`: the tenant's stream; `batch`: all of it, until it may be acknowledged."),
            Panel("Events in a batch", "short", [
                prom("""sum(rate(eventrunner_engine_batch_size_events_sum{FLEET}[$__rate_interval]))
                    / sum(rate(eventrunner_engine_batch_size_events_count{FLEET}[$__rate_interval]))""", "mean")],
                "Rises with what waits: a batch that is full is the cheapest an event can be."),
        ]),
    ],
)
