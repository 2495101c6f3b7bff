#!/usr/bin/env python3
"""Makes every alert fire on a live fleet: `scripts/observe/faults.py [ALERT...]`, or `make test-alerts`.

Compose's services run without containers (scripts/tests/composed.py), a real Prometheus scrapes them each second. The rules are the
chart's with every span of time a sixtieth of itself, so that five minutes are five seconds. First nothing may fire; then each fault is
made, must fire its alerts, and is mended. The last line is a JSON object of seconds until each
alert fired.

Some alerts come together, as the fault that makes a stream full also makes doors refuse.
"""

import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

import composed  # noqa: E402
from composed import NATS, Composed, get, tool, wait_for  # noqa: E402
from fleet import binary  # noqa: E402
from test_alerts import alerts  # noqa: E402
from test_compose import key_of  # noqa: E402
from test_dashboards import Answered, event, send  # noqa: E402

SHRINK = 60
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SETTINGS = {
    "EVENTRUNNER_BILLING__LOOK_INTERVAL_SECONDS": "1",
    "EVENTRUNNER_STORE__CLICKHOUSE__READ_TIMEOUT_MS": "1000",
    "EVENTRUNNER_BACKUP__AGE_HOURS_MAX": "36",
    # So that a few hundred events fill them.
    "EVENTRUNNER_TOPOLOGY__HOP_BYTES_MAX": str(8 << 20),
    # So that the streams fit into a small broker.
    **{f"EVENTRUNNER_TOPOLOGY__{name}_BYTES_MAX": str(16 << 20) for name in ("AUDIT", "DEAD", "IDEMPOTENCY", "INVOICES", "SESSIONS", "USAGE")},
    "EVENTRUNNER_TOPOLOGY__TENANT_BYTES_MAX": str(64 << 20),
}
# What a broker may store.
ROOM = "max_file_store: 300MB"


def shrunk(text: str) -> str:
    """Rules whose spans, holds and ages are a sixtieth."""
    def milliseconds(found: re.Match) -> str:
        return f"{int(found[2]) * SECONDS[found[3]] * 1000 // SHRINK}ms"

    text = re.sub(r"(\[)(\d+)([smhd])(?=\])", lambda m: "[" + milliseconds(m), text)
    text = re.sub(r"(for: )(\d+)([smhd])\b", lambda m: "for: " + milliseconds(m), text)
    # Ages in seconds.
    return re.sub(r"> (60|600|1800)\b(?! \*)", lambda m: f"> {int(m[1]) // SHRINK}", text)


def settings(text: str) -> str:
    if "scrape_configs" not in text:
        return shrunk(text)
    text = text.replace("scrape_interval: 5s", "scrape_interval: 1s").replace("evaluation_interval: 15s", "evaluation_interval: 1s")
    return text


