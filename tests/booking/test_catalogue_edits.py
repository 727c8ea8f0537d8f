"""Concerts and schedules are changed and deleted, with a log, also while buyers reserve."""

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from importlib.resources import files

import pytest

from tests.booking.halls import STARTS_AT
from tests.booking.sale import person
from tests.booking.test_seat_imports import TWO, WHO, Desk
from tests.databases import TestDatabase
from waitline.booking import catalogue_edits
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_edits import CONCERT_REFUSED, SCHEDULE_REFUSED
from waitline.booking.catalogue_model import (
    CancellationPromised,
    CatalogueStale,
    ConcertHasSchedules,
    ConcertHasSeats,
    ConcertUnknown,
    ScheduleBooked,
    SchedulePaid,
    ScheduleUnknown,
    VisitorHasMore,
)
from waitline.booking.house import HouseSeats
from waitline.booking.seat_imports import ImportChoice
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.instants import Instant
from waitline.kernel.setting import SettingError


@pytest.fixture
def desk(postgres: TestDatabase) -> Desk:
    opened = Desk(postgres)
    postgres.wait(opened.open())
    return opened


@pytest.mark.parametrize(
    ("statements", "refused", "done"),
    [
        (["change_concert", "delete_concert"], CONCERT_REFUSED, {"changed", "deleted"}),
        (["change_schedule", "delete_schedule"], SCHEDULE_REFUSED, {"changed", "deleted"}),
    ],
)
def test_what_is_refused_is_what_the_statements_say(
    statements: list[str], refused: dict[str, Callable[..., object]], done: set[str]
) -> None:
    text = (files("waitline.booking") / "sql" / "catalogue_edits.sql").read_text("utf-8")
    declared: set[str] = set()
    for name in statements:
        header = text[text.index(f"-- name: {name}(") :].partition("\nWITH ")[0]
        declared |= set(re.findall(r"'(\w+)'", header[header.index("returns:") :]))
    assert declared == {*refused, *done}


def test_a_concert_is_changed_and_logged(postgres: TestDatabase, desk: Desk) -> None:
    async def play() -> None:
        changed = await desk.edits.change_concert(1, {"title": "Gala 2", "venue": "Hall"})
        assert (changed.title, changed.venue, changed.version) == ("Gala 2", "Hall", 2)
        assert await Catalogue(desk.database).concert(1) == changed
        # The same values again are no change.
        assert (await desk.edits.change_concert(1, {"title": "Gala 2"})).version == 2
        (entry,) = await desk.edits.changes()
        assert (entry.who, entry.what, entry.concert_id) == (WHO, "concert changed", 1)
        assert entry.before == {"title": "Gala", "venue": ""}
        assert entry.after == {"title": "Gala 2", "venue": "Hall"}
        with pytest.raises(SettingError):
            await desk.edits.change_concert(1, {"currency": "won"})
        with pytest.raises(ConcertUnknown):
            await desk.edits.change_concert(9, {"title": "x"})

    postgres.wait(play())


def test_of_two_operators_the_second_is_stopped(postgres: TestDatabase, desk: Desk) -> None:
    async def play() -> None:
        await desk.edits.change_concert(1, {"title": "mine"}, 1)
        for late in (
            desk.edits.change_concert(1, {"title": "yours"}, 1),
            desk.edits.delete_concert(1, 1),
            desk.edits.change_schedule(1, {"visitor_seats_max": 2}, 9),
            desk.edits.delete_schedule(1, 9),
        ):
            with pytest.raises(CatalogueStale):
                await late
        many = (desk.edits.change_concert(1, {"title": f"{n}"}, 2) for n in range(8))
        outcomes = await asyncio.gather(*many, return_exceptions=True)
        assert sum(isinstance(one, CatalogueStale) for one in outcomes) == 7

    postgres.wait(play())


def test_what_buyers_rely_on_stays(postgres: TestDatabase, desk: Desk) -> None:
    until = Instant.of(STARTS_AT - timedelta(days=1))

    async def play() -> None:
        await desk.imported(TWO)
        with pytest.raises(ConcertHasSeats):
            await desk.edits.change_concert(1, {"currency": "USD"})
        made = await desk.reservations.reserve(1, [1, 2], person(7))
        for values, expected in (
            ({"starts_at": STARTS_AT + timedelta(days=1)}, ScheduleBooked),
            ({"cancel_until": until}, CancellationPromised),
            ({"visitor_seats_max": 1}, VisitorHasMore),
        ):
            with pytest.raises(expected):
                await desk.edits.change_schedule(1, values)
        with pytest.raises(ScheduleBooked):
            await desk.edits.change_concert(1, {"room": "other"})
        with pytest.raises(ScheduleBooked) as refused:
            await desk.edits.delete_schedule(1)
        assert refused.value.seats == 2
        # A title, and when the sale ends, are the operator's.
        await desk.edits.change_concert(1, {"title": "x"})
        await desk.edits.change_schedule(1, {"sales_end": until})

        await desk.reservations.cancel(made.reservation_id, person(7))
        changed = await desk.edits.change_schedule(
            1, {"starts_at": STARTS_AT + timedelta(days=1), "visitor_seats_max": 1}
        )
        assert await Catalogue(desk.database).schedule(1) == changed
        assert await desk.edits.delete_schedule(1) == 2

    postgres.wait(play())


