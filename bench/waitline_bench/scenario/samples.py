"""Sampling of an installation under load: once a second, less often in long runs.

A sample has the services' metrics, the rooms, Valkey's INFO, and the CPU time, memory and open
files of every process, k6 included. Observer effect: about 15 ms of a worker's second for the
metrics, and this process's own CPU time, which is reported too.
"""

import asyncio
import http.client
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple

from waitline.kernel.errors import Unavailable, WaitlineError
from waitline.queue.rooms import Rooms
from waitline.trial.installation import Installation
from waitline.valkey.client import ValkeyClient
from waitline_bench import usage
from waitline_bench.scenario import scrape

EVERY_S = 1.0
"""Sampling interval. The workers update their metrics once a second."""

LOOKS = 180
"""Most samples of a run. Each keeps all metrics of the services, up to a megabyte."""

ANSWER_S = 5.0
"""Timeout of a sample. An overloaded service is slow to report."""

FLUSH_S = 1.0
"""Interval at which a process of the service writes its metrics. Source: FLUSH_S of
`waitline.kernel.process_metrics`, which cannot be imported here: it would write metrics of its own
to another folder."""

ADDING_S = 0.2
"""Longest delay of that on a busy machine."""

ROOMS_READ_MAX = 50
"""Most rooms that are read directly, at some 60 us of Valkey each. The service's metrics have their
counts too, but up to a second old, which makes rates per second noisy; they are used above this."""

GONE = ("left", "abandoned", "lapsed", "passed", "removed")
"""Ways to leave a room."""


class Counts(NamedTuple):
    """Counters of all rooms together.

    Attributes:
        entered: Visitors who have taken a place, ever.
        let_in: Visitors who have been admitted, ever.
        gone: Visitors who have left or lost their turn, ever.
        waiting: Visitors who wait.
        admitted: Visitors who hold a slot.
    """

    entered: int
    let_in: int
    gone: int
    waiting: int
    admitted: int


class Sample(NamedTuple):
    """One sample.

    Attributes:
        at_s: When the rooms and the metrics were read, by the monotonic clock.
        rooms: Counts of the rooms.
        metrics: Metrics of the services.
        store: Valkey's INFO, by name.
        usage: CPU time by role, `k6` and `runner` among them.
        memory_bytes: Memory by role.
        files: Open files by role.
        processes: Process ids by role.
    """

    at_s: float
    rooms: Counts
    metrics: scrape.Metrics
    store: Mapping[str, str]
    usage: usage.Reading
    memory_bytes: Mapping[str, int]
    files: Mapping[str, int]
    processes: usage.Roles


class Sampler:
    """Samples in a thread of its own until it is stopped.

    Args:
        stack: The installation.
        others: Further processes, by role.
        every_s: Sampling interval.
    """

    def __init__(
        self, stack: Installation, others: Mapping[str, Sequence[int]], every_s: float = EVERY_S
    ) -> None:
        self.samples: list[Sample] = []
        self.missed = 0
        self._stack = stack
        self._others = others
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Start, with a first sample at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, after a last sample that includes every process's figures."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        due_s = monotonic()
        with asyncio.Runner() as runner:
            store = ValkeyClient(self._stack.valkey_url, timeout_s=ANSWER_S)
            while True:
                last = self._stopped.is_set()
                if last:
                    threading.Event().wait(FLUSH_S + ADDING_S)
                try:
                    self.samples.append(self._look(runner, store))
                except (OSError, http.client.HTTPException, WaitlineError):
                    self.missed += 1
                if last:
                    break
                # After a slow sample, do not catch up.
                due_s = max(due_s + self._every_s, monotonic())
                self._stopped.wait(due_s - monotonic())
            runner.run(store.close())

    def _look(self, runner: asyncio.Runner, store: ValkeyClient) -> Sample:
        text = _metrics(self._stack.port)
        if self._stack.database_url:
            text += _metrics(self._stack.booking_port)
        metrics = scrape.Metrics(text)
        at_s = monotonic()
        rooms = runner.run(_counts(store)) or _told(metrics)
        roles = {**self._stack.processes(), **self._others, "runner": [os.getpid()]}
        return Sample(
            at_s=at_s,
            rooms=rooms,
            metrics=metrics,
            store=runner.run(info(store)),
            usage=usage.take_reading(roles),
            memory_bytes={role: usage.memory_bytes(pids) for role, pids in roles.items()},
            files={role: usage.open_files(pids) for role, pids in roles.items()},
            processes=roles,
        )


@contextmanager
def sampling(
    stack: Installation, others: Mapping[str, Sequence[int]], for_s: float
) -> Iterator[Sampler]:
    """Sample an installation until the block ends, after about `for_s`."""
    sampler = Sampler(stack, others, max(EVERY_S, for_s / LOOKS))
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


async def info(store: ValkeyClient, *sections: str) -> dict[str, str]:
    """Return Valkey's INFO by name; a value may be composite, as in `calls=1,usec=2`.

    Raises:
        Unavailable: It does not answer.
    """
    text: str = await store.command("INFO", *sections)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


async def _counts(store: ValkeyClient) -> Counts | None:
    """Read the rooms in the store; `None` if there are too many."""
    rooms = Rooms(store)
    names = await rooms.names()
    if len(names) > ROOMS_READ_MAX:
        return None
    surveys = await asyncio.gather(*map(rooms.survey, names))
    return Counts(
        entered=sum(seen.counters["entered"] for seen in surveys),
        let_in=sum(seen.counters["admitted"] for seen in surveys),
        gone=sum(seen.counters[way] for seen in surveys for way in GONE),
        waiting=sum(seen.waiting for seen in surveys),
        admitted=sum(seen.admitted for seen in surveys),
    )


def _told(metrics: scrape.Metrics) -> Counts:
    """Return the service's metrics of its rooms."""
    return Counts(
        entered=int(metrics.total("queue_entry_count_total")),
        let_in=int(metrics.total("scheduler_move_users_total")),
        gone=int(metrics.total("queue_exit_count_total")),
        waiting=int(metrics.total("queue_wait_size")),
        admitted=int(metrics.total("queue_active_size")),
    )


def _metrics(port: int) -> str:
    # A new connection each time, so that not always the same worker answers.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/actuator/prometheus")
        response = connection.getresponse()
        text = response.read().decode("utf-8")
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise Unavailable(f"no metrics: status {response.status}")
    return text
