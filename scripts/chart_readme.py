#!/usr/bin/env python3
"""Makes the chart's README of its values: every key, what it is when nobody sets it, and what the comment above it says.

    scripts/chart_readme.py            writes it
    scripts/chart_readme.py --check    fails if it is not what the values say
"""

import json
import re
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parent.parent / "deploy/helm/eventrunner"
HEAD = """# The Helm chart of EventRunner

<!-- Made by `scripts/chart_readme.py` of `Chart.yaml` and `values.yaml`; a test fails when it is stale. -->

{description}. Needs Kubernetes {kube}. How to install, operate and upgrade it: [docs/kubernetes.md](../../../docs/kubernetes.md).

```sh
helm install events deploy/helm/eventrunner --namespace events --create-namespace
```

`ci/` holds a values file for each way to run it, with which it is tested.

## Values

What is wrong is refused with its name: `values.schema.json` knows every key.

| key | default | meaning |
|---|---|---|
"""


def comments(text: str) -> dict[int, str]:
    """The `# --` comment that ends right above each line, by that line's number."""
    found, gathered = {}, []
    for number, line in enumerate(text.splitlines()):
        stripped = line.strip()
        if stripped.startswith("# -- "):
            gathered = [stripped.removeprefix("# -- ")]
        elif stripped.startswith("#") and gathered:
            gathered.append(stripped.removeprefix("#").strip())
        else:
            if gathered:
                found[number] = " ".join(gathered)
            gathered = []
    return found


def rows(node: yaml.MappingNode, prefix: str, said: dict[int, str]):
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        meaning = said.get(key.start_mark.line, "") if key.start_mark.column == node.start_mark.column else ""
        # A short mapping in one line is a row; a longer one is a row for each of its keys.
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from rows(value, f"{path}.", said)
        else:
            yield path, value, meaning


def shown(node: yaml.Node, text: str) -> str:
    if isinstance(node, yaml.ScalarNode) and node.style == "|":
        return "(see `values.yaml`)"
    data = yaml.safe_load(text[node.start_mark.index : node.end_mark.index])
    return f"`{json.dumps(data, ensure_ascii=False)}`" if data != "" else ""


def page() -> str:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    text = (CHART / "values.yaml").read_text()
    lines = [
        f"| `{path}` | {shown(node, text)} | {meaning.replace('|', chr(92) + '|')} |"
        for path, node, meaning in rows(yaml.compose(text), "", comments(text))
    ]
    head = HEAD.format(description=chart["description"], kube=re.sub(r"^>=(\d+\.\d+).*", r"\1 or newer", chart["kubeVersion"]))
    return head + "\n".join(lines) + "\n"


def main() -> int:
    target = CHART / "README.md"
    if sys.argv[1:] == ["--check"]:
        if target.read_text() == page():
            return 0
        print(f"{target.name} is not what the values say: run scripts/chart_readme.py", file=sys.stderr)
        return 1
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 64
    target.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
