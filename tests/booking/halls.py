"""Small halls for the tests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_model import NewSeat, ScheduleSettings
from waitline.booking.seat_imports import SeatImports
from waitline.postgres.pool import Database

PRICE = 1000
STARTS_AT = datetime(2030, 5, 1, tzinfo=UTC)


def seats_of(rows: Mapping[str, Sequence[str]]) -> list[NewSeat]:
    """The rows of each grade, the best first: an `o` is a seat, anything else a gap."""
    return [
        NewSeat("F", f"{grade}{row_no}", at, f"{grade}-{row_no}-{at}", grade, PRICE)
        for grade, of_grade in rows.items()
        for row_no, row in enumerate(of_grade, start=1)
        for at, seat in enumerate(row, start=1)
        if seat == "o"
    ]


async def hall(
    database: Database, rows: Mapping[str, Sequence[str]], *, visitor_seats_max: int = 4
) -> int:
    """Put a hall on sale; return its schedule."""
    catalogue = Catalogue(database)
    concert = await catalogue.create_concert("a", "b", "room")
    schedule = await catalogue.create_schedule(
        concert.concert_id, STARTS_AT, ScheduleSettings(visitor_seats_max)
    )
    await SeatImports(database).add(schedule.schedule_id, seats_of(rows))
    return schedule.schedule_id
