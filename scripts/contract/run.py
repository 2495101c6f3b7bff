#!/usr/bin/env python3
"""Does the API do what its document says? Thousands of requests that follow from docs/openapi.json, good and bad, against a
fleet of its own.

    scripts/contract/run.py [release|debug] [how many examples of each operation] [what schemathesis is given more]

Fails at any 5xx, and at any answer that contradicts the document. The last line is one JSON object.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fleet import ROOT, Fleet, binary  # noqa: E402

HERE = Path(__file__).resolve().parent
DOCUMENT = ROOT / "docs" / "openapi.json"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventrunner"


def main() -> int:
    profile, examples, *more = [*sys.argv[1:], *["release", "100"][len(sys.argv[1:]) :]]
    fleet = Fleet(binary("eventrunner", profile))
    try:
        done = subprocess.Popen(
            [
                str(CACHE / "venv" / "bin" / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"), "run", str(DOCUMENT),
                "--url", fleet.env["API"], "--header", f"Authorization: Bearer {operator(fleet)}",
                "--checks", "all", "--exclude-path-regex", "^/v1/", "--mode", "all", "--max-examples", examples, "--continue-on-failure", *more,
            ],
            cwd=fleet.folder, env={**os.environ, "PYTHONPATH": str(HERE)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        said = []
        for line in done.stdout:
            print(line, end="", flush=True)
            said.append(line)
        done.wait()
        alive = fleet.process.poll() is None
    finally:
        fleet.stop()
    requests = re.search(r"([\d,]+) generated", "".join(said))
    report = {"scenario": "contract", "requests": int(requests[1].replace(",", "")) if requests else 0}
    print(json.dumps({**report, "failed": done.returncode != 0 or not alive}))
    return int(done.returncode != 0 or not alive)


def operator(fleet: Fleet) -> str:
    made = subprocess.run(
        ["eventrunner", "keys", "create", "--system", "demo", "--name", "contract", "--scope", "operate"],
        env=fleet.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return made.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
