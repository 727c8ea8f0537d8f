"""Ten thousand rooms and four scrapers: the page is bounded, and visitors do not wait for it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests.processes import halted
from tests.until import until
from tests.web.stack import SOON_S, Stack, running, succeeded
from waitline.kernel.ids import RoomId
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.services.queue.metrics import ROOMS_SHOWN_MAX
from waitline.valkey.client import ValkeyClient

ROOMS = 9_900
SCRAPERS = 4
SCRAPES = 8

# What visitors may wait for the loop, at most, while it is scraped, beyond what anybody waits for a
# processor meanwhile. Before, it was seconds.
LAG_S = 0.25
TICK_S = 0.01

PAGE_BYTES_MAX = 6_000_000
GZIP_BYTES_MAX = 600_000


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Nobody is admitted, so that every room stays awake."""
    with running("production", workers=1) as stack:
        asyncio.run(_fill((stack.data_dir / "valkey.url").read_text("utf-8").strip()))
        with halted(stack.program.processes()["admitter"]):
            asyncio.run(_wake((stack.data_dir / "valkey.url").read_text("utf-8").strip()))
            yield stack


def _names() -> list[RoomId]:
    return [RoomId(f"hall-{number}") for number in range(ROOMS)]


async def _fill(url: str) -> None:
    store = ValkeyClient(url, timeout_s=SOON_S)
    rooms, names = Rooms(store), _names()
    for at in range(0, ROOMS, 300):
        await asyncio.gather(*(rooms.ensure(name, Rules()) for name in names[at : at + 300]))
    await store.close()


async def _wake(url: str) -> None:
    store = ValkeyClient(url, timeout_s=SOON_S)
    await Rooms(store).wake(_names())
    await store.close()


class Scrape:
    """One scrape, parsed as far as needed."""

    def __init__(self, url: str, **headers: str) -> None:
        with httpx.stream(
            "GET", f"{url}/actuator/prometheus", headers=headers, timeout=SOON_S
        ) as answer:
            assert answer.status_code == 200
            self.sent = sum(map(len, answer.iter_raw()))
            self.headers = answer.headers

    @staticmethod
    def figures(url: str) -> dict[str, float]:
        text = httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}


@contextmanager
def machine_lag() -> Iterator[list[float]]:
    """Note how late a thread that has nothing to do gets a processor."""
    late_s: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            due_s = time.monotonic() + TICK_S
            ended.wait(TICK_S)
            late_s.append(time.monotonic() - due_s)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield late_s
    finally:
        ended.set()
        watching.join()


def total(figures: dict[str, float], name: str) -> float:
    return sum(value for one, value in figures.items() if one.startswith(f"{name}{{"))


def test_the_page_is_bounded(stack: Stack) -> None:
    url = stack.program.management_urls[0]

    def omits() -> bool:
        found = Scrape.figures(url)
        shown = [name for name in found if name.startswith("queue_wait_size{")]
        assert len(shown) <= ROOMS_SHOWN_MAX
        return total(found, "metrics_rooms_omitted") >= ROOMS - ROOMS_SHOWN_MAX

    until(omits, SOON_S, "all rooms are awake")
    assert total(Scrape.figures(url), "scheduler_concerts_count") == ROOMS
    plain, packed = (Scrape(url, **{"Accept-Encoding": coding}) for coding in ("identity", "gzip"))
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.sent < PAGE_BYTES_MAX
    assert packed.sent < GZIP_BYTES_MAX


def test_scrapers_hold_up_no_visitor(stack: Stack) -> None:
    url = stack.program.management_urls[0]
    room = stack.room(mode="paused")
    lags: list[float] = []
    ended = threading.Event()

    def visit() -> int:
        served = 0
        while not ended.is_set():
            succeeded(room.enter(f"v{served % 50}"), 201)
            served += 1
        return served

    def scrape(_scraper: int) -> None:
        lags.extend(total(Scrape.figures(url), "event_loop_lag_seconds") for _ in range(SCRAPES))

    before, started_s = total(Scrape.figures(url), "metrics_renderings_total"), time.monotonic()
    with machine_lag() as late_s, ThreadPoolExecutor(SCRAPERS + 1) as threads:
        visiting = threads.submit(visit)
        list(threads.map(scrape, range(SCRAPERS)))
        ended.set()
        assert visiting.result() > SCRAPES
    renderings = total(Scrape.figures(url), "metrics_renderings_total") - before
    assert renderings <= time.monotonic() - started_s + 1
    assert max(lags) < LAG_S + max(late_s)
