"""Write the dashboards and the rules: `python -m tools.dashboards.write`."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphTresholdsStyleMode, LegendDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.dashboard import Threshold as Level

from tools.dashboards.alerts import ALERTS
from tools.dashboards.machinery import POSTGRESQL, PROCESSES, VALKEY
from tools.dashboards.model import Board, Panel
from tools.dashboards.sale import BOX_OFFICE, CIRCULATION, OVERVIEW, WAITING_ROOM

BOARDS = (OVERVIEW, WAITING_ROOM, CIRCULATION, BOX_OFFICE, VALKEY, POSTGRESQL, PROCESSES)

DEPLOY = Path(__file__).parents[2] / "deploy"

RULES = "prometheus/waitline.rules.yml"

WIDTH, HEIGHT = 12, 8
"""Size of a panel: half of Grafana's 24 columns."""

SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")

DOCS = "${docs:raw}"
"""Dashboard variable with the address of the documentation, for links to runbooks."""


def files() -> dict[str, str]:
    """Return the text of each file, by its path below deploy/."""
    boards = {f"grafana/{board.uid}.json": as_json(board) for board in BOARDS}
    return {**boards, RULES: rules()}


def as_json(board: Board) -> str:
    """Return a dashboard as Grafana imports it."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["waitline"])
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("Waitline")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["waitline"])
            .as_dropdown(True)  # noqa: FBT003 - the library's
        )
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .with_variable(_choice("instance", "label_values(service_processes, instance)"))
        .with_variable(_choice("room", "label_values(queue_wait_size, concert_id)"))
        .with_variable(
            dashboard.TextBoxVariable("docs")
            .label("Documentation")
            .default_value("https://waitline.example/docs")
        )
    )
    for panel in board.panels:
        built = built.with_panel(_panel(board, panel))
    return JSONEncoder(sort_keys=True, indent=1).encode(built.build()) + "\n"


def _choice(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .query(query)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)  # noqa: FBT003 - the library's
        .all_value(".*")
        .multi(True)  # noqa: FBT003 - the library's
    )


def _panel(board: Board, panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .id(board.panel_id(panel.title))
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .min(0)
        .datasource(SOURCE)
        .span(WIDTH)
        .height(HEIGHT)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))  # noqa: FBT003
        .links(
            [
                dashboard.DashboardLink(f"Runbook of {alert.name}")
                .type(DashboardLinkType.LINK)
                .url(f"{DOCS}/{alert.runbook}")
                for alert in ALERTS
                if (alert.board, alert.panel) == (board.uid, panel.title)
            ]
        )
    )
    if panel.thresholds:
        levels = [Level(None, "green")]
        levels += map(Level, panel.thresholds, ("yellow", "red")[-len(panel.thresholds) :])
        built = built.thresholds(
            dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(levels)
        ).thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        built = built.with_target(
            prometheus.Dataquery()
            .ref_id(letter)
            .expr(query.expr)
            .legend_format(query.legend)
            .datasource(SOURCE)
        )
    return built


def rules() -> str:
    """Return the alerts as Prometheus' rule file. A JSON text is a YAML text, too."""
    numbers = {board.uid: board for board in BOARDS}
    lines = ["# Written by `make dashboards` from tools/dashboards/alerts.py.", "groups:",
             "  - name: waitline", "    rules:"]  # fmt: skip
    for alert in ALERTS:
        annotations: dict[str, Any] = {
            "summary": alert.summary,
            "runbook_url": f"docs/{alert.runbook}",
            # Grafana links an alert to its panel by these two.
            "__dashboardUid__": alert.board,
            "__panelId__": str(numbers[alert.board].panel_id(alert.panel)),
        }
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expr)}",
            f"        for: {alert.lasting}",
            f"        labels: {json.dumps({'severity': alert.severity})}",
            f"        annotations: {json.dumps(annotations)}",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every file."""
    for name, text in files().items():
        path = DEPLOY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
