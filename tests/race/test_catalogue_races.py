"""Limits of a concert, and edits of its seats, while buyers reserve: each with its control."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from tests.booking import sale as sales
from tests.booking.sale import Sale, person, planted, reserve, run, two
from tests.databases import TestDatabase
from tests.race.buyers import Crowd, plays
from waitline.booking.model import SeatsContested, TooManySeats

LIMIT = 2

# Holders, each of whom reserves in both schedules at once.
HOLDERS = 30


async def open_both(buyers: Crowd) -> None:
    """A second schedule of the concert, with seats after those of the first, and the limit."""
    sale = buyers.sale
    await sale.sql("UPDATE concert SET visitor_seats_max = $1", LIMIT)
    await sale.sql("INSERT INTO schedule (concert_id, starts_at) VALUES (1, '2999-01-02')")
    await sale.add_seats(2, 4 * HOLDERS)


async def most(buyers: Crowd) -> list[int]:
    """What each holder has in the whole concert."""
    rows = await buyers.sale.sql(
        "SELECT sum(seats)::int AS seats FROM visitor_seats GROUP BY user_id, holder"
    )
    return [row["seats"] for row in rows]


async def reserve_at_once(buyers: Crowd) -> list[Any]:
    """Let each holder reserve two seats in each schedule, one by one, all at the same time."""
    calls = [
        partial(
            buyers.store(user + at).reserve,
            at % 2 + 1,
            [at % 2 * 4 * HOLDERS + 4 * user + at + 1],
            person(user),
        )
        for user in range(HOLDERS)
        for at in range(4)
    ]
    return list(await buyers.outcomes(calls))


def test_a_holder_never_has_more_than_the_concert_allows(postgres: TestDatabase) -> None:
    async def play(buyers: Crowd) -> None:
        await open_both(buyers)
        outcomes = await reserve_at_once(buyers)
        refusals = [one for one in outcomes if isinstance(one, Exception)]
        assert {type(one) for one in refusals} <= {TooManySeats, SeatsContested}
        assert any(isinstance(one, TooManySeats) and one.of_concert for one in refusals)
        assert max(await most(buyers)) == LIMIT
        assert await buyers.sale.findings() == []

    plays(postgres, play, seats=4 * HOLDERS)


@asynccontextmanager
async def without_lock(sale: Sale) -> AsyncIterator[None]:
    """Count a holder's seats without the lock that keeps others from counting meanwhile."""
    ((definition,),) = await sale.sql(
        "SELECT pg_get_functiondef('over_concert_limit'::regproc::oid)"
    )
    start, end = definition.index("    IF NOT pg_try_advisory"), definition.index("    IF wanted")
    # As if the two were a moment apart, so that they meet on every machine.
    await sale.sql(definition[:start] + "    PERFORM pg_sleep(0.01);\n" + definition[end:])
    try:
        yield
    finally:
        await sale.sql(definition)


def test_control_without_the_lock_a_holder_has_more(postgres: TestDatabase) -> None:
    """If this fails, the test above proves nothing."""

    async def play(buyers: Crowd) -> None:
        await open_both(buyers)
        async with without_lock(buyers.sale):
            await reserve_at_once(buyers)
        assert max(await most(buyers)) > LIMIT
        assert {one.invariant for one in await buyers.sale.findings()} == {"B7"}

    plays(postgres, play, seats=4 * HOLDERS)


# What `change_seats` is given, by column.
NOTHING = (
    "changed_sections",
    "changed_rows",
    "changed_numbers",
    "changed_positions",
    "changed_labels",
    "changed_grades",
    "changed_prices",
    "changed_ids",
    "removed_ids",
    "row_ids",
    "row_nos",
    "sections",
    "row_names",
    "new_row_nos",
    "positions",
    "numbers",
    "labels",
    "grades",
    "prices",
)


async def change(sale: Sale, *, removed: bool) -> dict[str, Any]:
    """What seat 1 is removed with, or made dearer."""
    ((laid_out,),) = await sale.sql("SELECT laid_out FROM schedule")
    values: dict[str, Any] = {name: [] for name in NOTHING}
    if removed:
        values["removed_ids"] = [1]
    else:
        texts = {"sections": "s", "rows": "r", "numbers": "1", "labels": "s-r-1", "grades": "VIP"}
        values |= {f"changed_{name}": [text] for name, text in texts.items()}
        values |= {"changed_ids": [1], "changed_positions": [1], "changed_prices": [777]}
    head = {"schedule_id": 1, "laid_out": laid_out, "currency": "KRW", "touched_ids": [1]}
    return {**head, **values, "who": None, "what": "w", "before": None, "after": None}


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "dearer"])
def test_a_seat_that_is_being_reserved_is_not_edited(
    postgres: TestDatabase, *, removed: bool
) -> None:
    async def play() -> None:
        sale = Sale(postgres)
        await sale.open(2)
        asked = await change(sale, removed=removed)
        async with two(postgres.url) as both:
            async with both.first.transaction():
                made = await run(both.first, "reserve", **reserve(7, 1))
                assert made["outcome"] == "reserved"
                # Not committed yet: neither the edit waits for it, nor does it pass it by.
                assert (await run(both.second, "change_seats", **asked))["outcome"] == "locked"
            assert (await run(both.second, "change_seats", **asked))["outcome"] == "booked"
        assert await sale.seats() == "RA"
        assert await sale.findings() == []

    postgres.wait(play())


UNLOCKED = planted(
    "change_seats",
    "    ORDER BY seat_id\n    FOR UPDATE SKIP LOCKED\n",
    "    ORDER BY seat_id\n",
)


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "dearer"])
def test_control_without_the_lock_a_reserved_seat_is_edited(
    postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch, *, removed: bool
) -> None:
    """If this fails, the test above proves nothing."""
    monkeypatch.setattr(sales, "STATEMENTS", UNLOCKED)

    async def play() -> None:
        sale = Sale(postgres)
        await sale.open(2)
        asked = await change(sale, removed=removed)
        async with two(postgres.url) as both:
            async with both.first.transaction():
                await run(both.first, "reserve", **reserve(7, 1))
                edit = asyncio.create_task(run(both.second, "change_seats", **asked))
                await both.until_it_waits(edit)
            assert (await edit)["outcome"] == "changed"
        (seat,) = await sale.sql(
            "SELECT s.price FROM reserved_seat AS h LEFT JOIN seat AS s USING (seat_id) "
            "WHERE h.live"
        )
        assert seat["price"] == (None if removed else 777)

    postgres.wait(play())
