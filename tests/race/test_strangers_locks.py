"""A row locked by a stranger delays only requests for that row, and for a bounded time.

Each play locks a row in a transaction of its own, and keeps it locked until all have been answered.
The control lets the statements wait for locks, as they once did: then others are not answered.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from typing_extensions import override

from tests.booking import sale as sales
from tests.booking.sale import PRICE, Sale, person
from tests.databases import DEADLINE_S, Patient, TestDatabase
from waitline.booking import batches
from waitline.booking.batches import LIMITS
from waitline.booking.checkout import Checkout, _ChargeNote
from waitline.booking.evidence import Settler
from waitline.booking.model import (
    Payment,
    PaymentRunning,
    Reservation,
    ReservationState,
    SeatsContested,
)
from waitline.booking.outbox import Relay
from waitline.booking.store import Reservations
from waitline.booking.sweeper import Sweeper
from waitline.kernel.errors import Contended, Unavailable
from waitline.payment_providers.model import Charged, Money, NotCharged
from waitline.payment_providers.sandbox.adapter import Sandbox
from waitline.postgres import sessions, statements
from waitline.postgres.pool import Database

BUYERS = 35
SEATS = BUYERS + 1

# With fewer, none of the others would have to share a batch with the locked one.
assert LIMITS.batch_max > BUYERS


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request for the locked row is refused soon, so that the plays are short."""
    monkeypatch.setattr(batches, "LOCK_PATIENCE_S", 0.1)


class Provider(Sandbox):
    """Charges at once, without anybody on the other side."""

    def __init__(self) -> None:
        super().__init__("key", "secret", url="http://127.0.0.1:9")

    @override
    async def charge(self, key: UUID, price: Money, method: str) -> Charged | NotCharged:
        return Charged(f"{key}", price) if method == "CARD" else NotCharged("declined")


class Hall:
    """A sale, and the stores of one process."""

    def __init__(self, sale: Sale, database: Database) -> None:
        self.sale = sale
        self.database = database
        self.reservations = Reservations(database, 300.0)
        self.checkout = Checkout(database, Provider(), at_price=True)

    async def hold_all(self) -> list[Reservation]:
        return [
            await self.sale.reservations.reserve(1, [n], person(n)) for n in range(1, SEATS + 1)
        ]

    async def begin_all(self) -> list[UUID]:
        return [
            (await self.sale.begin(one.reservation_id, one.buyer))["charge_key"]
            for one in await self.hold_all()
        ]


@asynccontextmanager
async def locked(postgres: TestDatabase, statement: str) -> AsyncIterator[None]:
    """Run a statement in a transaction that stays open."""
    connection = await asyncpg.connect(postgres.url)
    try:
        async with connection.transaction():
            assert await connection.fetch(statement)
            yield
    finally:
        await connection.close()


