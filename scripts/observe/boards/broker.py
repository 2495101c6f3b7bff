"""NATS, as the fleet sees it."""

from grafana import Board, Panel, Row, prom

BOARD = Board(
    uid="eventrunner-broker",
    title="EventRunner / NATS JetStream",
    about="The broker's streams and its room, told by the fleet: each engine and API asks it every ten seconds, so that no exporter is needed.",
    rows=[
        Row("Streams", [
            Panel("How full, of those that refuse when they are", "percentunit", [
                prom("""max by (stream) (eventrunner_broker_kept_bytes{FLEET})
                    / on (stream) max by (stream) (eventrunner_broker_limit_bytes{FLEET, when_full="refuses"})""", "{{stream}}")],
                "RAW or EVENTS full is a 503 at the doors.", limits=(0.8, 0.95), top=1, alerts=("StreamNearlyFull",)),
            Panel("How full, of those that forget the oldest", "percentunit", [
                prom("""max by (stream) (eventrunner_broker_kept_bytes{FLEET})
                    / on (stream) max by (stream) (eventrunner_broker_limit_bytes{FLEET, when_full="forgets"})""", "{{stream}}")],
                "Full is what a tenant stream becomes; a full DEAD loses dead letters.", top=1, alerts=("StreamNearlyFull",)),
            Panel("Bytes", "bytes", [prom('max by (stream) (eventrunner_broker_kept_bytes{FLEET})', "{{stream}}")],
                "What each stream holds: one copy, however many there are."),
            Panel("Messages", "short", [prom('max by (stream) (eventrunner_broker_kept_messages{FLEET})', "{{stream}}")],
                "A message of RAW, EVENTS and USAGE holds up to some hundred events."),
            Panel("Oldest work", "s", [
                prom('max by (stream) (eventrunner_broker_oldest_work_seconds{FLEET})', "{{stream}}")],
                "Age of the oldest message that nobody has finished.", limits=(60,), alerts=("OldestWorkWaits", "BillingDelayed")),
            Panel("Waiting in each partition", "short", [
                prom('max by (stream, partition) (eventrunner_broker_pending_messages{FLEET})', "{{stream}} {{partition}}")],
                "Messages that nobody was handed yet. One line that grows alone: that partition's owner does not work, or one key has most events."),
        ]),
        Row("Room", [
            Panel("File storage used, of what may be", "percentunit", [
                prom("""max by (of) (eventrunner_broker_storage_used_bytes{FLEET})
                    / on (of) max by (of) (eventrunner_broker_storage_limit_bytes{FLEET})""", "{{of}}")],
                "Of each node (max_file_store), and of the fleet's account if it has a limit. At the end the broker takes no message. A node says"
                " nothing of its disk: where max_file_store is more than that holds, look at the volume.",
                width=12, limits=(0.8, 0.95), top=1, alerts=("BrokerStorageNearlyFull",)),
            Panel("File storage used", "bytes", [
                prom('max by (of) (eventrunner_broker_storage_used_bytes{FLEET})', "{{of}}")],
                "All streams that a node has a copy of, also those of others on the same broker; or all that are the account's.", width=12),
        ]),
        Row("Publishing", [
            Panel("Messages acknowledged", "mps", [
                prom('sum by (stream) (rate(eventrunner_bus_published_batches_total{FLEET}[$__rate_interval]))', "{{stream}}")],
                "Packed messages that the broker has kept."),
            Panel("Events in them", "eps", [
                prom('sum by (stream) (rate(eventrunner_bus_published_events_total{FLEET}[$__rate_interval]))', "{{stream}}")],
                "An event is published once a hop: to RAW or EVENTS, to its tenant's stream, and its usage."),
            Panel("Until the acknowledgement, p99", "s", [
                prom("""histogram_quantile(0.99, sum by (le, stream)
                    (rate(eventrunner_bus_ack_duration_seconds_bucket{FLEET}[$__rate_interval])))""", "{{stream}}")],
                "Under durability `disk` it has the disk's fsync in it.", alerts=("AcceptLatency",)),
            Panel("Not acknowledged", "mps", [
                prom('sum by (stream) (rate(eventrunner_bus_failed_batches_total{FLEET}[$__rate_interval]))', "{{stream}}")],
                "Sent again by whoever sent them: at the doors a 503, elsewhere after a wait.", alerts=("AcceptErrors",)),
        ]),
        Row("Reading", [
            Panel("Messages received", "mps", [
                prom('sum by (stage) (rate(eventrunner_consumer_received_messages_total{FLEET}[$__rate_interval]))', "{{stage}}")],
                "Packed messages that a stage was handed."),
            Panel("Events in them", "eps", [
                prom('sum by (stage) (rate(eventrunner_consumer_received_events_total{FLEET}[$__rate_interval]))', "{{stage}}")],
                "With those that come again."),
            Panel("Delivered again", "mps", [
                prom('sum by (stage) (rate(eventrunner_consumer_redelivered_messages_total{FLEET}[$__rate_interval]))', "{{stage}}")],
                "After a crash or a restart. Always: somebody dies before it is done, or acks are lost."),
        ]),
        Row("Who may come in", [
            Panel("Tenants' accounts told to the broker", "reqps", [
                prom('sum(rate(eventrunner_accounts_told_requests_total{FLEET}[$__rate_interval]))', "told"),
                prom('sum(rate(eventrunner_accounts_failed_requests_total{FLEET}[$__rate_interval]))', "failed")],
                "Where tenants read with NATS clients of their own. Failed: a tenant's new or withdrawn login does not hold yet.", width=12),
            Panel("Until certificates and logins end", "s", [
                prom('min by (file) (eventrunner_certificate_expiry_time_seconds{FLEET}) - time()', "{{file}}")],
                "Of the files that the configuration names; empty where it names none.", width=12, alerts=("CertificateExpires",)),
        ]),
        Row("What could be restored", [
            Panel("Since the last backup", "s", [
                prom('time() - max(eventrunner_backup_time_seconds{FLEET})', "since the last"),
                prom('max(eventrunner_backup_age_limit_seconds{FLEET})', "at most")],
                "Of a fleet without one, since its streams were made, if a backup is expected.", width=24, alerts=("BackupOld",)),
        ]),
    ],
)
