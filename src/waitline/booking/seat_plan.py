"""Parser for seat plans in CSV: returns the seats of a hall, or errors by line. Pure.

    section,row,seat,grade,price,position
    Floor,A,A-1,VIP,150000,1

`position` is optional: without it, the seats of a row are side by side in the order of their lines.
"""

import csv
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, TextIO

from waitline.booking.catalogue_model import SCHEDULE_SEATS_MAX, NewSeat, SeatPlanInvalid
from waitline.kernel.ids import TextInvalid, normal_text

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("section", "row", "seat", "grade", "price")
"""Required columns, in any order; further columns are ignored."""

ERRORS_MAX = 20
"""Most errors reported at once. More are usually one mistake in every line."""

LINE_CHARS_MAX = 1_000
"""Longest line: far longer than a seat needs, and short enough to bound the memory."""

PRICE_MAX = 10**12
"""Highest price of a seat, in minor units: more is a typing error. Sums of 100 seats fit a
bigint."""

POSITION_MAX = 1_000_000
"""Highest position. A gap in a row is a gap in its positions."""

_CHARS_MAX = {"section": 50, "row": 20, "seat": 50, "grade": 20}


def parse(stream: TextIO) -> list[NewSeat]:
    """Parse a seat plan.

    Args:
        stream: Its text.

    Returns:
        Its seats in order, 1 to `SCHEDULE_SEATS_MAX`.

    Raises:
        SeatPlanInvalid: With at most `ERRORS_MAX` errors, each with its line and what to do.
    """
    parser = _Parser()
    rows = csv.reader(_lines(stream), strict=True)
    try:
        _take_all(rows, parser)
    except csv.Error as error:
        parser.wrong(rows.line_num, f"not CSV ({error}); check the quotation marks")
    except UnicodeDecodeError:
        parser.wrong(rows.line_num + 1, "not UTF-8, here or soon after; save the file as UTF-8")
    except _Unreadable as error:
        parser.wrong(error.line, error.what)
    if not parser.seats and not parser.errors:
        parser.wrong(2, "no seats; add a line for each seat")
    if parser.errors:
        raise SeatPlanInvalid(parser.errors[:ERRORS_MAX])
    return parser.seats


def _take_all(rows: "Reader", parser: "_Parser") -> None:
    header = [name.strip().lower() for name in next(rows, [])]
    parser.begin(header)
    for row in rows:
        # Many files end with blank lines.
        if any(cell.strip() for cell in row):
            parser.take(rows.line_num, dict(zip(header, row, strict=False)))
        if len(parser.errors) >= ERRORS_MAX:
            return


class _Unreadable(Exception):  # noqa: N818
    """An error after which the file cannot be parsed further."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(line, what)
        self.line = line
        self.what = what


def _lines(stream: TextIO) -> Iterator[str]:
    for number in count(1):
        line = stream.readline(LINE_CHARS_MAX + 1)
        if not line:
            return
        if len(line) > LINE_CHARS_MAX:
            raise _Unreadable(number, f"more than {LINE_CHARS_MAX} characters; shorten it")
        # Spreadsheets write a byte order mark.
        yield line.removeprefix("\ufeff") if number == 1 else line


class _Parser:
    """Collects seats and errors, line by line."""

    def __init__(self) -> None:
        self.seats: list[NewSeat] = []
        self.errors: list[str] = []
        self._positions = False
        self._numbers: dict[str, int] = {}
        self._places: dict[tuple[str, str, int], int] = {}
        self._in_row: dict[tuple[str, str], int] = {}

    def wrong(self, line: int, what: str) -> None:
        self.errors.append(f"line {line}: {what}")

    def begin(self, header: list[str]) -> None:
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise _Unreadable(
                1,
                f"missing columns: {', '.join(missing)}; begin the file with {','.join(COLUMNS)}"
                " and, optionally, position",
            )
        for name in (*COLUMNS, "position"):
            if header.count(name) > 1:
                raise _Unreadable(1, f"column {name} appears twice; remove one")
        self._positions = "position" in header

    def take(self, line: int, row: dict[str, str]) -> None:
        if len(self.seats) >= SCHEDULE_SEATS_MAX:
            raise _Unreadable(line, f"too many seats; a schedule has at most {SCHEDULE_SEATS_MAX}")
        cells = {name: row.get(name, "").strip() for name in (*COLUMNS, "position")}
        before = len(self.errors)
        for name, chars_max in _CHARS_MAX.items():
            cells[name] = self._text(line, name, cells[name], chars_max)
        price = self._whole(line, "price", cells["price"], 0, PRICE_MAX)
        row_of = (cells["section"], cells["row"])
        if self._positions:
            position = self._whole(line, "position", cells["position"], 1, POSITION_MAX)
        else:
            position = self._in_row[row_of] = self._in_row.get(row_of, 0) + 1
        if len(self.errors) > before or price is None or position is None:
            return
        self._check_once(line, cells["seat"], (*row_of, position))
        self.seats.append(NewSeat(*row_of, position, cells["seat"], cells["grade"], price))

    def _text(self, line: int, name: str, text: str, chars_max: int) -> str:
        try:
            text = normal_text(text)
        except TextInvalid:
            self.wrong(line, f"{name} has control characters; remove them")
            return text
        if not text:
            self.wrong(line, f"{name} is empty; fill it in")
        elif len(text) > chars_max:
            self.wrong(line, f"{name} is longer than {chars_max} characters; shorten it")
        return text

    def _whole(self, line: int, name: str, text: str, least: int, most: int) -> int | None:
        # int() would also accept digits of other scripts.
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if digits and least <= int(text) <= most:
            return int(text)
        self.wrong(line, f"{name} {text[:20]!r} is not a whole number from {least} to {most}")
        return None

    def _check_once(self, line: int, number: str, place: tuple[str, str, int]) -> None:
        first = self._numbers.setdefault(number, line)
        if first != line:
            self.wrong(
                line, f"seat {number!r} is also in line {first}; each seat needs its own number"
            )
        first = self._places.setdefault(place, line)
        if first != line:
            self.wrong(line, f"position {place[2]} of this row is also in line {first}; change one")
