"""Services whose stores come later than they: they wait, say why in one line, and then serve."""

import asyncio
import sys
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.faults.stack import SOON_S, START_S, is_ready
from tests.processes import started
from tests.replicas import running_pair
from tests.until import until
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port

WAITS = "store_not_promoted"


def is_live(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/actuator/health/liveness")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("mode", ["production", "trial"])
def test_a_service_that_starts_in_a_failover_waits_for_the_promotion(
    mode: str, tmp_path: Path
) -> None:
    port = free_port()
    settings = {"WAITLINE_QUEUE_MANAGEMENT_PORT": str(free_port())}
    with running_pair() as pair, ExitStack() as stack:
        where = ["--valkey-url", pair.replica_url, "--data-dir", str(tmp_path / "data")]
        queue = ["queue", "--mode", mode, "--queue-port", str(port), "--workers", "1"]
        programs = [
            stack.enter_context(
                started(
                    [sys.executable, "-m", "waitline", *command, *where],
                    more,
                    lambda: True,
                    START_S,
                )
            )
            for command, more in ((queue, settings), (["admitter"], {}))
        ]
        until(lambda: all(WAITS in one.output for one in programs), START_S, "they say why")
        assert not is_live(port)
        pair.primary.kill()
        asyncio.run(pair.promote())
        until(lambda: is_ready(port), START_S, "it is ready")
        until(lambda: "admitter_started" in programs[1].output, SOON_S, "it admits")
        for program in programs:
            assert program.alive
            assert program.output.count(WAITS) == 1
            assert "Traceback" not in program.output


@pytest.mark.parametrize("mode", ["production", "trial"])
def test_a_service_waits_for_its_store(mode: str, tmp_path: Path) -> None:
    port, store_port = free_port(), free_port()
    where = [
        "--valkey-url",
        f"redis://127.0.0.1:{store_port}",
        "--data-dir",
        str(tmp_path / "data"),
    ]
    queue = ["queue", "--mode", mode, "--queue-port", str(port), "--workers", "1"]
    settings = {"WAITLINE_QUEUE_MANAGEMENT_PORT": str(free_port())}
    waitline = [sys.executable, "-m", "waitline"]
    args = (f"port {store_port}", "bind 127.0.0.1")
    store = ValkeyServer(tmp_path / "store", args=args)
    with ExitStack() as stack:
        service = stack.enter_context(
            started([*waitline, *queue, *where], settings, partial(is_live, port), START_S)
        )
        admitter = stack.enter_context(
            started([*waitline, "admitter", *where], {}, lambda: True, START_S)
        )
        until(lambda: "admission_failed" in admitter.output, SOON_S, "it says why it waits")
        assert not is_ready(port)
        assert is_live(port)
        store.start()
        stack.callback(store.stop)
        until(lambda: is_ready(port), SOON_S, "it is ready")
        until(lambda: "admission_recovered" in admitter.output, SOON_S, "it admits")
        assert service.alive
        assert admitter.alive
        for program in (service, admitter):
            lines = program.output.splitlines()
            assert "Traceback" not in program.output
            assert len(lines) <= 30, lines
