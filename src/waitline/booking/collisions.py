"""Retry of statements that a unique constraint rejected, which has changed nothing.

Two causes are no bug: a random id was drawn twice, and an idempotency key was recorded by a call
that this statement's snapshot does not show yet.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from waitline.postgres.driver_errors import Duplicate

TRIES = 3
"""The second one draws other ids and sees the key. A third collision in a row is a bug."""

T = TypeVar("T")


async def retried(statement: Callable[[], Awaitable[T]]) -> T:
    """Run a statement, again while a unique constraint rejects it.

    Raises:
        Duplicate: It was rejected `TRIES` times.
    """
    for _ in range(TRIES - 1):
        try:
            return await statement()
        except Duplicate:
            continue
    return await statement()
