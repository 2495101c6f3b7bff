"""What the chart tells programs, told to the programs: the binary, the broker, Ory's servers."""

import json
import os
import subprocess
import tempfile
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

from chart import CACHE, CI, HELM, case, cases, containers, one, pods
from fleet import binary, free_ports
from pods import Pod, World, accounts, certificate, decoded, program

NATS = program("nats-server", CACHE)
ORY = {name: program(name, CACHE) for name in ("oathkeeper", "keto")}


def secrets(folder: Path) -> dict[str, dict[str, str]]:
    """What the values files of `ci/` name, with contents that programs take."""
    broker = accounts(folder)
    seed = broker["fleet.creds"].split("-----BEGIN USER NKEY SEED-----")[1].split()[0]
    tls = certificate(folder, "DNS:broker")
    return {
        "accounts": broker,
        "broker": {"user": "fleet", "password": "pa55", "token": "t0ken", "nkey.seed": seed, "fleet.creds": broker["fleet.creds"]},
        "broker-tls": tls,
        "nats-ca": tls,
        "fleet-tls": tls,
        "scylla-ca": tls,
        "sealing": {"key": decoded(32), "sealing-key": decoded(32)},
        "scylla": {"password": "s"},
        "clickhouse": {"password": "c"},
        "keto": {"dsn": "memory"},
        "otel": {"headers": "authorization=Bearer t0ken"},
        "otel-ca": tls,
        "oathkeeper": {},
    }


