"""Wait until a condition holds, with a deadline: `until` blocks, `until_async` awaits."""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

# Seconds between two checks of a condition; some ask a service over HTTP.
POLL_S = 0.02


def until(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    deadline = time.monotonic() + deadline_s
    never = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s:g} s"
        never.wait(POLL_S)


async def until_async(
    condition: Callable[[], bool | Awaitable[bool]], deadline_s: float, what: str = ""
) -> None:
    """Do the same on the event loop; a condition that hangs fails in time too.

    Args:
        condition: Returns whether it holds, or an awaitable of that.
        deadline_s: Timeout.
        what: Names the condition in the failure; by default the name of its function.
    """
    name = what or getattr(condition, "__name__", repr(condition))
    deadline, never = asyncio.timeout(deadline_s), asyncio.Event()
    try:
        async with deadline:
            while not await _holds(condition):
                with suppress(TimeoutError):
                    await asyncio.wait_for(never.wait(), POLL_S)
    except TimeoutError:
        # A TimeoutError of the condition itself is no expired deadline.
        assert not deadline.expired(), f"{name}: not within {deadline_s:g} s"
        raise


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer
