"""Forgotten objects are found by the clock, and never because there are many."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest

from waitline.web import garbage

SOON_S = 10.0
"""For what takes milliseconds."""


class Knot:
    """Holds itself."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(garbage, "NEW_S", 0.001)
    garbage.settle()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def keep_until(condition: Callable[[], bool]) -> None:
    async def run() -> None:
        keeping = asyncio.create_task(garbage.keep())
        async with asyncio.timeout(SOON_S):
            while not condition():
                await asyncio.wait({keeping}, timeout=garbage.NEW_S)
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping

    asyncio.run(run())


def knot() -> Callable[[], Knot | None]:
    """Return a way to an object that only looking would find."""
    return weakref.ref(Knot())


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


def test_what_is_new_is_found_soon() -> None:
    there = knot()
    keep_until(lambda: there() is None)


def test_what_is_old_is_found_when_all_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Knot()
    gc.collect(0)
    there = weakref.ref(old)
    del old
    new = knot()
    keep_until(lambda: new() is None)
    assert there() is not None
    monkeypatch.setattr(garbage, "ALL_S", 0.0)
    keep_until(lambda: there() is None)


def test_a_look_that_took_long_is_not_soon_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def slow() -> float:
        looks.append(SOON_S * garbage.SHARE)
        return looks[-1]

    monkeypatch.setattr(garbage, "_look_at_all", slow)
    monkeypatch.setattr(garbage, "ALL_S", 0.0)
    with looked() as begun:
        keep_until(lambda: len(begun) > 20)
    assert len(looks) == 1


def test_however_many_objects_there_are_nobody_waits_for_a_look() -> None:
    with looked() as begun:
        kept = [[number] for number in range(1_000_000)]
    assert len(kept) > 0
    assert begun == []
