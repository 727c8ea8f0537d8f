"""Two statements about the same seats or money, the second beginning before the first has ended.

The first runs in a transaction that is left open; the second begins; then the first is committed,
or undone. What the second answers must be what it would have answered had it come afterwards. A
repeat of `again` counts as one answer.

Statements pass over locked rows, and are repeated. But a row may also be changed between the
statement's view of the tables and its lock. That moment is held open by letting the statements
wait for locks instead: then their view is older than what they lock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from asyncpg import Connection

from tests.booking import sale as sales
from tests.booking.sale import (
    Sale,
    begin,
    cancel,
    charged,
    person,
    planted,
    plays,
    reserve,
    run,
    two,
)
from tests.databases import DEADLINE_S, TestDatabase
from waitline.booking.buyer import Buyer

ANN, BOB = person(1), person(2)

Step = Callable[[Sale, Connection], Coroutine[Any, Any, str]]


def reserving(user: Buyer, *seats: int) -> Step:
    async def step(_: Sale, connection: Connection) -> str:
        row = await run(connection, "reserve", **reserve(user, *seats))
        return str(row["outcome"])

    return step


def cancelling(reservation: int, user: Buyer = ANN) -> Step:
    async def step(_: Sale, connection: Connection) -> str:
        while True:
            row = await run(connection, "cancel", **cancel(reservation, user))
            if row["outcome"] != "again":
                return str(row["outcome"])

    return step


async def expiring(_: Sale, connection: Connection) -> str:
    rows = await run(connection, "expire", **sales.expiring(10))
    return f"{sum(row['expired'] for row in rows)} expired"


async def beginning(_: Sale, connection: Connection) -> str:
    row = await run(connection, "begin_payment", **begin(1, ANN))
    return str(row["outcome"])


async def confirming(sale: Sale, connection: Connection) -> str:
    row = await run(connection, "confirm_payment", **charged(await key(sale)))
    return "locked" if row["locked"] else f"{row['state']}, was {row['reservation_state']}"


async def failing(sale: Sale, connection: Connection) -> str:
    row = await run(
        connection, "fail_payment", charge_key=await key(sale), reason="declined", who="webhook"
    )
    if row is None:
        return "not open"
    return "locked" if row["locked"] else "failed"


async def key(sale: Sale) -> Any:  # noqa: ANN401 - a UUID
    return (await sale.sql("SELECT charge_key FROM payment"))[0]["charge_key"]


async def held(sale: Sale) -> None:
    await sale.reservations.reserve(1, [1], ANN)


async def held_by_two(sale: Sale) -> None:
    await held(sale)
    await sale.reservations.reserve(1, [2], ANN)


async def lapsed(sale: Sale) -> None:
    await held(sale)
    await sale.lapse(1)


async def lapsed_by_two(sale: Sale) -> None:
    await held_by_two(sale)
    await sale.lapse(1)


async def paying(sale: Sale) -> None:
    await held(sale)
    await sale.begin(1, ANN)


async def paying_too_long(sale: Sale) -> None:
    await paying(sale)
    await sale.lapse(1)


async def paid(sale: Sale) -> None:
    await paying(sale)
    await sale.confirm(await key(sale))


async def free(_: Sale) -> None:
    """Nothing is held."""


# What the second answers once the first is committed, and once it is undone.
PAIRS = {
    "one seat, two buyers": (free, reserving(ANN, 1, 2), reserving(BOB, 2, 3), "taken", "reserved"),
    "one visitor, too many seats": (
        free,
        reserving(ANN, 1, 2),
        reserving(ANN, 3, 4, 5),
        "limit",
        "reserved",
    ),
    "one visitor, who has some already": (
        held,
        reserving(ANN, 2, 3),
        reserving(ANN, 4, 5),
        "limit",
        "reserved",
    ),
    "one visitor, two seats": (free, reserving(ANN, 1), reserving(ANN, 2), "reserved", "reserved"),
    "the seat comes back": (held, cancelling(1), reserving(BOB, 1), "reserved", "taken"),
    "given up twice": (held, cancelling(1), cancelling(1), "over", "cancelled"),
    "two given up by one visitor": (
        held_by_two,
        cancelling(1),
        cancelling(2),
        "cancelled",
        "cancelled",
    ),
    "one given up, more taken": (
        held,
        cancelling(1),
        reserving(ANN, 2, 3, 4),
        "reserved",
        "reserved",
    ),
    "one given up, the most taken": (
        held,
        cancelling(1),
        reserving(ANN, 2, 3, 4, 5),
        "reserved",
        "limit",
    ),
    "given up, then paid for": (held, cancelling(1), beginning, "cancelled", "begun"),
    "expired, then taken": (lapsed, expiring, reserving(BOB, 1), "reserved", "taken"),
    "expired, then given up": (lapsed, expiring, cancelling(1), "over", "over"),
    "expired, then paid for": (lapsed, expiring, beginning, "expired", "lapsed"),
    "one expired, one given up": (lapsed_by_two, expiring, cancelling(2), "cancelled", "cancelled"),
    "one given up, one expired": (lapsed_by_two, cancelling(2), expiring, "1 expired", "1 expired"),
    "paid for, then given up": (held, beginning, cancelling(1), "paying", "cancelled"),
    "paid for twice": (held, beginning, beginning, "running", "begun"),
    "declined, then paid for again": (paying, failing, beginning, "begun", "running"),
    "declined, then given up": (paying, failing, cancelling(1), "cancelled", "paying"),
    "confirmed twice": (
        paying,
        confirming,
        confirming,
        "COMPLETED, was CONFIRMED",
        "COMPLETED, was PENDING",
    ),
    "confirmed, then given up": (paying, confirming, cancelling(1), "refunding", "paying"),
    "confirmed, then paid for again": (paying, confirming, beginning, "confirmed", "running"),
    "confirmed, then said to be declined": (paying, confirming, failing, "not open", "failed"),
    "confirmed, and wanted by another": (paying, confirming, reserving(BOB, 1), "taken", "taken"),
    "confirmed at last, then given up": (
        paying_too_long,
        confirming,
        cancelling(1),
        "refunding",
        "over",
    ),
    "expired, then confirmed": (
        paying_too_long,
        expiring,
        confirming,
        "REFUNDING, was EXPIRED",
        "COMPLETED, was PENDING",
    ),
    "what was paid for, given up twice": (paid, cancelling(1), cancelling(1), "over", "refunding"),
    "what was paid for is on sale again": (
        paid,
        cancelling(1),
        reserving(BOB, 1),
        "reserved",
        "taken",
    ),
}


@pytest.mark.parametrize("undone", [False, True], ids=["committed", "undone"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_blocked_call_answers_as_if_it_came_later(
    *, postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch, name: str, undone: bool
) -> None:
    monkeypatch.setattr(sales, "STATEMENTS", WAITING)
    plays(postgres, waiting(name, undone=undone))


WAITING = sales.written(sales.waits)

# A first reservation of a visitor has no row to pass over: the second waits for the unique value.
WAITED_FOR = {"one visitor, too many seats", "one visitor, two seats"}


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in WAITED_FOR])
def test_nobody_waits_and_the_repeat_answers(*, postgres: TestDatabase, name: str) -> None:
    before, first, second, after, _ = PAIRS[name]

    async def play(sale: Sale) -> None:
        await sale.open()
        await before(sale)
        async with two(sale.postgres.url) as pair, asyncio.timeout(DEADLINE_S):
            transaction = pair.first.transaction()
            await transaction.start()
            await first(sale, pair.first)
            was = await second(sale, pair.second)
            assert was in {"locked", "0 expired"}
            await transaction.commit()
            assert await second(sale, pair.second) == after
        await expired(sale)

    plays(postgres, play)


def waiting(name: str, *, undone: bool) -> Callable[[Sale], Coroutine[Any, Any, None]]:
    before, first, second, after, instead = PAIRS[name]

    async def play(sale: Sale) -> None:
        await sale.open()
        await before(sale)
        async with (
            two(sale.postgres.url) as pair,
            asyncio.timeout(DEADLINE_S),
            asyncio.TaskGroup() as group,
        ):
            transaction = pair.first.transaction()
            await transaction.start()
            await first(sale, pair.first)
            task = group.create_task(second(sale, pair.second))
            await pair.until_it_waits(task)
            await (transaction.rollback() if undone else transaction.commit())
        assert task.result() == (instead if undone else after)
        await expired(sale)

    return play


# Bugs that only show when statements meet, and a pair that shows each.
BUGS = {
    "reserve": (
        (
            "ORDER BY seat_id\n    FOR UPDATE SKIP LOCKED",
            "ORDER BY seat_id",
            "one seat, two buyers",
        ),
        (
            "WHERE held.seats + excluded.seats",
            "WHERE excluded.seats + coalesce((SELECT seats FROM visitor_seats LIMIT 1), 0)",
            "one visitor, too many seats",
        ),
    ),
    "cancel": (
        ("AND EXISTS (SELECT FROM paid)", "", "confirmed, then given up"),
        (
            "= :reservation_id\n    FOR UPDATE SKIP LOCKED",
            "= :reservation_id",
            "given up twice",
        ),
    ),
    "begin_payment": (
        (
            "LIMIT 1 FOR UPDATE SKIP LOCKED",
            "LIMIT 1",
            "given up, then paid for",
        ),
    ),
    "confirm_payment": (
        (
            "p.payment_id = found.payment_id\n        LIMIT 1 FOR UPDATE SKIP LOCKED",
            "p.payment_id = found.payment_id LIMIT 1",
            "confirmed twice",
        ),
    ),
}


@pytest.mark.parametrize(
    ("statement", "right", "wrong", "name"),
    [(statement, *bug) for statement, bugs in BUGS.items() for bug in bugs],
    ids=[bug[-1] for statement, bugs in BUGS.items() for bug in bugs],
)
def test_control_each_pair_shows_its_bug(
    *,
    postgres: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    right: str,
    wrong: str,
    name: str,
) -> None:
    """If this fails, the test above proves nothing."""
    monkeypatch.setattr(sales, "STATEMENTS", planted(statement, right, wrong, sales.waits))
    with pytest.raises((AssertionError, ExceptionGroup)):
        plays(postgres, waiting(name, undone=False))


# Sweepers wait for nobody: what another has is left to it.
PASSED = [
    pytest.param(lapsed, expiring, id="by another sweeper"),
    pytest.param(lapsed, cancelling(1), id="by one that cancels, too late"),
    pytest.param(paying_too_long, confirming, id="by a payment that was confirmed late"),
]


@pytest.mark.parametrize(("before", "first"), PASSED)
def test_sweepers_pass_over_what_is_being_changed(
    postgres: TestDatabase, before: Callable[[Sale], Awaitable[None]], first: Step
) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await before(sale)
        async with two(postgres.url) as pair, pair.first.transaction():
            await first(sale, pair.first)
            async with asyncio.timeout(DEADLINE_S):
                assert await expiring(sale, pair.second) == "0 expired"
        await expired(sale)

    plays(postgres, play)


def test_a_payment_that_began_and_ended_while_a_cancellation_waited_is_refunded(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancellation's view is older than the payment itself."""
    monkeypatch.setattr(sales, "STATEMENTS", WAITING)

    async def play(sale: Sale) -> None:
        await sale.open()
        await held(sale)
        async with (
            two(postgres.url) as pair,
            asyncio.timeout(DEADLINE_S),
            asyncio.TaskGroup() as group,
            pair.first.transaction(),
        ):
            begun = await run(pair.first, "begin_payment", **begin(1, ANN))
            task = group.create_task(cancelling(1)(sale, pair.second))
            await pair.until_it_waits(task)
            # As if another call had been faster than the one that waits.
            await run(pair.first, "confirm_payment", **charged(begun["charge_key"]))
        assert task.result() == "refunding"
        assert await sale.states("payment") == ["REFUNDING"]

    plays(postgres, play)


def test_a_repeated_charge_report_does_not_wait_for_locks(postgres: TestDatabase) -> None:
    """It has nothing to change, so it answers as if it had come before the cancellation."""

    async def play(sale: Sale) -> None:
        await sale.open()
        await paid(sale)
        async with two(postgres.url) as pair, pair.first.transaction():
            assert await cancelling(1)(sale, pair.first) == "refunding"
            async with asyncio.timeout(DEADLINE_S):
                received = await confirming(sale, pair.second)
        assert received == "COMPLETED, was CONFIRMED"
        assert await sale.states("payment") == ["REFUNDING"]

    plays(postgres, play)


async def expired(sale: Sale) -> None:
    """Let the sweeper come: what has lapsed is no finding of the audit's."""
    await sale.reservations.expire(10)
