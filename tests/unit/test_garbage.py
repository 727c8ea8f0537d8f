"""Garbage collection on a timer: full collections when idle, none triggered by object counts."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count

import pytest

from waitline.kernel import garbage_collection

SOON_S = 20.0
"""For what takes milliseconds."""


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(garbage_collection, "NEW_S", 0.001)
    garbage_collection.settle()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def busy() -> Callable[[], float]:
    """Return the clock of a process that uses more than a core."""
    return map(float, count()).__next__


def keep_until(condition: Callable[[], bool], used_s: Callable[[], float] = lambda: 0.0) -> None:
    async def run() -> None:
        keeping = asyncio.create_task(garbage_collection.keep(used_s))
        async with asyncio.timeout(SOON_S):
            while not condition():
                await asyncio.wait({keeping}, timeout=garbage_collection.NEW_S)
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    asyncio.run(run())


def knot() -> Callable[[], Knot | None]:
    """Return a way to an object that only looking would find."""
    return weakref.ref(Knot())


def old_knot() -> Callable[[], Knot | None]:
    """Return the same, after it has survived a look."""
    old = Knot()
    gc.collect(0)
    return weakref.ref(old)


@contextmanager
def looked() -> Iterator[list[int]]:
    """Note what is looked at meanwhile: 0 is what is new."""
    begun: list[int] = []

    def note(phase: str, about: Mapping[str, int]) -> None:
        if phase == "start":
            begun.append(about["generation"])

    gc.callbacks.append(note)
    try:
        yield begun
    finally:
        gc.callbacks.remove(note)


@pytest.mark.parametrize("used_s", [lambda: 0.0, busy()], ids=["quiet", "busy"])
def test_what_is_new_is_found_soon(used_s: Callable[[], float]) -> None:
    there = knot()
    keep_until(lambda: there() is None, used_s)


def test_a_quiet_process_looks_at_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    there = old_knot()
    monkeypatch.setattr(garbage_collection, "ALL_S", 0.0)
    keep_until(lambda: there() is None)


@pytest.mark.parametrize(
    ("used_s", "all_s"),
    [pytest.param(lambda: 0.0, SOON_S, id="soon"), pytest.param(busy(), 0.0, id="while busy")],
)
def test_nobody_looks_at_everything(
    used_s: Callable[[], float], all_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = old_knot()
    monkeypatch.setattr(garbage_collection, "ALL_S", all_s)
    with looked() as begun:
        keep_until(lambda: len(begun) > 50, used_s)
    assert set(begun) == {0}
    assert there() is not None


def test_however_busy_everything_is_looked_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    there = old_knot()
    monkeypatch.setattr(garbage_collection, "MOST_S", 0.05)
    keep_until(lambda: there() is None, busy())


def test_however_many_objects_there_are_nobody_waits_for_a_look() -> None:
    with looked() as begun:
        kept = [[number] for number in range(1_000_000)]
    assert len(kept) > 0
    assert begun == []