def test_a_limit_takes_nobodys_seats(postgres: TestDatabase, desk: Desk) -> None:
    """Neither of a concert nor of a schedule; and what was given away is nobody's."""

    async def play() -> None:
        await desk.imported(TWO)
        await HouseSeats(desk.database).give(1, [1], "Band", who=WHO)
        changed = await desk.edits.change_concert(1, {"visitor_seats_max": 3})
        assert (changed.visitor_seats_max, changed.version) == (3, 2)
        assert await Catalogue(desk.database).concert(1) == changed
        await desk.sql("INSERT INTO schedule (concert_id, starts_at) VALUES (1, '2999-01-01')")
        for schedule, seats in ((1, 1), (2, 2)):
            await desk.sql(
                "INSERT INTO visitor_seats (schedule_id, user_id, holder, seats) "
                "VALUES ($1, '7', '', $2)",
                schedule,
                seats,
            )
        with pytest.raises(VisitorHasMore) as refused:
            await desk.edits.change_concert(1, {"visitor_seats_max": 2})
        assert refused.value.seats == 3
        await desk.edits.change_concert(1, {"visitor_seats_max": 0})
        with pytest.raises(VisitorHasMore):
            await desk.edits.change_concert(1, {"visitor_seats_max": 2})
        await desk.edits.change_concert(1, {"visitor_seats_max": 3})
        # Given away: more than the limit of the schedule, and refused to nobody.
        await desk.sql("UPDATE visitor_seats SET seats = 9 WHERE holder = 'operator'")
        await desk.edits.change_schedule(1, {"visitor_seats_max": 1})

    postgres.wait(play())


def test_what_is_deleted_is_gone_and_logged(postgres: TestDatabase, desk: Desk) -> None:
    async def play() -> None:
        await desk.imported(TWO)
        with pytest.raises(ConcertHasSchedules):
            await desk.edits.delete_concert(1)
        made = await desk.reservations.reserve(1, [1], person(7))
        await desk.reservations.cancel(made.reservation_id, person(7))
        assert await desk.edits.delete_schedule(1) == 2
        await desk.edits.delete_concert(1)
        for table in ("concert", "schedule", "seat", "reservation", "visitor_seats"):
            assert await desk.sql(f"SELECT FROM {table}") == []
        with pytest.raises(ScheduleUnknown):
            await desk.edits.delete_schedule(1)
        with pytest.raises(ConcertUnknown):
            await desk.edits.delete_concert(1)
        whats = [one.what for one in await desk.edits.changes(concert=1)]
        assert whats == ["concert deleted", "schedule deleted", "seats imported"]
        assert [one.what for one in await desk.edits.changes(schedule=1, changes_max=1)] == whats[
            1:2
        ]
        await desk.sound()

    postgres.wait(play())


@pytest.mark.parametrize(
    ("state", "age", "kept"),
    [
        ("COMPLETED", "30 days", True),
        ("REFUNDED", "30 days", True),
        ("FAILED", "1 hour", True),
        ("FAILED", "30 days", False),
    ],
)
def test_records_of_payments_are_kept(
    postgres: TestDatabase, desk: Desk, state: str, age: str, *, kept: bool
) -> None:
    async def play() -> None:
        await desk.imported(TWO)
        made = await desk.reservations.reserve(1, [1], person(7))
        await desk.reservations.cancel(made.reservation_id, person(7))
        await desk.sql(
            "INSERT INTO payment (reservation_id, user_id, amount, method, state, look_at, "
            "created_at) VALUES ($1, '7', 100, 'CARD', $2, now(), now() - $3::text::interval)",
            made.reservation_id,
            state,
            age,
        )
        if kept:
            with pytest.raises(SchedulePaid):
                await desk.edits.delete_schedule(1)
        else:
            assert await desk.edits.delete_schedule(1) == 2

    postgres.wait(play())


def test_the_log_is_bounded(
    postgres: TestDatabase, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_edits, "KEPT_MAX", 3)

    async def play() -> None:
        for number in range(5):
            await desk.edits.change_concert(1, {"title": f"{number}"})
        made = await Catalogue(desk.database).create_concert("x", "", "r")
        await desk.edits.created_concert(made)
        assert len(await desk.edits.changes()) == 3

    postgres.wait(play())


def test_a_deletion_and_reservations_at_once(postgres: TestDatabase, desk: Desk) -> None:
    """Either the schedule goes and nobody has a seat of it, or it stays."""

    async def play() -> None:
        deleted = 0
        for schedule in range(2, 12):
            await Catalogue(desk.database).create_schedule(1, STARTS_AT)
            plan = await desk.seats.fetch_plan(schedule)
            assert plan.seats == []
            lines = "".join(f"F,A,{number},R,100\n" for number in range(10))
            text = "section,row,seat,grade,price\n" + lines
            await desk.seats.import_file(schedule, text.encode(), ImportChoice(), who=WHO)
            seats = [one.seat_id for one in (await desk.seats.fetch_plan(schedule)).seats]

            async def delete(schedule: int = schedule) -> bool:
                try:
                    await desk.edits.delete_schedule(schedule)
                except (Refused, Unavailable):
                    return False
                return True

            buys = (desk.reservations.reserve(schedule, [seat], person(seat)) for seat in seats)
            gone, *outcomes = await asyncio.gather(delete(), *buys, return_exceptions=True)
            held = [one for one in outcomes if not isinstance(one, BaseException)]
            assert gone is not bool(held)
            deleted += bool(gone)
        await desk.sound()

    postgres.wait(play())
