#!/usr/bin/env python3
"""Runs the lints or the tests, one step after the other, and sums them up in the last line.

    scripts/check.py lint
    scripts/check.py test

A step is a command. What it tells of single tests (cargo's and unittest's summaries) is counted; a command that tells
nothing counts as one. A step whose tool is missing is skipped and named, but fails under CI, where nothing is left out.
Every step runs, whatever became of those before it. The last line is `N passed, N failed` (and `, N skipped`).
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eventrunner"
VENV_PYTHON = str(CACHE / "venv" / "bin" / "python")
CI = os.environ.get("CI") == "true"


@dataclass
class Step:
    """One command; `needs` are the programs without which it is skipped."""

    name: str
    command: list[str]
    needs: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)


def shell_scripts() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.sh", ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=False)
    return listed.stdout.split()


LINT = [
    Step("format", ["cargo", "fmt", "--all", "--check"]),
    Step(
        "clippy",
        ["cargo", "clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"],
    ),
    Step(
        "documentation",
        ["cargo", "doc", "--workspace", "--all-features", "--no-deps", "--locked"],
        env={"RUSTDOCFLAGS": "-D warnings"},
    ),
    Step("licences and sources", ["cargo", "deny", "--locked", "check", "bans", "licenses", "sources"], ["cargo-deny"]),
    Step("protobuf", ["buf", "lint", "proto"], ["buf"]),
    Step("protobuf format", ["buf", "format", "--diff", "--exit-code", "proto"], ["buf"]),
    Step("shell", ["shellcheck", *shell_scripts()], ["shellcheck"]),
    Step("chart", ["helm", "lint", "--strict", "deploy/helm/eventrunner"], ["helm"]),
]

TEST = [
    Step("rust", ["cargo", "test", "--workspace", "--all-features", "--locked", "--no-fail-fast"]),
    Step(
        "tree, chart and documentation",
        [VENV_PYTHON, "-m", "unittest", "discover", "--verbose", "--start-directory", "scripts/tests"],
        [VENV_PYTHON],
    ),
]

CARGO_SUMMARY = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in ")
UNITTEST_END = re.compile(r"^(OK|FAILED)(?: \((.*)\))?$")


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __iadd__(self, other: "Tally") -> "Tally":
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


class Counter:
    """Reads a step's output and counts the tests it tells of."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.ran = 0

    def line(self, text: str) -> None:
        if found := CARGO_SUMMARY.match(text):
            self.tally += Tally(*map(int, found.groups()))
        elif found := UNITTEST_RAN.match(text):
            self.ran = int(found[1])
        elif found := UNITTEST_END.match(text):
            self.unittest(found[2] or "")

    def unittest(self, details: str) -> None:
        counts = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", details)}
        failed = counts.get("failures", 0) + counts.get("errors", 0)
        skipped = counts.get("skipped", 0)
        self.tally += Tally(max(0, self.ran - failed - skipped), failed, skipped)
        self.ran = 0


def run(step: Step) -> Tally:
    missing = [need for need in step.needs if not shutil.which(need)]
    if missing:
        print(f"==> {step.name}: {'FAILED' if CI else 'left out'}, {', '.join(missing)} is not installed", flush=True)
        return Tally(failed=1) if CI else Tally(skipped=1)
    print(f"==> {step.name}: {' '.join(step.command)}", flush=True)
    began = time.monotonic()
    counter = Counter()
    process = subprocess.Popen(
        step.command,
        cwd=ROOT,
        env={**os.environ, **step.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    for text in process.stdout:
        sys.stdout.write(text)
        sys.stdout.flush()
        counter.line(text.rstrip("\n"))
    good = process.wait() == 0
    tally = counter.tally
    if not good and tally.failed == 0:
        tally.failed = 1
    elif good and tally.passed + tally.skipped == 0:
        tally.passed = 1
    print(f"==> {step.name}: {tally} in {time.monotonic() - began:.0f} s", flush=True)
    return tally


def main() -> int:
    suites = {"lint": LINT, "test": TEST}
    if len(sys.argv) != 2 or sys.argv[1] not in suites:
        print(__doc__, file=sys.stderr)
        return 64
    results = [(step.name, run(step)) for step in suites[sys.argv[1]]]
    total = Tally()
    print()
    for name, tally in results:
        total += tally
        print(f"{name}: {tally}")
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
