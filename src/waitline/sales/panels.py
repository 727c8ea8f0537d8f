"""Panels of a dashboard, drawn without Grafana: its queries, run on Prometheus' HTTP API.

`waitline report panels` draws the files of deploy/grafana, or any dashboard of line charts.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from waitline.kernel.documents import parse_json
from waitline.kernel.errors import Misconfigured
from waitline.kernel.plurals import counted
from waitline.sales.drawing import page, plots
from waitline.sales.metric_answers import read_result

STEPS = 240
"""Points of a line: as many as a chart shows."""

LINES_MAX = 6
"""Lines of a panel, those with the highest values; two rows of the legend, with the thresholds."""

QUERIES_MAX = 200
"""Queries of a dashboard: ours have 30."""

AT_ONCE = 4
"""Queries that Prometheus runs for us at once: a fifth of what it allows by default."""

ANSWER_S = 30.0
"""Timeout of one query, in s."""

DASHBOARD_BYTES_MAX = 4 * 1024**2
"""Longest file that is read; ours have 20 kB."""

UNITS = {
    "s": "s",
    "bytes": "bytes",
    "percentunit": "share",
    "reqps": "per s",
    "ops": "per s",
    "cps": "per s",
}
"""Units of Grafana, in words; others count something."""

RED = 4
"""Index of the colour of thresholds."""


class Target(NamedTuple):
    """One query of a panel.

    Attributes:
        expr: In PromQL, with Grafana's variables.
        legend: Name of its lines, with labels in double braces.
    """

    expr: str
    legend: str


class DashboardPanel(NamedTuple):
    """A panel of a dashboard.

    Attributes:
        title: Its title.
        unit: Unit of its values, in words.
        targets: Its queries.
        thresholds: Values that are drawn as dashed lines.
    """

    title: str
    unit: str
    targets: list[Target]
    thresholds: list[float]


class PanelDashboard(NamedTuple):
    """A dashboard file.

    Attributes:
        title: Its title.
        question: What it answers.
        panels: Its panels.
    """

    title: str
    question: str
    panels: list[DashboardPanel]


class DrawnTime(NamedTuple):
    """The time that is drawn, in s since the epoch."""

    start_s: float
    end_s: float

    @property
    def step_s(self) -> float:
        """Distance of two points."""
        return max(1.0, (self.end_s - self.start_s) / STEPS)


def load_dashboard(path: Path) -> PanelDashboard:
    """Load a dashboard as Grafana exports it.

    Raises:
        Misconfigured: It cannot be read, or is not one.
    """
    try:
        with path.open("rb") as file:
            text = file.read(DASHBOARD_BYTES_MAX + 1)
    except OSError as error:
        raise Misconfigured(f"cannot read the dashboard {path}: {error.strerror}") from None
    try:
        found = parse_json(text, dict[str, Any])
        panels = [_panel(one) for one in found["panels"] if one.get("targets")]
        loaded = PanelDashboard(str(found["title"]), str(found.get("description", "")), panels)
    except (ValueError, LookupError, TypeError, AttributeError):
        loaded = PanelDashboard("", "", [])
    if not 0 < sum(len(one.targets) for one in loaded.panels) <= QUERIES_MAX:
        raise Misconfigured(
            f"{path} is not a dashboard of Grafana with 1 to {QUERIES_MAX} queries; "
            "deploy/grafana/ has some"
        )
    return loaded


def _panel(found: Mapping[str, Any]) -> DashboardPanel:
    defaults = found.get("fieldConfig", {}).get("defaults", {})
    steps = defaults.get("thresholds", {}).get("steps", [])
    return DashboardPanel(
        str(found["title"]),
        UNITS.get(str(defaults.get("unit", "")), ""),
        [Target(str(one["expr"]), str(one.get("legendFormat", ""))) for one in found["targets"]],
        [float(one["value"]) for one in steps if one["value"] is not None],
    )


async def draw(
    dashboard: PanelDashboard, prometheus: str, span: DrawnTime, variables: Mapping[str, str]
) -> str:
    """Run the queries of a dashboard and return its page.

    Args:
        dashboard: The dashboard.
        prometheus: Address of Prometheus.
        span: The time to draw.
        variables: Values of the dashboard's variables, as regular expressions.

    Raises:
        Misconfigured: Prometheus does not answer, or refuses a query.
    """
    limit = asyncio.Semaphore(AT_ONCE)
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def lines_of(target: Target) -> list[plots.Series]:
            async with limit:
                return await _run(session, prometheus, target, span, variables)

        results = await asyncio.gather(
            *(
                asyncio.gather(*(lines_of(target) for target in panel.targets))
                for panel in dashboard.panels
            )
        )
    drawings, empty = [], []
    for panel, found in zip(dashboard.panels, results, strict=True):
        lines = [line for lines in found for line in lines]
        if lines:
            drawings.append(_drawn(panel, lines, span))
        else:
            empty.append(panel.title)
    start, end = (datetime.fromtimestamp(at_s, UTC) for at_s in span)
    return page.page(
        dashboard.title,
        page.heading("Waitline dashboard", dashboard.title, dashboard.question,
                     f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"),
        page.notice(f"No data: {', '.join(empty)}.") if empty else page.notice(),
        page.section("Panels", page.plots(drawings)),
        page.footer(
            f"At most {counted(LINES_MAX, 'line')} of a panel are drawn, those with the highest "
            "values. Dashed lines are thresholds.",
        ),
    )  # fmt: skip


async def _run(
    session: aiohttp.ClientSession,
    prometheus: str,
    target: Target,
    span: DrawnTime,
    variables: Mapping[str, str],
) -> list[plots.Series]:
    rate_s = max(60, round(4 * span.step_s))
    values = {**variables, "__rate_interval": f"{rate_s}s"}
    expr = re.sub(r"\$(\w+)", lambda at: values.get(at[1], ".*"), target.expr)
    asked = {
        "query": expr,
        "start": f"{span.start_s:.3f}",
        "end": f"{span.end_s:.3f}",
        "step": f"{span.step_s:.3f}",
    }
    url = f"{prometheus.rstrip('/')}/api/v1/query_range"
    try:
        async with session.post(url, data=asked) as answer:
            return [_line(target, one, span) for one in await read_result(answer)]
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
        failure = str(error) or "no answer in time"
    raise Misconfigured(
        f"Prometheus at {prometheus} does not answer a query: {failure}. "
        "Give its address with --prometheus"
    )


def _line(target: Target, found: Mapping[str, Any], span: DrawnTime) -> plots.Series:
    labels = found["metric"]
    name = re.sub(r"\{\{(\w+)\}\}", lambda at: str(labels.get(at[1], "")), target.legend)
    xs, ys = [], []
    for at_s, text in found["values"]:
        value = float(text)
        xs.append((at_s - span.start_s) / 60)
        ys.append(value if isfinite(value) else None)
    return plots.Series(name.strip() or target.expr[:40], xs, ys)


def _drawn(panel: DashboardPanel, lines: Sequence[plots.Series], span: DrawnTime) -> str:
    lines = sorted(lines, key=_highest, reverse=True)[:LINES_MAX]
    top = max(map(_highest, lines))
    x = plots.Axis("minutes", least=0, most=(span.end_s - span.start_s) / 60)
    return plots.lines(
        [*lines, *_thresholds(panel, top, x)], panel.title, panel.unit, x=x,
        points=any(len(one.xs) == 1 for one in lines),
    )  # fmt: skip


def _thresholds(panel: DashboardPanel, top: float, x: plots.Axis) -> Iterator[plots.Series]:
    """Return the thresholds that are near the values: others would flatten the lines."""
    for value in panel.thresholds:
        if value <= 2 * top:
            yield plots.Series(f"{value:,g}", [0, x.most or 0], [value] * 2, True, RED)  # noqa: FBT003


def _highest(line: plots.Series) -> float:
    return max((value for value in line.ys if value is not None), default=0.0)
