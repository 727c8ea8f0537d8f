"""Best-available seat selection, with randomised retries under contention.

The seat plan ranks the rows: its first is the best, its last the worst. A row that was added later
is as good as its position in its section. Within a grade, the first of these that is available is
chosen:

1. side by side in a row, leaving no single free seat;
2. side by side in a row;
3. side by side in two rows of a section, one behind the other;
4. any seats.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import NamedTuple

from waitline.booking.batches import LOCK_PAUSE_S
from waitline.booking.buyer import Buyer
from waitline.booking.idempotency_key import IdempotencyKey
from waitline.booking.model import (
    SEATS_MAX,
    GradeUnknown,
    OwnHold,
    Reservation,
    SeatTaken,
    SoldOut,
)
from waitline.booking.store import Reservations
from waitline.kernel.errors import Contended
from waitline.kernel.ids import TextInvalid, normal_text
from waitline.postgres.pool import Database

FREE_MAX = 2_000
"""Free seats considered, the best first. If the request does not fit in these, few visitors would
accept a seat farther back without seeing it."""

ATTEMPTS_MAX = 6
"""Attempts to choose and reserve, when other requests take the chosen seats."""

SPREAD = 8
"""Factor by which the number of choices grows at each attempt; one of them is drawn at random.
Concurrent requests see the same free seats. If all chose the best, one would succeed, and the
others would collide again."""


class FreeSeat(NamedTuple):
    """A seat that is free.

    Attributes:
        seat_id: Its number; lower ones were put on sale earlier.
        section: Part of the hall.
        row_name: Its row in the section.
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
    """Return the choices of `count` seats: all of the first kind that exists, the best first.

    Args:
        free: Seats of one grade.
        count: How many, at least 1.

    Returns:
        Seat numbers, `count` in each choice. Empty if fewer seats are free.
    """
    rows = _ranked_rows(free)
    runs = [run for row in rows for run in _runs(row)]
    free = [seat for row in rows for seat in row]
    together = [(run, at) for run in runs for at in range(0, len(run) - count + 1, count)]
    return (
        [_ids(run, at, count) for run, at in together if _leaves_none_alone(run, at, count)]
        or [_ids(run, at, count) for run, at in together]
        or list(_in_two_rows(runs, count))
        or [_ids(free, at, count) for at in range(0, len(free) - count + 1, count)]
    )


async def find_best(database: Database, schedule: int, grade: str, count: int) -> list[int]:
    """Return the numbers of the best free seats of a grade, without reserving them.

    Args:
        database: Holds the seats.
        schedule: The schedule.
        grade: The seats' grade.
        count: How many, 1 to `SEATS_MAX`.

    Raises:
        GradeUnknown: The schedule has no seats of this grade.
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
    buyer: Buyer,
    rng: random.Random,
    key: IdempotencyKey | None = None,
    made_by: str | None = None,
) -> Reservation:
    """Reserve the best free seats of a grade for a visitor.

    Args:
        database: Holds the seats.
        reservations: The store of reservations.
        schedule: The schedule.
        grade: The seats' grade.
        count: How many, 1 to `SEATS_MAX`.
        buyer: Owner of the reservation.
        rng: Draws among the choices, which keeps concurrent requests apart.
        key: The request's idempotency key, which is recorded with the reservation.
        made_by: Token that makes it, for the evidence log.

    Raises:
        GradeUnknown, SoldOut, TooManySeats: Nothing is held.
        SeatTaken: Other requests took the seats at `ATTEMPTS_MAX` attempts; nothing is held.
    """
    drawn_from = 1
    for _ in range(ATTEMPTS_MAX):
        offered = await _offered(database, schedule, grade, count)
        try:
            return await reservations.try_reserve(
                schedule, rng.choice(offered[:drawn_from]), buyer, key, made_by
            )
        except (SeatTaken, OwnHold):
            drawn_from *= SPREAD
        except Contended:
            # Locked by others: seats, or this visitor's own count, for a few milliseconds.
            drawn_from *= SPREAD
            await asyncio.sleep(LOCK_PAUSE_S * rng.uniform(1.0, 2.0))
    raise SeatTaken


async def _offered(
    database: Database, schedule: int, grade: str, count: int
) -> list[tuple[int, ...]]:
    assert 0 < count <= SEATS_MAX
    # NUL is an error in PostgreSQL. No seat plan has any.
    try:
        grade = normal_text(grade)
    except TextInvalid:
        raise GradeUnknown from None
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


def _ranked_rows(free: Sequence[FreeSeat]) -> list[list[FreeSeat]]:
    """Return the rows, the best first, each along its positions.

    A row ranks as the earliest seat in it or behind it in its section: what was added in front of
    that is no worse.
    """
    rows: dict[tuple[str, str], list[FreeSeat]] = {}
    for seat in free:
        rows.setdefault((seat.section, seat.row_name), []).append(seat)
    earliest: dict[str, int] = {}
    ranked = []
    for row in sorted(rows.values(), key=lambda row: row[0].row_no, reverse=True):
        row.sort(key=attrgetter("row_position"))
        section, first = row[0].section, min(seat.seat_id for seat in row)
        earliest[section] = min(first, earliest.get(section, first))
        ranked.append((earliest[section], row[0].row_no, first, row))
    return [row for *_, row in sorted(ranked, key=itemgetter(0, 1, 2))]


def _runs(row: Sequence[FreeSeat]) -> Iterator[Run]:
    # Within a run, position minus index is constant.
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
    """Choose seats of two runs, split as evenly and as close to each other as possible.

    Returns:
        Distance between the first positions of the two, and the seats.
    """
    in_front = _within((count + 1) // 2, max(1, count - len(back)), min(len(front), count - 1))
    behind = count - in_front
    # Offset of the back run's indices to the front run's.
    shift = back[0].row_position - front[0].row_position
    front_at = _within(shift, 0, len(front) - in_front)
    back_at = _within(front_at - shift, 0, len(back) - behind)
    apart = abs(back_at + shift - front_at)
    return apart, _ids(front, front_at, in_front) + _ids(back, back_at, behind)


def _within(number: int, least: int, most: int) -> int:
    return max(least, min(number, most))
