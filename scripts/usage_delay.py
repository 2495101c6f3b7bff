#!/usr/bin/env python3
"""How soon an event is in its tenant's usage: from the request that sends it until the API's sum has it.

    scripts/usage_delay.py [release|debug] [how many events] [what `eventrunner up` is given more]

With `--stores external --cql … --clickhouse …` the sum is ClickHouse's. The last line is one JSON object.
"""

import http.client
import json
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent / "tests"))

from fleet import Fleet, binary  # noqa: E402

SOON_SECONDS = 30


class Client:
    """One connection that is kept."""

    def __init__(self, url: str, key: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self.headers = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> dict:
        self.connection.request(method, path, body, {**self.headers, **headers})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text.decode()}"
        return json.loads(text or b"{}")


def main() -> int:
    profile, count, *more = [*sys.argv[1:], *["release", "300"][len(sys.argv[1:]) :]]
    fleet = Fleet(binary("eventrunner", profile), *more)
    try:
        door, api = (Client(fleet.env[name], fleet.env["KEY"]) for name in ("URL", "API"))
        used = lambda: sum(int(bucket["value"]) for bucket in api.ask("GET", "/api/v1/usage/demo")["buckets"])  # noqa: E731
        delays, before = [], used()
        for n in range(int(count)):
            event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/usage-delay", "type": "tick"}
            began = time.monotonic()
            door.ask("POST", "/v1/events", json.dumps(event), **{"Content-Type": "application/cloudevents+json"})
            while used() < before + n + 1:
                assert time.monotonic() < began + SOON_SECONDS, f"event {n} is not metered within {SOON_SECONDS} s"
                time.sleep(0.002)
            delays.append((time.monotonic() - began) * 1000)
    finally:
        fleet.stop()
    delays.sort()
    p50, p99 = (round(delays[int(len(delays) * part)], 1) for part in (0.5, 0.99))
    print(json.dumps({"scenario": "usage_delay", "events": len(delays), "p50_ms": p50, "p99_ms": p99, "max_ms": round(delays[-1], 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