async def all_of(calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    async with asyncio.timeout(DEADLINE_S):
        return await asyncio.gather(*(call() for call in calls), return_exceptions=True)


Step = Callable[[Hall], Coroutine[Any, Any, list[Any]]]


async def reserving(hall: Hall) -> list[Any]:
    return await all_of(
        [lambda n=n: hall.reservations.reserve(1, [n], person(n)) for n in range(1, SEATS + 1)]  # type: ignore[misc]
    )


async def paying(hall: Hall) -> list[Any]:
    return await all_of(
        [lambda n=n: hall.checkout.pay(n, person(n), PRICE, "CARD") for n in range(1, SEATS + 1)]  # type: ignore[misc]
    )


async def declining(hall: Hall) -> list[Any]:
    return await all_of(
        [lambda n=n: hall.checkout.pay(n, person(n), PRICE, "DECLINE") for n in range(1, SEATS + 1)]  # type: ignore[misc]
    )


async def cancelling(hall: Hall) -> list[Any]:
    return await all_of(
        [lambda n=n: hall.reservations.cancel(n, person(n)) for n in range(1, SEATS + 1)]  # type: ignore[misc]
    )


async def confirming(hall: Hall) -> list[Any]:
    rows = await hall.sale.sql("SELECT charge_key FROM payment ORDER BY payment_id")
    return await all_of(
        [
            lambda key=row["charge_key"]: hall.checkout._confirming.enqueue(  # type: ignore[misc]  # noqa: SLF001
                None, _ChargeNote(key, "ref", None, Settler.CALL, None)
            )
            for row in rows
        ]
    )


async def free(_: Hall) -> None:
    """Nothing is held."""


async def held(hall: Hall) -> None:
    await hall.hold_all()


async def begun(hall: Hall) -> None:
    await hall.begin_all()


async def held_before(hall: Hall) -> None:
    """Every visitor has had a seat, so each has a row in visitor_seats."""
    await hall.hold_all()
    for number in range(1, SEATS + 1):
        await hall.sale.reservations.cancel(number, person(number))


SEAT = "SELECT FROM seat WHERE seat_id = 1 FOR UPDATE"
RESERVATION = "SELECT FROM reservation WHERE reservation_id = 1 FOR UPDATE"
VISITOR = "SELECT FROM visitor_seats WHERE user_id = '1' FOR UPDATE"
PAYMENT = "SELECT FROM payment WHERE payment_id = 1 FOR UPDATE"

# What is locked, what everybody does, what the one gets, and what all others get.
LOCKS = {
    "reserve, seat": (free, SEAT, reserving, SeatsContested, Reservation),
    "reserve, visitor": (held_before, VISITOR, reserving, SeatsContested, Reservation),
    "begin and confirm, reservation": (held, RESERVATION, paying, Unavailable, Payment),
    "begin and confirm, seat": (held, SEAT, paying, Unavailable, Payment),
    "confirm, reservation": (begun, RESERVATION, confirming, Contended, asyncpg.Record),
    "confirm, seat": (begun, SEAT, confirming, Contended, asyncpg.Record),
    "confirm, payment": (begun, PAYMENT, confirming, Contended, asyncpg.Record),
    "cancel, reservation": (held, RESERVATION, cancelling, Unavailable, ReservationState),
    "cancel, seat": (held, SEAT, cancelling, Unavailable, ReservationState),
    "cancel, visitor": (held, VISITOR, cancelling, Unavailable, ReservationState),
}


@pytest.mark.parametrize("name", LOCKS)
def test_others_are_answered_while_the_row_is_locked(postgres: TestDatabase, name: str) -> None:
    before, lock, step, one, others = LOCKS[name]

    async def play() -> None:
        async with opened(postgres) as hall:
            await before(hall)
            async with locked(postgres, lock):
                outcomes = await step(hall)
            assert isinstance(outcomes[0], one), outcomes[0]
            assert {type(outcome) for outcome in outcomes[1:]} == {others}
            # A repeat is carried out. A charge that could not be confirmed is the reconciler's.
            again = (await step(hall))[0]
            assert isinstance(again, (others, PaymentRunning)), again

    postgres.wait(play())


@pytest.mark.parametrize("name", ["reserve, seat", "begin and confirm, seat", "confirm, seat"])
def test_control_statements_that_wait_hold_up_others(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """If this fails, the test above proves nothing."""
    monkeypatch.setattr(sessions, "SESSION", {**sessions.SESSION, "lock_timeout": "0"})
    before, lock, step, _, others = LOCKS[name]

    async def play() -> None:
        async with opened(postgres, Database) as hall:
            hall.database._statements = statements.parse(sales.written(sales.waits))  # noqa: SLF001
            await before(hall)
            async with locked(postgres, lock):
                outcomes = await step(hall)
            assert {type(outcome) for outcome in outcomes[1:]} != {others}

    postgres.wait(play())


@asynccontextmanager
async def opened(postgres: TestDatabase, kind: type[Database] = Patient) -> AsyncIterator[Hall]:
    sale = Sale(postgres)
    await sale.open(SEATS)
    database = kind(postgres.url, "waitline.booking")
    try:
        yield Hall(sale, database)
    finally:
        await database.close()


def test_a_locked_schedule_holds_up_nobody(postgres: TestDatabase) -> None:
    async def play() -> None:
        async with (
            opened(postgres) as hall,
            locked(postgres, "SELECT FROM schedule FOR UPDATE"),
        ):
            await hall.hold_all()
            assert {type(one) for one in await paying(hall)} == {Payment}

    postgres.wait(play())


def test_a_declined_payment_is_recorded_once_its_row_is_free(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LOCK_PATIENCE_S", DEADLINE_S)

    async def play() -> None:
        async with opened(postgres) as hall:
            await hall.begin_all()
            (row, *_) = await hall.sale.sql("SELECT charge_key FROM payment ORDER BY payment_id")
            async with locked(postgres, PAYMENT):
                failing = hall.checkout._fail(row["charge_key"], "declined", Settler.CALL)  # noqa: SLF001
                task = asyncio.create_task(failing)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await asyncio.shield(task)
            await task
            assert (await hall.sale.states("payment"))[0] == "FAILED"

    postgres.wait(play())


@pytest.mark.parametrize("lock", [SEAT, RESERVATION, VISITOR])
def test_the_sweeper_expires_all_others(postgres: TestDatabase, lock: str) -> None:
    async def play() -> None:
        async with opened(postgres) as hall:
            await hall.hold_all()
            await hall.sale.lapse(*range(1, SEATS + 1))
            async with locked(postgres, lock):
                assert await Sweeper(hall.reservations).sweep() == SEATS - 1
                assert await hall.sale.seats() == "R" + "A" * BUYERS
            assert await Sweeper(hall.reservations).sweep() == 1

    postgres.wait(play())


def test_as_many_locked_reservations_as_a_chunk_do_not_hide_the_rest(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waitline.booking.sweeper.CHUNK_MAX", 5)

    async def play() -> None:
        async with opened(postgres) as hall:
            await hall.hold_all()
            await hall.sale.lapse(*range(1, SEATS + 1))
            async with locked(postgres, "SELECT FROM seat WHERE seat_id <= 12 FOR UPDATE"):
                assert await Sweeper(hall.reservations).sweep() == SEATS - 12

    postgres.wait(play())


def test_a_reservation_that_cannot_be_expired_keeps_no_other(postgres: TestDatabase) -> None:
    async def play() -> None:
        async with opened(postgres) as hall:
            await hall.hold_all()
            await hall.sale.lapse(*range(1, SEATS + 1))
            await hall.sale.sql("UPDATE visitor_seats SET seats = 0 WHERE user_id = '7'")
            with pytest.raises(asyncpg.CheckViolationError):
                await Sweeper(hall.reservations).sweep()
            assert (await hall.sale.states("reservation")).count("EXPIRED") == BUYERS

    postgres.wait(play())


# Seats whose prices no sum of 64 bits can hold.
DEAR = "UPDATE seat SET price = 9223372036854775807 WHERE seat_id IN (1, 2)"


def test_a_poisoned_request_fails_alone(postgres: TestDatabase) -> None:
    async def play() -> None:
        async with opened(postgres) as hall:
            await hall.sale.sql(DEAR)
            asked = [[1, 2], *([n] for n in range(3, SEATS + 1))]
            outcomes = await all_of(
                [lambda s=s: hall.reservations.reserve(1, s, person(s[0])) for s in asked]  # type: ignore[misc]
            )
            assert isinstance(outcomes[0], asyncpg.NumericValueOutOfRangeError)
            assert {type(one) for one in outcomes[1:]} == {Reservation}

    postgres.wait(play())


def test_a_locked_table_is_answered_in_time(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The net: nothing can be skipped, so all are refused, and soon."""
    monkeypatch.setattr(batches, "LIMITS", LIMITS)

    async def play() -> None:
        async with opened(postgres, Database) as hall:
            connection = await asyncpg.connect(postgres.url)
            async with connection.transaction():
                await connection.execute("LOCK TABLE seat")
                outcomes = await reserving(hall)
            await connection.close()
            assert {type(one) for one in outcomes} <= {SeatsContested, Unavailable}
            assert {type(one) for one in await reserving(hall)} == {Reservation}

    postgres.wait(play())


class Stream:
    """Takes every event."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    async def command(self, *words: object) -> object:
        self.sent.append(words)
        return b"1-1"

    async def confirm(self, key: str) -> None:
        """Return at once: nothing can undo what is here."""


def test_a_locked_event_is_sent_later_and_the_others_now(postgres: TestDatabase) -> None:
    async def play() -> None:
        async with opened(postgres) as hall:
            await hall.hold_all()
            await paying(hall)
            stream = Stream()
            relay = Relay(hall.database, stream)  # type: ignore[arg-type]
            async with locked(postgres, "SELECT FROM outbox WHERE event_no = 1 FOR UPDATE"):
                assert await relay.send() == BUYERS
                rows = await hall.sale.sql("SELECT FROM outbox WHERE sent_at IS NULL")
                assert len(rows) == 1
            assert await relay.send() == 1

    postgres.wait(play())
