"""Dashboards and alerts: as the code makes them, with declared metrics, units and runbooks."""

import re
from pathlib import Path

import pytest
from tools.dashboards.alerts import ALERTS
from tools.dashboards.model import Alert, Board, Panel
from tools.dashboards.write import BOARDS, DEPLOY, files

from tests.monitoring.expressions import EXPOSED, OF_PROMETHEUS, metrics

OPERATIONS = (DEPLOY.parent / "docs" / "operations.md").read_text("utf-8")

PANELS = [(board, panel) for board in BOARDS for panel in board.panels]


def named(value: object) -> str | None:
    return getattr(value, "title", None) or getattr(value, "name", None)


def test_the_files_are_what_the_code_makes() -> None:
    made = files()
    found = [*DEPLOY.glob("grafana/*"), DEPLOY / "prometheus" / "waitline.rules.yml"]
    assert {str(path.relative_to(DEPLOY)) for path in found} == made.keys()
    for path in found:
        assert path.read_text("utf-8") == made[str(path.relative_to(DEPLOY))], "run make dashboards"


def test_a_metric_that_is_not_declared_is_seen() -> None:
    named = metrics('rate(no_such_total{service="a"}[5m]) / up')
    assert named == {"no_such_total": {"service"}, "up": set()}
    assert not named.keys() <= EXPOSED.keys() | OF_PROMETHEUS


@pytest.mark.parametrize(
    "expr",
    [
        *(query.expr for _, panel in PANELS for query in panel.queries),
        *(alert.expr for alert in ALERTS),
    ],
)
def test_an_expression_names_declared_metrics_and_their_labels(expr: str) -> None:
    found = metrics(expr)
    assert found
    for name, labels in found.items():
        if name not in OF_PROMETHEUS:
            own = {"service", "instance", "le", *EXPOSED[name].labels}
            assert labels <= own, name


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=named)
def test_a_panel_says_what_it_shows(board: Board, panel: Panel) -> None:
    assert panel.unit
    assert panel.description.endswith(".")
    assert panel.queries
    assert [one.title for one in board.panels].count(panel.title) == 1
    assert list(panel.thresholds) == sorted(panel.thresholds)


def test_every_metric_is_on_a_dashboard() -> None:
    """Except those that only help to explain others."""
    shown = {name for _, panel in PANELS for query in panel.queries for name in metrics(query.expr)}
    missing = {family.exposed for name, family in EXPOSED.items() if name not in shown}
    missing -= {EXPOSED[name].exposed for name in shown if name in EXPOSED}
    assert missing == {
        "audit_timestamp_seconds",
        "metrics_renderings_total",
        "queue_address_limited_total",
        "queue_admission_allowance",
        "queue_admission_limit_per_second",
        "queue_admission_reason",
        "queue_admission_stuck_seconds",
        "queue_admitting",
        "queue_throughput_users_per_second",
        "store_slot_maps_total",
    }


@pytest.mark.parametrize("alert", ALERTS, ids=named)
def test_an_alert_leads_to_its_panel_and_its_runbook(alert: Alert) -> None:
    (board,) = [one for one in BOARDS if one.uid == alert.board]
    (panel,) = [one for one in board.panels if one.title == alert.panel]
    own = {EXPOSED[name].name for name in metrics(alert.expr) if name not in OF_PROMETHEUS}
    shown = {EXPOSED[name].name for query in panel.queries for name in metrics(query.expr)}
    assert not own or own & shown, "the panel shows something else"
    assert len(re.findall(rf"^#### {alert.name}$", OPERATIONS, re.MULTILINE)) == 1
    assert alert.severity in {"page", "ticket"}


def test_every_runbook_is_of_an_alert() -> None:
    headings = re.findall(r"^#### (Waitline\w+)$", OPERATIONS, re.MULTILINE)
    assert headings == [alert.name for alert in ALERTS]


def test_rules_of_prometheus_are_loaded_by_its_configuration() -> None:
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
    assert Path("waitline.rules.yml").name in config
