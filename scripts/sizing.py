#!/usr/bin/env python3
"""How large a fleet must be: from what a million events were measured to cost, to one machine, 3 nodes, 30 nodes, and many clusters.

    scripts/sizing.py                         the tables of docs/sizing.md
    scripts/sizing.py --rate 50000 --days 7   one rate of your own: events a second, days that events are stored
    scripts/sizing.py --check                 fails if the page's tables are not those

What was measured is docs/sizing.json: the last lines of `eventrunner-load sizing`, with the ceilings that no processor lifts.
Everything else is in `Assumed`, to be changed to what you have.
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "sizing.md"
MEASURED = ROOT / "docs" / "sizing.json"
SECONDS_A_DAY = 86_400
GB = 1e9


@dataclass(frozen=True)
class Assumed:
    """What is not measured but chosen. Rates are events a second, at the peak."""

    copies: int = 3
    """Of each stream and each row."""
    busy: float = 0.6
    """Part of a core that a peak may use: the rest is for a node that is gone, and for compaction."""
    cores: int = 16
    """Of a node."""
    node_network_bytes: float = 25e9 / 8 * 0.6
    """A second, each way, of a node: 25 Gbit/s, at most 60 % of it used."""
    node_disk_write_bytes: float = 1e9
    """A second that a node's disk takes for long."""
    node_disk_bytes: float = 8e12 * 0.7
    """Of a node that stores: 8 TB, at most 70 % full."""
    days: float = 30
    """That events are stored."""
    stream_days: float = 1
    """That tenant streams keep events."""
    compaction: float = 4
    """How often a row is written to disk until it lies where it stays (levelled or time-window compaction)."""
    cell_nodes: int = 90
    """Nodes of one cluster, of all kinds: what one team restarts in a night, and one fault may take away."""
    streams: int = 32
    """Of each kind in one cluster: partitions' shards and placements, each with one leader."""


@dataclass(frozen=True)
class Costs:
    """What was measured, for one event."""

    cpu_us: dict[str, float]
    """Microseconds of a core, by service and server; of a server that keeps copies for one copy."""
    sent: dict[str, float]
    received: dict[str, float]
    memory_mb: dict[str, int]
    disk: dict[str, float]
    """Bytes for one copy, by what keeps them."""
    stream_per_s: float
    """Events a second that one stream's leader takes in packed messages: as if all that the broker does for an event were one core's."""
    in_one: dict[str, dict]
    """The whole fleet in one process, with a single and a packed tenant stream: the runs as they were."""

    @staticmethod
    def read() -> "Costs":
        measured = json.loads(MEASURED.read_text())
        run = measured["processes"]
        by = {part["part"]: part for part in run["parts"]}
        of = lambda what, scale=1.0: {name: part[what] * scale for name, part in by.items()}  # noqa: E731
        return Costs(
            of("cpu_s"), of("sent_bytes"), of("received_bytes"), of("memory_mb"), dict(run["disk_bytes"]),
            measured["stream_events_per_s"], {"single": measured["embedded"], "packed": measured["packed"]},
        )  # fmt: skip


FLEET = ("ingest-http", "ingest-grpc", "normalizer", "engine", "api", "billing")
SERVERS = {"broker": "nats-server", "CQL": "CQL", "ClickHouse": "ClickHouse"}
LIFTS = {
    "one stream's leader": "another cluster beside it, with tenants of its own (or batches of more events)",
    "processor": "more nodes",
    "network": "more nodes, or compression at the doors",
    "disk writes": "more nodes or disks",
    "disk space": "shorter retention, an archive, or more nodes",
    "nodes of a cluster": "another cluster beside it, with tenants of its own; before that, fewer days stored",
}


@dataclass(frozen=True)
class Need:
    """What one kind of node needs at a rate."""

    kind: str
    nodes: int
    cores: float
    why: str
    """The resource that asks for the most nodes."""
    wanted: float
    """How many it asks for, of which what must survive the loss of a node makes more."""


def need(kind: str, rate: float, costs: Costs, assumed: Assumed) -> Need:
    """How many nodes of a kind a cluster needs, and what for."""
    copies = assumed.copies if kind in ("broker", "CQL") else min(assumed.copies, 2) if kind == "ClickHouse" else 1
    parts = FLEET if kind == "fleet" else (SERVERS[kind],)
    cores = rate * copies * sum(costs.cpu_us.get(part, 0) for part in parts) / 1e6 / assumed.busy
    sent, received = (sum(table.get(part, 0) for part in parts) for table in (costs.sent, costs.received))
    # A copy is received by each node that keeps one, and sent on by the first.
    wire = rate * max(received * copies, sent + received * (copies - 1))
    kept = costs.disk.get(kind, 0) * copies
    writes = rate * kept * (assumed.compaction if kind == "CQL" else 1)
    days = assumed.stream_days if kind == "broker" else assumed.days
    space = rate / 2 * kept * SECONDS_A_DAY * days
    wanted = {
        "processor": cores / assumed.cores,
        "network": wire / assumed.node_network_bytes,
        "disk writes": writes / assumed.node_disk_write_bytes,
        "disk space": space / assumed.node_disk_bytes,
    }
    why = max(wanted, key=wanted.__getitem__)
    # One that goes must leave another.
    return Need(kind, max(copies, 2, math.ceil(wanted[why])), cores, why, wanted[why])


