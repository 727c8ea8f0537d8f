"""Concurrent buyers from several processes, each with its own connection pool."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg

from tests.booking.sale import HOLD_S, Sale, at_once, is_locked, run
from tests.databases import Patient, TestDatabase
from waitline.booking.store import Reservations

# As many processes, with as many connections each.
PROCESSES = 4
CONNECTIONS = 8
WIDTH = PROCESSES * CONNECTIONS

INDEX = "b1_one_live_reservation_per_seat"

Outcomes = Sequence[Any]


class Crowd:
    """A sale, reached through the pools of several processes."""

    def __init__(self, sale: Sale, stores: Sequence[Reservations], pool: asyncpg.Pool) -> None:
        self.sale = sale
        self._stores = stores
        self._pool = pool

    def store(self, number: int) -> Reservations:
        return self._stores[number % len(self._stores)]

    async def tell(self, statement: str, **values: object) -> Any:  # noqa: ANN401 - a row, or rows
        """Run a statement as it is written, or planted; again while its rows are locked."""
        while True:
            async with self._pool.acquire() as connection:
                answer = await run(connection, statement, **values)
            if not is_locked(answer):
                return answer

    async def outcomes(self, calls: Sequence[Callable[[], Awaitable[Any]]]) -> Outcomes:
        return await at_once(calls, width=WIDTH)


@asynccontextmanager
async def crowd(postgres: TestDatabase, seats: int) -> AsyncIterator[Crowd]:
    sale = Sale(postgres)
    await sale.open(seats)
    async with AsyncExitStack() as stack:
        stores = []
        for _ in range(PROCESSES):
            database = Patient(postgres.url, "waitline.booking", connections_max=CONNECTIONS)
            stack.push_async_callback(database.close)
            stores.append(Reservations(database, HOLD_S))
        # Connected before the race begins. Deadlocks are detected soon.
        pool = await asyncpg.create_pool(
            postgres.url,
            min_size=WIDTH,
            max_size=WIDTH,
            server_settings={"deadlock_timeout": "50ms"},
        )
        stack.push_async_callback(pool.close)
        yield Crowd(sale, stores, pool)


def plays(
    postgres: TestDatabase, play: Callable[[Crowd], Coroutine[Any, Any, None]], *, seats: int = 10
) -> None:
    async def whole() -> None:
        async with crowd(postgres, seats) as buyers:
            await play(buyers)

    postgres.wait(whole())


def kinds(outcomes: Outcomes) -> Counter[str]:
    return Counter(type(one).__name__ for one in outcomes)


def words(outcomes: Outcomes) -> Counter[str]:
    """The words of statements that were answered, and the names of errors."""
    return Counter(
        type(one).__name__ if isinstance(one, Exception) else one["outcome"] for one in outcomes
    )


@asynccontextmanager
async def without_index(sale: Sale) -> AsyncIterator[None]:
    """Drop the last guard of B1; afterwards all reservations are deleted."""
    ((definition,),) = await sale.sql(f"SELECT pg_get_indexdef('{INDEX}'::regclass)")
    await sale.sql(f"DROP INDEX {INDEX}")
    try:
        yield
    finally:
        await sale.sql("TRUNCATE reserved_seat")
        await sale.sql(definition)
