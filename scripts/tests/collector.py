"""An OpenTelemetry collector of a test's own (scripts/otel), and what it has received."""

import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet import free_ports
from pods import certificate

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventrunner"
PROGRAM = CACHE / "bin" / "otel"
WAIT_SECONDS = 60

CONFIG = """
receivers:
  otlp:
    protocols:
      http: {{ endpoint: "127.0.0.1:{http}" }}
      grpc: {{ endpoint: "127.0.0.1:{grpc}" }}
  otlp/encrypted:
    protocols:
      http: {{ endpoint: "127.0.0.1:{https}", tls: {{ cert_file: "{folder}/tls.crt", key_file: "{folder}/tls.key" }} }}
      grpc: {{ endpoint: "127.0.0.1:{grpcs}", tls: {{ cert_file: "{folder}/tls.crt", key_file: "{folder}/tls.key" }} }}
exporters:
  lines: {{ path: "{lines}" }}
service:
  pipelines:
    traces: {{ receivers: [otlp, otlp/encrypted], exporters: [lines] }}
    metrics: {{ receivers: [otlp, otlp/encrypted], exporters: [lines] }}
    logs: {{ receivers: [otlp, otlp/encrypted], exporters: [lines] }}
"""


def attributes(of: dict) -> dict:
    """OTLP's attributes as a dictionary."""
    return {a["key"]: next(iter(a["value"].values()), None) for a in of.get("attributes", [])}


@dataclass
class Span:
    """A span with the service it comes from."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: list[tuple[str, str]]
    attributes: dict
    start: int
    end: int
    failed: bool

    def __str__(self) -> str:
        return f"{self.service}: {self.name}"


class Collector:
    """Starts, and waits until it listens."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="eventrunner-otel-")
        folder = Path(self.folder.name)
        self.lines, self.log = folder / "lines", folder / "log"
        self.http = free_ports(4)
        self.config = folder / "config.yaml"
        certificate(folder, "IP:127.0.0.1")
        self.ca_file = folder / "ca.crt"
        ports = {"http": self.http, "grpc": self.http + 1, "https": self.http + 2, "grpcs": self.http + 3}
        self.config.write_text(CONFIG.format(lines=self.lines, folder=folder, **ports))
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen([PROGRAM, "--config", f"file:{self.config}"], stdout=log, stderr=log)
        self.wait(self.listens, "the collector does not start")

    def listens(self) -> bool:
        assert self.process and self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.http_url}/v1/traces", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def grpc_url(self) -> str:
        return f"http://127.0.0.1:{self.http + 1}"

    def encrypted_url(self, protocol: str) -> str:
        return f"https://127.0.0.1:{self.http + (3 if protocol == 'grpc' else 2)}"

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(30)
        self.folder.cleanup()

    def received(self, kind: str) -> Iterator[tuple[dict, dict]]:
        """What was received under `resourceSpans`, `resourceMetrics` or `resourceLogs`, with its resource."""
        text = self.lines.read_text() if self.lines.exists() else ""
        # The last line may be being written.
        for line in text.splitlines(keepends=True):
            if line.endswith("\n"):
                for part in json.loads(line).get(kind, []):
                    yield attributes(part["resource"]), part

    def spans(self, trace: str | None = None) -> list[Span]:
        found = []
        for resource, part in self.received("resourceSpans"):
            for scope in part["scopeSpans"]:
                for span in scope["spans"]:
                    if trace in (None, span["traceId"]):
                        found.append(
                            Span(
                                resource["service.name"],
                                span["name"],
                                span["kind"],
                                span["traceId"],
                                span["spanId"],
                                span.get("parentSpanId", ""),
                                [(link["traceId"], link["spanId"]) for link in span.get("links", [])],
                                attributes(span),
                                int(span["startTimeUnixNano"]),
                                int(span["endTimeUnixNano"]),
                                span.get("status", {}).get("code") == 2,
                            )
                        )
        return sorted(found, key=lambda span: span.start)

    def metrics(self) -> dict[str, list[tuple[dict, dict]]]:
        """Each metric by name, as often as it was received."""
        found: dict[str, list[tuple[dict, dict]]] = {}
        for resource, part in self.received("resourceMetrics"):
            for scope in part["scopeMetrics"]:
                for metric in scope["metrics"]:
                    found.setdefault(metric["name"], []).append((resource, metric))
        return found

    def logs(self) -> list[tuple[dict, dict]]:
        return [
            (resource, record)
            for resource, part in self.received("resourceLogs")
            for scope in part["scopeLogs"]
            for record in scope["logRecords"]
        ]

    def wait(self, until: Callable[[], object], lacking: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not until():
            if time.monotonic() > deadline:
                raise AssertionError(f"{lacking}\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)
