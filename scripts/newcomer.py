#!/usr/bin/env python3
"""What a newcomer sees: starts a fleet, pastes the `curl` it prints, and finds the event everywhere.

    scripts/newcomer.py [release|debug] [what `eventrunner up` is given more]

With `--processes --stores external --cql … --clickhouse …` it is a fleet of processes.
The last line is one JSON object with the time from the paste to the tail.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "tests"))

from fleet import Fleet, binary  # noqa: E402

SOON_SECONDS = 20


def main() -> int:
    program = binary("eventrunner", sys.argv[1] if len(sys.argv) > 1 else "release")
    began = time.monotonic()
    fleet = Fleet(program, *sys.argv[2:])
    started_s = time.monotonic() - began
    try:
        said = fleet.said()
        print(said)
        report = first_event(fleet, said)
    finally:
        code = fleet.stop()
    assert code == 0, f"Ctrl-C ended it with {code}"
    print(json.dumps({"scenario": "newcomer", "start_s": round(started_s, 2), **report}))
    return 0


def first_event(fleet: Fleet, said: str) -> dict:
    curl = re.search(r"^  curl .*?\}'$", said, re.MULTILINE | re.DOTALL)[0]
    event_id = re.search(r'"id": "([^"]+)"', curl)[1]

    def client(*arguments: str) -> str:
        done = subprocess.run(
            ["eventrunner", *arguments], env=fleet.env, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    tail = subprocess.Popen(
        ["eventrunner", "tail", "--since", "1h", "--count", "1", "-o", "json"],
        env=fleet.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    # `--since`: whichever of the two is first.
    deadline = time.monotonic() + SOON_SECONDS
    pasted = time.monotonic()
    subprocess.run(["bash", "-euc", curl], env=fleet.env, check=True, capture_output=True)
    accepted_ms = (time.monotonic() - pasted) * 1000
    line = tail.stdout.readline()
    tail_ms = (time.monotonic() - pasted) * 1000
    tail.wait(10)
    assert json.loads(line)["id"] == event_id, line
    while event_id not in client("events", "list") and time.monotonic() < deadline:
        pass
    print(client("events", "list"))
    hops = []
    # Usage that has a store of its own gets there a moment later.
    while len(hops) < 5 and time.monotonic() < deadline:
        receipt = json.loads(client("events", "receipt", "/demo", event_id, "-o", "json"))
        hops = [hop["hop"] for hop in receipt["hops"] if "missing" not in hop]
    whole_ms = (time.monotonic() - pasted) * 1000
    assert hops == ["accepted", "normalized", "stored", "metered", "streamed"], receipt
    usage = client("usage")
    print(usage)
    assert re.search(r"\b1\b", usage), usage
    return {"paste_to_accepted_ms": round(accepted_ms), "paste_to_tail_ms": round(tail_ms), "paste_to_receipt_ms": round(whole_ms), "hops": len(hops)}


if __name__ == "__main__":
    sys.exit(main())
