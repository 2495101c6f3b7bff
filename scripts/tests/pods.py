"""Pods as processes: what a rendered pod would run, with the environment, files and probes that it would have.

There are no containers here, so each pod has an address of its own (127.0.1.N) instead of 0.0.0.0, a folder for each volume instead of a
mount, and addresses instead of the names of services.
"""

import base64
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc

from fleet import binary

NAMESPACE = "events"


class World:
    """What pods find: ConfigMaps, secrets, names."""

    def __init__(self, documents: list[dict], folder: Path, secrets: dict[str, dict[str, str]], hosts: dict[str, str]) -> None:
        self.documents, self.folder, self.secrets = documents, folder, secrets
        self.configs = {d["metadata"]["name"]: d.get("data", {}) for d in documents if d["kind"] == "ConfigMap"}
        # What programs each image's entry point stands for.
        self.programs: dict[str, Path] = {}
        self.addresses: dict[str, str] = {}
        self.labels: dict[str, dict] = {}
        self.hosts = dict(hosts)

    def settle(self, names: list[tuple[str, dict]]) -> None:
        """Gives each pod an address, and services those of the pods they choose."""
        for number, (name, pod) in enumerate(names, start=1):
            self.addresses[name] = f"127.0.1.{number}"
            self.labels[name] = pod["metadata"]["labels"]
        self.route()

    def route(self, away: str = "") -> None:
        """Leads each service to the first of its pods that is not `away`."""
        for document in self.documents:
            if document["kind"] != "Service":
                continue
            service, selector = document["metadata"]["name"], document["spec"]["selector"]
            chosen = [name for name, labels in self.labels.items() if selector.items() <= labels.items()]
            for name in chosen:
                self.hosts[f"{name}.{service}.{NAMESPACE}.svc"] = self.addresses[name]
            if there := [name for name in chosen if name != away]:
                self.hosts[f"{service}.{NAMESPACE}.svc"] = self.hosts[service] = self.addresses[there[0]]

    def resolved(self, text: str, address: str, mounts: dict[str, Path]) -> str:
        """Text as it holds here: names, addresses and paths replaced."""
        text = text.replace("127.0.0.1", address)
        for path, here in sorted(mounts.items(), key=lambda item: -len(item[0])):
            text = re.sub(rf"(?<![\w.-]){re.escape(path)}(?=[/\"']|$)", str(here), text, flags=re.MULTILINE)
        for name, host in sorted(self.hosts.items(), key=lambda item: -len(item[0])):
            at, _, port = host.partition(":")
            replaced = rf"{at}:{port}" if port else at
            pattern = rf"(?<![\w.-]){re.escape(name)}" + (r":\d+" if port else "") + r"(?![\w.-])"
            text = re.sub(pattern, replaced, text)
        return text.replace("0.0.0.0:", f"{address}:").replace("host: 0.0.0.0", f"host: {address}")


