"""What runs beside serving must not end it: metrics and log in every trouble."""

import fcntl
import http.client
import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.faults.stack import SOON_S, START_S, WAITLINE, is_ready
from tests.processes import halted
from tests.until import until
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port

LINE_BYTES = 65_536
"""What a pipe holds."""


@pytest.fixture
def store(folder: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(folder / "store")
    server.start()
    yield server
    server.stop()


class Service:
    """A queue service of one process, and its metrics over a connection that stays open."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, metrics: Path) -> None:
        self.process = process
        self.port = port
        self.metrics_dir = metrics
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SOON_S)

    def metrics(self) -> dict[str, float]:
        self.connection.request("GET", "/actuator/prometheus")
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def failures(self, figure: str) -> float:
        return sum(
            value
            for name, value in self.metrics().items()
            if name.startswith("metrics_failures_total") and f'figure="{figure}"' in name
        )

    def serves(self) -> bool:
        assert self.process.poll() is None, "it has ended"
        return is_ready(self.port)


@contextmanager
def serving(store: ValkeyServer, folder: Path, stderr: int | IO[bytes]) -> Iterator[Service]:
    port = free_port()
    options = ("--queue-port", str(port), "--workers", "1", "--mode", "trial")
    where = ("--valkey-url", store.url, "--data-dir", str(folder / "data"))
    process = subprocess.Popen([*WAITLINE, "queue", *options, *where], stderr=stderr)  # noqa: S603
    try:
        until(lambda: is_ready(port) or process.poll() is not None, START_S, "it serves")
        service = Service(process, port, folder / "data" / "metrics")
        with closing(service.connection):
            yield service
        assert process.poll() is None, "it has ended"
    finally:
        process.terminate()
        process.wait(START_S)


def store_pid(store: ValkeyServer) -> int:
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(store.url.removeprefix("unix://"))
        wire.sendall(b"INFO server\r\n")
        text = wire.recv(65_536).decode()
    (line,) = [one for one in text.splitlines() if one.startswith("process_id:")]
    return int(line.partition(":")[2])


@contextmanager
def closed_pipe() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def full_pipe() -> Iterator[int]:
    """A pipe whose reader does not read."""
    reading, writing = os.pipe()
    flags = fcntl.fcntl(writing, fcntl.F_GETFL)
    fcntl.fcntl(writing, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    assert os.write(writing, b"x" * LINE_BYTES) == LINE_BYTES
    fcntl.fcntl(writing, fcntl.F_SETFL, flags)
    yield writing
    os.close(reading)
    os.close(writing)


@contextmanager
def full_disk() -> Iterator[int]:
    with Path("/dev/full").open("wb", buffering=0) as full:
        yield full.fileno()


@pytest.mark.parametrize("output", [closed_pipe, full_pipe, full_disk])
def test_a_log_that_cannot_be_written_ends_nothing(
    folder: Path, store: ValkeyServer, output: Callable[[], AbstractContextManager[int]]
) -> None:
    with output() as stderr, serving(store, folder, stderr) as service:
        # Every loop that needs the store fails, and logs it.
        with halted([store_pid(store)]):
            until(lambda: not service.serves(), SOON_S, "the store does not answer")
            until(lambda: _total(service.metrics(), "log_lines_lost") > 0, SOON_S, "it logged")
        until(service.serves, SOON_S, "it serves again")


def test_without_descriptors_only_figures_are_missing(folder: Path, store: ValkeyServer) -> None:
    with serving(store, folder, subprocess.DEVNULL) as service, ExitStack() as stack:
        pid = service.process.pid
        service.metrics()
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()) + 4
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, limits[1]))
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), SOON_S))
        until(lambda: service.failures("snapshot") > 0, SOON_S, "no snapshot is written")
        assert service.failures("memory") > 0
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        stack.close()
        until(service.serves, SOON_S, "it takes connections again")
        written_s = _written_s(service)
        until(lambda: _written_s(service) > written_s, SOON_S, "snapshots are written again")


def test_whatever_becomes_of_the_metrics_folder(folder: Path, store: ValkeyServer) -> None:
    with serving(store, folder, subprocess.DEVNULL) as service:
        until(lambda: _written_s(service) > 0, SOON_S, "a snapshot is written")
        torn = service.metrics_dir / "queue-7.json"
        torn.write_bytes(b'{"counters":{"proc')
        until(lambda: service.failures("processes") > 0, SOON_S, "it is counted")
        torn.unlink()
        # Its own file, truncated under its hands.
        for path in service.metrics_dir.glob("queue-*.json"):
            os.truncate(path, 0)
        shutil.rmtree(service.metrics_dir)
        until(lambda: _written_s(service) > 0, SOON_S, "the folder is made again")
        shutil.rmtree(service.metrics_dir)
        service.metrics_dir.write_text("no folder", "utf-8")
        until(lambda: service.failures("snapshot") > 0, SOON_S, "it cannot be written")
        assert service.serves()
        service.metrics_dir.unlink()
        until(lambda: _written_s(service) > 0, SOON_S, "it is written again")


def _total(metrics: dict[str, float], name: str) -> float:
    return sum(value for one, value in metrics.items() if one.startswith(name))


def _written_s(service: Service) -> float:
    try:
        return max((p.stat().st_mtime for p in service.metrics_dir.glob("queue-*.json")), default=0)
    except OSError:
        return 0.0
