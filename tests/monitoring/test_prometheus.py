"""A real Prometheus scrapes a running stack in a sale: every expression returns data."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tools.dashboards.alerts import ALERTS
from tools.dashboards.machinery import VALKEY
from tools.dashboards.model import Board
from tools.dashboards.sale import OVERVIEW
from tools.dashboards.write import BOARDS, DEPLOY

from tests.booking_web.office import Office, running
from tests.monitoring.expressions import filled
from tests.monitoring.promtool import PROMETHEUS, needed, promtool
from tests.processes import Program, free_port, halted, started
from tests.until import until
from tests.web.stack import SOON_S, UP_S, waitline
from waitline.trial import processes

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

# Visitors of a line that moves by one a second.
LINE = 600


class Prometheus:
    """A Prometheus of its own, that scrapes both services every second."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=SOON_S)
        assert answer.status_code == 200, answer.text
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def answers(self) -> bool:
        return answers(f"{self.url}/-/ready")

    def firing(self) -> set[str]:
        """Return the alerts that fire."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with running("production") as office:
        yield office


class SecondAdmitter:
    """An admitter as on another machine: with a data folder and a management address of its own."""

    def __init__(self, program: Program, address: str) -> None:
        self.program = program
        self.address = address

    @property
    def pids(self) -> list[int]:
        """Its processes: the management process first, which would start again."""
        return [*processes.children(self.program.pid), self.program.pid]


@pytest.fixture(scope="module")
def second_admitter(
    office: Office, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecondAdmitter]:
    address = f"127.0.0.1:{free_port()}"
    store = (office.program.data_dir / "valkey.url").read_text("utf-8").strip()
    folder = tmp_path_factory.mktemp("admitter")
    argv: list[str | Path] = [
        sys.executable, "-m", "waitline", "admitter", "--valkey-url", store,
        "--data-dir", folder,
    ]  # fmt: skip
    env = {
        "WAITLINE_ADMITTER_MANAGEMENT_PORT": address.rpartition(":")[2],
        "WAITLINE_INSTANCE": "second-machine",
        "WAITLINE_MODE": "production",
    }
    health = f"http://{address}/actuator/health"
    with started(argv, env, lambda: answers(health), UP_S) as program:
        yield SecondAdmitter(program, address)


@pytest.fixture(scope="module")
def prometheus(
    office: Office, second_admitter: SecondAdmitter, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus with our configuration, other targets and an interval of a second."""
    assert PROMETHEUS is not None
    folder = tmp_path_factory.mktemp("prometheus")
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
    targets = [url.removeprefix("http://") for url in office.program.management_urls]
    for ours, there in zip(("127.0.0.1:9081", "127.0.0.1:9080"), targets, strict=True):
        assert ours in config
        config = config.replace(ours, there)
    config = config.replace(f'"{targets[-1]}"]', f'"{targets[-1]}", "{second_admitter.address}"]')
    assert second_admitter.address in config
    config = config.replace("scrape_interval: 5s", "scrape_interval: 1s")
    (folder / "prometheus.yml").write_text(config, "utf-8")
    rules = (DEPLOY / "prometheus" / "waitline.rules.yml").read_text("utf-8")
    (folder / "waitline.rules.yml").write_text(rules, "utf-8")
    found = Prometheus(free_port())
    argv: list[str | Path] = [
        PROMETHEUS,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={found.url.removeprefix('http://')}",
    ]
    with started(argv, {}, found.answers, UP_S), sale(office):
        yield found


@contextmanager
def sale(office: Office) -> Iterator[None]:
    """Let visitors wait, shop, pay, fail and leave until the block ends."""
    show = office.show(rows=40)
    # A line that lasts, whose rate can be measured.
    line = office.queue.room(admitPerSecond=1)
    for visitor in range(LINE):
        line.arrive(str(visitor))
    ended = threading.Event()

    def visit() -> None:
        for seat in show.seats:
            if ended.is_set():
                return
            buyer = show.buyer()
            show.office.queue.client.get(f"/api/v1/rooms/{show.room}/now-serving")
            activate(buyer)
            buyer.seats()
            reservation = buyer.reserved(seat)
            assert buyer.reserve(seat).status_code == 409
            assert buyer.pay(reservation).status_code == 201
            ended.wait(0.05)

    def activate(buyer: Any) -> None:  # noqa: ANN401 - a Buyer
        query = {"concertId": show.room, "userId": str(buyer.user)}
        office.queue.client.post("/api/v1/queue/activate", params=query, headers=buyer.headers)

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(SOON_S)


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
    expr = 'rate(scheduler_round_duration_seconds_count{service="admitter"}[5s]) > 0'
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
    quick = expr.replace("[2m]", "[3s]")
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


