"""The best seats that are left: which are offered, and that several may ask at once."""

import json
import random
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from tests.booking.halls import hall
from tests.booking.sale import at_once, person
from tests.databases import TestDatabase
from waitline.booking.best_available import (
    FreeSeat,
    find_best,
    reserve_best,
    seat_choices,
)
from waitline.booking.buyer import Buyer
from waitline.booking.idempotency_key import IdempotencyKey
from waitline.booking.model import (
    GradeUnknown,
    Reservation,
    SeatTaken,
    SoldOut,
    TooManySeats,
)
from waitline.booking.seat_imports import ImportChoice, SeatImports
from waitline.booking.store import Reservations

# A busy machine is no failure here.
patient = settings(deadline=None)


def free(*rows: str) -> list[FreeSeat]:
    """A section, row by row: a letter is a free seat, anything else a gap or a taken one."""
    return [
        FreeSeat(row_no * 100 + at, "F", str(row_no), row_no, at)
        for row_no, row in enumerate(rows, start=1)
        for at, seat in enumerate(row, start=1)
        if seat == "o"
    ]


@pytest.mark.parametrize(
    ("rows", "count", "first"),
    [
        pytest.param(["oooo"], 2, (101, 102), id="from the first"),
        pytest.param(["ooo", "oooo"], 2, (201, 202), id="none is left alone"),
        pytest.param(["ooo", "xoox"], 3, (101, 102, 103), id="a whole row"),
        pytest.param(["oxo", "ooo"], 2, (201, 202), id="alone rather than apart"),
        pytest.param(["oxoo"], 2, (103, 104), id="past a gap"),
        pytest.param(["oxxxo", "xxxoo"], 3, (105, 204, 205), id="two rows, the nearest seats"),
        pytest.param(["ooxx", "xooo"], 4, (101, 102, 202, 203), id="two rows, as evenly as can be"),
        pytest.param(["oxo", "xxx", "oxo"], 2, (101, 103), id="rows that are no neighbours"),
        pytest.param(["o"], 1, (101,), id="one"),
        pytest.param(["oo", "o"], 1, (201,), id="one that leaves none alone"),
        pytest.param(["oo"], 3, None, id="too few"),
        pytest.param([], 1, None, id="none"),
    ],
)
def test_first_choice(rows: Sequence[str], count: int, first: tuple[int, ...] | None) -> None:
    found = seat_choices(free(*rows), count)
    assert (found[0] if found else None) == first


@pytest.mark.parametrize(
    ("later", "count", "first"),
    [
        pytest.param(FreeSeat(900, "F", "1", 1, 4), 4, (101, 102, 103, 900), id="beside a row"),
        pytest.param(FreeSeat(900, "F", "0", 1, 1), 1, (900,), id="a row in front"),
        pytest.param(FreeSeat(900, "F", "1b", 2, 1), 7, None, id="a row between"),
        pytest.param(FreeSeat(900, "F", "9", 9, 1), 1, (101,), id="a row behind"),
        pytest.param(FreeSeat(900, "G", "1", 1, 1), 1, (101,), id="another section"),
    ],
)
def test_seats_that_were_added_later_rank_by_position(
    later: FreeSeat, count: int, first: tuple[int, ...] | None
) -> None:
    there = [one._replace(row_no=2 * one.row_no) for one in free("ooo", "ooo")]
    if later.row_name == "1":
        later = later._replace(row_no=2 * later.row_no)
    found = seat_choices([*there, later], count)
    # Too many for one row or two: the best of all, in order.
    assert found[0] == (first or (101, 102, 103, 900, 201, 202, 203))


HALLS = st.lists(st.text("oox", max_size=12), max_size=6)
COUNTS = st.integers(1, 6)


def together(seats: Sequence[FreeSeat]) -> bool:
    positions = sorted(seat.row_position for seat in seats)
    one_row = len({(seat.section, seat.row_name) for seat in seats}) == 1
    return one_row and positions == list(range(positions[0], positions[0] + len(seats)))


def leaves_one_alone(left: Sequence[FreeSeat], taken: Sequence[FreeSeat]) -> bool:
    places = {(seat.row_no, seat.row_position) for seat in left}
    return any(
        (seat.row_no, seat.row_position + side) in places
        and (seat.row_no, seat.row_position + 2 * side) not in places
        for seat in taken
        for side in (-1, 1)
    )


@patient
@given(HALLS, COUNTS)
def test_choices_are_of_the_first_kind_there_is(rows: list[str], count: int) -> None:
    seats = free(*rows)
    by_id = {seat.seat_id: seat for seat in seats}
    offered = [[by_id[one] for one in choice] for choice in seat_choices(seats, count)]
    assert bool(offered) is (len(seats) >= count)
    for choice in offered:
        assert len({seat.seat_id for seat in choice}) == count

    # What could be had, found by trying it all.
    tried = [
        [seat for seat in seats if seat.row_no == first.row_no][at : at + count]
        for first in seats
        for at in range(12)
    ]
    blocks = [block for block in tried if len(block) == count and together(block)]
    tidy = [
        block
        for block in blocks
        if not leaves_one_alone([seat for seat in seats if seat not in block], block)
    ]
    for choice in offered:
        left = [seat for seat in seats if seat not in choice]
        if tidy:
            assert together(choice)
            assert not leaves_one_alone(left, choice)
        elif blocks:
            assert together(choice)
    if tidy:
        assert offered[0][0].row_no == min(block[0].row_no for block in tidy)
    elif blocks:
        assert offered[0][0].row_no == min(block[0].row_no for block in blocks)


