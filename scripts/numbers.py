#!/usr/bin/env python3
"""Makes the figures of docs/numbers.md again: runs each row's command and writes what it printed into the row.

    scripts/numbers.py                 every row
    scripts/numbers.py path chaos      rows whose claim or command holds one of the words
    scripts/numbers.py --not fuzz      rows that hold none of them

A figure is the JSON object in the last line of a command's output, or what a test counts and how many passed.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "numbers.md"
ROW = re.compile(r"^\| (?P<claim>[^|]+) \| `(?P<command>[^`]+)` \|\s*(?P<figure>[^|]*?)\s*\|$")
MADE = re.compile(r"^Made (?:on|from) .*$", re.MULTILINE)
# What a test prints of what it counted begins with the count.
COUNTED = re.compile(r"(?:^|\.\.\. )(\d+) ([a-z].*)$", re.MULTILINE)
PASSED = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed;", re.MULTILINE)


def figure(output: str) -> str:
    """What a command's output says in one line."""
    last = output.strip().splitlines()[-1]
    if last.startswith("{"):
        values = json.loads(last)
        values.pop("scenario", None)
        return ", ".join(told(name, value) for name, value in values.items())
    if summaries := PASSED.findall(output):
        passed, failed = (sum(int(summary[i]) for summary in summaries) for i in (0, 1))
        counts: dict[str, int] = {}
        for count, what in COUNTED.findall(output):
            counts[what] = counts.get(what, 0) + int(count)
        return "; ".join([*(f"{count} {what}" for what, count in counts.items()), f"{passed} passed, {failed} failed"])
    return last.replace("|", "/")


def told(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"{name} {' '.join(told(inner, of) for inner, of in value.items())}"
    if isinstance(value, list):
        return "; ".join(", ".join(told(inner, of) for inner, of in each.items()) if isinstance(each, dict) else str(each) for each in value)
    return f"{name} {value:,}" if isinstance(value, int) and not isinstance(value, bool) else f"{name} {value}"


def machine() -> str:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    today = datetime.date.today().isoformat()
    system = f"{platform.system()} {platform.machine()}"
    return f"Made on {today}: {os.cpu_count()} cores, {memory:.0f} GB, {system}, Rust {rustc}; generator, fleet and broker share them."


def wanted(row: re.Match, words: list[str]) -> bool:
    text = row["claim"] + row["command"]
    if words and words[0] == "--not":
        return not any(word in text for word in words[1:])
    return not words or any(word in text for word in words)


def main() -> int:
    failed = 0
    lines = PAGE.read_text().splitlines()
    for index, line in enumerate(lines):
        row = ROW.match(line)
        if not row or not wanted(row, sys.argv[1:]):
            continue
        print(f"==> {row['command']}", flush=True)
        done = subprocess.run(
            ["bash", "-c", row["command"]], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            failed += 1
            print(done.stdout, f"failed with {done.returncode}", flush=True)
            continue
        lines[index] = f"| {row['claim']} | `{row['command']}` | {figure(done.stdout)} |"
        print(figure(done.stdout), flush=True)
        # Row by row: a long run that is interrupted keeps what it has.
        PAGE.write_text(MADE.sub(machine(), "\n".join(lines) + "\n"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
