"""The first page: are we keeping what we promise, and if not, where to look."""

from grafana import Board, Panel, Row, prom

BAD = 'code=~"internal|unavailable"'

BOARD = Board(
    uid="eventrunner-overview",
    title="EventRunner / Overview",
    about="Whether the fleet keeps what it promises. Alerts are made of the same expressions; their pages are docs/runbooks.",
    rows=[
        Row("Promises", [
            Panel("Requests accepted or rightly refused, 30 days", "percentunit", [prom(f"""
                1 - sum(increase(eventrunner_ingest_rejected_requests_total{{FLEET, {BAD}}}[30d]))
                  / sum(increase(eventrunner_ingest_requests_total{{FLEET}}[30d]))""", "kept")],
                "Objective: 99.9 %. Counted against it: requests that a door refused because of us (503, 500).",
                kind="stat", width=6, limits=(0.999, 0.9995), falling=True, decimals=3),
            Panel("Requests answered within 250 ms, 30 days", "percentunit", [prom("""
                sum(increase(eventrunner_ingest_request_duration_seconds_bucket{FLEET, le="0.25"}[30d]))
                  / sum(increase(eventrunner_ingest_request_duration_seconds_count{FLEET}[30d]))""", "kept")],
                "Objective: 99 %.", kind="stat", width=6, limits=(0.99, 0.995), falling=True, decimals=2),
            Panel("Oldest work", "s", [prom("""
                max(eventrunner_broker_oldest_work_seconds{FLEET, stream=~"RAW|EVENTS"})""", "age")],
                "Age of the oldest accepted event that is not yet stored and in its stream. Objective: below a minute.",
                kind="stat", width=6, limits=(10, 60), decimals=1, alerts=("OldestWorkWaits",)),
            Panel("Processes that are not ready", "short", [prom("""
                count(min by (instance) (eventrunner_process_ready_components{FLEET}) == 0) or vector(0)""", "processes")],
                "One of whose components cannot work. What does not answer at all is not counted here.",
                kind="stat", width=6, limits=(1, 2), decimals=0, alerts=("NotReady", "Down")),
            Panel("Share of the error budget burnt, by span", "none", [
                prom(f"""sum(rate(eventrunner_ingest_rejected_requests_total{{FLEET, {BAD}}}[{span}]))
                  / sum(rate(eventrunner_ingest_requests_total{{FLEET}}[{span}])) / 0.001""", span)
                for span in ("5m", "1h", "6h", "3d")],
                "1: as fast as the objective of 99.9 % over 30 days allows. 14.4 over an hour wakes somebody.",
                width=12, limits=(1, 14.4), alerts=("AcceptErrors", "AcceptErrorsSlow")),
            Panel("The same for answers within 250 ms", "none", [
                prom(f"""(1 - sum(rate(eventrunner_ingest_request_duration_seconds_bucket{{FLEET, le="0.25"}}[{span}]))
                  / sum(rate(eventrunner_ingest_request_duration_seconds_count{{FLEET}}[{span}]))) / 0.01""", span)
                for span in ("5m", "1h", "6h", "3d")],
                "1: as fast as the objective of 99 % allows.", width=12, limits=(1, 14.4), alerts=("AcceptLatency", "AcceptLatencySlow")),
            Panel("Alerts that fire", "none", [prom('ALERTS{FLEET, alertname=~"EventRunner.*", alertstate="firing"}', table=True)],
                "Each name leads to its page. Empty is good; empty on Prometheus without the rules says nothing.",
                kind="table", width=24, without=("Time", "Value", "__name__", "alertstate"), runbooks="alertname"),
        ]),
        Row("Events", [
            Panel("Accepted and refused", "eps", [
                prom('sum by (result) (rate(eventrunner_ingest_events_total{FLEET}[$__rate_interval]))', "{{result}}")],
                "At the doors. Why they were refused is on the page of the doors."),
            Panel("Through each stage", "eps", [
                prom('sum(rate(eventrunner_ingest_events_total{FLEET, result="accepted"}[$__rate_interval]))', "accepted"),
                prom('sum(rate(eventrunner_normalizer_events_total{FLEET}[$__rate_interval]))', "normalized"),
                prom('sum(rate(eventrunner_engine_stored_events_total{FLEET}[$__rate_interval]))', "stored"),
                prom('sum(rate(eventrunner_engine_streamed_events_total{FLEET}[$__rate_interval]))', "streamed")],
                "Lines that part mean that work gathers between two stages. CloudEvents that need no mapping pass the normalizer by."),
            Panel("Dead letters", "eps", [
                prom('sum by (stage, code) (rate(eventrunner_dead_written_letters_total{FLEET}[$__rate_interval])) > 0',
                     "{{stage}} {{code}}")],
                "Events that could not go on. The API lists them with their reasons: eventrunner dead-letters list.",
                alerts=("DeadLettersGrow", "FleetWroteUnreadable")),
        ]),
        Row("Processes", [
            Panel("Processor", "short", [
                prom('rate(eventrunner_process_cpu_seconds_total{FLEET}[$__rate_interval])', "{{instance}}")],
                "Cores in use.", width=6),
            Panel("Memory", "bytes", [prom('eventrunner_process_resident_bytes{FLEET}', "{{instance}}")],
                "Resident. Every queue and cache has a limit, so it levels off.", width=6),
            Panel("Open files", "short", [prom('eventrunner_process_open_files{FLEET}', "{{instance}}")],
                "Files and sockets.", width=6),
            Panel("What is running", "none", [
                prom('max by (instance, version) (eventrunner_build_info{FLEET})', table=True)],
                "Two versions at once: a roll-out is under way, or has stopped.", kind="table", width=6, without=("Time", "Value")),
            Panel("Up since", "dateTimeAsIso", [
                prom('eventrunner_process_start_time_seconds{FLEET} * 1000', "{{instance}}")],
                "A line that steps up is a restart.", width=12, alerts=("Restarts",)),
            Panel("Components that are not ready", "short", [
                prom('1 - eventrunner_process_ready_components{FLEET}', "{{instance}} {{component}}")],
                "1: that component cannot work. Its process says why at /healthz/ready.", width=12, top=1, alerts=("NotReady",)),
        ]),
    ],
)
