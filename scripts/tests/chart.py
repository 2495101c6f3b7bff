"""The Helm chart, rendered, for its tests."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventrunner"
CHART = ROOT / "deploy/helm/eventrunner"
HELM = shutil.which("helm")
CI = os.environ.get("CI") == "true"

# The kinds of other projects that the chart can make, by the API that a cluster must have for them.
APIS = (
    "monitoring.coreos.com/v1",
    "keda.sh/v1alpha1",
    "gateway.networking.k8s.io/v1",
    "scylla.scylladb.com/v1",
    "clickhouse.altinity.com/v1",
)
CAPABLE = tuple(word for api in APIS for word in ("--api-versions", api))


def helm(*arguments: str) -> subprocess.CompletedProcess:
    assert HELM, "helm is not installed: scripts/tools.sh python"
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


@functools.lru_cache(maxsize=None)
def render(*arguments: str, chart: Path = CHART) -> list[dict]:
    done = helm("template", "rel", str(chart), "--namespace", "events", *arguments)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def case(name: str, *arguments: str) -> list[dict]:
    """The documents of `ci/<name>-values.yaml`, in a cluster that has everything."""
    return render("--values", str(CHART / f"ci/{name}-values.yaml"), *CAPABLE, *arguments)


def cases() -> list[str]:
    return sorted(file.name.removesuffix("-values.yaml") for file in (CHART / "ci").glob("*-values.yaml"))


def one(documents: list[dict], kind: str, ending: str = "") -> dict:
    """The only one of its kind whose name ends so."""
    found = [d for d in documents if d["kind"] == kind and d["metadata"]["name"].endswith(ending)]
    assert len(found) == 1, f"{len(found)} of {kind} …{ending}"
    return found[0]


def named(documents: list[dict], kind: str) -> dict[str, dict]:
    return {d["metadata"]["name"]: d for d in documents if d["kind"] == kind}


def pods(documents: list[dict]) -> dict[str, dict]:
    """The pod templates of everything that makes pods: kind and name, metadata and spec."""
    found = {}
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] in {"Deployment", "StatefulSet", "Job"}:
            found[name] = document["spec"]["template"]
        elif document["kind"] == "CronJob":
            found[name] = document["spec"]["jobTemplate"]["spec"]["template"]
        elif document["kind"] == "Pod":
            found[name] = document
    return found


def containers(pod: dict) -> list[dict]:
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
