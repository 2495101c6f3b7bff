"""What a dashboard is made of: a short table in, the JSON that Grafana reads out.

A board is a list of rows, a row a title and its panels, a panel its queries and a unit. Everything else is the same in all
boards: sizes, legends, the variables `datasource`, `clickhouse` and `namespace`, the link to traces.
"""

import json
from dataclasses import dataclass, field

PROMETHEUS = "prometheus"
CLICKHOUSE = "grafana-clickhouse-datasource"
SOURCES = {
    PROMETHEUS: {"type": PROMETHEUS, "uid": "${datasource}"},
    CLICKHOUSE: {"type": CLICKHOUSE, "uid": "${clickhouse}"},
}
WIDTH = 24
RUNBOOKS = "https://eventrunner.dev/docs/runbooks"


@dataclass(frozen=True)
class Query:
    """Of one data source; `legend` is Prometheus's, or the column of ClickHouse's that tells the lines apart."""

    source: str
    text: str
    legend: str = ""
    table: bool = False

    def target(self, ref: str) -> dict:
        target = {"refId": ref, "datasource": SOURCES[self.source]}
        if self.source == CLICKHOUSE:
            kind = "table" if self.table else "timeseries"
            return target | {"editorType": "sql", "queryType": kind, "format": int(self.table), "rawSql": self.text}
        target |= {"expr": self.text, "legendFormat": self.legend or "__auto", "editorMode": "code"}
        return target | ({"instant": True, "format": "table"} if self.table else {"range": True})


def prom(text: str, legend: str = "", *, table: bool = False) -> Query:
    """PromQL. `FLEET` stands for the labels that choose the fleet."""
    return Query(PROMETHEUS, " ".join(text.split()).replace("FLEET", 'namespace=~"$namespace"'), legend, table)


def quantiles(metric: str, by: str = "", labels: str = "") -> list[Query]:
    """The median and the 99th percentile of a histogram, for each value of a label if one is named."""
    kept, legend = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    return [
        prom(f"histogram_quantile({q}, sum by ({kept}) (rate({metric}_bucket{{FLEET{labels}}}[$__rate_interval])))", f"{legend}p{name}")
        for q, name in ((0.5, "50"), (0.99, "99"))
    ]


def sql(text: str, legend: str = "", *, table: bool = False) -> Query:
    """ClickHouse's SQL, with the macros of its plugin. What is no table names the column that tells its lines apart."""
    lines = text.strip("\n").splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return Query(CLICKHOUSE, "\n".join(line[indent:].rstrip() for line in lines), legend, table)


@dataclass(frozen=True)
class Panel:
    """`kind` is `timeseries`, `stat`, `bars` (stacked) or `table`; `limits` are values from which it is orange, and red."""

    title: str
    unit: str
    queries: list[Query]
    about: str
    kind: str = "timeseries"
    width: int = 8
    limits: tuple[float, ...] = ()
    # Whether little is bad: colours change below the limits.
    falling: bool = False
    decimals: int | None = None
    # Upper end of the axis.
    top: float | None = None
    # Alerts made of the same, without "EventRunner": the panel leads to their pages.
    alerts: tuple[str, ...] = ()
    # Columns of a table that say nothing, and the one whose values are names of runbooks.
    without: tuple[str, ...] = ()
    runbooks: str = ""

    @property
    def height(self) -> int:
        return 5 if self.kind == "stat" else 8

    def thresholds(self) -> dict:
        colours = ["green", "orange", "red"]
        if self.falling:
            colours = colours[len(self.limits) :: -1]
        steps = [{"color": colours[0], "value": None}]
        steps += [{"color": colour, "value": limit} for colour, limit in zip(colours[1:], self.limits)]
        return {"mode": "absolute", "steps": steps}

    def field_config(self) -> dict:
        defaults: dict = {"unit": self.unit, "thresholds": self.thresholds()}
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.top is not None:
            defaults["max"] = self.top
        if self.kind in ("timeseries", "bars"):
            bars = self.kind == "bars"
            defaults["min"] = 0
            defaults["custom"] = {
                "drawStyle": "bars" if bars else "line",
                "lineWidth": 1,
                "fillOpacity": 60 if bars else 8,
                "showPoints": "never",
                "stacking": {"mode": "normal" if bars else "none", "group": "A"},
            }
            if self.limits:
                defaults["custom"]["thresholdsStyle"] = {"mode": "dashed"}
            for query in self.queries:
                if query.source == CLICKHOUSE:
                    defaults["displayName"] = f"${{__field.labels.{query.legend}}}"
        overrides = []
        if self.runbooks:
            link = {"title": "Runbook", "url": f"{RUNBOOKS}/${{__value.raw}}", "targetBlank": True}
            properties = [{"id": "links", "value": [link]}]
            overrides.append({"matcher": {"id": "byName", "options": self.runbooks}, "properties": properties})
        return {"defaults": defaults, "overrides": overrides}

    def options(self) -> dict:
        if self.kind == "stat":
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "value",
                "graphMode": "area",
                "textMode": "auto",
                "justifyMode": "auto",
                "orientation": "auto",
                "wideLayout": True,
                "showPercentChange": False,
                "percentChangeColorMode": "standard",
            }
        if self.kind == "table":
            return {"showHeader": True, "cellHeight": "sm", "frameIndex": 0}
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }

    def json(self, number: int, x: int, y: int) -> dict:
        sources = {query.source for query in self.queries}
        if len(sources) != 1:
            raise ValueError(f"{self.title}: a panel has one data source")
        more: dict = {"links": [link(f"Runbook: {name}", f"{RUNBOOKS}/EventRunner{name}") for name in self.alerts]} if self.alerts else {}
        if self.without:
            more["transformations"] = [{"id": "organize", "options": {"excludeByName": dict.fromkeys(self.without, True)}}]
        return more | {
            "id": number,
            "type": "timeseries" if self.kind == "bars" else self.kind,
            "title": self.title,
            "description": self.about,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "datasource": SOURCES[sources.pop()],
            "targets": [query.target(chr(ord("A") + at)) for at, query in enumerate(self.queries)],
            "fieldConfig": self.field_config(),
            "options": self.options(),
        }


