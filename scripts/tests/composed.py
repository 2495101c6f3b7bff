"""The services of docker-compose.yml without containers: the same programs with the same arguments, environment and files, each host
name and port of compose's network made one of 127.0.0.1.

Cassandra stands in for ScyllaDB, and the ClickHouse engine of `scripts/tools.sh clickhouse` for its server. What has no program
here (Grafana, Jaeger, the collector) is left out.
"""

import atexit
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from fleet import ROOT, binary

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventrunner"
FILE = ROOT / "docker-compose.yml"
START_SECONDS = 120
NATS = ("nats-1", "nats-2", "nats-3")
SERVICES = ("ingest-http", "ingest-grpc", "normalizer", "engine", "api", "billing")
# The ports of each service, as its container has them.
PORTS = {
    **{name: (4222, 6222, 8222) for name in NATS},
    "scylla": (9042,),
    "clickhouse": (8123, 9000),
    **{name: (9600,) for name in SERVICES},
    "ingest-http": (8080, 9600),
    "ingest-grpc": (9090, 9600),
    "api": (8081, 9600),
    "migrate": (),
    "demo": (),
    "keto": (4466, 4467, 4468, 4469),
    "oathkeeper": (4455, 4456, 9000),
    "prometheus": (9090,),
}


def tool(name: str) -> Path:
    return CACHE / "bin" / name


