"""The management address of production mode: what it serves, and whatever happens to it."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.processes import environment
from tests.until import until
from tests.web.management import MANAGEMENT
from tests.web.stack import SOON_S, UP_S, Stack, succeeded
from waitline.kernel.errors import Misconfigured
from waitline.services.management_keeper import listen
from waitline.trial import processes
from waitline.trial.machine import free_port

MODULE = "waitline.services.queue.management"


def management_pids(stack: Stack) -> list[int]:
    """Return the management processes of a stack's queue service."""
    return [
        pid
        for parent in processes.children(stack.program.pid)
        for pid in processes.children(parent)
        if MODULE in processes.command_line(pid)
    ]


@pytest.fixture
def url(production: Stack) -> str:
    url = production.program.management_urls[0]
    until(lambda: bool(management_pids(production)), SOON_S, "the management process runs")
    return url


@pytest.mark.parametrize("path", [*MANAGEMENT, "/api/v1/health", "/actuator/health"])
def test_what_it_serves(url: str, path: str) -> None:
    assert httpx.get(url + path, timeout=SOON_S).status_code == 200


def test_head_is_get_without_the_body(url: str) -> None:
    for path in ("/actuator/prometheus", "/actuator/info", "/openapi.json", "/docs"):
        head = httpx.head(url + path, timeout=SOON_S)
        assert (head.status_code, head.content) == (200, b""), path


def test_it_serves_nothing_else(url: str) -> None:
    for method, path in (("GET", "/"), ("POST", "/api/v1/queue/enter"), ("GET", "/api/v1/rooms")):
        answer = httpx.request(method, url + path, timeout=SOON_S)
        assert (answer.status_code, answer.json()["code"]) == (404, "C004")
    answer = httpx.post(f"{url}/actuator/prometheus", timeout=SOON_S)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_the_description_is_of_the_public_calls(url: str) -> None:
    paths = httpx.get(f"{url}/openapi.json", timeout=SOON_S).json()["paths"]
    assert {"/api/v1/queue/enter", "/api/v1/queue/subscribe", "/api/v1/rooms"} <= paths.keys()


def test_figures_of_every_worker_are_there(production: Stack, url: str) -> None:
    room = production.room(mode="paused")
    for visitor in range(20):
        room.arrive(str(visitor))

    def counted() -> bool:
        text = httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text
        assert f'service="queue"' in text  # noqa: F541
        return all(
            any(name in line and end in line for line in text.splitlines())
            for name, end in (
                (f'queue_wait_size{{concert_id="{room.name}"', " 20.0"),
                ('uri="/api/v1/queue/enter"', ""),
                ("scheduler_round_duration_seconds_count", ""),
            )
        )

    until(counted, SOON_S, "the figures are there")


def test_scrapers_share_a_rendering(url: str) -> None:
    def scraped(_number: int) -> str:
        return httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text

    def rendered(text: str) -> float:
        (line,) = [one for one in text.splitlines() if one.startswith("metrics_renderings_total{")]
        return float(line.rpartition(" ")[2])

    first = rendered(scraped(0))
    with ThreadPoolExecutor(8) as threads:
        started = httpx.get(f"{url}/actuator/info", timeout=SOON_S).elapsed.total_seconds()
        texts = list(threads.map(scraped, range(64)))
    assert started < SOON_S
    # Each client above takes some time to begin; no more renderings than seconds.
    assert len({rendered(text) for text in texts}) <= 1 + rendered(texts[-1]) - first
    assert rendered(texts[-1]) - first < 32


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_when_it_dies_it_is_started_again_and_visitors_notice_nothing(
    production: Stack, url: str, how: signal.Signals
) -> None:
    room = production.room(mode="paused")
    (before,) = management_pids(production)
    os.kill(before, how)
    with production.client.impatient():
        for visitor in range(20):
            succeeded(room.enter(str(visitor)), 201)
    until(lambda: before not in management_pids(production), SOON_S, "it has died")
    # Who asks meanwhile waits: the address is still open.
    assert httpx.get(f"{url}/actuator/info", timeout=UP_S).status_code == 200
    assert "management_exited" in production.program.output


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_addresses(host: str) -> None:
    with ExitStack() as stack:
        bound = [stack.enter_context(listener) for listener in listen(host, 0, "X")]
        port = bound[0].getsockname()[1]
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port)}
        assert {listener.getsockname()[0] for listener in bound} == addresses
        for address in addresses:
            with socket.create_connection((address, port), timeout=SOON_S):
                pass
        with pytest.raises(Misconfigured, match=f"{host}, port {port}: .*; X chooses another"):
            listen(host, port, "X")


def test_a_port_that_is_taken_ends_the_start_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["queue", "--queue-port", str(free_port()), "--valkey-url", "unix:///nowhere"]
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *words, "--data-dir", str(tmp_path)],
            env={**environment(), "WAITLINE_QUEUE_MANAGEMENT_PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=UP_S,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"waitline: cannot listen on the management address 127.0.0.1, port {port}: "
        "Address already in use; WAITLINE_QUEUE_MANAGEMENT_PORT chooses another port, "
        "WAITLINE_MANAGEMENT_HOST another address\n"
    )
