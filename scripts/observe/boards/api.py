"""The API: who reads and manages, how long it takes, and who may."""

from grafana import Board, Panel, Row, prom, quantiles

BOARD = Board(
    uid="eventrunner-api",
    title="EventRunner / API",
    about="Requests and streams of the API, and the authorizer, which the doors ask too.",
    rows=[
        Row("Requests", [
            Panel("Requests", "reqps", [
                prom('sum by (status) (rate(eventrunner_api_requests_total{FLEET}[$__rate_interval]))', "{{status}}")],
                "By HTTP status. 503: broker, store or authorizer did not answer."),
            Panel("Until the answer", "s", quantiles("eventrunner_api_request_duration_seconds"),
                "From the request's head to the head of the answer; a stream of events is answered at once."),
            Panel("Faults of ours, by route", "reqps", [
                prom('sum by (route) (rate(eventrunner_api_requests_total{FLEET, status=~"5.."}[$__rate_interval])) or vector(0)', "{{route}}")],
                "Answered with 500 or more. A line without a name is none."),
            Panel("Slowest routes", "s", [
                prom("""topk(10, histogram_quantile(0.99, sum by (le, route)
                    (rate(eventrunner_api_request_duration_seconds_bucket{FLEET}[$__rate_interval]))))""", "{{route}}")],
                "The ten of the highest p99.", width=16),
            Panel("Calls of tools over MCP", "reqps", [
                prom('sum by (outcome) (rate(eventrunner_api_mcp_requests_total{FLEET}[$__rate_interval]))', "{{outcome}}")],
                "Each is a request of its operation's route too."),
        ]),
        Row("Readers", [
            Panel("Connected", "short", [
                prom('sum by (transport) (eventrunner_api_connected_subscribers{FLEET})', "{{transport}}")],
                "Subscribers that are sent events as they come.", width=12),
            Panel("Events sent", "eps", [
                prom('sum by (transport) (rate(eventrunner_api_streamed_events_total{FLEET}[$__rate_interval]))', "{{transport}}")],
                "To them. What NATS clients read by themselves is not seen here.", width=12),
        ]),
        Row("Authorizer", [
            Panel("Questions, by answer", "cps", [
                prom('sum by (kind, answer) (rate(eventrunner_authorizer_asked_questions_total{FLEET}[$__rate_interval]))', "{{kind}} {{answer}}")],
                "It is asked when the scopes or roles that a caller brings do not suffice. `denied` is more than what was refused: whoever gives"
                " permissions is asked about all of them. `none`: it did not answer, and the request got a 503."),
            Panel("Until it answers", "s", quantiles("eventrunner_authorizer_check_duration_seconds", "kind"),
                "All questions of a request, with Keto's repetitions. Embedded it is memory: below a millisecond.", limits=(0.5,)),
            Panel("Callers refused", "reqps", [
                prom('sum by (status) (rate(eventrunner_api_requests_total{FLEET, status=~"401|403"}[$__rate_interval]))', "API {{status}}"),
                prom('sum by (code) (rate(eventrunner_ingest_rejected_requests_total{FLEET, code=~"unauthenticated|forbidden"}[$__rate_interval]))',
                     "doors {{code}}")],
                "Of the API also in the audit. What is another tenant's is answered with 404, and is not among these."),
            Panel("Keto in step with the catalog", "short", [
                prom('max(eventrunner_authorizer_in_step_replicas{FLEET})', "in step")],
                "1: one replica tells Keto what changes, and all is told. 0, or nothing, where Ory Keto is not used.",
                width=8, top=1, alerts=("AuthorizerOutOfStep",)),
            Panel("Tuples told to Keto", "cps", [
                prom('sum by (change) (rate(eventrunner_authorizer_told_tuples_total{FLEET}[$__rate_interval]))', "{{change}}")],
                "Roles and bindings that changed; all of them after a start.", width=8),
            Panel("Keto could not be told", "cps", [
                prom('sum(rate(eventrunner_authorizer_failed_requests_total{FLEET}[$__rate_interval]))', "failed")],
                "Tried again until it is; meanwhile what was taken back may still count.", width=8, alerts=("AuthorizerOutOfStep",)),
        ]),
    ],
)