@patient
@given(HALLS, COUNTS)
def test_two_rows_are_neighbours(rows: list[str], count: int) -> None:
    seats = free(*rows)
    by_id = {seat.seat_id: seat for seat in seats}
    found = [[by_id[one] for one in choice] for choice in seat_choices(seats, count)]
    assume(found)
    in_two = [choice for choice in found if len({seat.row_no for seat in choice}) == 2]
    for choice in in_two:
        front, back = sorted({seat.row_no for seat in choice})
        if back == front + 1:
            continue
        # Apart, so there was nothing better.
        assert not any(together(one) for one in found)


def test_the_best_are_found_and_taken(postgres: TestDatabase) -> None:
    rng = random.Random(1)  # noqa: S311

    async def play() -> None:
        database = postgres.database
        schedule = await hall(database, {"R": ["oooo", "oooo"], "S": ["oo"]})
        reservations = Reservations(database, 300.0)
        assert await find_best(database, schedule, "R", 3) == [1, 2, 3]
        await reservations.reserve(schedule, [1, 2], person(1))
        assert await find_best(database, schedule, "R", 2) == [3, 4]
        assert await find_best(database, schedule, "R", 4) == [5, 6, 7, 8]
        assert await find_best(database, schedule, "R", 5) == [3, 4, 6, 7, 8]
        await reservations.reserve(schedule, [9, 10], person(2))
        with pytest.raises(SoldOut):
            await find_best(database, schedule, "S", 1)
        with pytest.raises(SoldOut):
            await find_best(database, schedule, "R", 7)
        for grade in ("VIP", "", "R\0", "\ud800"):
            with pytest.raises(GradeUnknown):
                await find_best(database, schedule, grade, 1)
        with pytest.raises(GradeUnknown):
            await find_best(database, 99, "R", 1)
        with pytest.raises(TooManySeats):
            await reserve_best(
                database, reservations, schedule, grade="R", count=5, buyer=person(3), rng=rng
            )

    postgres.wait(play())


def test_a_row_and_a_seat_that_are_imported_later_rank_by_position(
    postgres: TestDatabase,
) -> None:
    def plan(*rows: str) -> bytes:
        lines = [f"F,{row[0]},{seat},R,10" for row in rows for seat in row[1:]]
        return "\n".join(["section,row,seat,grade,price", *lines]).encode()

    async def play() -> None:
        database = postgres.database
        schedule = await hall(database, {})
        imports, update = SeatImports(database), ImportChoice(update=True)
        await imports.import_file(schedule, plan("B12", "D12"), update, who="w")
        await imports.import_file(schedule, plan("A12", "B123", "C12", "D12"), update, who="w")
        rows = await postgres.sql("SELECT seat_id, row_name || seat_number AS name FROM seat")
        names = {row["seat_id"]: row["name"].replace("F-", "")[:1] for row in rows}
        reservations, order = Reservations(database, 300.0), ""
        for user in range(4):
            seats = await find_best(database, schedule, "R", 2 if user != 1 else 3)
            await reservations.reserve(schedule, seats, person(user))
            order += "".join(names[seat] for seat in seats)
        assert order == "AABBBCCDD"
        laid_out = await database.fetch_one("laid_out_seats", schedule_id=schedule)
        assert laid_out is not None
        assert json.loads(laid_out["row_names"]) == [*"AABBBCCDD"]

    postgres.wait(play())


def test_many_at_once_all_get_seats(postgres: TestDatabase) -> None:
    async def play() -> None:
        database = postgres.database
        schedule = await hall(database, {"R": ["o" * 20] * 20})
        reservations = Reservations(database, 300.0)
        rng = random.Random(7)  # noqa: S311 - so that it can be replayed
        asked = partial(reserve_best, database, reservations, schedule, grade="R", count=2)
        # No more at a time than there are connections, so that nobody waits for one.
        calls = [partial(asked, buyer=person(user), rng=rng) for user in range(40)]
        made = await at_once(calls, width=8)
        taken = [seat for reservation in made for seat in reservation.seat_ids]
        assert len(set(taken)) == len(taken) == 80

    postgres.wait(play())


def test_losing_every_attempt_is_refused(postgres: TestDatabase) -> None:
    class Slow(Reservations):
        """Somebody else is always faster."""

        @override
        async def try_reserve(
            self,
            schedule: int,
            seats: Sequence[int],
            buyer: Buyer,
            key: IdempotencyKey | None = None,
            made_by: str | None = None,
        ) -> Reservation:
            await super().try_reserve(schedule, seats, person(1001))
            return await super().try_reserve(schedule, seats, buyer, key, made_by)

    rng = random.Random(1)  # noqa: S311

    async def play() -> None:
        database = postgres.database
        schedule = await hall(database, {"R": ["o" * 50]}, visitor_seats_max=100)
        with pytest.raises(SeatTaken):
            await reserve_best(
                database,
                Slow(database, 300.0),
                schedule,
                grade="R",
                count=1,
                buyer=person(1),
                rng=rng,
            )

    postgres.wait(play())