def link(title: str, url: str, icon: str = "doc", tooltip: str = "") -> dict:
    return {
        "type": "link", "title": title, "url": url, "icon": icon, "targetBlank": True, "tags": [],
        "asDropdown": False, "includeVars": False, "keepTime": False, "tooltip": tooltip,
    }  # fmt: skip


@dataclass(frozen=True)
class Row:
    title: str
    panels: list[Panel]


def choice(name: str, label: str, source: str) -> dict:
    """A variable that chooses a data source."""
    return {"type": "datasource", "name": name, "label": label, "query": source, "refresh": 1, "hide": 0}


NAMESPACE = {
    "type": "query",
    "name": "namespace",
    "label": "Namespace",
    "datasource": SOURCES[PROMETHEUS],
    "query": {"query": "label_values(eventrunner_build_info, namespace)", "refId": "namespace"},
    "definition": "label_values(eventrunner_build_info, namespace)",
    "refresh": 2,
    "sort": 1,
    "multi": True,
    "includeAll": True,
    # Outside of Kubernetes there is no such label, which this matches too.
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
    "hide": 0,
}

TRACES = (
    '/explore?schemaVersion=1&panes={"t":{"datasource":"${traces}","queries":[{"refId":"A","queryType":"search",'
    '"service":"eventrunner"}],"range":{"from":"${__from}","to":"${__to}"}}}&orgId=1'
)


# Marks in every panel when an alert fires.
FIRING = {
    "name": "Alerts",
    "datasource": SOURCES[PROMETHEUS],
    "enable": True,
    "hide": False,
    "iconColor": "red",
    "expr": prom('ALERTS{FLEET, alertname=~"EventRunner.*", alertstate="firing"}').text,
}


@dataclass(frozen=True)
class Board:
    uid: str
    title: str
    about: str
    rows: list[Row]
    variables: list[dict] = field(default_factory=list)
    since: str = "now-1h"

    def sources(self) -> set[str]:
        return {query.source for row in self.rows for panel in row.panels for query in panel.queries}

    def panels(self) -> list[dict]:
        out: list[dict] = []
        y = 0
        for row in self.rows:
            out.append({
                "id": len(out) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": [],
                "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
            })
            y, x, tall = y + 1, 0, 0
            for panel in row.panels:
                if x + panel.width > WIDTH:
                    y, x, tall = y + tall, 0, 0
                out.append(panel.json(len(out) + 1, x, y))
                x, tall = x + panel.width, max(tall, panel.height)
            y += tall
        return out

    def templating(self) -> list[dict]:
        out = []
        if PROMETHEUS in self.sources():
            out += [choice("datasource", "Prometheus", PROMETHEUS), NAMESPACE]
        if CLICKHOUSE in self.sources():
            out.append(choice("clickhouse", "ClickHouse", CLICKHOUSE))
        return out + [choice("traces", "Traces", "jaeger"), *self.variables]

    def json(self) -> str:
        links = [
            {
                "type": "dashboards", "title": "EventRunner", "tags": ["eventrunner"], "asDropdown": True,
                "includeVars": True, "keepTime": True, "icon": "external link", "targetBlank": False, "tooltip": "", "url": "",
            },
            link("Traces", TRACES, "bolt", "Traces of this span of time"),
            link("Runbooks", f"{RUNBOOKS}/README", tooltip="A page for each alert"),
        ]
        board = {
            "uid": self.uid,
            "title": self.title,
            "description": self.about,
            "tags": ["eventrunner"],
            "schemaVersion": 39,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": self.since, "to": "now"},
            "timezone": "browser",
            "links": links,
            "templating": {"list": self.templating()},
            "annotations": {"list": [FIRING] if PROMETHEUS in self.sources() else []},
            "panels": self.panels(),
        }
        return json.dumps(board, indent=1, ensure_ascii=False) + "\n"
