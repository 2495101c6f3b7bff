"""Event store and usage store, and the disk under them."""

from grafana import Board, Panel, Row, prom, quantiles, sql

BOARD = Board(
    uid="eventrunner-stores",
    title="EventRunner / Stores",
    about="Writing events and usage, and the room for them. The last row asks ClickHouse itself.",
    rows=[
        Row("Writing", [
            Panel("Events stored", "eps", [
                prom('sum(rate(eventrunner_engine_stored_events_total{FLEET}[$__rate_interval]))', "events")],
                "Those that were there already among them."),
            Panel("Time to store a batch of events", "s", quantiles("eventrunner_engine_duration_seconds", labels=', stage="store"'),
                "An outage shows as one long batch, at its end; meanwhile the pipeline's oldest work grows.", alerts=("OldestWorkWaits",)),
            Panel("Usage records written, where usage has a store of its own", "recps", [
                prom('sum by (kind) (rate(eventrunner_store_written_records_total{FLEET}[$__rate_interval]))', "{{kind}}")],
                "One for each event, in bulk. Embedded, usage is a part of the events' own transaction."),
            Panel("Time of one write of usage", "s", quantiles("eventrunner_store_commit_duration_seconds", "kind"),
                "Of one insert, of many records."),
            Panel("Usage that waits for its store", "s", [
                prom('max(eventrunner_broker_oldest_work_seconds{FLEET, stream="USAGE"})', "oldest")],
                "Events do not wait for it, until the stream USAGE is full.", limits=(600,), alerts=("BillingDelayed",)),
            Panel("Batches that wait for the embedded store", "short", [
                prom('eventrunner_store_queued_batches{FLEET}', "{{instance}}")],
                "Before its one writer. Bounded: beyond it the engine waits."),
        ]),
        Row("Room", [
            Panel("Embedded store", "bytes", [prom('eventrunner_store_disk_bytes{FLEET}', "{{instance}}")],
                "All its files. Empty on external stores."),
            Panel("Free on the disk with the data folder", "bytes", [
                prom('eventrunner_disk_free_bytes{FLEET}', "{{instance}}")],
                "In one pod, or with `up`, the embedded store and the broker live there. ScyllaDB's and the brokers' disks are not seen from here."),
            Panel("The same, as a share", "percentunit", [
                prom('eventrunner_disk_free_bytes{FLEET} / eventrunner_disk_size_bytes{FLEET}', "{{instance}}")],
                "Below a tenth an alert pages.", top=1, alerts=("DiskNearlyFull",)),
        ]),
        Row("Keeping house", [
            Panel("Since retention was applied", "s", [
                prom('time() - max(eventrunner_housekeeping_retention_time_seconds{FLEET} > 0)', "age")],
                "To every tenant that has one. It grows while that fails for any of them."),
            Panel("Retention of tenants", "short", [
                prom('sum by (result) (increase(eventrunner_housekeeping_expirations_total{FLEET}[1h]))', "{{result}} an hour")],
                "Times that what is too old was deleted for a tenant."),
            Panel("Tenants erased", "short", [
                prom('sum by (result) (increase(eventrunner_housekeeping_erasures_total{FLEET}[1h]))', "{{result}} an hour")],
                "What failed is tried again until it is done."),
        ]),
        Row("ClickHouse", [
            Panel("Tables", "none", [sql("""
                SELECT table, sum(rows) AS rows, formatReadableSize(sum(bytes_on_disk)) AS size, count() AS parts,
                    round(sum(data_uncompressed_bytes) / greatest(sum(data_compressed_bytes), 1), 1) AS compression
                FROM system.parts
                WHERE active AND database = currentDatabase()
                GROUP BY table ORDER BY table""", table=True)],
                "Many parts of a table mean that merges do not follow the inserts.", kind="table", width=12),
            Panel("Merges under way", "none", [sql("""
                SELECT table, count() AS merges, round(max(elapsed)) AS longest_seconds, formatReadableSize(sum(memory_usage)) AS memory
                FROM system.merges WHERE database = currentDatabase() GROUP BY table ORDER BY table""", table=True)],
                "Often none.", kind="table", width=6),
            Panel("Disks", "none", [sql("""
                SELECT name, formatReadableSize(free_space) AS free, formatReadableSize(total_space) AS size,
                    round(100 * free_space / total_space, 1) AS free_percent
                FROM system.disks ORDER BY name""", table=True)],
                "ClickHouse's own. No alert of ours looks at them.", kind="table", width=6),
            Panel("Hours that are summed up", "none", [sql("""
                SELECT toDateTime(max(done) * 3600, 'UTC') AS summed_up_until, toDateTime(max(open) * 3600, 'UTC') AS may_be_until
                FROM usage_horizon""", table=True)], "Sums of months read these instead of every record.", kind="table", width=12),
            Panel("Hours that got records late", "none", [sql("""
                SELECT count() AS hours, sum(n) AS marks FROM (SELECT tenant, hour, sum(n) AS n FROM usage_marks GROUP BY tenant, hour)
                """, table=True)], "They were summed up before, and are counted record by record until they are summed up again.", kind="table", width=12),
        ]),
    ],
)
