"""A stack in a sale, with an admitter of another machine, and a Prometheus that scrapes it."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from tools.dashboards.write import DEPLOY

from tests.booking_web.office import Office, running
from tests.monitoring.promtool import PROMETHEUS
from tests.processes import Program, started
from tests.web.stack import SOON_S, UP_S
from waitline.trial import processes
from waitline.trial.machine import free_port

# Visitors of a line that moves by one a second.
LINE = 600

# A request of a protected site, as its proxy describes it to the gate.
OF_A_SITE = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "X-Forwarded-Uri": "/",
}


class Prometheus:
    """A Prometheus of its own, that scrapes all services every two seconds."""

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
    with running("production", WAITLINE_TRUSTED_PROXIES="127.0.0.1") as office:
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
    argv: list[Any] = [
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
    """Prometheus with our configuration, other targets and an interval of two seconds."""
    assert PROMETHEUS is not None
    folder = tmp_path_factory.mktemp("prometheus")
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
    targets = [url.removeprefix("http://") for url in office.program.management_urls]
    for ours, there in zip(("127.0.0.1:9081", "127.0.0.1:9080"), targets, strict=True):
        assert ours in config
        config = config.replace(ours, there)
    config = config.replace(f'"{targets[-1]}"]', f'"{targets[-1]}", "{second_admitter.address}"]')
    assert second_admitter.address in config
    config = config.replace("scrape_interval: 5s", "scrape_interval: 2s")
    (folder / "prometheus.yml").write_text(config, "utf-8")
    rules = (DEPLOY / "prometheus" / "waitline.rules.yml").read_text("utf-8")
    (folder / "waitline.rules.yml").write_text(rules, "utf-8")
    found = Prometheus(free_port())
    argv: list[Any] = [
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
            # Tests stop processes meanwhile: a visit that fails is followed by the next.
            with suppress(AssertionError, httpx.TransportError):
                buy(seat)
            ended.wait(0.05)

    def buy(seat: int) -> None:
        buyer = show.buyer()
        show.office.queue.client.get(f"/api/v1/rooms/{show.room}/now-serving")
        show.office.queue.client.get("/api/v1/gate", headers=OF_A_SITE)
        activate(buyer)
        buyer.seats()
        reservation = buyer.reserved(seat)
        assert buyer.reserve(seat).status_code == 409
        assert buyer.pay(reservation).status_code == 201

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