@unittest.skipUnless((HELM and NATS) or CI, "helm or nats-server is not installed")
class Told(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.room = tempfile.TemporaryDirectory()
        cls.secrets = secrets(Path(cls.room.name))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.room.cleanup()

    def pods_of(self, name: str, folder: Path) -> list[Pod]:
        documents = case(name)
        world = World(documents, folder, self.secrets, {})
        world.programs = {"eventrunner": binary("eventrunner"), "nats": NATS, **ORY}
        templates = [(kind.split(" ")[1], pod) for kind, pod in pods(documents).items()]
        world.settle(templates)
        return [Pod(world, each, pod) for each, pod in templates]

    def test_the_binary_takes_each_command_with_its_environment(self) -> None:
        told = set()
        for name in cases():
            with tempfile.TemporaryDirectory() as folder:
                for pod in self.pods_of(name, Path(folder)):
                    pod.make_volumes()
                    for container in containers({"spec": pod.spec}):
                        if "eventrunner" not in container["image"]:
                            continue
                        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **pod.environment(container)}
                        command = pod.command(container)
                        wrong = (tuple(command[1:]), tuple(sorted(container_env(container))))
                        if wrong in told and name != "services-everything":
                            continue
                        told.add(wrong)
                        with self.subTest(case=name, pod=pod.name, container=container["name"]):
                            for words in ([*command, "--help"], [command[0], "config", "check"]):
                                done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
                                self.assertEqual(done.returncode, 0, f"{words[1:]}: {done.stderr}")
        self.assertGreaterEqual({words[0] for words, _ in told}, {"up", "ingest-http", "ingest-grpc", "normalizer", "engine", "api", "billing", "migrate", "verify"})

    def test_what_is_set_arrives(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for pod in self.pods_of("services-external", Path(folder)):
                if not pod.name.endswith("-engine"):
                    continue
                pod.make_volumes()
                env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **pod.environment(pod.spec["containers"][0])}
                done = subprocess.run([binary("eventrunner"), "config", "print", "--changed"], env=env, capture_output=True, text=True, check=True)
        values = dict(line.split("  # ")[0].split(" = ", 1) for line in done.stdout.splitlines())
        self.assertEqual(json.loads(values["store.cql.nodes"]), ["scylla-0:9042", "scylla-1:9042"])
        self.assertEqual(values["store.cql.keyspace"], '"events"')
        self.assertEqual(values["store.clickhouse.database"], '"usage"')
        self.assertEqual(values["topology.replicas"], "3")
        self.assertEqual(values["topology.tenant_bytes_max"], "2147483648")
        self.assertEqual(values["engine.members.replica"], '"rel-eventrunner-engine"')
        self.assertNotIn("pa55", done.stdout)

    def test_the_broker_takes_its_configuration(self) -> None:
        seen = 0
        for name in cases():
            with tempfile.TemporaryDirectory() as folder:
                for pod in self.pods_of(name, Path(folder)):
                    pod.make_volumes()
                    for container in containers({"spec": pod.spec}):
                        if container["name"] != "nats":
                            continue
                        env = {"PATH": os.environ["PATH"], **pod.environment(container)}
                        done = subprocess.run([*pod.command(container), "-t"], env=env, capture_output=True, text=True, check=False)
                        self.assertEqual(done.returncode, 0, f"{name}: {done.stderr}")
                        seen += 1
        self.assertGreater(seen, 10)

    def test_keda_finds_consumers_that_migrations_make(self) -> None:
        port, monitor = free_ports(2), free_ports(2) + 1
        with tempfile.TemporaryDirectory() as folder:
            listen = ["--addr", "127.0.0.1", "--port", str(port), "--http_port", str(monitor)]
            server = subprocess.Popen([NATS, "--jetstream", "--store_dir", folder, *listen], stderr=subprocess.DEVNULL)
            try:
                settings = ["--set", f"nats.url=nats://127.0.0.1:{port}", "--set", "topology.durability=process", "--set", "topology.partitions=12"]
                env = {"PATH": os.environ["PATH"], "HOME": folder}
                subprocess.run([binary("eventrunner"), "migrate", *settings], env=env, check=True, capture_output=True)
                for name in ("normalizer", "engine"):
                    for trigger in one(case("services-keda"), "ScaledObject", name)["spec"]["triggers"]:
                        self.assertEqual(lag(monitor, trigger["metadata"]), 0, trigger)
                wrong = {**trigger["metadata"], "consumer": "p12"}
                self.assertIsNone(lag(monitor, wrong), "there are no more")
            finally:
                server.kill()
                server.wait()

    @unittest.skipUnless(all(ORY.values()) or CI, "Ory's servers are not installed: make test-gateway")
    def test_ory_servers_start_and_answer_their_probes(self) -> None:
        for name in ("oathkeeper", "keto"):
            with tempfile.TemporaryDirectory() as folder:
                keys = subprocess.run([ORY["oathkeeper"], "credentials", "generate", "--alg", "RS256"], capture_output=True, text=True, check=True)
                self.secrets["oathkeeper"]["id_token.jwks.json"] = keys.stdout
                (pod,) = [p for p in self.pods_of("services-ory-memory", Path(folder)) if p.name.endswith(f"-{name}")]
                try:
                    pod.start()
                    pod.wait_until_ready(30)
                    if name == "oathkeeper":
                        with urllib.request.urlopen(f"http://{pod.address}:4456/rules") as answer:
                            rules = {rule["id"]: rule["upstream"]["url"] for rule in json.load(answer)}
                        # The file's host is the API's service, which is nobody's address here.
                        self.assertEqual(set(rules), {"eventrunner-api", "eventrunner-mcp"})
                        self.assertEqual(set(rules.values()), {f"http://{pod.world.hosts['rel-eventrunner-api']}:8081"})
                    self.assertEqual(set(pod.stop().values()), {0})
                finally:
                    pod.kill()


def container_env(container: dict) -> list[str]:
    return [f"{e['name']}={e.get('value', e.get('valueFrom'))}" for e in container.get("env", [])]


def lag(port: int, metadata: dict) -> int | None:
    """What KEDA's scaler `nats-jetstream` takes for waiting, and where it looks for it."""
    query = urllib.parse.urlencode({"acc": metadata["account"], "consumers": "true", "config": "true"})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/jsz?{query}") as answer:
        accounts = json.load(answer)["account_details"]
    for stream in (s for a in accounts if a["name"] == metadata["account"] for s in a["stream_detail"]):
        for consumer in stream["consumer_detail"] if stream["name"] == metadata["stream"] else []:
            if consumer["name"] == metadata["consumer"]:
                return consumer["num_pending"] + consumer["num_ack_pending"]
    return None


if __name__ == "__main__":
    unittest.main()