class Pod:
    def __init__(self, world: World, name: str, pod: dict) -> None:
        self.world, self.name, self.spec = world, name, pod["spec"]
        self.annotations = pod["metadata"].get("annotations", {})
        self.address = world.addresses[name]
        # Not by its name, which would be taken for a host's. What is in it outlives the pod, as a volume does.
        self.folder = world.folder / f"pod{self.address.rpartition('.')[2]}"
        self.folder.mkdir(exist_ok=True)
        self.processes: dict[str, subprocess.Popen] = {}

    def mounts(self, container: dict) -> dict[str, Path]:
        return {m["mountPath"]: self.folder / m["name"] for m in container.get("volumeMounts", [])}

    def make_volumes(self) -> None:
        every: dict[str, Path] = {}
        for container in self.spec.get("initContainers", []) + self.spec["containers"]:
            every |= self.mounts(container)
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", [])}
        for here in every.values():
            here.mkdir(exist_ok=True)
            volume = volumes.get(here.name, {})
            if config := volume.get("configMap"):
                for file, text in self.world.configs[config["name"]].items():
                    (here / file).write_text(self.world.resolved(text, self.address, every))
            for item in volume.get("downwardAPI", {}).get("items", []):
                annotation = re.fullmatch(r"metadata\.annotations\['(.+)'\]", item["fieldRef"]["fieldPath"])
                (here / item["path"]).write_text(self.annotations[annotation[1]])
            if secret := volume.get("secret"):
                entries = self.world.secrets[secret["secretName"]]
                for item in secret.get("items") or [{"key": key, "path": key} for key in entries]:
                    (here / item["path"]).write_text(entries[item["key"]])

    def environment(self, container: dict) -> dict[str, str]:
        mounts, made = self.mounts(container), {}
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            if secret := source.get("secretKeyRef"):
                made[variable["name"]] = self.world.secrets[secret["name"]][secret["key"]]
            elif field := source.get("fieldRef"):
                assert field["fieldPath"] == "metadata.name"
                made[variable["name"]] = self.name
            else:
                value = re.sub(r"\$\((\w+)\)", lambda found: made[found[1]], variable.get("value", ""))
                made[variable["name"]] = self.world.resolved(value, self.address, mounts)
        return made

    def command(self, container: dict) -> list[str]:
        image = container["image"].split("@")[0].rsplit(":", 1)[0].rsplit("/", 1)[-1]
        arguments = [self.world.resolved(word, self.address, self.mounts(container)) for word in container["args"]]
        return [str(self.world.programs[image]), *arguments]

    def run(self, container: dict) -> subprocess.Popen:
        # Nothing of whoever runs this, and no home that could be written to: the root of a container is read-only.
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **self.environment(container)}
        with (self.folder / f"{container['name']}.log").open("a") as log:
            return subprocess.Popen(self.command(container), env=env, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)

    def log(self, container: str) -> str:
        return (self.folder / f"{container}.log").read_text()

    def start(self, patience: float = 120) -> None:
        self.make_volumes()
        for container in self.spec.get("initContainers", []):
            if container.get("restartPolicy") == "Always":
                self.processes[container["name"]] = self.run(container)
                self.wait_for(container, "startupProbe", patience)
                continue
            code = self.run(container).wait(patience)
            assert code == 0, f"{self.name}: {container['name']} ended with {code}:\n{self.log(container['name'])}"
        for container in self.spec["containers"]:
            self.processes[container["name"]] = self.run(container)

    def asks(self, container: dict, probe: str) -> bool:
        check = container[probe]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        if "grpc" in check:
            with grpc.insecure_channel(f"{self.address}:{check['grpc']['port']}") as channel:
                ask = channel.unary_unary("/grpc.health.v1.Health/Check")
                try:
                    # SERVING is the first field's 1.
                    return ask(b"", timeout=2) == b"\x08\x01"
                except grpc.RpcError:
                    return False
        url = f"http://{self.address}:{ports[check['httpGet']['port']]}{check['httpGet']['path']}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_for(self, container: dict, probe: str, patience: float) -> None:
        deadline = time.monotonic() + patience
        process = self.processes[container["name"]]
        while not self.asks(container, probe):
            said = f"{self.name}: {container['name']}: {probe}\n{self.log(container['name'])[-4000:]}"
            assert process.poll() is None, f"ended with {process.returncode}: {said}"
            assert time.monotonic() < deadline, f"not within {patience} s: {said}"
            time.sleep(0.1)

    def wait_until_ready(self, patience: float = 120) -> None:
        for container in self.spec["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if probe in container:
                    self.wait_for(container, probe, patience)

    def stop(self) -> dict[str, int]:
        """As a kubelet would: what comes before the signal, the signal, the grace period; sidecars last."""
        codes = {}
        for container in reversed(self.spec.get("initContainers", []) + self.spec["containers"]):
            process = self.processes.get(container["name"])
            if not process or process.poll() is not None:
                continue
            hook = container.get("lifecycle", {}).get("preStop", {})
            if "exec" in hook:
                words = [self.world.resolved(word, self.address, self.mounts(container)) for word in hook["exec"]["command"]]
                words = [re.sub(r"=/run/nats", f"={self.folder}/run", word) for word in words]
                subprocess.run(words, check=True, capture_output=True)
            process.send_signal(signal.SIGTERM)
            try:
                codes[container["name"]] = process.wait(self.spec.get("terminationGracePeriodSeconds", 30))
            except subprocess.TimeoutExpired:
                process.kill()
                codes[container["name"]] = process.wait()
        return codes

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def decoded(length: int) -> str:
    """A new key, as a secret would hold it."""
    return base64.b64encode(os.urandom(length)).decode()


def made(folder: Path, *command: str | Path) -> None:
    subprocess.run([str(word) for word in command], cwd=folder, check=True, capture_output=True)


def certificate(folder: Path, *names: str) -> dict[str, str]:
    """A certificate with its key and who vouches for it, as a secret holds them."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    made(folder, "openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.crt")
    made(folder, "openssl", "req", *key, "-subj", "/CN=broker", "-keyout", "tls.key", "-out", "tls.csr")
    (folder / "tls.ext").write_text(f"subjectAltName={','.join(names)}\nextendedKeyUsage=serverAuth,clientAuth\n")
    signed_by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    made(folder, "openssl", "x509", "-req", "-in", "tls.csr", *signed_by, "-extfile", "tls.ext", "-out", "tls.crt")
    return {name: (folder / name).read_text() for name in ("tls.key", "tls.crt", "ca.crt")}


def accounts(folder: Path) -> dict[str, str]:
    """What makes a broker know accounts, as a secret holds it."""
    made(folder, binary("eventrunner"), "nats", "init", "--folder", "accounts", "--node-folder", "/data/nats-accounts")
    return {file.name: file.read_text() for file in (folder / "accounts").iterdir()}


def program(name: str, cache: Path) -> Path | None:
    found = cache / "bin" / name
    return found if found.is_file() else Path(path) if (path := shutil.which(name)) else None
