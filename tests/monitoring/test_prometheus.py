"""A real Prometheus scrapes a running stack in a sale: every expression returns data."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tools.dashboards.alerts import ALERTS
from tools.dashboards.machinery import VALKEY
from tools.dashboards.model import Board
from tools.dashboards.sale import OVERVIEW
from tools.dashboards.write import BOARDS, DEPLOY

from tests.booking_web.office import Office
from tests.monitoring.conftest import LINE, Prometheus, SecondAdmitter
from tests.monitoring.expressions import filled
from tests.monitoring.promtool import needed, promtool
from tests.processes import halted
from tests.until import until
from tests.web.stack import SOON_S, UP_S, waitline

pytestmark = [needed, pytest.mark.long]

QUERIES = [
    pytest.param(query.expr, id=f"{board.uid}: {panel.title}: {query.legend}")
    for board in BOARDS
    for panel in board.panels
    for query in panel.queries
]

# What this stack does not have.
WITHOUT = {
    "store_certificate_expiry_timestamp_seconds": "TLS to Valkey",
    "certificate_expiry_timestamp_seconds": "TLS to PostgreSQL, and public addresses",
    "store_replica_lag_bytes": "a replica",
    "store_redirects_total": "a cluster",
    "database_replica_lag_bytes": "a standby",
}

# Thresholds of speed: the machine of the tests may be ten times as slow as one that serves a sale.
OF_SPEED = {"WaitlineSlow": ("> 0.25", "> 2.5"), "WaitlineScriptsSlow": ("> 0.01 ", "> 0.1 ")}

# Seconds for which a condition must not hold without a break. Alerts that last are given minutes.
HELD_S = 15

# Names that the wire contract fixes, against Prometheus' rules for names.
OF_CONTRACT = {"scheduler_concerts_count"}


@pytest.fixture(scope="module")
def faulty(office: Office, prometheus: Prometheus) -> Prometheus:
    """After what some expressions need: an audit, and a store that did not answer for a while."""
    waitline("audit", "--booking", "--data-dir", str(office.program.data_dir))
    # A counter has a rate from its second value on.
    until(lambda: bool(prometheus.query("queue_wait_size offset 3s")), UP_S, "it is scraped")
    with halted(office.program.processes()["valkey"]):
        failures = "sum(metrics_failures_total) > 0"
        until(lambda: bool(prometheus.query(failures)), UP_S, "a scrape without Valkey")
    return prometheus


def test_no_alert_fires_in_an_ordinary_sale(prometheus: Prometheus) -> None:
    sold = f"sum(payments_confirmed_amount_total offset {HELD_S}s) > 0"
    until(lambda: bool(prometheus.query(sold)), UP_S, "seats are sold")
    for alert in ALERTS:
        expr = alert.expr.replace(*OF_SPEED.get(alert.name, ("", "")))
        assert (expr != alert.expr) == (alert.name in OF_SPEED)
        if alert.lasting != "0m":
            expr = f"count_over_time(({expr})[{HELD_S}s:1s]) >= {HELD_S}"
        assert prometheus.query(expr) == [], alert.name
    assert prometheus.firing() == set()


def test_an_admitter_of_another_machine_is_scraped(prometheus: Prometheus) -> None:
    expr = 'rate(scheduler_round_duration_seconds_count{service="admitter"}[10s]) > 0'
    until(lambda: bool(prometheus.query(expr)), SOON_S, "its rounds are counted")
    (found,) = prometheus.query(expr)
    assert found["metric"]["instance"] == "second-machine"


@pytest.mark.parametrize("expr", QUERIES)
def test_an_expression_of_a_dashboard_returns_data(faulty: Prometheus, expr: str) -> None:
    if any(name in expr for name in WITHOUT):
        assert faulty.query(filled(expr)) == []
        return
    until(lambda: bool(faulty.query(filled(expr))), SOON_S, expr)
    for one in faulty.query(filled(expr)):
        assert one["value"][1] not in {"NaN", "+Inf", "-Inf"}, one


@pytest.mark.parametrize(
    ("alert", "change"),
    [
        pytest.param(
            "WaitlinePaymentsNeedOperator",
            "UPDATE payment SET flag = 'refund_failed' WHERE payment_id = "
            "(SELECT min(payment_id) FROM payment)",
            id="a payment that needs an operator",
        ),
        pytest.param(
            "WaitlineDeadEvents",
            "UPDATE outbox SET dead = true, sent_at = NULL WHERE event_no = "
            "(SELECT min(event_no) FROM outbox)",
            id="a dead event",
        ),
    ],
)
def test_an_alert_fires_in_a_fault_of_the_box_office(
    office: Office, prometheus: Prometheus, alert: str, change: str
) -> None:
    (expr,) = [one.expr for one in ALERTS if one.name == alert]
    until(lambda: bool(office.sql("SELECT FROM outbox LIMIT 1")), UP_S, "seats are sold")
    office.sql(change)
    until(lambda: bool(prometheus.query(expr)), SOON_S, alert)


def test_stuck_admission(
    office: Office, prometheus: Prometheus, second_admitter: SecondAdmitter
) -> None:
    (expr,) = [one.expr for one in ALERTS if one.name == "WaitlineAdmissionStuck"]
    # Within seconds rather than minutes.
    quick = expr.replace("[2m]", "[6s]")
    assert quick != expr
    with halted([*office.program.processes()["admitter"], second_admitter.program.pid]):
        until(lambda: bool(prometheus.query(quick)), SOON_S, "admission is stuck")
    until(lambda: not prometheus.query(quick), UP_S, "visitors are admitted again")


@pytest.mark.parametrize("board", [OVERVIEW, VALKEY], ids=lambda board: str(board.uid))
def test_panels_are_drawn_without_grafana(faulty: Prometheus, tmp_path: Path, board: Board) -> None:
    file = DEPLOY / "grafana" / f"{board.uid}.json"
    words = ["report", "panels", str(file), "--prometheus", faulty.url, "--minutes", "2"]
    done = waitline(*words, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / f"{board.uid}.html").read_text("utf-8")
    without = sum(
        all(any(name in query.expr for name in WITHOUT) for query in panel.queries)
        for panel in board.panels
    )
    assert page.count("<figure") == len(board.panels) - without
    assert "NaN" not in page


def test_panels_of_one_room(faulty: Prometheus, tmp_path: Path) -> None:
    file = DEPLOY / "grafana" / "waitline-waiting-room.json"
    words = ["report", "panels", str(file), "--prometheus", faulty.url, "--minutes", "2"]
    done = waitline(*words, "--room", "no-such.room", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "waitline-waiting-room.html").read_text("utf-8")
    assert "No data: Visitors waiting, Slots in use" in page


def test_the_live_view_reads_prometheus(prometheus: Prometheus) -> None:
    shown: dict[str, Any] = {}

    def complete() -> bool:
        # After a scrape that took too long, Prometheus shows nothing of a service.
        done = waitline("top", "--prometheus", prometheus.url, "--once", "--json")
        assert done.returncode == 0, done.stderr
        shown.update(json.loads(done.stdout))
        return len(shown["instances"]) == 3 and bool(shown["rooms"] and shown["boxOffice"])

    until(complete, UP_S, "all services are shown")
    assert shown["sources"] == [{"address": prometheus.url, "failure": None}]
    assert max(room["waiting"] for room in shown["rooms"]) > LINE / 3
    assert shown["admitters"] == 2
    assert {one["service"] for one in shown["instances"]} == {"queue", "booking", "admitter"}
    calls = {one["call"]: one for one in shown["calls"]}
    assert calls["POST /api/v1/payments"]["p95Ms"] > 0
    assert shown["boxOffice"]["paidPerS"]["KRW"] > 0


def test_promtool_accepts_the_pages(office: Office, second_admitter: SecondAdmitter) -> None:
    for url in (*office.program.management_urls, f"http://{second_admitter.address}"):
        page = httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text
        done = promtool("check", "metrics", given=page)
        complaints = {line for line in done.stderr.splitlines() if line}
        unexpected = [line for line in complaints if line.split()[0] not in OF_CONTRACT]
        assert unexpected == [], unexpected
