"""The chart on a real API server with simulated nodes: what Helm, the controllers and the admission make of it."""

import json
import sys
import unittest
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from chart import CHART, case
from cluster import CACHE, Cluster

# Left by Helm and the chart on purpose: volumes with what was accepted. What a namespace has by itself.
KEPT = {"persistentvolumeclaims"}
OWN = {"serviceaccounts/default", "configmaps/kube-root-ca.crt"}
PATIENCE = "90s"


class Chart(unittest.TestCase):
    cluster: Cluster

    @classmethod
    def setUpClass(cls) -> None:
        cls.cluster = Cluster()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.cluster.stop()

    def setUp(self) -> None:
        # Whatever does not hold to the restricted level is refused, and nothing is made of it.
        self.namespace = f"t{self._testMethodName.removeprefix('test_')[:40].replace('_', '-')}"
        self.cluster.kubectl("create", "namespace", self.namespace)
        self.cluster.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        self.cluster.kubectl("create", "priorityclass", "high", "--value=1", check=False)

    def tearDown(self) -> None:
        for node in self.nodes():
            self.cluster.kubectl("uncordon", node)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def nodes(self) -> list[str]:
        return [name.removeprefix("node/") for name in self.cluster.kubectl("get", "nodes", "--output=name").split()]

    def helm(self, verb: str, *words: str, check: bool = True):
        return self.cluster.run("helm", verb, "rel", *words, "--namespace", self.namespace, check=check)

    def release(self, verb: str, values: str, *words: str, check: bool = True):
        file = CHART / f"ci/{values}-values.yaml"
        return self.helm(verb, str(CHART), "--values", str(file), "--wait", "--timeout", PATIENCE, *words, check=check)

    def objects(self, kind: str) -> list[dict]:
        return json.loads(self.cluster.kubectl("get", kind, "--namespace", self.namespace, "--output=json"))["items"]

    def images(self) -> set[str]:
        return {c["image"] for d in self.objects("deployments") for c in d["spec"]["template"]["spec"]["containers"]}

    def left(self) -> set[str]:
        """Everything in the namespace that somebody put there."""
        kinds = self.cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
        kinds = [kind for kind in kinds if kind.split(".")[0] not in {"events", "endpoints", "endpointslices", "leases"} and "metrics" not in kind]
        found = set()
        for kind in kinds:
            names = self.cluster.kubectl("get", kind, "--namespace", self.namespace, "--output=jsonpath={.items[*].metadata.name}").split()
            found |= {f"{kind.split('.')[0]}/{name}" for name in names}
        return found - OWN

    def gone(self) -> None:
        self.cluster.wait_for(lambda: {each.split("/")[0] for each in self.left()} <= KEPT, f"still there: {self.left()}")

    def available(self) -> bool:
        return all(d["status"].get("readyReplicas", 0) == d["spec"]["replicas"] for kind in ("deployments", "statefulsets") for d in self.objects(kind))

    def install_upgrade_rollback_uninstall(self, values: str, upgrade: str) -> None:
        self.release("install", values)
        self.assertTrue(self.available())
        before = {d["metadata"]["name"]: d["spec"]["template"] for kind in ("deployments", "statefulsets") for d in self.objects(kind)}
        self.release("upgrade", values, "--set", upgrade)
        after = {d["metadata"]["name"]: d["spec"]["template"] for kind in ("deployments", "statefulsets") for d in self.objects(kind)}
        self.assertNotEqual(before, after)
        self.assertTrue(self.available())
        self.helm("rollback", "1", "--wait", "--timeout", PATIENCE)
        back = {d["metadata"]["name"]: d["spec"]["template"] for kind in ("deployments", "statefulsets") for d in self.objects(kind)}
        self.assertEqual(before, back)
        self.helm("test")
        self.helm("uninstall", "--wait", "--timeout", PATIENCE)
        self.gone()

    def test_one_pod_lives_and_goes(self) -> None:
        self.install_upgrade_rollback_uninstall("single", "defaults.image.tag=0.1.1")
        self.assertEqual(self.left(), {"persistentvolumeclaims/data-rel-eventrunner-0"})

    def test_services_live_and_go(self) -> None:
        self.install_upgrade_rollback_uninstall("services", "defaults.image.tag=0.1.1")
        self.assertEqual(self.left(), {f"persistentvolumeclaims/data-rel-eventrunner-nats-{n}" for n in range(3)})

    def test_migrations_come_before_a_release_and_before_an_upgrade(self) -> None:
        self.release("install", "services-external")
        self.assertFalse(self.objects("jobs"), "a hook that has done its work is gone")
        # One that cannot be started ends the upgrade before anything is changed.
        failed = self.release("upgrade", "services-external", "--set", "defaults.image.repository=bad.invalid/x", "--timeout", "10s", check=False)
        self.assertIn("pre-upgrade hooks failed", failed.stderr)
        self.assertEqual(self.images(), {"eventrunner:0.1.0"})
        self.assertTrue(self.available())
        self.helm("uninstall", "--wait", "--timeout", PATIENCE)
        # Backups are for the day on which the release is gone.
        kept = {"persistentvolumeclaims/rel-eventrunner-backup"}
        self.assertEqual(self.left() - {name for name in self.left() if name.startswith(("jobs/", "pods/"))}, kept)

    def test_an_image_that_cannot_start_is_taken_back(self) -> None:
        bad = ("--atomic", "--timeout", "15s", "--set", "defaults.image.repository=bad.invalid/x")
        failed = self.release("install", "services", *bad, check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("context deadline exceeded", failed.stderr)
        self.gone()
        self.release("install", "services")
        failed = self.release("upgrade", "services", *bad, check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("rolled back due to atomic being set", failed.stderr)
        self.assertEqual(self.images(), {"eventrunner:0.1.0"})
        self.cluster.wait_for(self.available, "the former pods")
        self.helm("uninstall", "--wait", "--timeout", PATIENCE)

    def test_a_drain_leaves_enough_of_each(self) -> None:
        self.release("install", "services")
        drain = ("drain", "--ignore-daemonsets", "--delete-emptydir-data")
        # The pods that are to come find no place: the brokers of one node may go, those of a second must wait.
        on = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in self.objects("pods") if "-nats-" in pod["metadata"]["name"]}
        self.assertEqual(len(on), 3, "a broker on each node")
        first, second, third = sorted(on)
        for node in (first, second, third):
            self.cluster.kubectl("cordon", node)
        self.cluster.kubectl(*drain, first, "--timeout=30s", "--pod-selector=app.kubernetes.io/component=nats")
        refused = self.cluster.run("kubectl", *drain, second, "--timeout=8s", "--pod-selector=app.kubernetes.io/component=nats", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("violate the pod's disruption budget", refused.stderr)
        # As soon as there is a place again, it goes on; every service keeps all but one of its pods meanwhile.
        self.cluster.kubectl("uncordon", first)
        self.cluster.wait_for(self.available, "the pod that waited")
        self.cluster.kubectl(*drain, second, "--timeout=120s")
        self.assertFalse([p for p in self.objects("pods") if p["spec"].get("nodeName") == second])
        for budget in self.objects("poddisruptionbudgets"):
            status = budget["status"]
            self.assertEqual(status["desiredHealthy"], status["expectedPods"] - 1, budget["metadata"]["name"])
        self.helm("uninstall", "--wait", "--timeout", PATIENCE)

    def test_custom_resources_are_taken_by_their_definitions(self) -> None:
        # Installed last of all, so that the other tests see a cluster without them.
        missing = self.release("install", "services-keda", check=False)
        self.assertIn("needs KEDA, which this cluster does not have", missing.stderr)
        for file in sorted((CACHE / "crds").glob("*.yaml")):
            # Server-side: some are larger than the annotation that the client would make of them.
            self.cluster.kubectl("apply", "--server-side", "--filename", str(file))
        self.cluster.kubectl("wait", "--for=condition=Established", "customresourcedefinition", "--all", "--timeout=60s")
        for values, kinds in {
            "services-keda": {"scaledobjects": 2},
            "services-gateway": {"httproutes": 2, "grpcroutes": 1},
            "services-hpa": {"horizontalpodautoscalers": 6},
            "services-ingress": {"ingresses": 3},
            "services-ory": {"httproutes": 1},
        }.items():
            with self.subTest(values):
                # Nobody here makes load balancers.
                self.release("install", values, "--set", "services.ingestHttp.service.type=NodePort")
                for kind, count in kinds.items():
                    self.assertEqual(len(self.objects(kind)), count)
                self.helm("uninstall", "--wait", "--timeout", PATIENCE)
        # Everything else that there is, as the strict API server sees it; nothing of it is kept.
        for values in ("services-operators", "services-everything", "single-everything"):
            documents = [d for d in case(values) if d["kind"] != "ClickHouseInstallation"]
            for document in documents:
                document = {**document, "metadata": {**document["metadata"], "namespace": self.namespace}}
                said = self.cluster.run("kubectl", "create", "--dry-run=server", "--validate=strict", "--filename", "-", stdin=yaml.safe_dump(document))
                self.assertNotIn("Warning", said.stderr, f"{document['kind']} {document['metadata']['name']}")

    def test_the_restricted_level_is_in_force(self) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
        refused = self.cluster.run("kubectl", "apply", "--namespace", self.namespace, "--filename", "-", stdin=yaml.safe_dump(pod), check=False)
        self.assertIn('violates PodSecurity "restricted', refused.stderr)

    def test_a_wrong_release_is_refused_before_anything_is_made(self) -> None:
        failed = self.release("install", "services", "--set", "sealing.existingSecret=", check=False)
        self.assertIn("sealing.existingSecret is needed", failed.stderr)
        self.assertEqual(self.left(), set())


def load_tests(loader: unittest.TestLoader, *_) -> unittest.TestSuite:
    """The definitions of others last: a cluster does not forget them."""
    names = sorted(loader.getTestCaseNames(Chart), key=lambda name: ("custom" in name, name))
    return unittest.TestSuite([Chart(name) for name in names])


if __name__ == "__main__":
    unittest.main(verbosity=2)
