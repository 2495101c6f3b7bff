"""What "accepted" means where it is to survive a power cut, seen in the system calls of the fleet and of its broker.

The tracer halts each thread at each call, so what it has written down before another call began has happened before it.
"""

import http.client
import json
import os
import re
import secrets
import shutil
import string
import subprocess
import time
import unittest
from collections.abc import Callable
from urllib.parse import urlsplit

from fleet import Fleet, binary

# At random, of what is rare elsewhere, so that compression leaves their middle as it is.
ALPHABET = string.ascii_uppercase + "!#$%()*+,-/:;<=>?@^_{|}~"
NAMES = ["".join(secrets.choice(ALPHABET) for _ in range(16)) for _ in range(20)]
CALLS = "fsync,fdatasync,write,writev,pwrite64,sendto,sendmsg"
PATIENCE_SECONDS = 30


def can_trace() -> bool:
    return bool(shutil.which("strace")) and subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


class Calls:
    """The system calls of a fleet and its broker while it is sent events, one after the other."""

    def __init__(self, *arguments: str) -> None:
        fleet = Fleet(binary("eventrunner"), *arguments)
        try:
            self.lines = self.trace(fleet)
        finally:
            fleet.stop()

    def trace(self, fleet: Fleet) -> list[str]:
        out = fleet.folder / "calls"
        broker = json.loads((fleet.folder / "data" / "fleet.json").read_text())["processes"][0]
        assert broker["service"] == "nats-server", broker
        pids = ["-p", str(fleet.process.pid), "-p", str(broker["pid"])]
        command = ["strace", "-f", "-y", "-s", "8192", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(out), *pids]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert tracer.stderr is not None
            for _ in range(2):
                assert "attached" in tracer.stderr.readline(), "strace does not attach"
            publish(fleet)
            await_count(lambda: len(set(acks(out.read_text(errors="replace")))), len(NAMES))
        finally:
            tracer.terminate()
            tracer.communicate()
        return out.read_text(errors="replace").splitlines()

    def answers(self) -> list[int]:
        """Where the fleet begins to send a 202."""
        return [at for at, line in enumerate(self.lines) if '"HTTP/1.1 202 ' in line]

    def acknowledged(self) -> dict[int, int]:
        """Where it begins to tell the broker that a message of `EVENTS` is worked, by the message's sequence."""
        return {sequence: at for at, line in enumerate(self.lines) for sequence in acks(line)}

    def written(self, name: str, path: str) -> int:
        """Where the first write to such a file begins that holds this name, whose ends may be compressed away."""
        for at, line in enumerate(self.lines):
            if "write" in line and path in line and name[4:12] in line:
                return at
        raise AssertionError(f"{name} is not written to {path}")

    def synced(self, path: str, since: int) -> int:
        """Where the first fsync of such a file has returned that began after that; the end, if none did."""
        waiting = set()
        for at, line in enumerate(self.lines[since:], since):
            thread = line.split(maxsplit=1)[0]
            if re.search(r"\bf(data)?sync\(", line) and path in line and "unfinished" in line:
                waiting.add(thread)
            elif line.endswith("= 0") and (
                (re.search(r"\bf(data)?sync\(", line) and path in line)
                or (re.search(r"<\.\.\. f(data)?sync resumed", line) and thread in waiting)
            ):
                return at
        return len(self.lines)

    def kept(self, name: str, path: str) -> int:
        """Where what holds this name is on the disk."""
        return self.synced(path, self.written(name, path) + 1)

    def sequences(self) -> dict[str, int]:
        """The sequence in `EVENTS` of each event."""
        at = {name: self.written(name, "/EVENTS/msgs/") for name in NAMES}
        return {name: sequence for sequence, name in enumerate(sorted(NAMES, key=lambda name: at[name]), 1)}


def is_raw(name: str) -> bool:
    """Whether it is sent as something that the normalizer makes an event of: every other one."""
    return NAMES.index(name) % 2 == 1


def entry(name: str) -> str:
    """The files of the stream that its door puts it into."""
    return "/RAW/msgs/" if is_raw(name) else "/EVENTS/msgs/"


def acks(line: str) -> list[int]:
    return [int(sequence) for sequence in re.findall(r"PUB \$JS\.ACK\.EVENTS\.p\d+\.\d+\.(\d+)\.", line)]


def publish(fleet: Fleet) -> None:
    door = urlsplit(fleet.env["URL"])
    connection = http.client.HTTPConnection(door.hostname or "", door.port or 0, timeout=PATIENCE_SECONDS)
    for name in NAMES:
        event = {"specversion": "1.0", "id": name, "source": "/traced", "type": "traced"}
        content_type = "application/cloudevents+json"
        if is_raw(name):
            event, content_type = {"name": name}, "application/json"
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {fleet.env['KEY']}"}
        connection.request("POST", "/v1/events", json.dumps(event), headers)
        answer = connection.getresponse()
        assert answer.status == 202, answer.read()
        answer.read()


def await_count(count: Callable[[], int], least: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while count() < least:
        assert time.monotonic() < deadline, f"{count()} of {least}"
        time.sleep(0.1)


@unittest.skipUnless(can_trace(), "there is no strace, or nothing may be traced")
class Durability(unittest.TestCase):
    def test_no_promise_and_no_acknowledgement_comes_before_its_fsync(self) -> None:
        calls = Calls("--durability", "disk")
        answers, acknowledged, sequences = calls.answers(), calls.acknowledged(), calls.sequences()
        self.assertEqual(len(answers), len(NAMES))
        for name, answer in zip(NAMES, answers, strict=True):
            self.assertLess(calls.kept(name, entry(name)), answer, f"{name}: a 202 before the broker's fsync")
            acknowledgement = acknowledged[sequences[name]]
            self.assertLess(calls.kept(name, "/data/store/"), acknowledgement, f"{name}: an ack before the store's fsync")

    def test_the_trace_shows_a_promise_without_fsync(self) -> None:
        calls = Calls("--durability", "process")
        answers = calls.answers()
        self.assertEqual(len(answers), len(NAMES))
        early = [name for name, answer in zip(NAMES, answers, strict=True) if calls.kept(name, entry(name)) > answer]
        self.assertEqual(early, NAMES)


if __name__ == "__main__":
    unittest.main()
