"""Listening on IPv4, IPv6 and both, with one worker and several."""

import json
import re
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import started
from tests.until import until
from tests.web.stack import UP_S, Stack, waitline_process
from waitline.kernel import listeners
from waitline.trial import machine


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - to listen on

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6")


@contextmanager
def queue(trial: Stack, *words: str) -> Iterator[list[str]]:
    """Run a queue service on any free port; give the addresses that its log names."""
    argv = [sys.executable, "-m", "waitline", "queue", "--mode", "trial", "--queue-port", "0"]
    argv += ["--data-dir", str(trial.data_dir), *words]
    found: list[str] = []

    def logged() -> bool:
        if line := re.search(r"\{.*service_listening.*\}", program.output):
            found[:] = json.loads(line[0])["addresses"]
        return bool(found)

    with started(argv, {}, lambda: True, UP_S) as program:
        until(logged, UP_S, "the service names its addresses")
        yield found


def answers(host: str, port: int) -> bool:
    """Whether the service answers at an address, by and by."""
    transport = httpx.HTTPTransport(retries=8)
    shown = f"[{host}]" if ":" in host else host
    with httpx.Client(transport=transport, timeout=UP_S) as client:
        try:
            return client.get(f"http://{shown}:{port}/actuator/health").status_code == 200
        except httpx.ConnectError:
            return False


# One worker binds in the same way, and listens in `test_one_family`.
WORKERS = [pytest.param("1", marks=pytest.mark.long), "2"]


@needs_ipv6
@pytest.mark.parametrize("workers", WORKERS)
def test_any_address_is_both(trial: Stack, workers: str) -> None:
    with queue(trial, "--host", "::", "--workers", workers) as addresses:
        port = urlsplit(addresses[0]).port
        assert addresses == [f"http://[::]:{port}", f"http://0.0.0.0:{port}"]
        assert port
        assert answers("::1", port)
        assert answers("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "addresses", "works", "refused"),
    [
        (EVERY_IPV4, [EVERY_IPV4], "127.0.0.1", "::1"),
        # As every other test does.
        pytest.param("127.0.0.1", ["127.0.0.1"], "127.0.0.1", "::1", marks=pytest.mark.long),
        pytest.param("::1", ["[::1]"], "::1", "127.0.0.1", marks=needs_ipv6),
    ],
)
def test_one_family(
    trial: Stack, host: str, addresses: list[str], works: str, refused: str
) -> None:
    with queue(trial, "--host", host, "--workers", "1") as shown:
        port = urlsplit(shown[0]).port
        assert port
        assert shown == [f"http://{address}:{port}" for address in addresses]
        assert answers(works, port)
        with pytest.raises(OSError, match=r"."):
            socket.create_connection((refused, port), 1)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_name_is_each_of_its_addresses(trial: Stack, workers: str) -> None:
    with queue(trial, "--host", "localhost", "--workers", workers) as shown:
        for url in shown:
            host, port = urlsplit(url).hostname, urlsplit(url).port
            assert host
            assert port
            assert answers(host, port)
        assert len({urlsplit(url).port for url in shown}) == 1
        assert any(urlsplit(url).hostname == "127.0.0.1" for url in shown)


def test_a_port_that_is_taken_is_one_line(trial: Stack) -> None:
    taken = str(trial.program.port)
    words = ["queue", "--mode", "trial", "--queue-port", taken, "--data-dir", str(trial.data_dir)]
    for workers in ("1", "2"):
        done = waitline_process(*words, "--workers", workers)
        assert done.returncode
        assert "Traceback" not in done.stderr
        assert f"cannot listen on 127.0.0.1, port {taken}" in done.stderr
        assert "--queue-port chooses another port" in done.stderr


def test_a_name_takes_one_free_port_for_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))
        for address in ("127.0.0.1", "127.0.0.2", "203.0.113.1", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
    bound = listeners.bind("name", 0)
    port = bound[0].getsockname()[1]
    # An address of another machine is left out.
    assert listeners.urls(bound) == [f"http://127.0.0.{last}:{port}" for last in (1, 2)]
    for one in bound:
        one.close()


@pytest.mark.parametrize("host", ["203.0.113.1", "name.invalid"])
def test_a_host_that_is_not_here(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        listeners.bind(host, 0)


def test_a_free_port_is_neither_taken_nor_given_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken, given = server.getsockname()[1], machine.free_port()
        # Connections get higher ports.
        assert given < taken
        offered, choose = [taken, given], secrets.randbelow

        def randbelow(below: int) -> int:
            return offered.pop() - machine.PORT_MIN if offered else choose(below)

        monkeypatch.setattr(secrets, "randbelow", randbelow)
        assert machine.free_port() not in {taken, given}
        assert offered == []