def test_promtool_accepts_the_pages(office: Office, second_admitter: SecondAdmitter) -> None:
    for url in (*office.program.management_urls, f"http://{second_admitter.address}"):
        page = httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text
        done = promtool("check", "metrics", given=page)
        complaints = {line for line in done.stderr.splitlines() if line}
        unexpected = [line for line in complaints if line.split()[0] not in OF_CONTRACT]
        assert unexpected == [], unexpected


# Faults by the alert that they are for; each is in force while its block runs.


@contextmanager
def unsettled(office: Office, _: SecondAdmitter) -> Iterator[None]:
    for table, change, key, where in (
        ("payment", "flag = 'refund_failed'", "payment_id", "true"),
        ("outbox", "dead = true, sent_at = NULL", "event_no", "true"),
        ("seat", "state = 'AVAILABLE'", "seat_id", "state = 'OCCUPIED'"),
    ):
        office.sql(
            f"UPDATE {table} SET {change} WHERE {key} = "  # noqa: S608 - our own words
            f"(SELECT max({key}) FROM {table} WHERE {where})"
        )
    waitline("audit", "--booking", "--data-dir", office.program.data_dir)
    yield


@contextmanager
def hanging(office: Office, second: SecondAdmitter) -> Iterator[None]:
    roles = office.program.processes()
    with halted([*second.pids, *roles["admitter"], roles["booking"][0]]):
        yield


@contextmanager
def without_valkey(office: Office, _: SecondAdmitter) -> Iterator[None]:
    with halted(office.program.processes()["valkey"]):
        office.sql("INSERT INTO outbox (topic, payload) VALUES ('test', '{}')")
        yield
        office.sql("DELETE FROM outbox WHERE topic = 'test'")


@contextmanager
def restarted(office: Office, _: SecondAdmitter) -> Iterator[None]:
    roles = office.program.processes()
    for role in ("valkey", "postgres"):
        os.kill(roles[role][0], signal.SIGKILL)
    yield


FAULTS = [
    (unsettled, {"WaitlineDeadEvents", "WaitlinePaymentsNeedOperator", "WaitlineAuditFindings"}),
    (without_valkey, {"WaitlineOutboxLag"}),
    (hanging, {"WaitlineDown", "WaitlineMetricsStale", "WaitlineAdmissionStuck",
               "WaitlineOneAdmitter"}),
    (restarted, {"WaitlineStoreFailover", "WaitlineDatabaseFailover"}),
]  # fmt: skip

MEASURED = Path("out/alerts.md")

# Seconds beside `for` and the range of a rate: evaluation every 15 s, scrapes, and this machine.
LATE_S = 75


def lasting_s(expr: str, lasting: str) -> float:
    """Return how long a fault must last: `for`, and the longest range until a rate is zero."""
    minutes = [int(found) for found in re.findall(r"(\d+)m\] ?\)\)? == 0", expr)]
    return 60 * (int(lasting.removesuffix("m")) + max(minutes, default=0))


def test_seconds_from_fault_to_firing(
    office: Office,
    prometheus: Prometheus,
    second_admitter: SecondAdmitter,
) -> None:
    """Measure them, and leave the rows of the table in docs/operations.md."""
    until(lambda: bool(office.sql("SELECT FROM outbox LIMIT 1")), UP_S, "seats are sold")
    limits = {one.name: lasting_s(one.expr, one.lasting) + LATE_S for one in ALERTS}
    rows: list[str] = []
    for fault, names in FAULTS:
        # Others have caused some of them before.
        waiting = names - prometheus.firing()
        with fault(office, second_admitter):
            began_s = time.monotonic()
            while waiting:
                fired = waiting & prometheus.firing()
                took_s = time.monotonic() - began_s
                rows += [f"| `{name}` | {fault.__name__} | {took_s:.0f} |" for name in fired]
                waiting -= fired
                assert all(took_s < limits[name] for name in waiting), waiting
                threading.Event().wait(0.5)
    MEASURED.parent.mkdir(exist_ok=True)
    MEASURED.write_text("\n".join(rows) + "\n", "utf-8")
