"""Best-available seat selection, with randomised retries under contention.

The seat plan ranks the seats: its first row is the best, its last the worst. Of a grade, the first
of these that exists is offered:

1. side by side in a row, so that no seat is left alone between others;
2. side by side in a row;
3. side by side in two rows of a section, one behind the other;
4. any.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from waitline.booking.model import (
    SEATS_MAX,
    GradeUnknown,
    Reservation,
    SeatTaken,
    SoldOut,
)
from waitline.booking.store import Reservations
from waitline.postgres.pool import Database

FREE_MAX = 2_000
"""Seats that are looked at: the best that are free. If these do not hold what is asked for, those
farther back are hardly what a visitor takes unseen."""

ATTEMPTS_MAX = 6
"""How often seats are chosen anew because somebody else was faster."""

SPREAD = 8
"""By what factor more choices are drawn from at each attempt. Whoever asks at the same time is
offered the same seats: if all took the best that are left, one of them would get these, and the
others would meet again."""


class FreeSeat(NamedTuple):
    """A seat that is free.

    Attributes:
        seat_id: Its number; the lower, the better.
        section: Its part of the house.
        row_name: Its row there.
        row_no: Rows of a section whose numbers differ by one are neighbours; 0 if unknown.
        row_position: Seats of a row whose positions differ by one are neighbours.
    """

    seat_id: int
    section: str
    row_name: str
    row_no: int
    row_position: int


Run = Sequence[FreeSeat]
"""Seats side by side, with no free one next to them."""


def seat_choices(free: Sequence[FreeSeat], count: int) -> list[tuple[int, ...]]:
    """Return what may be offered for `count` seats: all of the first kind there is, the best first.

    Args:
        free: Seats of one grade, in the order of their numbers.
        count: How many, at least 1.

    Returns:
        Numbers of seats, `count` in each choice. Empty if there are not so many.
    """
    runs = list(_runs(free))
    together = [(run, at) for run in runs for at in range(0, len(run) - count + 1, count)]
    return (
        [_ids(run, at, count) for run, at in together if _leaves_none_alone(run, at, count)]
        or [_ids(run, at, count) for run, at in together]
        or list(_in_two_rows(runs, count))
        or [_ids(free, at, count) for at in range(0, len(free) - count + 1, count)]
    )


async def find_best(database: Database, schedule: int, grade: str, count: int) -> list[int]:
    """Return the numbers of the best seats of a grade that are free; they are not held.

    Args:
        database: Holds them.
        schedule: Of which performance.
        grade: Of which grade.
        count: How many, 1 to `SEATS_MAX`.

    Raises:
        GradeUnknown: The schedule has no such seats.
        SoldOut: Fewer are left.
    """
    return list((await _offered(database, schedule, grade, count))[0])


async def reserve_best(
    database: Database,
    reservations: Reservations,
    schedule: int,
    *,
    grade: str,
    count: int,
    user: int,
    rng: random.Random,
) -> Reservation:
    """Hold the best seats of a grade that are free for a visitor.

    Args:
        database: Holds them.
        reservations: Notes who holds them.
        schedule: Of which performance.
        grade: Of which grade.
        count: How many, 1 to `SEATS_MAX`.
        user: For whom.
        rng: Random choices, which keep concurrent requests apart.

    Raises:
        GradeUnknown, SoldOut, TooManySeats: As they say; nothing is held.
        SeatTaken: Somebody was faster `ATTEMPTS_MAX` times; nothing is held.
    """
    drawn_from = 1
    for _ in range(ATTEMPTS_MAX):
        offered = await _offered(database, schedule, grade, count)
        try:
            return await reservations.reserve(schedule, rng.choice(offered[:drawn_from]), user)
        except SeatTaken:
            drawn_from *= SPREAD
    raise SeatTaken


async def _offered(
    database: Database, schedule: int, grade: str, count: int
) -> list[tuple[int, ...]]:
    assert 0 < count <= SEATS_MAX
    # The database cannot even be asked for some characters, and no seat plan has them.
    if not grade.isprintable():
        raise GradeUnknown
    rows = await database.fetch_all(
        "free_seats", schedule_id=schedule, grade=grade, free_max=FREE_MAX
    )
    if not rows:
        raise GradeUnknown
    offered = seat_choices(
        [FreeSeat(*row.values()) for row in rows if row["seat_id"] is not None], count
    )
    if not offered:
        raise SoldOut
    return offered


def _runs(free: Sequence[FreeSeat]) -> Iterator[Run]:
    rows: dict[tuple[str, str], list[FreeSeat]] = {}
    for seat in free:
        rows.setdefault((seat.section, seat.row_name), []).append(seat)
    for row in rows.values():
        row.sort(key=attrgetter("row_position"))
        # Along a run, positions rise as fast as the count does.
        for _, run in groupby(enumerate(row), lambda pair: pair[1].row_position - pair[0]):
            yield [seat for _, seat in run]


def _leaves_none_alone(run: Run, at: int, count: int) -> bool:
    return at != 1 and len(run) - at - count != 1


def _ids(run: Run, at: int, count: int) -> tuple[int, ...]:
    return tuple(seat.seat_id for seat in run[at : at + count])


def _in_two_rows(runs: Sequence[Run], count: int) -> Iterator[tuple[int, ...]]:
    rows: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        rows.setdefault((run[0].section, run[0].row_no), []).append(run)
    for (section, row_no), fronts in rows.items():
        backs = rows.get((section, row_no + 1), []) if row_no and count > 1 else []
        pairs = [
            _split(front, back, count)
            for front in fronts
            for back in backs
            if len(front) + len(back) >= count
        ]
        yield from (ids for _, ids in sorted(pairs))


def _split(front: Run, back: Run, count: int) -> tuple[int, tuple[int, ...]]:
    """Choose seats of two runs, as evenly and as near to each other as can be.

    Returns:
        How far the one begins from the other, and the seats.
    """
    in_front = _within((count + 1) // 2, max(1, count - len(back)), min(len(front), count - 1))
    behind = count - in_front
    # Where a position of the one run is in the other.
    shift = back[0].row_position - front[0].row_position
    front_at = _within(shift, 0, len(front) - in_front)
    back_at = _within(front_at - shift, 0, len(back) - behind)
    apart = abs(back_at + shift - front_at)
    return apart, _ids(front, front_at, in_front) + _ids(back, back_at, behind)


def _within(number: int, least: int, most: int) -> int:
    return max(least, min(number, most))
