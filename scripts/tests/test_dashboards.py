"""The dashboards: Grafana's own types take them, and every query is answered by a real Prometheus and a real ClickHouse that hold
what a fleet under load has told them.
"""

import json
import os
import re
import subprocess
import sys
import time
import unittest
import urllib.parse
import urllib.request
from functools import cache

import composed
from composed import ROOT, SERVICES, Composed, get, tool, wait_for
from fleet import Fleet, binary
from test_alerts import FILES as ALERT_FILES
from test_alerts import alerts
from test_compose import key_of

FOLDER = ROOT / "deploy/helm/eventrunner/dashboards"
FILES = sorted(FOLDER.glob("*.json"))
SELECTOR = re.compile(r"\beventrunner_\w+(?:\{[^}]*\})?")


def boards() -> dict[str, dict]:
    return {path.name: json.loads(path.read_text()) for path in FILES}


def panels(board: dict) -> list[dict]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(language: str) -> list[tuple[str, str]]:
    """Each with where it stands: `expr` is PromQL, `rawSql` ClickHouse's."""
    found = []
    for name, board in boards().items():
        for panel in panels(board):
            found += [(f"{name}: {panel['title']}", target[language]) for target in panel["targets"] if language in target]
        for variable in board["templating"]["list"]:
            if language == "rawSql" and variable.get("datasource", {}).get("uid") == "${clickhouse}":
                found.append((f"{name}: variable {variable['name']}", variable["query"]))
    return found


@cache
def documented() -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))


def family(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)


class Shape(unittest.TestCase):
    def test_they_are_what_the_tables_make(self) -> None:
        done = subprocess.run([sys.executable, ROOT / "scripts/observe/dashboards.py", "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_grafanas_own_types_take_them(self) -> None:
        done = subprocess.run([tool("dashboard-check"), *FILES], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_field_of_the_wrong_type_is_not_taken(self) -> None:
        for spoil in ({"refresh": 30}, {"panels": [{"type": "timeseries", "titel": "x"}]}, {"unknown": 1}):
            done = subprocess.run(
                [tool("dashboard-check"), "/dev/stdin"], input=json.dumps({**boards()["broker.json"], **spoil}), capture_output=True, text=True, check=False
            )
            self.assertEqual(done.returncode, 1, spoil)

    def test_they_can_be_provisioned(self) -> None:
        uids = [board["uid"] for board in boards().values()]
        self.assertEqual(len(set(uids)), len(FILES))
        for name, board in boards().items():
            self.assertEqual(board["uid"], f"eventrunner-{name.removesuffix('.json')}")
            self.assertFalse({"id", "__inputs"} & set(board), name)
            self.assertIs(board["editable"], False, name)
            sources = {variable["name"] for variable in board["templating"]["list"] if variable["type"] == "datasource"}
            self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]), name)
            for panel in panels(board):
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], f"{name}: {panel['title']}")
                self.assertIn(panel["datasource"]["uid"].strip("${}"), sources, f"{name}: {panel['title']}")

    def test_each_panel_says_what_it_shows(self) -> None:
        for name, board in boards().items():
            for panel in panels(board):
                where = f"{name}: {panel['title']}"
                self.assertRegex(panel["description"], r"^.+\.$", where)
                if panel["type"] == "table":
                    continue
                for target in panel["targets"]:
                    legend = target.get("legendFormat") or panel["fieldConfig"]["defaults"].get("displayName", "")
                    self.assertTrue(legend and legend != "__auto", where)

    def test_alerts_and_panels_lead_to_each_other(self) -> None:
        wanted = {alert["annotations"]["runbook_url"] for alert in alerts()}
        led = {link["url"] for board in boards().values() for panel in panels(board) for link in panel.get("links", [])}
        self.assertEqual(sorted(led), sorted(wanted))

    def test_only_metrics_that_there_are_are_named(self) -> None:
        for where, expr in queries("expr"):
            for name in re.findall(r"\beventrunner_\w+", expr):
                self.assertTrue(family(name) in documented(), f"{where}: {name}")


