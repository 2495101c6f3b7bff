#!/usr/bin/env python3
"""Makes the Grafana dashboards of deploy/helm/eventrunner/dashboards from the tables in scripts/observe/boards.

    scripts/observe/dashboards.py            writes them
    scripts/observe/dashboards.py --check    writes nothing; fails if one is stale

A new dashboard is a new file in `boards` with a `BOARD`. docs/observability.md says how to fill it.
"""

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / "deploy/helm/eventrunner/dashboards"
sys.path.insert(0, str(HERE))

from grafana import Board  # noqa: E402


def boards() -> dict[str, Board]:
    """Each board by the name of its file, without the ending."""
    names = sorted(path.stem for path in (HERE / "boards").glob("[a-z]*.py"))
    return {name: importlib.import_module(f"boards.{name}").BOARD for name in names}


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(__doc__, file=sys.stderr)
        return 64
    wanted = {f"{name}.json": board.json() for name, board in boards().items()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if check:
        for name in stale:
            print(f"stale: {name}; make it again: scripts/observe/dashboards.py", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        if name in wanted:
            (FOLDER / name).write_text(wanted[name])
        else:
            (FOLDER / name).unlink()
        print(f"{'wrote' if name in wanted else 'removed'} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
