"""A store with its worker and admitter, and the CPU time of each."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from urllib import error, request

from waitline import settings as chosen
from waitline.kernel.errors import Unavailable
from waitline.trial import machine
from waitline.trial.installation import free_port
from waitline_bench.hot_calls import pinned_store

READY_S = 20.0
"""Timeout of a worker's answer on a busy machine; an idle one needs 1 s."""


@dataclass(frozen=True, slots=True)
class GrowthInstallation:
    """A running store, and a worker with a core of its own.

    Attributes:
        folder: Temporary folder, deleted at the end.
        store_url: Address of the store.
        store_pid: Process id of the store.
        port: Port of the worker.
        worker_pid: Process id of the worker.
    """

    folder: Path
    store_url: str
    store_pid: int
    port: int
    worker_pid: int


@contextmanager
def start() -> Iterator[GrowthInstallation]:
    """Start a store and a worker without an admitter, so that lines keep their length.

    Raises:
        Unavailable: The worker did not start.
    """
    own_core, other_core = machine.cores()
    with tempfile.TemporaryDirectory(prefix="waitline-bench-") as name:
        folder, port = Path(name), free_port()
        words = ["queue", "--mode", "trial", "--workers", "1", "--queue-port", str(port)]
        with (
            pinned_store(folder / "valkey", other_core) as store,
            _program(words, folder, store.url, own_core) as pid,
        ):
            _await_answer(port, folder / "queue.log")
            yield GrowthInstallation(folder, store.url, store.pid, port, pid)


@contextmanager
def admitter(on: GrowthInstallation) -> Iterator[int]:
    """Start an admitter beside an installation and yield its process id."""
    with _program(["admitter"], on.folder, on.store_url, machine.cores()[0]) as pid:
        yield pid


@contextmanager
def off_the_workers_core() -> Iterator[None]:
    """Keep this process off the worker's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {machine.cores()[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _program(words: list[str], folder: Path, store_url: str, core: int) -> Iterator[int]:
    settings = chosen.load(data_dir=folder, valkey_url=store_url)
    with (folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            ["taskset", "-c", str(core), sys.executable, "-m", "waitline", *words],  # noqa: S607
            env=chosen.environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _await_answer(port: int, log: Path) -> None:
    until_s = monotonic() + READY_S
    pause = Event()
    while monotonic() < until_s:
        try:
            request.urlopen(f"http://127.0.0.1:{port}/actuator/health/readiness", timeout=1).close()
        except (error.URLError, OSError):
            pause.wait(0.05)
        else:
            return
    last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
    raise Unavailable(f"the worker to be measured did not start: {last[0] if last else 'no word'}")