@unittest.skipUnless(tool("prometheus").exists() or os.environ.get("CI") == "true", "Prometheus is not installed")
class Answered(unittest.TestCase):
    """Under one Prometheus: compose's services, on external stores; `up`, on the embedded store; and processes that `up` watches."""

    composed: Composed
    other: Fleet
    watched: Fleet
    key: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.composed, printed = composed.shared()
        cls.key = key_of(printed)
        cls.other = Fleet(binary("eventrunner"), "--set", "backup.age_hours_max=36")
        cls.addClassCleanup(cls.other.stop)
        cls.watched = Fleet(binary("eventrunner"), "--processes", "--replicas", "engine=0,api=0,billing=0")
        cls.addClassCleanup(cls.watched.stop)
        if "keto" not in cls.composed.running and tool("keto").exists():
            cls.composed.start("keto")
            cls.composed.kill("api")
            cls.composed.services["api"] = composed.project("*", environment={"EVENTRUNNER_AUTHORIZER": "keto"})["services"]["api"]
            cls.composed.start("api")
            cls.composed.wait_healthy("keto", "api")
        cls.composed.edits["prometheus"] = cls.watching_both
        cls.composed.start("prometheus")
        cls.addClassCleanup(cls.composed.kill, "prometheus")
        cls.composed.wait_healthy("prometheus")
        cls.prometheus = cls.composed.url("prometheus", 9090)
        cls.load()

    @classmethod
    def watching_both(cls, text: str) -> str:
        if "scrape_configs" not in text:
            return text
        admins = [re.search(r"^  admin\s+http://(\S+)", fleet.said(), re.MULTILINE)[1] for fleet in (cls.other, cls.watched)]
        more = f"  - job_name: eventrunner-up\n    static_configs: [{{targets: {json.dumps(admins)}}}]\n"
        text = text.replace("scrape_interval: 5s", "scrape_interval: 1s").replace("evaluation_interval: 15s", "evaluation_interval: 1s")
        return text + more

    @classmethod
    def load(cls) -> None:
        """A few hundred events of every kind, refused ones and a dead letter among them; for some seconds, so that rates are seen."""
        api, door = cls.composed.url("api", 8081), cls.composed.url("ingest-http", 8080)
        cls.check_type(cls.composed)
        reader = subprocess.Popen(
            [binary("eventrunner"), "tail", "--since", "1h"], env=cls.composed.environment("api"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        cls.addClassCleanup(reader.wait)
        cls.addClassCleanup(reader.kill)
        began = time.monotonic()
        for round_ in range(8):
            for url, key in ((door, cls.key), (cls.other.env["URL"], cls.other.env["KEY"])):
                events = [event(f"{round_}-{n}") for n in range(40)]
                send("POST", f"{url}/v1/events", key, events, "application/cloudevents-batch+json")
                send("POST", f"{url}/v1/events", key, event(f"bad-{round_}", type="demo.checked"))
                send("POST", f"{url}/v1/events", key, {"specversion": "9"})
                send("POST", f"{url}/v1/events", "er_nobody", event("x"))
            for key in (cls.key, "er_nobody"):
                send("GET", f"{api}/api/v1/events", key)
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "no_such_tool"}}
            send("POST", f"{api}/mcp", cls.key, call, "application/json")
            time.sleep(max(0.0, began + round_ + 1 - time.monotonic()))

    @staticmethod
    def check_type(fleet: Composed) -> None:
        """Events of the type `demo.checked` without an `n` become dead letters."""
        schema = fleet.folder / "schema.json"
        schema.write_text('{"type": "object", "required": ["n"]}')
        fleet.exec("api", "event-types", "create", "demo.checked", "-t", "demo", "--system", "demo", "--schema", str(schema))

    def ask(self, expr: str) -> list:
        return json.loads(get(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expr})}", 20))["data"]["result"]

    def test_every_expression_of_a_dashboard_has_data(self) -> None:
        # None of these servers speaks TLS, and nothing is wrong with them: scripts/observe/faults.py has a certificate, and alerts.
        asked = [(where, expr) for where, expr in queries("expr") if "certificate" not in expr and "ALERTS" not in expr]
        self.assertGreater(len(asked), 80)
        found = []

        def all_answered() -> bool:
            found[:] = [(where, expr) for where, expr in asked if not self.ask(here(expr))]
            return not found

        try:
            wait_for("every expression has data", all_answered, 40)
        except AssertionError:
            self.fail("no data:\n" + "\n".join(f"{where}: {expr}" for where, expr in found))

    def test_every_metric_of_an_alert_has_data(self) -> None:
        selectors = {selector for path in ALERT_FILES for selector in SELECTOR.findall(path.read_text()) if ":" not in selector}
        selectors = {re.sub(r'code(=~?)"[^"]*"', r'code=~".+"', selector) for selector in selectors}
        optional = set() if tool("keto").exists() else {"eventrunner_authorizer_in_step_replicas"}
        optional |= {"eventrunner_certificate_expiry_time_seconds"}
        lacking = [selector for selector in sorted(selectors - optional) if not self.ask(selector)]
        self.assertEqual(lacking, [])

    def test_what_is_told_is_documented(self) -> None:
        told = json.loads(get(f"{self.prometheus}/api/v1/label/__name__/values"))["data"]
        ours = {family(name) for name in told if name.startswith("eventrunner_")}
        self.assertEqual(sorted(ours - documented()), [])

    def test_every_query_of_clickhouse_is_answered(self) -> None:
        environment = self.composed.environment("clickhouse")
        login = urllib.parse.urlencode({"user": "grafana", "password": environment["GRAFANA_PASSWORD"], "database": "eventrunner", "max_execution_time": 20})
        url = f"{self.composed.url('clickhouse', 8123)}/?{login}"
        asked = queries("rawSql")
        self.assertGreater(len(asked), 10)

        def rows(sql: str) -> list:
            # A SELECT may end in SETTINGS, after which comes the format.
            request = urllib.request.Request(url, f"{sql}\nFORMAT JSON".encode())
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return json.loads(answer.read())["data"]
            except urllib.error.HTTPError as refused:
                raise AssertionError(f"{sql}\n{refused.read().decode()}") from None

        for where, sql in asked:
            with self.subTest(where):
                if "Merges under way" in where:
                    # There may be none at this moment; the statement holds all the same.
                    rows(macros(sql))
                    continue
                wait_for(where, lambda sql=sql: rows(macros(sql)), 15)
        (events,) = [sql for where, sql in asked if where == "usage.json: Meters"]
        counted = {row["meter"]: int(row["value"]) for row in rows(macros(events)) if row["tenant"] == "demo"}
        self.assertGreaterEqual(counted["events"], 8 * 40)


def event(id_: str, **more: object) -> dict:
    return {"specversion": "1.0", "id": id_, "source": "/load", "type": "demo.load", "data": {"text": "x" * 100}, **more}


def send(method: str, url: str, key: str, body: object = None, kind: str = "application/cloudevents+json") -> int:
    if "/api/v1/" in url:
        kind = "application/json"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind, "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def here(expr: str) -> str:
    """What Grafana puts in for its variables."""
    return expr.replace("$namespace", ".*").replace("$__rate_interval", "10s").replace("$__range", "1h")


def macros(sql: str) -> str:
    """What the ClickHouse plugin puts in for its macros, and Grafana for its variables."""
    now = int(time.time())
    since, until = f"toDateTime({now - 86_400})", f"toDateTime({now + 60})"
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {since} AND \1 <= {until}", sql)
    sql = re.sub(r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", sql)
    sql = sql.replace("$__fromTime", since).replace("$__toTime", until).replace("$__interval_s", "60")
    return sql.replace("${tenant:singlequote}", "'demo','other'")


if __name__ == "__main__":
    unittest.main()
