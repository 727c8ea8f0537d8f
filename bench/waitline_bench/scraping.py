"""Scrapes of the metrics page: their time and size by rooms and workers, and what visitors notice.

A whole installation in production mode, where a process of its own serves the page. Visitors enter
a room at a fixed rate meanwhile, with and without a scraper in turn.
"""

import asyncio
import gzip
import os
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from time import monotonic, perf_counter
from typing import Any, NamedTuple

from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.kernel.plurals import counted
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.trial.installation import Installation, start
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient
from waitline_bench import hot_calls
from waitline_bench.hot_calls import ROOM, Server
from waitline_bench.paced import PacedPlan

WORKERS = (1, 8)

ROOMS = (1, 100, 1_000)

SLEEPING = 1_000
"""Sleeping rooms of the last case, beside one active room."""

SCRAPES = 5

EVERY_S = 1.05
"""Distance of two scrapes, in s: a page is rendered at most once a second."""

ENTERS_PER_S = 500.0
"""Visitors who enter while pages are scraped: a busy worker, on a core that it shares with the load
generator."""

SHOWN_S = 30.0
"""Timeout for the rooms to be on the page."""


class ScrapeTime(NamedTuple):
    """Scrapes of one case.

    Attributes:
        ms: Median time from the request to the last byte.
        most_ms: The longest.
        bytes: Size of the page.
        gzip_bytes: Size if it is compressed.
        samples: Samples on it.
    """

    ms: float
    most_ms: float
    bytes: int
    gzip_bytes: int
    samples: int


def run_scrapes(on_progress: Callable[[str], None], seconds: float, rounds: int) -> dict[str, Any]:
    """Measure the scrapes.

    Args:
        on_progress: Receives the current step as text.
        seconds: Length of one measurement of visitors' latency.
        rounds: Number of those, with and without a scraper each.

    Returns:
        `scrapes`: a row per workers and rooms; `visitors`: p50 and p99 of entering, with and
        without a scraper, by workers.

    Raises:
        Unavailable: A server did not start, or did not show the rooms.
    """
    scrapes, visitors = [], []
    for workers in WORKERS:
        on_progress(f"starting, workers: {workers}")
        with start(workers, {"mode": "production"}, batch_scheduling=False) as installed:
            case = _Case(installed)
            visitors.append({"workers": workers, **case.latencies(on_progress, seconds, rounds)})
            for rooms in ROOMS:
                on_progress(f"workers: {workers}, active rooms: {rooms:,}")
                case.wake(rooms)
                row = {"workers": workers, "rooms": rooms, "sleeping": 0}
                scrapes.append({**row, **case.scrapes(rooms)._asdict()})
        on_progress(f"workers: {workers}, sleeping rooms: {SLEEPING:,}")
        with start(workers, {"mode": "production"}, batch_scheduling=False) as installed:
            case = _Case(installed)
            case.create(SLEEPING)
            case.wake(1)
            row = {"workers": workers, "rooms": 1, "sleeping": SLEEPING}
            scrapes.append({**row, **case.scrapes(1)._asdict()})
    return {"scrapes": scrapes, "visitors": visitors}


class _Case:
    def __init__(self, installed: Installation) -> None:
        self._installed = installed
        self._page = f"{installed.management_urls[0]}/actuator/prometheus"
        self._entered = 0
        self._with_rooms(lambda rooms: rooms.ensure(ROOM, Rules()))

    def create(self, count: int) -> None:
        """Create rooms that sleep."""
        self._with_rooms(lambda rooms: _create(rooms, f"sleeping-{os.getpid()}", count))

    def wake(self, count: int) -> None:
        """Create rooms, if they are missing, and wake them."""
        self._with_rooms(lambda rooms: _create(rooms, "active", count, wakes=True))

    def _with_rooms(self, use: Callable[[Rooms], Any]) -> None:
        url = (self._installed.data_dir / "valkey.url").read_text("utf-8").strip()

        async def run() -> None:
            store = ValkeyClient(url, timeout_s=OPERATOR_TIMEOUT_S)
            try:
                await use(Rooms(store))
            finally:
                await store.close()

        asyncio.run(run())

    def scrapes(self, rooms: int) -> ScrapeTime:
        """Scrape the page several times, once it shows the rooms, while visitors enter."""
        until_s = monotonic() + SHOWN_S
        while self._fetch()[1].count(b"\nqueue_wait_size{") < rooms:
            if monotonic() > until_s:
                raise Unavailable(f"the page does not show {counted(rooms, 'room')}")
            threading.Event().wait(EVERY_S)
        with ThreadPoolExecutor(1) as thread:
            entering = thread.submit(self._enter, SCRAPES * EVERY_S + 1)
            found = []
            for _ in range(SCRAPES):
                threading.Event().wait(EVERY_S)
                found.append(self._fetch())
            entering.result()
        page = found[-1][1]
        times = [took_s * 1000 for took_s, _ in found]
        samples = sum(1 for line in page.splitlines() if not line.startswith(b"#"))
        packed = len(gzip.compress(page, 1))
        return ScrapeTime(median(times), max(times), len(page), packed, samples)

    def latencies(
        self, on_progress: Callable[[str], None], seconds: float, rounds: int
    ) -> dict[str, Any]:
        """Measure the latency of entering without and with a scraper, in turn."""
        found: dict[str, list[hot_calls.Paced]] = {"without": [], "with": []}
        self._enter(1.0)
        for number in range(rounds):
            on_progress(f"visitors enter, round {number + 1} of {rounds}")
            found["without"].append(self._enter(seconds))
            with self._scraper():
                found["with"].append(self._enter(seconds))
        return {
            f"{figure}_{name}": median(getattr(one, figure) for one in runs)
            for name, runs in found.items()
            for figure in ("p50_ms", "p99_ms")
        }

    @contextmanager
    def _scraper(self) -> Iterator[None]:
        ended = threading.Event()

        def scrape() -> None:
            while not ended.wait(EVERY_S):
                self._fetch()

        thread = threading.Thread(target=scrape)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _enter(self, seconds: float) -> hot_calls.Paced:
        self._entered += 1
        names = f"v{self._entered}-"
        plan = PacedPlan(0, ENTERS_PER_S, seconds, "enter", str(ROOM), names, 0)
        roles = self._installed.processes()
        server = Server(int(self._installed.url.rpartition(":")[2]), roles["worker"][0])
        return hot_calls.run_paced(plan, server, roles["valkey"][0], (os.cpu_count() or 1) - 1)

    def _fetch(self) -> tuple[float, bytes]:
        started_s = perf_counter()
        with urllib.request.urlopen(self._page, timeout=SHOWN_S) as answer:  # noqa: S310
            page: bytes = answer.read()
        return perf_counter() - started_s, page


async def _create(rooms: Rooms, prefix: str, count: int, *, wakes: bool = False) -> None:
    names = [RoomId(f"{prefix}-{number}") for number in range(count)]
    await asyncio.gather(*(rooms.ensure(name, Rules()) for name in names))
    if wakes:
        await rooms.wake(names)
