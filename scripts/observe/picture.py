#!/usr/bin/env python3
"""Draws docs/observability.svg: four panels of the dashboards, from the answers of a real Prometheus and ClickHouse.

    scripts/observe/picture.py

Compose's services run without containers (scripts/tests/composed.py). There is load, and for a while the engine stands still. The
queries are the dashboards' own.
"""

import calendar
import json
import re
import signal
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

import composed  # noqa: E402
from composed import ROOT, get, wait_for  # noqa: E402
from test_compose import key_of  # noqa: E402
from test_dashboards import boards, event, macros, send  # noqa: E402

FILE = ROOT / "docs/observability.svg"
SECONDS = 100
STILL = range(40, 65)
PANELS = [("overview", "Through each stage"), ("ingest", "Until the answer"), ("pipeline", "Oldest work, as the broker sees it"), ("usage", "Events")]
COLOURS = ["#3274d9", "#e0752d", "#37872d", "#a352cc", "#c4162a", "#8a6d00"]
WIDTH, HEIGHT, LEFT, TOP = 460, 210, 58, 34

Lines = dict[str, list[tuple[float, float]]]


def panel(board: str, title: str) -> dict:
    (found,) = [one for one in boards()[f"{board}.json"]["panels"] if one["title"] == title and one["type"] != "row"]
    return found


def from_prometheus(url: str, asked: dict, since: float, until: float) -> Lines:
    lines: Lines = {}
    for target in asked["targets"]:
        expr = target["expr"].replace("$namespace", ".*").replace("$__rate_interval", "5s")
        query = urllib.parse.urlencode({"query": expr, "start": since, "end": until, "step": 1})
        for series in json.loads(get(f"{url}/api/v1/query_range?{query}", 30))["data"]["result"]:
            name = re.sub(r"\{\{(\w+)\}\}", lambda m, s=series: s["metric"].get(m[1], ""), target["legendFormat"])
            points = [(float(at), float(value)) for at, value in series["values"]]
            lines[name] = [(at, value) for at, value in points if value == value]
    return {name: points for name, points in lines.items() if points}


def from_clickhouse(url: str, asked: dict) -> Lines:
    lines: Lines = {}
    sql = macros(asked["targets"][0]["rawSql"]).replace("INTERVAL 60 SECOND", "INTERVAL 5 SECOND")
    with urllib.request.urlopen(urllib.request.Request(url, f"{sql}\nFORMAT JSONCompact".encode()), timeout=20) as answer:
        rows = json.loads(answer.read())["data"]
    for at, tenant, value in rows:
        lines.setdefault(tenant, []).append((float(calendar.timegm(time.strptime(at[:19], "%Y-%m-%d %H:%M:%S"))), float(value)))
    return lines


def shown(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.0f} s"
    return f"{value / 1000:.1f} k" if value >= 10_000 else f"{value:.0f}"


def draw(x: int, y: int, asked: dict, lines: Lines, since: float, until: float) -> list[str]:
    """One panel: its title, three lines of a grid, its lines, its legend."""
    unit = asked["fieldConfig"]["defaults"]["unit"]
    top = max((value for points in lines.values() for _, value in points), default=0) or 1
    right, low = x + WIDTH - 16, y + HEIGHT - 42
    out = [f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="#fff" stroke="#d0d4da"/>']
    out.append(f'<text x="{x + 10}" y="{y + 20}" font-weight="bold">{escape(asked["title"])}</text>')
    for share in (0, 0.5, 1):
        at = low - share * (low - y - TOP)
        out.append(f'<line x1="{x + LEFT}" y1="{at:.0f}" x2="{right}" y2="{at:.0f}" stroke="#e6e8eb"/>')
        out.append(f'<text x="{x + LEFT - 6}" y="{at + 4:.0f}" text-anchor="end" fill="#666">{shown(share * top, unit)}</text>')
    legend = x + 10
    for colour, (name, points) in zip(COLOURS, sorted(lines.items()), strict=False):
        places = [
            f"{x + LEFT + (at - since) / (until - since) * (right - x - LEFT):.1f},{low - value / top * (low - y - TOP):.1f}"
            for at, value in points
        ]
        out.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out.append(f'<text x="{legend}" y="{y + HEIGHT - 12}" fill="{colour}">{escape(name)}</text>')
        legend += 9 * len(name) + 14
    return out


class Load(threading.Thread):
    """Batches of events at a steady pace."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self.url, self.key, self.over = url, key, threading.Event()

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.1):
            number += 1
            batch = [event(f"{number}-{n}") for n in range(40)]
            send("POST", f"{self.url}/v1/events", self.key, batch, "application/cloudevents-batch+json")


def faster(text: str) -> str:
    return text.replace("scrape_interval: 5s", "scrape_interval: 1s")


def main() -> int:
    fleet, printed = composed.start_core(profiles=("observability",))
    fleet.edits["prometheus"] = faster
    fleet.start("prometheus")
    fleet.wait_healthy("prometheus")
    load = Load(fleet.url("ingest-http", 8080), key_of(printed))
    since = time.time()
    load.start()
    for second in range(SECONDS):
        if second == STILL.start:
            fleet.running["engine"].send_signal(signal.SIGSTOP)
        if second == STILL.stop:
            fleet.running["engine"].send_signal(signal.SIGCONT)
        time.sleep(max(0.0, since + second + 1 - time.time()))
    load.over.set()
    until = time.time()
    login = urllib.parse.urlencode({"user": "grafana", "password": fleet.environment("clickhouse")["GRAFANA_PASSWORD"], "database": "eventrunner"})
    clickhouse = f"{fleet.url('clickhouse', 8123)}/?{login}"
    out = []
    for at, (board, title) in enumerate(PANELS):
        asked = panel(board, title)
        if "rawSql" in asked["targets"][0]:
            lines = wait_for(title, lambda asked=asked: from_clickhouse(clickhouse, asked), 20)
        else:
            lines = from_prometheus(fleet.url("prometheus", 9090), asked, since, until)
        out += draw(10 + at % 2 * (WIDTH + 10), 10 + at // 2 * (HEIGHT + 10), asked, lines, since, until)
    size = f'width="{2 * WIDTH + 30}" height="{2 * HEIGHT + 30}"'
    body = "\n".join(out)
    FILE.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">\n'
        f'<rect {size} fill="#f4f5f7"/>\n{body}\n</svg>\n'
    )
    fleet.stop()
    print(f"wrote {FILE.relative_to(ROOT)}, {FILE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
