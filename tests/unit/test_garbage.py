"""Old objects are looked at when nobody waits, and not while requests come."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import pytest

from waitline.web import garbage

SOON_S = 10.0
"""For what takes milliseconds."""


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def settled() -> Iterator[None]:
    before = gc.get_threshold()
    garbage.settle()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def forgotten_while(used_s: Callable[[], float], until: Callable[[], bool]) -> bool:
    """Return whether an old knot is gone when so much time is used and something has happened."""
    knot = Knot()
    # Twice looked at, it is old.
    gc.collect(0)
    gc.collect(1)
    there = weakref.ref(knot)
    del knot

    async def run() -> None:
        keeping = asyncio.create_task(garbage.keep(used_s))
        async with asyncio.timeout(SOON_S):
            while there() is not None and not until():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    asyncio.run(run())
    return there() is None


def busy() -> Callable[[], float]:
    """Return a clock of a process that uses a core for itself, and how often it was read."""
    seconds = iter(range(1_000_000))
    return lambda: float(next(seconds))


def never() -> bool:
    return False


def test_a_quiet_process_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "LOOK_S", 0.001)
    monkeypatch.setattr(garbage, "LEAST_S", 0.0)
    assert forgotten_while(lambda: 0.0, never)


@pytest.mark.parametrize("used", ["nothing", "a core"])
def test_nobody_looks_too_often_nor_while_requests_come(
    used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "LOOK_S", 0.001)
    monkeypatch.setattr(garbage, "LEAST_S", SOON_S if used == "nothing" else 0.0)
    reads = 0
    clock = busy() if used == "a core" else lambda: 0.0

    def read() -> float:
        nonlocal reads
        reads += 1
        return clock()

    assert not forgotten_while(read, lambda: reads > 100)


def test_a_process_that_is_never_quiet_looks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "LOOK_S", 0.001)
    monkeypatch.setattr(garbage, "MOST_S", 0.01)
    assert forgotten_while(busy(), never)


def test_however_much_grows_old_nobody_waits_for_a_look_at_all_of_it() -> None:
    looks: list[int] = []

    def note(phase: str, about: Mapping[str, int]) -> None:
        if phase == "start":
            looks.append(about["generation"])

    gc.callbacks.append(note)
    try:
        kept = [[number] for number in range(garbage.YOUNG * garbage.YOUNG_LOOKS * 15)]
    finally:
        gc.callbacks.remove(note)
    assert len(kept) > 0
    assert set(looks) == {0, 1}
