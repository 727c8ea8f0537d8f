"""A small sale: one performance and its seats, and statements run as several processes would."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from inspect import isasyncgen
from typing import Any
from uuid import UUID

import aiosql
import asyncpg

from tests.databases import DEADLINE_S, TestDatabase
from waitline.booking import audit
from waitline.booking.batches import until_unlocked
from waitline.booking.buyer import ANYBODY, Buyer
from waitline.booking.cooldown import NO_COOLDOWN
from waitline.booking.idempotency_key import key_columns
from waitline.booking.store import Reservations
from waitline.kernel.errors import Contended
from waitline.kernel.findings import Finding
from waitline.kernel.ids import VisitorId
from waitline.postgres import statements

PRICE = 100
HOLD_S = 300.0


def written(plant: Callable[[str], str] = lambda text: text) -> Any:  # noqa: ANN401 - aiosql's own
    """The statements as they are in sql/, perhaps with a bug in them."""
    return aiosql.from_str(plant(statements.source("waitline.booking")), "asyncpg")


def waits(text: str) -> str:
    """Let the statements wait for locked rows where they pass over them."""
    return text.replace(" SKIP LOCKED", "")


def planted(
    statement: str,
    right: str,
    wrong: str,
    after: Callable[[str], str] = lambda text: text,
) -> Any:  # noqa: ANN401 - aiosql's own
    """The statements, one of them with a bug."""

    def plant(text: str) -> str:
        start = text.index(f"-- name: {statement}(")
        end = text.find("-- name: ", start + 1)
        block = text[start : end if end > 0 else None]
        assert block.count(right) == 1, f"{statement} has changed: plant another bug"
        return after(text.replace(block, block.replace(right, wrong)))

    return written(plant)


STATEMENTS = written()


class Sale:
    """Schedule 1 with seats 1, 2, … of one row, each at `PRICE`."""

    def __init__(self, postgres: TestDatabase) -> None:
        self.postgres = postgres
        self.database = postgres.database
        self.reservations = Reservations(postgres.database, HOLD_S)

    async def open(self, seats: int = 10, visitor_seats_max: int = 4) -> None:
        await self.sql("INSERT INTO concert (title, venue, room) VALUES ('a', 'b', 'room')")
        await self.sql(
            "INSERT INTO schedule (concert_id, starts_at, visitor_seats_max) "
            "VALUES (1, '2999-01-01', $1)",
            visitor_seats_max,
        )
        await self.add_seats(1, seats)

    async def add_seats(self, schedule: int, seats: int) -> None:
        await self.sql(
            "INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, grade, "
            "price) SELECT $1, 's', 'r', n, 's-r-' || n, 'VIP', $2 FROM generate_series(1, $3) n",
            schedule,
            PRICE,
            seats,
        )

    async def sql(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        return await self.postgres.sql(statement, *values)

    async def seats(self) -> str:
        """The first letters of the seats' states, in order: A, R, O."""
        rows = await self.sql("SELECT state FROM seat ORDER BY seat_id")
        return "".join(row["state"][0] for row in rows)

    async def states(self, table: str) -> list[str]:
        """The states of all reservations or payments, in order."""
        rows = await self.sql(f"SELECT state FROM {table} ORDER BY {table}_id")  # noqa: S608
        return [row["state"] for row in rows]

    async def held(self, who: int | Buyer) -> int:
        rows = await self.sql(
            "SELECT seats FROM visitor_seats WHERE (user_id, holder) = ($1, $2)", *person(who)
        )
        return rows[0]["seats"] if rows else 0

    async def lapse(self, *reservations: int) -> None:
        """Let the time of reservations be over, and that of payments for them."""
        await self.sql(
            "UPDATE reservation SET expires_at = listening_now() - interval '1 s', "
            "paying_until = paying_until - interval '1 h' WHERE reservation_id = ANY($1::bigint[])",
            list(reservations),
        )

    async def begin(self, reservation: int, who: int | Buyer) -> Any:  # noqa: ANN401 - a row
        async def attempt() -> Any:  # noqa: ANN401 - a row
            (row,) = await self.database.fetch_all("begin_payment", **begin(reservation, who))
            return unlocked(row)

        return await until_unlocked(attempt)

    async def confirm(self, key: UUID) -> Any:  # noqa: ANN401 - a row
        async def attempt() -> Any:  # noqa: ANN401 - a row
            rows = await self.database.fetch_all("confirm_payment", **charged(key))
            return unlocked(rows[0]) if rows else None

        return await until_unlocked(attempt)

    async def findings(self, late_s: float = audit.LATE_S) -> list[Finding]:
        return await audit.examine(self.database, at_price=True, late_s=late_s)


