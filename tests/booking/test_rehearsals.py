"""A rehearsal is deleted with all of its sale, and nothing else ever is."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.booking.sale import Sale, person, plays
from tests.databases import TestDatabase
from waitline.booking import rehearsals
from waitline.booking.rehearsals import Rehearsals, Unsettled
from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import REHEARSALS, RoomId

OURS = RoomId(f"{REHEARSALS}1")

TABLES = (
    "concert", "schedule", "seat", "reservation", "reserved_seat", "visitor_seats", "payment",
    "outbox", "idempotency",
)  # fmt: skip


async def contents(sale: Sale) -> dict[str, Sequence[Any]]:
    """All rows of all tables, as text."""
    return {
        table: [
            row["whole"]
            for row in await sale.sql(f"SELECT t::text AS whole FROM {table} AS t ORDER BY 1")  # noqa: S608
        ]
        for table in TABLES
    }


async def traded(sale: Sale, schedule: int, user: int) -> None:
    """Let a schedule have something of everything: held, sold, cancelled, declined, refunding."""
    rows = await sale.sql("SELECT seat_id FROM seat WHERE schedule_id = $1", schedule)
    seats = [row["seat_id"] for row in rows]
    made = [
        (await sale.reservations.reserve(schedule, [seat], person(user + n))).reservation_id
        for n, seat in enumerate(seats[:5])
    ]
    await sale.reservations.cancel(made[1], person(user + 1))
    for n in (2, 3):
        await sale.confirm((await sale.begin(made[n], user + n))["charge_key"])
    await sale.reservations.cancel(made[3], person(user + 3))
    declined = await sale.begin(made[4], user + 4)
    await sale.database.fetch_one(
        "fail_payment", charge_key=declined["charge_key"], reason="no", who="webhook"
    )


async def rehearsed(sale: Sale, room: str, origin: str = "rehearsal") -> int:
    """Put a rehearsal on sale beside the real one; return its schedule."""
    if origin == "rehearsal":
        await Rehearsals(sale.database).create("b", RoomId(room))
    else:
        await sale.sql("INSERT INTO concert (title, venue, room) VALUES ('b', '', $1)", room)
    rows = await sale.sql(
        "INSERT INTO schedule (concert_id, starts_at) "
        "SELECT max(concert_id), timestamptz '2999-01-01' FROM concert "
        "RETURNING schedule_id"
    )
    schedule: int = rows[0]["schedule_id"]
    await sale.add_seats(schedule, 10)
    return schedule


def test_nothing_of_a_rehearsal_is_left_and_all_of_the_rest(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await traded(sale, 1, 100)
        before = await contents(sale)
        await traded(sale, await rehearsed(sale, OURS), 200)
        stage = Rehearsals(sale.database)
        assert await stage.rooms() == {OURS}
        during = await contents(sale)
        assert all(len(during[table]) > len(before[table]) for table in TABLES[:-1])
        # Five reservations, two events, ten seats and the concert.
        assert await stage.discard(OURS) == 5 + 2 + 10 + 1
        assert await contents(sale) == before
        assert await stage.rooms() == set()
        assert await stage.discard(OURS) == 0

    plays(postgres, play)


def test_other_rooms_cannot_be_discarded(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await traded(sale, 1, 100)
        # An operator's concert is never a rehearsal, whatever its room is called.
        near = RoomId(f"my-{REHEARSALS}1")
        await traded(sale, await rehearsed(sale, near, "operator"), 200)
        await traded(sale, await rehearsed(sale, OURS, "operator"), 300)
        before = await contents(sale)
        stage = Rehearsals(sale.database)
        assert await stage.rooms() == set()
        for room in ("room", near, OURS, "", "%"):
            assert await stage.discard(RoomId(room)) == 0
        assert await contents(sale) == before

    plays(postgres, play)


def test_many_rows_go_in_chunks(postgres: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        before = await contents(sale)
        await traded(sale, await rehearsed(sale, OURS), 200)
        assert await Rehearsals(sale.database).discard(OURS) == 18
        assert await contents(sale) == before

    monkeypatch.setattr(rehearsals, "CHUNK_MAX", 2)
    plays(postgres, play)


def test_what_is_under_way_is_counted(postgres: TestDatabase) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        await traded(sale, 1, 100)
        schedule = await rehearsed(sale, OURS)
        stage = Rehearsals(sale.database)
        assert await stage.unsettled(OURS) == Unsettled(0, 0)
        await traded(sale, schedule, 200)
        # One goes back to its buyer; two events were not sent.
        assert await stage.unsettled(OURS) == Unsettled(1, 2)
        free = await sale.sql(
            "SELECT seat_id FROM seat WHERE schedule_id = $1 AND state = 'AVAILABLE'", schedule
        )
        held = await sale.reservations.reserve(schedule, [free[0]["seat_id"]], person(300))
        await sale.begin(held.reservation_id, 300)
        assert await stage.unsettled(OURS) == Unsettled(2, 2)
        await sale.sql("UPDATE outbox SET sent_at = now()")
        assert await stage.unsettled(OURS) == Unsettled(2, 0)

    plays(postgres, play)


def test_what_is_still_in_use_is_not_deleted_and_may_be_tried_again(
    postgres: TestDatabase,
) -> None:
    async def play(sale: Sale) -> None:
        await sale.open()
        before = await contents(sale)
        await traded(sale, await rehearsed(sale, OURS), 200)
        during = await contents(sale)
        # As if somebody had reserved between the statements that delete.
        with pytest.raises(Unavailable, match="concurrent change of the same rows"):
            await sale.database.fetch_one("discard_concert", room=OURS)
        assert await contents(sale) == during
        await Rehearsals(sale.database).discard(OURS)
        assert await contents(sale) == before

    plays(postgres, play)
