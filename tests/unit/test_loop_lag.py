"""Event loop lag: how long an answer that is there at once takes in a busy loop."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeAlias

import pytest
import uvloop

from tests.until import until_async
from waitline.kernel.loop_lag import LoopLag

# What one turn of the loop does without a break, in s.
TURN_S = 0.03
SOON_S = 20.0

Run: TypeAlias = Callable[..., LoopLag]


async def measured(*, busy: bool) -> LoopLag:
    """Sample a loop whose turns are short or long."""
    loop, lag = asyncio.get_running_loop(), LoopLag()

    def turn() -> None:
        until_s = time.monotonic() + TURN_S
        while time.monotonic() < until_s:
            pass
        again[0] = loop.call_soon(turn)

    again = [loop.call_soon(turn if busy else time.monotonic)]

    async def sampled() -> bool:
        return lag.exchange_s > 0

    with lag.watched():
        await until_async(sampled, SOON_S, "there is a sample")
    again[0].cancel()
    return lag


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_instant_answer_waits_for_the_turns_of_the_loop(run: Run) -> None:
    # The timer and each of the echoes fall into turns of their own.
    assert run(measured(busy=True)).exchange_s > 2 * TURN_S


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_it_ends_with_its_loop(run: Run) -> None:
    assert run(measured(busy=False)).exchange_s > 0
