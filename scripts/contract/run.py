#!/usr/bin/env python3
"""Do the API and the HTTP door do what their document says? Thousands of requests that follow from docs/openapi.json, good and
bad, against a fleet of its own.

    scripts/contract/run.py [release|debug] [how many examples of each operation] [what schemathesis is given more]

Fails at any 5xx, and at any answer that contradicts the document. The last line is one JSON object.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fleet import ROOT, Fleet, binary  # noqa: E402

HERE = Path(__file__).resolve().parent
DOCUMENT = ROOT / "docs" / "openapi.json"
# What the HTTP door answers; all else is the API's.
DOOR = r"^/(v1/|events$)"
# What concerns the whole fleet and does not end the session that asks: its superuser's to ask.
OF_THE_FLEET = r"^/api/v1/(fleet/.*|plans.*|users.*|tenants(/\{tenant\})?|me|me/sessions)$"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventrunner"


def main() -> int:
    profile, examples, *more = [*sys.argv[1:], *["release", "100"][len(sys.argv[1:]) :]]
    fleet = Fleet(binary("eventrunner", profile))
    try:
        api, door = fleet.env["API"], fleet.env["URL"]
        parts = [
            ask(door, fleet.env["KEY"], ["--include-path-regex", DOOR], examples, more, fleet.folder),
            ask(api, operator(fleet), ["--exclude-path-regex", f"{DOOR}|{OF_THE_FLEET}"], examples, more, fleet.folder),
            ask(api, superuser(fleet), ["--include-path-regex", OF_THE_FLEET], examples, more, fleet.folder),
        ]
        failed = any(failed for _, failed in parts) or fleet.process.poll() is not None
    finally:
        fleet.stop()
    print(json.dumps({"scenario": "contract", "requests": sum(requests for requests, _ in parts), "failed": failed}))
    return int(failed)


def ask(url: str, key: str, paths: list[str], examples: str, more: list[str], folder: Path) -> tuple[int, bool]:
    """Asks what listens at `url` for some of the document's paths. How many requests it took, and whether an answer was wrong."""
    asking = subprocess.Popen(
        [
            str(CACHE / "venv" / "bin" / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml"), "run", str(DOCUMENT),
            "--url", url, "--header", f"Authorization: Bearer {key}", *paths,
            "--checks", "all", "--mode", "all", "--max-examples", examples, "--continue-on-failure", *more,
        ],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(HERE)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = []
    for line in asking.stdout:
        print(line, end="", flush=True)
        said.append(line)
    asking.wait()
    requests = re.search(r"([\d,]+) generated", "".join(said))
    return int(requests[1].replace(",", "")) if requests else 0, asking.returncode != 0


def superuser(fleet: Fleet) -> str:
    """A token of the one who may do everything; the password is not the first one any more."""
    once = re.search(r"one-time password (\S+):", fleet.said())[1]
    password = "correct horse battery staple 7"
    first = send(fleet, "POST", "login", {"username": "admin", "password": once})["access_token"]
    send(fleet, "PUT", "me/password", {"current_password": once, "new_password": password}, first)
    return send(fleet, "POST", "login", {"username": "admin", "password": password})["access_token"]


def send(fleet: Fleet, method: str, path: str, body: dict, token: str = "") -> dict:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(f"{fleet.env['API']}/api/v1/{path}", json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def operator(fleet: Fleet) -> str:
    made = subprocess.run(
        ["eventrunner", "keys", "create", "--system", "demo", "--name", "contract", "--scope", "operate"],
        env=fleet.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return made.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