class Range:
    """The fleet, its Prometheus, and a producer that never rests."""

    def __init__(self) -> None:
        self.extra_port = composed.free_port()
        # Of another name than the fleet's: it is not down before it is there.
        extra = f"  - job_name: extra\n    static_configs: [{{targets: ['127.0.0.1:{self.extra_port}']}}]\n"
        self.fleet = Composed("*", settings={"EVENTRUNNER_AUTHORIZER": "keto"}, more=SETTINGS)
        for name in NATS:
            self.fleet.edits[name] = lambda text: re.sub(r"max_file_store: \w+", ROOM, text)
        self.fleet.edits["prometheus"] = lambda text: settings(text) + (extra if "scrape_configs" in text else "")
        self.fleet.start(*NATS, "scylla", "clickhouse", "keto")
        self.fleet.wait_healthy(*NATS, "clickhouse", "scylla", "keto")
        self.fleet.run("migrate")
        self.key = key_of(self.fleet.run("demo"))
        self.fleet.start(*composed.SERVICES)
        self.fleet.wait_healthy(*composed.SERVICES)
        self.door, self.api = self.fleet.url("ingest-http", 8080), self.fleet.url("api", 8081)
        self.resources()
        self.fleet.start("prometheus")
        self.fleet.wait_healthy("prometheus")
        self.prometheus = self.fleet.url("prometheus", 9090)
        self.rests = threading.Event()
        threading.Thread(target=self.produce, daemon=True).start()

    def resources(self) -> None:
        context = Path(self.fleet.environment("demo")["EVENTRUNNER_DATA_DIR"]) / "context.toml"
        self.operator = tomllib.loads(context.read_text())["operator_key"]
        self.fleet.exec("api", "apply", "-f", str(composed.ROOT / "examples/prices"))
        thresholds = self.fleet.folder / "thresholds.json"
        thresholds.write_text('{"thresholds": ["1"]}')
        self.fleet.exec("api", "billing-accounts", "patch", "main", "-t", "demo", "-f", str(thresholds))
        Answered.check_type(self.fleet)

    def produce(self) -> None:
        number = 0
        while not self.rests.wait(0.05):
            number += 1
            with contextlib.suppress(OSError):
                send("POST", f"{self.door}/v1/events", self.key, event(f"load-{number}"))

    def flood(self, seconds: float, stop) -> None:
        """Large events over several connections until `stop`."""
        deadline = time.monotonic() + seconds
        def pour(lane: int) -> None:
            number = 0
            while time.monotonic() < deadline and not stop():
                number += 1
                batch = [event(f"flood-{lane}-{number}-{n}-{time.time()}", data={"text": "x" * 20_000}) for n in range(10)]
                with contextlib.suppress(OSError):
                    send("POST", f"{self.door}/v1/events", self.key, batch, "application/cloudevents-batch+json")
        lanes = [threading.Thread(target=pour, args=(lane,), daemon=True) for lane in range(4)]
        for lane in lanes:
            lane.start()

    def ask(self, expr: str) -> list:
        query = urllib.parse.urlencode({"query": expr})
        return json.loads(get(f"{self.prometheus}/api/v1/query?{query}", 20))["data"]["result"]

    def firing(self) -> set[str]:
        found = self.ask('ALERTS{alertstate="firing"}')
        full = {"alertname": "EventRunnerDiskNearlyFull"}
        # The machine's own disk is not ours to judge: the small one of the extra process is.
        ours = [one["metric"] for one in found if not (full.items() <= one["metric"].items() and str(self.extra_port) not in one["metric"]["instance"])]
        return {metric["alertname"] for metric in ours}

    def pause(self, name: str) -> None:
        self.fleet.running[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        self.fleet.running[name].send_signal(signal.SIGCONT)


# The faults: each makes something go wrong, waits for its alerts through `until`, and mends it.


def dead_letters(range_: Range, until) -> None:
    for number in range(60):
        send("POST", f"{range_.door}/v1/events", range_.key, event(f"bad-{number}", type="demo.checked"))
    until()


def unreadable(range_: Range, until) -> None:
    import asyncio

    import nats

    async def write() -> None:
        client = await nats.connect(f"nats://127.0.0.1:{range_.fleet.ports['nats-1', 4222]}")
        await client.jetstream().publish("events.0", b"\xff\xff not ours")
        await client.close()

    asyncio.run(write())
    until()


def crowded_broker(range_: Range, until) -> None:
    """Somebody else's stream takes the room."""
    import asyncio

    import nats

    def used() -> float:
        told = json.loads(get(f"{range_.fleet.url('nats-1', 8222)}/varz"))["jetstream"]
        return told["stats"]["storage"] / told["config"]["max_storage"]

    async def others(work) -> None:
        client = await nats.connect(f"nats://127.0.0.1:{range_.fleet.ports['nats-1', 4222]}")
        await work(client.jetstream(timeout=60))
        await client.close()

    async def fill(stream) -> None:
        await stream.add_stream(name="OTHERS", subjects=["others"], num_replicas=3)
        while used() < 0.85:
            await stream.publish("others", bytes(4 << 20))

    asyncio.run(others(fill))
    try:
        until()
    finally:
        asyncio.run(others(lambda stream: stream.delete_stream("OTHERS")))


def old_backup(range_: Range, until) -> None:
    import asyncio

    import nats

    async def tell(age: int) -> None:
        client = await nats.connect(f"nats://127.0.0.1:{range_.fleet.ports['nats-1', 4222]}")
        at = datetime.datetime.fromtimestamp(time.time() - age, datetime.UTC).isoformat()
        last = {"backup": "b", "began_at": at, "ended_at": at, "bytes": 1}
        await client.jetstream().publish("$KV.backups.last", json.dumps(last).encode())
        await client.close()

    asyncio.run(tell(2 * 86_400))
    try:
        until()
    finally:
        asyncio.run(tell(0))


def stuck_engine(range_: Range, until) -> None:
    range_.pause("engine")
    try:
        range_.flood(120, lambda: range_.rests.is_set())
        until()
    finally:
        range_.rests.set()
        range_.go_on("engine")
        wait_for("all is worked off", lambda: not range_.ask("max(eventrunner_broker_oldest_work_seconds) > 1"), 180)
        range_.rests.clear()
        threading.Thread(target=range_.produce, daemon=True).start()


def no_clickhouse(range_: Range, until) -> None:
    range_.fleet.kill("clickhouse", signal.SIGKILL)
    try:
        until()
    finally:
        range_.fleet.start("clickhouse")
        range_.fleet.wait_healthy("clickhouse")


def no_majority(range_: Range, until) -> None:
    for name in NATS[1:]:
        range_.pause(name)
    try:
        until()
    finally:
        for name in NATS[1:]:
            range_.go_on(name)


def slow_broker(range_: Range, until) -> None:
    """Stands still now and then, so that requests take a second and are answered."""
    stop = threading.Event()

    def stutter() -> None:
        while not stop.is_set():
            for name in NATS:
                range_.pause(name)
            time.sleep(0.7)
            for name in NATS:
                range_.go_on(name)
            time.sleep(0.2)

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        until()
    finally:
        stop.set()
        thread.join()


def gone(range_: Range, until) -> None:
    range_.fleet.kill("normalizer", signal.SIGKILL)
    try:
        until()
    finally:
        range_.fleet.start("normalizer")
        range_.fleet.wait_healthy("normalizer")


def restarts(range_: Range, until) -> None:
    for _ in range(4):
        range_.fleet.kill("billing", signal.SIGKILL)
        range_.fleet.start("billing")
        range_.fleet.wait_healthy("billing")
        time.sleep(2)
    until()


def authorizer(range_: Range, until) -> None:
    range_.pause("keto")
    try:
        # The catalog changes, and Keto cannot be told.
        send("POST", f"{range_.api}/api/v1/tenants", range_.operator, {"id": f"t-{int(time.time())}"})
        until()
    finally:
        range_.go_on("keto")


def disk_and_certificate(range_: Range, until) -> None:
    """One more process, on a disk of its own that is nearly full, with a certificate that ends in five days."""
    folder = Path(tempfile.mkdtemp(prefix="eventrunner-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], check=True)
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=nats -days 5".split()
    subprocess.run(["openssl", *words, "-keyout", folder / "key.pem", "-out", folder / "ca.pem"], check=True, capture_output=True)
    (folder / "ballast").write_bytes(b"x" * (15 << 20))
    environment = range_.fleet.environment("normalizer") | {
        "EVENTRUNNER_DATA_DIR": str(folder), "EVENTRUNNER_NATS__TLS_CA_FILE": str(folder / "ca.pem"),
        "EVENTRUNNER_ADMIN__HTTP__LISTEN": f"127.0.0.1:{range_.extra_port}",
    }
    with (range_.fleet.folder / "extra.log").open("w") as log:
        process = subprocess.Popen([binary("eventrunner"), "normalizer"], env=environment, stdout=log, stderr=log)
    try:
        until()
    finally:
        process.kill()
        process.wait()
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


FAULTS = {
    dead_letters: ["DeadLettersGrow"],
    unreadable: ["FleetWroteUnreadable"],
    old_backup: ["BackupOld"],
    gone: ["Down"],
    restarts: ["Restarts"],
    authorizer: ["AuthorizerOutOfStep"],
    crowded_broker: ["BrokerStorageNearlyFull"],
    no_clickhouse: ["BillingDelayed", "BillingTasksFail"],
    slow_broker: ["AcceptLatency", "AcceptLatencySlow"],
    no_majority: ["NotReady", "AcceptErrors", "AcceptErrorsSlow"],
    stuck_engine: ["OldestWorkWaits", "StreamNearlyFull"],
    disk_and_certificate: ["DiskNearlyFull", "CertificateExpires"],
}


def main() -> int:
    wanted = {name.removeprefix("EventRunner") for name in sys.argv[1:]}
    known = {name for names in FAULTS.values() for name in names}
    assert known == {alert["alert"].removeprefix("EventRunner") for alert in alerts()}, "an alert has no fault"
    if wanted - known:
        print(__doc__, file=sys.stderr)
        return 64
    if not tool("keto").exists():
        print("Keto is not installed: scripts/tools.sh keto", file=sys.stderr)
        return 69
    range_ = Range()
    took: dict[str, float] = {}
    try:
        wait_for("load is seen", lambda: range_.ask("sum(rate(eventrunner_engine_stored_events_total[5s])) > 5"), 60)
        calm(range_, 15)
        for fault, names in FAULTS.items():
            if not wanted or wanted & set(names):
                took |= make(range_, fault, names)
    finally:
        range_.rests.set()
        range_.fleet.stop()
    print(json.dumps({"scenario": "alerts", "fired": len(took), "shrunk": SHRINK, "seconds": took}))
    return 0


# Long spans remember what was slow at the start.
OTHERS = {f"EventRunner{name}" for name in ("AcceptErrorsSlow", "AcceptLatencySlow")}


def calm(range_: Range, seconds: float) -> None:
    """Nothing fires for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        firing = range_.firing() - OTHERS
        assert not firing, f"nothing is wrong, and yet: {firing}"
        time.sleep(1)


def make(range_: Range, fault, names: list[str]) -> dict[str, float]:
    # What an earlier fault has left is no proof of this one.
    mine = {f"EventRunner{name}" for name in names}
    wait_for(f"{names} are quiet", lambda: not mine & range_.firing(), 240)
    print(f"{fault.__name__}: {', '.join(names)}", flush=True)
    began, took = time.monotonic(), {}

    def fired() -> bool:
        for name in range_.firing():
            took.setdefault(name.removeprefix("EventRunner"), round(time.monotonic() - began, 1))
        return set(names) <= set(took)

    try:
        fault(range_, lambda: wait_for(f"{names} fire", fired, 120))
    except AssertionError as error:
        raise AssertionError(f"{error}; fired: {took}") from None
    print(f"  {took}", flush=True)
    return {name: took[name] for name in names}


if __name__ == "__main__":
    sys.exit(main())