def project(*profiles: str, environment: dict[str, str] | None = None) -> dict:
    """The file as compose's own parser resolves it."""
    done = subprocess.run(
        [tool("compose-check"), FILE, *profiles],
        env={"PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url: str, timeout: float = 5) -> str:
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def wait_for(what: str, holds, seconds: float = START_SECONDS):
    """What `holds` gives, once it gives something."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            if found := holds():
                return found
        except (OSError, AssertionError, ValueError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {seconds} s: {last}")


class Composed:
    """The services of a project as processes. `more` is further environment for the fleet's services."""

    def __init__(self, *profiles: str, settings: dict[str, str] | None = None, more: dict[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="eventrunner-composed-"))
        atexit.register(self.stop)
        self.services: dict[str, dict] = project(*profiles, environment=settings)["services"]
        self.more = more or {}
        # What a test changes of a file that is mounted: by the name of its service.
        self.edits: dict[str, Callable[[str], str]] = {}
        self.ports = {(name, port): free_port() for name, ports in PORTS.items() for port in ports}
        self.running: dict[str, subprocess.Popen] = {}

    # What becomes of names and paths.

    def here(self, text: str, service: str) -> str:
        """Names of hosts, listeners and folders of the container, as they are here."""
        for (name, port), ours in self.ports.items():
            text = re.sub(rf"(?<![\w.-]){name}:{port}\b", f"127.0.0.1:{ours}", text)
        for port in PORTS.get(service, ()):
            text = re.sub(rf"\b(0\.0\.0\.0|127\.0\.0\.1|localhost):{port}\b", f"127.0.0.1:{self.ports[service, port]}", text)
            text = re.sub(rf"\bhost: [\d.]+, port: {port}\b", f"host: 127.0.0.1, port: {self.ports[service, port]}", text)
        for target in sorted(self.mounts(service), key=len, reverse=True):
            text = re.sub(rf"(?<![\w.-]){re.escape(target)}(?![\w-])", str(self.mounted(service, target)), text)
        return text

    def mounts(self, service: str) -> dict[str, dict]:
        return {volume["target"]: volume for volume in self.services[service].get("volumes", [])}

    def mounted(self, service: str, target: str) -> Path:
        volume = self.mounts(service)[target]
        if volume["type"] == "volume":
            folder = self.folder / "volumes" / volume["source"]
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        return self.folder / "files" / service / target.lstrip("/")

    def write_files(self, service: str) -> None:
        """Copies of the files that are mounted, with names and paths of here."""
        for target, volume in self.mounts(service).items():
            if volume["type"] != "bind":
                continue
            source, to = ROOT / volume["source"], self.mounted(service, target)
            for file in [source] if source.is_file() else source.iterdir():
                path = to if source.is_file() else to / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                edit = self.edits.get(service, str)
                path.write_text(edit(self.here(file.read_text(), service)))

    def environment(self, service: str) -> dict[str, str]:
        declared = {name: value for name, value in self.services[service].get("environment", {}).items() if value is not None}
        if self.is_ours(service):
            declared = {**image_environment(), **declared, **self.more}
            # Published ports are those of here.
            for name, port in {"EVENTRUNNER_URL": ("ingest-http", 8080), "EVENTRUNNER_API_URL": ("api", 8081)}.items():
                if declared[name] == f"http://127.0.0.1:{port[1]}":
                    declared[name] = f"http://127.0.0.1:{self.ports[port]}"
            if (service, 9600) in self.ports:
                declared["EVENTRUNNER_HEALTHCHECK_URL"] = f"http://127.0.0.1:{self.ports[service, 9600]}/healthz/ready"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENTRUNNER_")}
        return {**kept, **{name: self.here(value, service) for name, value in declared.items()}}

    def is_ours(self, service: str) -> bool:
        return self.services[service]["image"].startswith("eventrunner:")

    def command(self, service: str) -> list[str]:
        given = [self.here(word, service) for word in self.services[service].get("command") or []]
        if self.is_ours(service):
            return [str(binary("eventrunner")), *given]
        if service in NATS:
            return [str(tool("nats-server")), *given]
        if service == "scylla":
            folder = self.mounted(service, "/var/lib/scylla")
            return [str(ROOT / "scripts/cassandra.sh"), str(folder), str(self.ports[service, 9042])]
        if service == "clickhouse":
            return self.clickhouse()
        if service == "prometheus":
            return [str(tool("prometheus")), *given, f"--web.listen-address=127.0.0.1:{self.ports[service, 9090]}"]
        return [str(tool(service)), *given]

    def clickhouse(self) -> list[str]:
        """The image brings these users, to which users.d adds."""
        folder = self.folder / "files" / "clickhouse" / "etc" / "clickhouse-server"
        (folder / "users.xml").write_text(
            "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/><networks>"
            "<ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users></clickhouse>"
        )
        (folder / "config.xml").write_text(f"<clickhouse><users_config>{folder}/users.xml</users_config></clickhouse>")
        data = self.mounted("clickhouse", "/var/lib/clickhouse")
        ports = [str(self.ports["clickhouse", port]) for port in (8123, 9000)]
        return [str(ROOT / "scripts/clickhouse.sh"), str(data), *ports, f"--config-file={folder}/config.xml"]

    # Running.

    def start(self, *names: str) -> None:
        for name in names:
            self.write_files(name)
            with (self.folder / f"{name}.log").open("a") as log:
                self.running[name] = subprocess.Popen(
                    self.command(name), env=self.environment(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    cwd=self.folder, start_new_session=True,
                )

    def run(self, name: str) -> str:
        """A service that ends, until it has; gives what it printed."""
        done = subprocess.run(
            self.command(name), env=self.environment(name), cwd=self.folder, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def exec(self, service: str, *arguments: str) -> str:
        """`docker compose exec SERVICE eventrunner ...`."""
        done = subprocess.run(
            [str(binary("eventrunner")), *arguments], env=self.environment(service), capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def health_check(self, service: str) -> bool:
        """Its health check, by the words of the file."""
        words = [self.here(word, service) for word in self.services[service]["healthcheck"]["test"]]
        if words[:4] == ["CMD", "wget", "-q", "-O-"]:
            with contextlib.suppress(urllib.error.URLError, OSError):
                get(words[4])
                return True
            return False
        if words[1] == "cqlsh":
            # There is none here; Cassandra says it in its log.
            return "Starting listening for CQL clients" in self.log(service)
        program = str(binary("eventrunner")) if words[1] == "/usr/local/bin/eventrunner" else str(tool(words[1]))
        done = subprocess.run([program, *words[2:]], env=self.environment(service), capture_output=True, timeout=20, check=False)
        return done.returncode == 0

    def wait_healthy(self, *names: str) -> None:
        for name in names:
            def healthy(name: str = name) -> bool:
                if self.running[name].poll() is not None:
                    raise SystemError(f"{name} ended:\n{self.log(name)[-4000:]}")
                return self.health_check(name)

            try:
                wait_for(f"{name} is healthy", healthy)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.log(name)[-4000:]}") from None

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def url(self, service: str, port: int) -> str:
        return f"http://127.0.0.1:{self.ports[service, port]}"

    def kill(self, name: str, with_signal: int = signal.SIGTERM) -> int:
        process = self.running.pop(name)
        process.send_signal(with_signal)
        if with_signal != signal.SIGKILL:
            process.send_signal(signal.SIGCONT)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def stop(self) -> dict[str, int]:
        """The way events flow; gives the exit codes of the fleet's services."""
        fleet = [name for name in SERVICES if name in self.running]
        codes = {name: self.kill(name) for name in fleet}
        for name in list(self.running):
            self.kill(name, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        return codes


def image_environment() -> dict[str, str]:
    """What the image sets."""
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    return dict(re.findall(r"\b(EVENTRUNNER_\w+)=(\S+)", text))


SHARED: list[tuple[Composed, str]] = []


def shared() -> tuple[Composed, str]:
    """One for all tests of this process, with all profiles known and none of their services started."""
    if not SHARED:
        SHARED.append(start_core(profiles=("*",)))
    return SHARED[0]


def start_core(profiles: tuple[str, ...] = (), **given) -> tuple[Composed, str]:
    """Starts all but what the profiles add, and gives what `demo` printed."""
    composed = Composed(*profiles, **given)
    composed.start(*NATS, "scylla", "clickhouse")
    composed.wait_healthy(*NATS, "clickhouse", "scylla")
    composed.run("migrate")
    printed = composed.run("demo")
    composed.start(*SERVICES)
    composed.wait_healthy(*SERVICES)
    return composed, printed