def person(who: int | Buyer, holder: str = ANYBODY) -> Buyer:
    """A buyer, by number."""
    return who if isinstance(who, Buyer) else Buyer(VisitorId(str(who)), holder)


def begin(reservation: int, who: int | Buyer, amount: int = PRICE) -> dict[str, Any]:
    """What a payment is begun with."""
    return {
        "reservation_ids": [reservation],
        "user_ids": [person(who).user_id],
        "holders": [person(who).holder],
        "amounts": [amount],
        "methods": ["CARD"],
        "patience_s": 30.0,
        "at_price": True,
        "grace_s": 60.0,
        **key_columns([None]),
    }


def reserve(who: int | Buyer, *seats: int) -> dict[str, Any]:
    """What seats are reserved with."""
    return {
        "schedule_ids": [1],
        "user_ids": [person(who).user_id],
        "holders": [person(who).holder],
        "made_bys": [None],
        "wanted_nos": [1] * len(seats),
        "wanted_seats": list(seats),
        "hold_s": HOLD_S,
        **key_columns([None]),
    }


def expiring(chunk_max: int) -> dict[str, Any]:
    """What lapsed reservations are expired with."""
    chunk = {"chunk_max": chunk_max, "after_at": None, "after_id": None, "only_id": None}
    return {**chunk, **NO_COOLDOWN.columns()}


def cancel(reservation: int, who: int | Buyer) -> dict[str, Any]:
    """What a reservation is cancelled with."""
    nothing = {"key": None, "request": None, "language": None, "keys_max": 1}
    nobody = {"who": None, "by_operator": False, **NO_COOLDOWN.columns()}
    return {"reservation_id": reservation, **person(who)._asdict(), **nothing, **nobody}


def charged(key: UUID) -> dict[str, Any]:
    """What a charge is confirmed with."""
    charge = {"charge_keys": [key], "provider_refs": ["ref"], "charged": [None]}
    return {**charge, "currencies": [None], "whos": ["payment call"], "request_ids": [None]}


# Statements that answer with a row for each of the requests that they are given.
GATHERED = {"reserve", "begin_payment", "confirm_payment"}


async def run(connection: asyncpg.Connection, statement: str, **values: object) -> Any:  # noqa: ANN401
    """Run a statement of the box office on a connection, in whatever transaction that has.

    Returns:
        Its row, or its rows; of one that is given many requests, the row of the only one.
    """
    answer = getattr(STATEMENTS, statement)(connection, **values)
    if not isasyncgen(answer):
        return await answer
    rows = [row async for row in answer]
    return rows[0] if statement in GATHERED else rows


def is_locked(answer: Any) -> bool:  # noqa: ANN401 - a row, rows, or none
    if not isinstance(answer, asyncpg.Record):
        return False
    return bool(answer.get("outcome") == "locked" or answer.get("locked"))


def unlocked(row: asyncpg.Record) -> asyncpg.Record:
    """Return a row that changed something, or raise for one that has to be tried again."""
    if is_locked(row):
        raise Contended("its rows are locked")
    return row


class Waiting:
    """Two connections: what the first has done is not committed, and the second may wait for it."""

    def __init__(self, first: asyncpg.Connection, second: asyncpg.Connection) -> None:
        self.first = first
        self.second = second

    async def until_it_waits(self, task: asyncio.Task[Any]) -> None:
        """Return when the second waits for a lock."""
        pid = self.second.get_server_pid()
        asked = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
        async with asyncio.timeout(DEADLINE_S):
            while not task.done():
                # Within a transaction the server would tell what it was at the first look.
                await self.first.execute("SELECT pg_stat_clear_snapshot()")
                if await self.first.fetchval(asked, pid):
                    return
        raise AssertionError(f"it did not wait: {task.result()}")


@asynccontextmanager
async def two(url: str) -> AsyncIterator[Waiting]:
    first, second = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        yield Waiting(first, second)
    finally:
        await first.close()
        await second.close()


async def at_once(calls: Sequence[Callable[[], Awaitable[Any]]], *, width: int = 12) -> list[Any]:
    """Make calls at the same time, at most `width` in progress; an error is an outcome too."""
    gate = asyncio.Semaphore(width)

    async def one(call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        async with gate:
            try:
                return await call()
            except Exception as error:  # noqa: BLE001 - the caller looks at it
                return error

    async with asyncio.timeout(6 * DEADLINE_S):
        return await asyncio.gather(*map(one, calls))


def plays(postgres: TestDatabase, play: Callable[[Sale], Coroutine[Any, Any, None]]) -> None:
    """Run a play on a sale of its own, and leave everything sound."""

    async def whole() -> None:
        sale = Sale(postgres)
        await play(sale)
        assert await sale.findings() == []

    postgres.wait(whole())
