"""Retry on unique-constraint violations; a rejected statement has changed nothing.

Two causes are not bugs: a random id collided, or a concurrent call recorded the idempotency key
after this statement's snapshot.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from waitline.postgres.driver_errors import Duplicate

TRIES = 3
"""The second one draws other ids and sees the key. A third collision in a row is a bug."""

T = TypeVar("T")


async def retried(statement: Callable[[], Awaitable[T]]) -> T:
    """Run a statement; retry it while a unique constraint rejects it.

    Raises:
        Duplicate: It was rejected `TRIES` times.
    """
    for _ in range(TRIES - 1):
        try:
            return await statement()
        except Duplicate:
            continue
    return await statement()
