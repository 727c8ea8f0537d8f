"""Instances of the queue service on one store, as operators start them, with a CPU quota each."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import copytree
from threading import Event
from time import monotonic
from typing import NamedTuple
from urllib import request

from waitline import settings as chosen
from waitline.kernel.errors import Unavailable
from waitline.trial import processes
from waitline.trial.installation import free_port, stop
from waitline_bench.cpu_quotas import CpuQuotas
from waitline_bench.scenario.scrape import Metrics

READY_S = 60.0
"""Timeout of a first answer, on a machine that starts several interpreters at once."""


class Instance(NamedTuple):
    """A running instance.

    Attributes:
        name: Value of its metrics label `instance`, and of its CPU quota.
        port: Port on 127.0.0.1.
        service: Its queue service.
        admitter: Its admitter.
        pids: Processes of its queue service: the parent and one worker.
    """

    name: str
    port: int
    service: "subprocess.Popen[bytes]"
    admitter: "subprocess.Popen[bytes]"
    pids: tuple[int, ...] = ()

    def metrics(self) -> Metrics:
        """Return its metrics."""
        return Metrics(_fetch(f"http://127.0.0.1:{self.port}/actuator/prometheus", 10.0))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for pid in (*self.pids, self.admitter.pid):
            os.kill(pid, number)


@contextmanager
def start(
    count: int, folder: Path, store_url: str, quotas: CpuQuotas | None, share: float
) -> Iterator[list[Instance]]:
    """Start instances: `waitline queue --workers 1` and `waitline admitter` for each.

    The quota begins once all are ready: at a tenth of a core an interpreter takes ten times as long
    to start. Admitters have none; they take about a hundredth of a core each.

    Args:
        count: Number of instances.
        folder: Folder of their data folders.
        store_url: Address of the store.
        quotas: Where their quotas are made; `None` for none.
        share: CPU time of the queue service of an instance, as a share of a core.

    Raises:
        Unavailable: One of them did not start.
    """
    with ExitStack() as stack:
        first = stack.enter_context(_instance(1, folder, store_url))
        _await_answer(first, folder)
        others = []
        for number in range(2, count + 1):
            # All instances need the same signing keys.
            copytree(folder / first.name / "keys", folder / f"queue-{number}" / "keys")
            others.append(stack.enter_context(_instance(number, folder, store_url)))
        for instance in others:
            _await_answer(instance, folder)
        ready = [
            each._replace(pids=(each.service.pid, *processes.children(each.service.pid)))
            for each in (first, *others)
        ]
        stack.callback(_stop, ready, quotas)
        if quotas is not None:
            for instance in ready:
                quotas.limit(instance.name, instance.pids, share)
        yield ready


def _stop(ready: Sequence[Instance], quotas: CpuQuotas | None) -> None:
    """Begin to stop all of them at once and without their quotas, which is faster."""
    for instance in ready:
        if quotas is not None:
            quotas.lift(instance.name)
        instance.service.terminate()
        instance.admitter.terminate()


@contextmanager
def _instance(number: int, folder: Path, store_url: str) -> Iterator[Instance]:
    name, port = f"queue-{number}", free_port()
    own = folder / name
    own.mkdir(exist_ok=True)
    settings = chosen.load(data_dir=own, valkey_url=store_url, instance=name, mode="trial")
    environment = chosen.environment(settings)
    words = ["queue", "--workers", "1", "--queue-port", str(port)]
    with ExitStack() as stack:
        service, admitter = (
            stack.enter_context(_program(command, own, environment))
            for command in (words, ["admitter"])
        )
        yield Instance(name, port, service, admitter)


@contextmanager
def _program(
    words: Sequence[str], own: Path, environment: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    with (own / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # No session of its own, for a reason given in `crew.py`.
            process_group=0,
        )
    try:
        yield process
    finally:
        stop(process)


def _await_answer(instance: Instance, folder: Path) -> None:
    until_s = monotonic() + READY_S
    pause = Event()
    ready = f"http://127.0.0.1:{instance.port}/actuator/health/readiness"
    while monotonic() < until_s:
        for process, log in ((instance.service, "queue.log"), (instance.admitter, "admitter.log")):
            if process.poll() is not None:
                last = (folder / instance.name / log).read_text("utf-8", "replace").strip()
                raise Unavailable(f"{instance.name} did not start: {last.splitlines()[-1:]}")
        try:
            _fetch(ready, 1.0)
        except OSError:
            pause.wait(0.05)
        else:
            return
    raise Unavailable(f"{instance.name} did not answer within {READY_S:.0f} s")


def _fetch(url: str, timeout_s: float) -> str:
    with request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - our own address
        text: str = answer.read().decode("utf-8")
    return text
