"""The pods of the chart as processes: brokers, migrations, services and the test of `helm test`, with the commands, environments, files and
probes that the chart gives them, against a real Cassandra and a real ClickHouse.
"""

import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from chart import CACHE, CHART, ROOT, pods, render
from fleet import binary, free_ports
from pods import Pod, World, accounts, certificate, decoded, program

STORE_SECONDS = 180
REPLICAS = {"engine": 2, "normalizer": 2}
VALUES = """
mode: services
sealing: {existingSecret: sealing}
nats: {login: {existingSecret: broker}}
scylla: {nodes: ["scylla:9042"], replication: 1}
clickhouse: {url: "http://clickhouse:8123"}
tests: {events: 500}
"""


def until(condition, what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


class Stores:
    """A Cassandra and a ClickHouse on loopback, as `scripts/` runs them."""

    def __init__(self, folder: Path) -> None:
        cql = free_ports(6)
        http = cql + 3
        env = {**os.environ, "ENDS_WITH_STDIN": "1"}
        self.hosts = {"scylla": f"127.0.0.1:{cql}", "clickhouse": f"127.0.0.1:{http}"}
        self.processes = []
        for name, *words in (("cassandra", str(cql)), ("clickhouse", str(http), str(http + 1))):
            with (folder / f"{name}.out").open("w") as log:
                command = [str(ROOT / f"scripts/{name}.sh"), str(folder / name), *words]
                self.processes.append(subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=log, stderr=log))
        until(lambda: self.said(folder / "cassandra.out"), "Cassandra", STORE_SECONDS)
        until(lambda: self.answers(f"http://127.0.0.1:{http}/ping"), "ClickHouse", STORE_SECONDS)

    @staticmethod
    def said(log: Path) -> bool:
        return log.is_file() and "Starting listening for CQL clients" in log.read_text(errors="ignore")

    @staticmethod
    def answers(url: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


class Release:
    """What a release would run, each pod on an address of its own."""

    def __init__(self, folder: Path, hosts: dict[str, str], *arguments: str) -> None:
        self.documents = render(*arguments)
        secrets = {"sealing": {"key": decoded(32)}, "broker": {"user": "fleet", "password": decoded(9).replace("/", "a").replace("+", "b")}}
        self.world = World(self.documents, folder, secrets, hosts)
        self.world.programs = {"eventrunner": binary("eventrunner"), "nats": program("nats-server", CACHE)}
        templates = pods(self.documents)
        named = []
        for kind_and_name, pod in templates.items():
            kind, name = kind_and_name.split(" ")
            replicas = REPLICAS.get(pod["metadata"]["labels"]["app.kubernetes.io/component"], 1)
            if kind == "StatefulSet":
                (replicas,) = [d["spec"]["replicas"] for d in self.documents if d["kind"] == kind and d["metadata"]["name"] == name]
            named += [(f"{name}-{n}" if kind != "Pod" else name, pod) for n in range(replicas)]
        self.world.settle(named)
        self.pods = {name: Pod(self.world, name, pod) for name, pod in named}
        self.test = self.pods.pop("rel-eventrunner-test")

    def of(self, component: str) -> list[Pod]:
        return [pod for pod in self.pods.values() if self.world.labels[pod.name]["app.kubernetes.io/component"] == component]

    def verify(self) -> str:
        """What `helm test` runs."""
        self.test.make_volumes()
        (container,) = self.test.spec["containers"]
        code = self.test.run(container).wait(180)
        assert code == 0, self.test.log(container["name"])
        return self.test.log(container["name"])

    def kill(self) -> None:
        for pod in self.pods.values():
            pod.kill()


class Pods(unittest.TestCase):
    def setUp(self) -> None:
        room = tempfile.TemporaryDirectory(prefix="eventrunner-pods-", ignore_cleanup_errors=True)
        self.addCleanup(room.cleanup)
        self.folder = Path(room.name)
        (self.folder / "values.yaml").write_text(VALUES)

    def test_services_start_keep_every_event_and_stop_in_order(self) -> None:
        stores = Stores(self.folder)
        self.addCleanup(stores.stop)
        release = Release(self.folder, stores.hosts, "--values", str(self.folder / "values.yaml"))
        self.addCleanup(release.kill)
        # All at once, as Kubernetes would: who comes too early waits, and says that it is not ready.
        for pod in release.of("nats") + release.of("ingest-http") + release.of("ingest-grpc") + release.of("normalizer"):
            pod.start()
        for component in ("ingest-http", "ingest-grpc"):
            (door,) = release.of(component)
            self.assertFalse(door.asks(door.spec["containers"][0], "readinessProbe"), "ready before there is a stream")
        for component in ("engine", "api", "billing"):
            for pod in release.of(component):
                pod.start()
        for pod in release.pods.values():
            pod.wait_until_ready()
        self.assertIn("500 of 500 events promised", release.verify())
        # A broker leaves as in a roll-out: lame duck, signal, and the others go on.
        broker = release.of("nats")[0]
        began = time.monotonic()
        self.assertEqual(broker.stop(), {"nats": 0})
        lame = time.monotonic() - began
        self.assertLess(lame, broker.spec["terminationGracePeriodSeconds"])
        self.assertIn("Entering lame duck mode", broker.log("nats"))
        release.world.route(away=broker.name)
        release.verify()
        broker.start()
        broker.wait_until_ready()
        # A service in the midst of work, in its grace period, by itself.
        for component in ("engine", "normalizer", "ingest-http", "ingest-grpc", "api", "billing"):
            pod = release.of(component)[0]
            self.assertEqual(pod.stop(), {component: 0}, pod.log(component)[-2000:])
            pod.start()
        for pod in release.pods.values():
            pod.wait_until_ready()
        release.verify()
        for component in ("ingest-http", "ingest-grpc", "normalizer", "engine", "billing", "api", "nats"):
            for pod in release.of(component):
                self.assertEqual(set(pod.stop().values()), {0}, pod.name)

    def test_a_broker_with_accounts_and_tls_lets_the_fleet_in_and_nobody_else(self) -> None:
        release = Release(self.folder, {}, "--values", str(CHART / "ci/services-accounts-values.yaml"))
        self.addCleanup(release.kill)
        addresses = [f"IP:{address}" for address in release.world.addresses.values()]
        release.world.secrets |= {"broker-tls": certificate(self.folder, *addresses), "accounts": accounts(self.folder)}
        for pod in release.of("nats"):
            pod.start()
        for pod in release.of("nats"):
            pod.wait_until_ready()
        (door,) = release.of("ingest-http")
        door.make_volumes()
        (container,) = door.spec["containers"]
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **door.environment(container)}
        migrate = [door.command(container)[0], "migrate", "--timeout", "20"]
        done = subprocess.run(migrate, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        stranger = {name: value for name, value in env.items() if name != "EVENTRUNNER_NATS__CREDENTIALS_FILE"}
        done = subprocess.run(migrate, env=stranger, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 78, done.stderr)
        distrustful = {name: value for name, value in env.items() if name != "EVENTRUNNER_NATS__TLS_CA_FILE"}
        done = subprocess.run([*migrate[:-1], "2"], env=distrustful, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 69, done.stderr)
        for component in ("ingest-http", "ingest-grpc", "normalizer"):
            for pod in release.of(component):
                pod.start()
        for component in ("ingest-http", "ingest-grpc", "normalizer"):
            for pod in release.of(component):
                pod.wait_until_ready()

    def test_one_pod_starts_keeps_every_event_and_stops_in_order(self) -> None:
        release = Release(self.folder, {}, "--values", str(CHART / "ci/single-values.yaml"))
        self.addCleanup(release.kill)
        (pod,) = release.pods.values()
        pod.start()
        pod.wait_until_ready()
        self.assertIn("ready", release.verify())
        # What the chart's notes and docs/kubernetes.md say to run in it.
        (fleet,) = pod.spec["containers"]
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **pod.environment(fleet)}
        done = subprocess.run([pod.command(fleet)[0], "verify"], env=env, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        codes = pod.stop()
        self.assertEqual(list(codes), ["eventrunner", "nats"], "the broker last")
        self.assertEqual(codes["eventrunner"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