def cluster(rate: float, costs: Costs, assumed: Assumed) -> list[Need]:
    return [need(kind, rate, costs, assumed) for kind in ("fleet", "broker", "CQL", "ClickHouse")]


def largest(costs: Costs, assumed: Assumed) -> tuple[float, str]:
    """The most events a second of one cluster, and what it ends at."""
    ends = costs.stream_per_s
    nodes = lambda rate: sum(each.nodes for each in cluster(rate, costs, assumed))  # noqa: E731
    if nodes(ends) <= assumed.cell_nodes:
        return ends, "one stream's leader"
    low, high = 0.0, ends
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if nodes(middle) <= assumed.cell_nodes else (low, middle)
    return low, "nodes of a cluster"


def step(rate: float, costs: Costs, assumed: Assumed) -> str:
    """A row of the table."""
    most, ends = largest(costs, assumed)
    clusters = max(1, math.ceil(rate / most))
    needs = cluster(rate / clusters, costs, assumed)
    first = max(needs, key=lambda each: each.wanted)
    bottleneck, lift = (f"{first.kind}: {first.why}", LIFTS[first.why]) if clusters == 1 else (ends, LIFTS[ends])
    stored = rate / 2 * costs.disk.get("CQL", 0) * SECONDS_A_DAY * assumed.copies / GB
    cells = [
        f"{rate:,.0f}", f"{clusters:,}", *(f"{each.nodes} ({each.cores:,.1f})" for each in needs),
        f"{sum(each.nodes for each in needs) * clusters:,}", f"{stored:,.0f} GB", bottleneck, lift,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def tables(costs: Costs, scales: list[Assumed], rates: list[float]) -> str:
    services = [part for part in (*FLEET, *SERVERS.values()) if part in costs.cpu_us]
    lines = ["| | seconds of a core | sent | received | memory at the end |", "|---|---|---|---|---|"]
    for part in services:
        sent, received = costs.sent[part] * 1e6 / GB, costs.received[part] * 1e6 / GB
        lines.append(f"| {part} | {costs.cpu_us[part]:.1f} | {sent:.2f} GB | {received:.2f} GB | {costs.memory_mb[part]:.0f} MB |")
    kept = ", ".join(f"{name} {bytes_ * 1e6 / GB:.2f} GB" for name, bytes_ in sorted(costs.disk.items()))
    lines += ["", f"On disk, one copy: {kept}.", ""]
    for form, run in costs.in_one.items():
        took = {part["part"]: part for part in run["parts"]}
        fleet, broker = took["fleet"], took["nats-server"]
        room = ", ".join(f"{name} {bytes_ * 1e6 / GB:.2f} GB" for name, bytes_ in run["disk_bytes"].items())
        lines.append(
            f"- One process, embedded stores, {form} tenant stream: fleet {fleet['cpu_s']:.1f} s and {fleet['memory_mb']} MB, broker "
            f"{broker['cpu_s']:.1f} s and {broker['memory_mb']} MB; on disk {room}."
        )
    lines.append("")
    for assumed in scales:
        most, ends = largest(costs, assumed)
        lines += [
            f"**{assumed.days:.0f} days stored.** One cluster ends at {most:,.0f} events a second: {ends}.", "",
            "| events/s at the peak | clusters | fleet: nodes (cores) | broker | CQL | ClickHouse | nodes in all | stored a day "
            "| first bottleneck | what lifts it |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(step(rate, costs, assumed) for rate in rates), "",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rate", type=float, help="events a second at the peak")
    asked.add_argument("--days", type=float, help="that events are stored")
    asked.add_argument("--check", action="store_true")
    asked.add_argument("--write", action="store_true", help="writes the tables into the page")
    options = asked.parse_args()
    rates = [options.rate] if options.rate else [1e3, 1e4, 5e4, 2e5, 1e6, 1e7, 1e8]
    days = [options.days] if options.days else [30, 3]
    made = tables(Costs.read(), [replace(Assumed(), days=each) for each in days], rates)
    if not (options.check or options.write):
        print(made, end="")
        return 0
    begin, end = "<!-- made by scripts/sizing.py -->\n", "<!-- end -->\n"
    page = PAGE.read_text()
    before, rest = page.split(begin)
    old, after = rest.split(end)
    if options.write:
        PAGE.write_text(before + begin + made + end + after)
    elif old != made:
        print("docs/sizing.md is not what scripts/sizing.py makes: run it with --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
