"""A real Prometheus scrapes a running stack in a sale: every expression returns data."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

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
from tests.processes import free_port, halted, started
from tests.until import until
from tests.web.stack import SOON_S, UP_S, waitline

if TYPE_CHECKING:
    from pathlib import Path

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
    "store_replica_lag_bytes": "a replica",
    "store_redirects_total": "a cluster",
    "database_replica_lag_bytes": "a standby",
}

# Alerts on speed: the machine of the tests may be slow.
OF_SPEED = {
    "WaitlineSlow", "WaitlineErrors", "WaitlineScriptsSlow", "WaitlineLoopLag",
    "WaitlinePoolWaiting", "WaitlineOutboxLag",
    # A stack on one machine has one admitter.
    "WaitlineOneAdmitter",
}  # fmt: skip

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
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with running("production") as office:
        yield office


@pytest.fixture(scope="module")
def prometheus(office: Office, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with our configuration, other targets and an interval of a second."""
    assert PROMETHEUS is not None
    folder = tmp_path_factory.mktemp("prometheus")
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
    targets = [url.removeprefix("http://") for url in office.program.management_urls]
    for ours, there in zip(("127.0.0.1:9081", "127.0.0.1:9080"), targets, strict=True):
        assert ours in config
        config = config.replace(ours, there)
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
    sold = "sum(payments_confirmed_amount_total) > 0"
    until(lambda: bool(prometheus.query(sold)), UP_S, "seats are sold")
    for alert in ALERTS:
        if alert.name not in OF_SPEED:
            assert prometheus.query(alert.expr) == [], alert.name


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


def test_stuck_admission(office: Office, prometheus: Prometheus) -> None:
    (expr,) = [one.expr for one in ALERTS if one.name == "WaitlineAdmissionStuck"]
    # Within seconds rather than minutes.
    quick = expr.replace("[2m]", "[3s]")
    assert quick != expr
    with halted(office.program.processes()["admitter"]):
        until(lambda: bool(prometheus.query(quick)), SOON_S, "admission is stuck")
    until(lambda: not prometheus.query(quick), UP_S, "visitors are admitted again")


@pytest.mark.parametrize("board", [OVERVIEW, VALKEY], ids=lambda board: str(board.uid))
def test_panels_are_drawn_without_grafana(
    faulty: Prometheus, tmp_path: "Path", board: Board
) -> None:
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


def test_panels_of_one_room(faulty: Prometheus, tmp_path: "Path") -> None:
    file = DEPLOY / "grafana" / "waitline-waiting-room.json"
    words = ["report", "panels", str(file), "--prometheus", faulty.url, "--minutes", "2"]
    done = waitline(*words, "--room", "no-such.room", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "waitline-waiting-room.html").read_text("utf-8")
    assert "No data: Visitors waiting, Slots in use" in page


def test_promtool_accepts_the_pages(office: Office) -> None:
    for url in office.program.management_urls:
        page = httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text
        done = promtool("check", "metrics", given=page)
        complaints = {line for line in done.stderr.splitlines() if line}
        unexpected = [line for line in complaints if line.split()[0] not in OF_CONTRACT]
        assert unexpected == [], unexpected
