"""The alerts: each fires when it should and keeps quiet when it should, has its page, and the page's commands exist."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from composed import ROOT, tool

ALERTS = ROOT / "deploy/helm/eventrunner/alerts"
RUNBOOKS = ROOT / "docs/runbooks"
FILES = sorted(ALERTS.glob("*.yaml"))

REQUESTS = "eventrunner_ingest_requests_total"
REFUSED = 'eventrunner_ingest_rejected_requests_total{code="unavailable"}'
SOON = 'eventrunner_ingest_request_duration_seconds_bucket{le="0.25"}'
ANSWERED = "eventrunner_ingest_request_duration_seconds_count"
OLDEST = "eventrunner_broker_oldest_work_seconds"
DEAD = "eventrunner_dead_written_letters_total"
RECEIVED = 'eventrunner_consumer_received_events_total{stage="normalizer"}'
TASKS = "eventrunner_billing_tasks_total"
KEPT = "eventrunner_broker_kept_bytes"
LIMIT = "eventrunner_broker_limit_bytes"
USED, MOST = "eventrunner_broker_storage_used_bytes", "eventrunner_broker_storage_limit_bytes"
FREE, SIZE = "eventrunner_disk_free_bytes", "eventrunner_disk_size_bytes"
EXPIRY = 'eventrunner_certificate_expiry_time_seconds{file="nats_ca"}'
BACKUP, AGE_LIMIT = "eventrunner_backup_time_seconds", "eventrunner_backup_age_limit_seconds"
STARTED = 'eventrunner_process_start_time_seconds{instance="a"}'

# What the metrics do, a sample a minute; when it is looked at; what fires then, without "EventRunner".
CASES = [
    ({REQUESTS: "0+600x240", REFUSED: "0+60x240"}, "3h", ["AcceptErrors", "AcceptErrorsSlow"]),
    # It is over: the short span ends the page.
    ({REQUESTS: "0+600x240", REFUSED: "0+60x180 10800x60"}, "225m", ["AcceptErrorsSlow"]),
    ({REQUESTS: "0+600x720", REFUSED: "0+3x720"}, "10h", ["AcceptErrorsSlow"]),
    ({REQUESTS: "0+600x720", REFUSED: "0+0.3x720"}, "10h", []),
    ({ANSWERED: "0+600x240", SOON: "0+480x240"}, "3h", ["AcceptLatency", "AcceptLatencySlow"]),
    ({ANSWERED: "0+600x720", SOON: "0+576x720"}, "10h", ["AcceptLatencySlow"]),
    ({ANSWERED: "0+600x720", SOON: "0+597x720"}, "10h", []),
    ({f'{OLDEST}{{stream="EVENTS"}}': "0+60x20"}, "8m", ["OldestWorkWaits"]),
    ({'eventrunner_consumer_lag_age_seconds{stage="engine", partition="3"}': "0+60x20"}, "8m", ["OldestWorkWaits"]),
    ({f'{OLDEST}{{stream="RAW"}}': "50x20"}, "8m", []),
    ({f'{DEAD}{{stage="normalizer", code="schema_violation"}}': "0+10x60", RECEIVED: "0+500x60"}, "40m", ["DeadLettersGrow"]),
    ({f'{DEAD}{{stage="normalizer", code="schema_violation"}}': "0+4x60", RECEIVED: "0+500x60"}, "40m", []),
    ({f'{DEAD}{{stage="engine", code="internal"}}': "0x20 1x20"}, "30m", ["FleetWroteUnreadable"]),
    ({f'{DEAD}{{stage="engine", code="internal"}}': "1x90"}, "80m", []),
    ({f'{OLDEST}{{stream="USAGE"}}': "0+60x30"}, "20m", ["BillingDelayed"]),
    ({"eventrunner_billing_look_time_seconds": "60x60"}, "45m", ["BillingDelayed"]),
    ({"eventrunner_billing_look_time_seconds": "60+60x60"}, "45m", []),
    ({f'{TASKS}{{what="storage", result="failed"}}': "0+1x60", f'{TASKS}{{what="storage", result="done"}}': "0x60"}, "40m", ["BillingTasksFail"]),
    ({f'{TASKS}{{what="storage", result="failed"}}': "0x5 9x55", f'{TASKS}{{what="storage", result="done"}}': "0+1x60"}, "40m", []),
    ({f'{KEPT}{{stream="RAW"}}': "90x20", f'{LIMIT}{{stream="RAW", when_full="refuses"}}': "100x20"}, "10m", ["StreamNearlyFull"]),
    ({f'{KEPT}{{stream="DEAD"}}': "90x20", f'{LIMIT}{{stream="DEAD", when_full="forgets"}}': "100x20"}, "10m", ["StreamNearlyFull"]),
    ({f'{KEPT}{{stream="TENANT-default"}}': "99x20", f'{LIMIT}{{stream="TENANT-default", when_full="forgets"}}': "100x20"}, "10m", []),
    ({f'{USED}{{of="nats-1"}}': "81x20", f'{MOST}{{of="nats-1"}}': "100x20"}, "10m", ["BrokerStorageNearlyFull"]),
    ({f'{USED}{{of="account"}}': "81x20", f'{MOST}{{of="account"}}': "100x20"}, "3m", []),
    # One node's use is not held against another's limit.
    ({f'{USED}{{of="a"}}': "81x20", f'{MOST}{{of="a"}}': "200x20", f'{USED}{{of="b"}}': "9x20", f'{MOST}{{of="b"}}': "100x20"}, "10m", []),
    ({BACKUP: "60x3000", AGE_LIMIT: "129600x3000"}, "37h", ["BackupOld"]),
    ({BACKUP: "60x2100 126000x900", AGE_LIMIT: "129600x3000"}, "37h", []),
    # Every replica tells it; one may not have looked yet. And where none is expected, none is missed.
    ({f'{BACKUP}{{instance="a"}}': "60x3000", f'{BACKUP}{{instance="b"}}': "126000x3000", AGE_LIMIT: "129600x3000"}, "37h", []),
    ({BACKUP: "60x3000"}, "37h", []),
    ({'up{job="eventrunner", instance="a"}': "1x5 0x20"}, "15m", ["Down"]),
    ({'up{job="eventrunner", instance="a"}': "1x5 0 0 1x20"}, "15m", []),
    ({'eventrunner_process_ready_components{instance="a", component="ingest-http"}': "1x5 0x20"}, "15m", ["NotReady"]),
    ({'eventrunner_process_ready_components{instance="a", component="ingest-http"}': "1x5 0x3 1x20"}, "15m", []),
    ({STARTED: "1x5 2x5 3x5 4x20"}, "20m", ["Restarts"]),
    ({'eventrunner_fleet_restarted_processes_total{service="engine"}': "0x5 5x20"}, "20m", ["Restarts"]),
    ({STARTED: "1x5 2x30"}, "20m", []),
    ({FREE: "9x30", SIZE: "100x30"}, "20m", ["DiskNearlyFull"]),
    ({FREE: "29-0.1x60", SIZE: "100x60"}, "40m", ["DiskNearlyFull"]),
    ({FREE: "29x60", SIZE: "100x60"}, "40m", []),
    ({EXPIRY: "864000x120"}, "90m", ["CertificateExpires"]),
    ({EXPIRY: "8640000x120"}, "90m", []),
    ({"eventrunner_authorizer_in_step_replicas": "1x5 0x20"}, "15m", ["AuthorizerOutOfStep"]),
    # One replica keeps it in step; the others say 0.
    ({'eventrunner_authorizer_in_step_replicas{instance="a"}': "1x20", 'eventrunner_authorizer_in_step_replicas{instance="b"}': "0x20"}, "15m", []),
]


def alerts() -> list[dict]:
    groups = [group for path in FILES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def promtool(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False)


class Rules(unittest.TestCase):
    def test_each_case_fires_what_it_should_and_nothing_else(self) -> None:
        tests = []
        for series, at, firing in CASES:
            # A namespace, as Kubernetes gives one: alerts keep it.
            named = {re.sub(r"^(\w+)(?:\{(.*)\})?$", r'\1{namespace="n", \2}', name).replace(", }", "}"): values for name, values in series.items()}
            expected = [{"labels": f'{{alertname="EventRunner{name}", namespace="n"}}', "value": 1} for name in firing]
            tests.append({
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in named.items()],
                "promql_expr_test": [{
                    "expr": 'count by (alertname, namespace) (ALERTS{alertstate="firing"})', "eval_time": at, "exp_samples": expected,
                }],
            })
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "alerts.yaml"
            path.write_text(json.dumps({"rule_files": [str(file) for file in FILES], "evaluation_interval": "1m", "tests": tests}))
            done = promtool("test", "rules", path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_alert_fires_in_a_case(self) -> None:
        fired = {f"EventRunner{name}" for _, _, firing in CASES for name in firing}
        self.assertEqual(sorted(fired), sorted({alert["alert"] for alert in alerts()}))

    def test_promtool_takes_the_files(self) -> None:
        done = promtool("check", "rules", "--lint=all", "--lint-fatal", *FILES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_only_metrics_that_there_are_are_named(self) -> None:
        known = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
        for path in FILES:
            for name in re.findall(r"\beventrunner_\w+", path.read_text()):
                self.assertTrue(re.sub(r"_(bucket|count|sum)$", "", name) in known, f"{path.name}: {name}")


class Runbooks(unittest.TestCase):
    def test_each_alert_has_its_page_and_no_other_exists(self) -> None:
        index = (RUNBOOKS / "README.md").read_text()
        names = set()
        for alert in alerts():
            name, severity = alert["alert"], alert["labels"]["severity"]
            names.add(f"{name}.md")
            self.assertTrue(alert["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{name}"), name)
            self.assertIn(f"| [{name}]({name}.md) | {severity} |", index)
            page = (RUNBOOKS / f"{name}.md").read_text()
            self.assertTrue(page.startswith(f"# {name}\n\nSeverity: {severity}.\n"), name)
            for part in ("## What it means", "## What users see", "## Look at", "## Do"):
                self.assertIn(f"\n{part}\n", page, name)
        self.assertEqual({path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}, names)

    def test_commands_are_those_of_the_command_line(self) -> None:
        reference = (ROOT / "docs/cli.md").read_text()
        sections = dict(re.findall(r"^#{2,3} eventrunner ([\w -]+)\n(.*?)(?=^#{2,3} |\Z)", reference, re.MULTILINE | re.DOTALL))
        found = 0
        for page in RUNBOOKS.glob("*.md"):
            for command in re.findall(r"`eventrunner ([^`]+)`", page.read_text()):
                words = command.split()
                name = max((" ".join(words[:count]) for count in (1, 2) if " ".join(words[:count]) in sections), key=len, default=None)
                self.assertIsNotNone(name, f"{page.name}: there is no {command}")
                for flag in re.findall(r"--[a-z-]+", command):
                    self.assertIn(flag, sections[name], f"{page.name}: {command}")
                found += 1
        self.assertGreater(found, 20)

    def test_panels_and_keys_that_are_named_exist(self) -> None:
        boards = [json.loads(path.read_text()) for path in (ROOT / "deploy/helm/eventrunner/dashboards").glob("*.json")]
        titles = [panel["title"] for board in boards for panel in board["panels"]]
        keys = (ROOT / "docs/configuration.md").read_text()
        for page in RUNBOOKS.glob("*.md"):
            text = page.read_text()
            for panel in re.findall(r'"([A-Z][^"]+)"', text):
                self.assertTrue(any(title.startswith(panel) for title in titles), f"{page.name}: {panel}")
            for key in re.findall(r"`((?:topology|billing|engine|normalizer)\.[a-z_.]+)`", text):
                self.assertIn(f"`{key}`", keys, page.name)


if __name__ == "__main__":
    unittest.main()
