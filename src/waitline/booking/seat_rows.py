"""Where the seats of a schedule are: the rows of each section, as documents for seat pickers.

A layout is read once per version and worker; which seats are free changes all the time and is in
`seat_maps.py`.
"""

import asyncio
from itertools import groupby
from typing import NamedTuple

import msgspec

from waitline.booking.seat_documents import Document
from waitline.kernel.single_flight import SingleFlightCache
from waitline.postgres.pool import Database, Row

LAYOUTS_MAX = 32
"""Layouts in a worker's memory: some 50 bytes a seat. The one loaded longest ago is evicted."""

KEPT_S = 600.0
"""Lifetime of a layout, in s. A change of the seats makes another version, so this only frees the
memory of those out of use."""

READ_S = 5.0
"""Timeout of reading a layout: a stadium takes about half a second."""

_COLUMNS = ("seat_ids", "sections", "row_names", "positions", "numbers", "grades", "prices")
_decode = msgspec.json.decode


class _Row(msgspec.Struct, frozen=True):
    """A row of a section.

    Attributes:
        row: Its name.
        seats: Number, name within the row, position along the row, and index of the category.
    """

    row: str
    seats: list[tuple[int, str, int, int]]


class _Category(msgspec.Struct, frozen=True):
    grade: str
    price: int


class _SectionRows(msgspec.Struct, frozen=True):
    section: str
    categories: list[_Category]
    rows: list[_Row]


class _Seat(NamedTuple):
    seat_id: int
    section: str
    row: str
    position: int
    number: str
    grade: str
    price: int


class SeatRows:
    """The layouts of the schedules in use. For one event loop.

    Args:
        database: Holds the seats.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: SingleFlightCache[tuple[int, str], dict[str, Document]] = SingleFlightCache(
            self._load, ttl_s=KEPT_S, entries_max=LAYOUTS_MAX
        )

    async def section(self, schedule: int, version: str, name: str) -> Document | None:
        """Return the rows of a section, front to back; `None` if there is no such section.

        Args:
            schedule: The schedule.
            version: Version of its layout.
            name: The section.

        Raises:
            Unavailable: The database does not answer.
        """
        return (await self._cache.fetch((schedule, version))).get(name)

    async def _load(self, key: tuple[int, str]) -> dict[str, Document]:
        row = await self._database.fetch_one("laid_out_seats", within_s=READ_S, schedule_id=key[0])
        return {} if row is None else await asyncio.to_thread(_documents, row)


def _documents(row: Row) -> dict[str, Document]:
    columns = (_decode(row[name]) for name in _COLUMNS)
    seats = [_Seat(*values) for values in zip(*columns, strict=True)]
    return {
        section: Document.of(msgspec.json.encode(_rows(section, list(group))))
        for section, group in groupby(seats, lambda seat: seat.section)
    }


def _rows(section: str, seats: list[_Seat]) -> _SectionRows:
    categories: dict[tuple[str, int], int] = {}
    rows = []
    for name, group in groupby(seats, lambda seat: seat.row):
        within = [
            (
                seat.seat_id,
                short_name(seat.section, seat.row, seat.number),
                seat.position,
                categories.setdefault((seat.grade, seat.price), len(categories)),
            )
            for seat in group
        ]
        rows.append(_Row(name, within))
    return _SectionRows(section, [_Category(*one) for one in categories], rows)


def short_name(section: str, row: str, number: str) -> str:
    """Return a seat's name within its row: seat plans often repeat section and row in it."""
    for prefix in (f"{section}-{row}-", f"{row}-"):
        rest = number.removeprefix(prefix)
        if rest and rest != number:
            return rest
    return number
