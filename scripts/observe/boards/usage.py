"""What tenants use, from ClickHouse: the numbers that invoices are made of."""

from grafana import Board, Panel, Row, SOURCES, CLICKHOUSE, prom, sql

TENANTS = """SELECT DISTINCT tenant FROM usage_records
WHERE at_us >= toUnixTimestamp($__fromTime) * 1000000 ORDER BY tenant LIMIT 500"""

# Records without a list of meters count one event and its bytes.
METERS = """
    SELECT tenant, at, meter.1 AS name, meter.2 AS value
    FROM usage_records FINAL
    ARRAY JOIN if(empty(meters), [('events', events), ('bytes', bytes)], arrayZip(mapKeys(meters), mapValues(meters))) AS meter
    WHERE tenant IN (${tenant:singlequote}) AND void = 0
        AND at_us >= toUnixTimestamp($__fromTime) * 1000000 AND at_us < toUnixTimestamp($__toTime) * 1000000"""
EXACT = "SETTINGS optimize_move_to_prewhere_if_final = 0"


def usage(column: str) -> list:
    """A column of the view `tenant_usage`, a line a tenant."""
    return [sql(f"""
        SELECT $__timeInterval(timestamp) AS time, tenant_id, sum({column}) AS value
        FROM tenant_usage
        WHERE $__timeFilter(timestamp) AND tenant_id IN (${{tenant:singlequote}})
        GROUP BY time, tenant_id ORDER BY time""", "tenant_id")]


BOARD = Board(
    uid="eventrunner-usage",
    title="EventRunner / Tenants' usage and billing",
    about="Usage by tenant and meter, exact, from ClickHouse. Amounts of money are in invoices: eventrunner invoices list.",
    since="now-24h",
    variables=[{
        "type": "query",
        "name": "tenant",
        "label": "Tenant",
        "datasource": SOURCES[CLICKHOUSE],
        "query": TENANTS,
        "definition": TENANTS,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
        "hide": 0,
    }],
    rows=[
        Row("By tenant", [
            Panel("Events", "short", [sql(f"""
                SELECT toStartOfInterval(at, INTERVAL $__interval_s SECOND) AS time, tenant, sum(events) AS events
                FROM usage_records FINAL
                WHERE tenant IN (${{tenant:singlequote}}) AND void = 0
                    AND at_us >= toUnixTimestamp($__fromTime) * 1000000 AND at_us < toUnixTimestamp($__toTime) * 1000000
                GROUP BY time, tenant ORDER BY time
                {EXACT}""", "tenant")], "Metered, each once.", kind="bars", width=12),
            Panel("Bytes received", "bytes", usage("network_ingress"), "The meter `bytes`.", kind="bars", width=12),
            Panel("Bytes read by streams", "bytes", usage("network_egress"), "The meter `egress_bytes`: what subscribers were sent over SSE and gRPC.", kind="bars"),
            Panel("Processor", "s", usage("cpu_usage"), "Seconds, of what runs for the tenant.", kind="bars"),
            Panel("Memory", "bytes", usage("memory_usage"), "A minute's mean, summed up over the interval.", kind="bars"),
        ]),
        Row("By meter", [
            Panel("Largest users", "none", [sql(f"""
                SELECT tenant, sumIf(value, name = 'events') AS events, formatReadableSize(sumIf(value, name = 'bytes')) AS received,
                    formatReadableSize(sumIf(value, name = 'egress_bytes')) AS read
                FROM ({METERS})
                GROUP BY tenant ORDER BY sumIf(value, name = 'events') DESC LIMIT 50
                {EXACT}""", table=True)], "Of the span of time above, at most fifty.", kind="table", width=12),
            Panel("Meters", "none", [sql(f"""
                SELECT tenant, name AS meter, sum(value) AS value, count() AS records
                FROM ({METERS})
                GROUP BY tenant, meter ORDER BY tenant, meter LIMIT 500
                {EXACT}""", table=True)], "Also the tenants' own meters.", kind="table", width=12),
        ]),
        Row("Billing", [
            Panel("Usage not yet metered", "s", [
                prom('max(eventrunner_broker_oldest_work_seconds{FLEET, stream="USAGE"})', "oldest")],
                "Age of the oldest record that the usage store does not have yet.", kind="stat", width=6, limits=(60, 600), alerts=("BillingDelayed",)),
            Panel("Since billing last looked", "s", [
                prom('time() - max(eventrunner_billing_look_time_seconds{FLEET} > 0)', "age")],
                "Through all it has to do: storage, months that are over, thresholds.",
                kind="stat", width=6, limits=(900, 1800), alerts=("BillingDelayed",)),
            Panel("Invoices made", "short", [
                prom('sum(increase(eventrunner_billing_tasks_total{FLEET, what="invoices", result="done"}[$__range]))', "invoices")],
                "In the span of time above. A month that is over is billed a day later (`billing.close_after_hours`).",
                kind="stat", width=6, decimals=0),
            Panel("What failed", "short", [
                prom('sum(increase(eventrunner_billing_tasks_total{FLEET, result="failed"}[$__range]))', "failures")],
                "In the span of time above. It is tried again at the next look, and nothing is billed twice.",
                kind="stat", width=6, limits=(1, 10), decimals=0, alerts=("BillingTasksFail",)),
            Panel("What billing did", "short", [
                prom('sum by (what) (increase(eventrunner_billing_tasks_total{FLEET, result="done"}[1h]))', "{{what}} an hour")],
                "Invoices made, hours of storage metered, events told (invoices, credit notes), thresholds looked at."),
            Panel("What failed, by kind", "short", [
                prom('sum by (what) (increase(eventrunner_billing_tasks_total{FLEET, result="failed"}[1h]))', "{{what}} an hour")],
                "The log of `billing` says why.", limits=(1,), alerts=("BillingTasksFail",)),
            Panel("Share that failed", "percentunit", [
                prom("""sum by (what) (increase(eventrunner_billing_tasks_total{FLEET, result="failed"}[1h]))
                    / sum by (what) (increase(eventrunner_billing_tasks_total{FLEET}[1h]))""", "{{what}}")],
                "1: nothing of that kind succeeds. A gap: nothing of it was to be done.", limits=(0.5,), top=1, alerts=("BillingTasksFail",)),
        ]),
    ],
)
