"""Parser and writer for seat plans in CSV: the seats of a hall, or errors by line. Pure.

    section,row,seat,grade,price
    Floor,A,1,VIP,150000

`position` and `label` are optional. Without a position, the seats of a row are side by side in the
order of their lines.
"""

import difflib
from collections.abc import Iterable, Sequence

from waitline.booking import currency as money
from waitline.booking.catalogue_model import (
    SCHEDULE_SEATS_MAX,
    NewSeat,
    PlannedSeat,
    SeatPlanInvalid,
)
from waitline.booking.seat_file import FileError, Record, decode, records, write
from waitline.kernel.ids import TextInvalid, is_blank, normal_text
from waitline.kernel.plurals import counted

COLUMNS = ("section", "row", "seat", "grade", "price")
"""Required columns, in any order."""

OPTIONAL = ("position", "label")
"""Further columns; others are refused."""

ALIASES = {
    "구역": "section",
    "열": "row",
    "좌석": "seat",
    "좌석번호": "seat",
    "등급": "grade",
    "가격": "price",
    "위치": "position",
    "표시": "label",
}
"""Names of the columns in Korean."""

ERRORS_MAX = 20
"""Most errors reported at once. More are usually one mistake in every line."""

PRICE_MAX = 10**12
"""Highest price of a seat, in minor units: more is a typing error. Sums of 100 seats fit a
bigint."""

POSITION_MAX = 1_000_000
"""Highest position. A gap in a row is a gap in its positions."""

TEXT_CHARS_MAX = {"section": 50, "row": 20, "seat": 50, "grade": 20, "label": 130}
"""Longest texts. Source: migrations/0001_box_office.sql; a label joins section, row and seat."""


def parse(content: bytes, currency: str = money.DEFAULT_CURRENCY, step: int = 1) -> list[NewSeat]:
    """Parse a seat plan.

    Args:
        content: The file.
        currency: Currency of its prices, which are in major units.
        step: Prices must be multiples of it, in minor units.

    Returns:
        Its seats in order, 1 to `SCHEDULE_SEATS_MAX`.

    Raises:
        SeatPlanInvalid: With at most `ERRORS_MAX` errors, each with its line and what to do.
    """
    parser = _Parser(currency, step)
    try:
        found = records(decode(content))
        parser.begin(next(found, Record(1, [])))
        for record in found:
            parser.take(record)
            if len(parser.errors) >= ERRORS_MAX:
                break
    except FileError as error:
        parser.wrong(error.line, error.what)
    if not parser.seats and not parser.errors:
        parser.wrong(2, "no seats; add a line for each seat")
    if parser.errors:
        raise SeatPlanInvalid(parser.errors[:ERRORS_MAX])
    return parser.seats


def render(seats: Sequence[PlannedSeat], currency: str) -> bytes:
    """Return the file of a plan; parsing it gives the same plan."""
    return write(
        (*COLUMNS, *OPTIONAL),
        (
            (
                seat.section,
                seat.row,
                seat.number,
                seat.grade,
                money.major(seat.price, currency),
                str(seat.position),
                seat.label,
            )
            for seat in seats
        ),
    )


def step_fault(price: int, currency: str, step: int) -> str:
    """Return why the payment provider cannot charge a price; empty if it can.

    Args:
        price: In minor units.
        currency: Its currency.
        step: The step of prices, in minor units.
    """
    if price % step == 0:
        return ""
    return f"is not a multiple of {money.shown(step, currency)}, as the payment provider needs"


class _Parser:
    """Collects seats and errors, line by line."""

    def __init__(self, currency: str, step: int) -> None:
        self.seats: list[NewSeat] = []
        self.errors: list[str] = []
        self._currency = currency
        self._step = step
        self._header: list[str] = []
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._labels: dict[str, int] = {}
        self._places: dict[tuple[str, str, int], int] = {}
        self._in_row: dict[tuple[str, str], int] = {}

    def wrong(self, line: int, what: str) -> None:
        self.errors.append(f"line {line}: {what}")

    def begin(self, record: Record) -> None:
        named = [cell.lower().strip() for cell in record.cells]
        # Spreadsheets write empty columns to the right.
        while named and not named[-1]:
            named.pop()
        header = [ALIASES.get(name.replace(" ", ""), name) for name in named]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise FileError(
                record.line,
                f"missing columns: {', '.join(missing)}; begin the file with {','.join(COLUMNS)}"
                " and, optionally, position and label",
            )
        for name in header:
            if name not in (*COLUMNS, *OPTIONAL):
                raise FileError(record.line, _unknown(name))
            if header.count(name) > 1:
                raise FileError(record.line, f"column {name} appears twice; remove one")
        self._header = header

    def take(self, record: Record) -> None:
        line = record.line
        if len(self.seats) >= SCHEDULE_SEATS_MAX:
            raise FileError(line, f"too many seats; a schedule has at most {SCHEDULE_SEATS_MAX}")
        if any(record.cells[len(self._header) :]):
            self.wrong(
                line,
                f"{counted(len(record.cells), 'cell')}, but the header has {len(self._header)}; "
                "put a cell with a delimiter in it into quotation marks",
            )
            return
        cells = dict.fromkeys((*COLUMNS, *OPTIONAL), "")
        cells.update(zip(self._header, record.cells, strict=False))
        before = len(self.errors)
        for name, chars_max in TEXT_CHARS_MAX.items():
            cells[name] = self._text(line, name, cells[name], chars_max)
        price = self._price(line, cells["price"])
        row_of = (cells["section"], cells["row"])
        if "position" in self._header:
            position = self._position(line, cells["position"])
        else:
            position = self._in_row[row_of] = self._in_row.get(row_of, 0) + 1
        if len(self.errors) > before or price is None or position is None:
            return
        seat = NewSeat(*row_of, position, cells["seat"], cells["grade"], price, cells["label"])
        self._check_once(line, seat)
        self.seats.append(seat)

    def _text(self, line: int, name: str, text: str, chars_max: int) -> str:
        try:
            text = normal_text(text)
        except TextInvalid:
            self.wrong(line, f"{name} has control characters; remove them")
            return text
        if is_blank(text) and name not in OPTIONAL:
            self.wrong(line, f"{name} is empty; fill it in")
        elif len(text) > chars_max:
            self.wrong(line, f"{name} is longer than {chars_max} characters; shorten it")
        return text

    def _price(self, line: int, text: str) -> int | None:
        try:
            price = money.minor(text, self._currency)
        except money.AmountError as error:
            example = money.major(120_000, self._currency)
            self.wrong(line, f"price {text[:20]!r} {error}; write it as {example}")
            return None
        if price > PRICE_MAX:
            most = money.shown(PRICE_MAX, self._currency)
            self.wrong(line, f"price {text[:20]!r} is above {most}; correct it")
            return None
        fault = step_fault(price, self._currency, self._step)
        if fault:
            self.wrong(line, f"price {text[:20]!r} {fault}")
            return None
        return price

    def _position(self, line: int, text: str) -> int | None:
        # int() would also accept digits of other scripts.
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(POSITION_MAX))
        if digits and 1 <= int(text) <= POSITION_MAX:
            return int(text)
        self.wrong(line, f"position {text[:20]!r} is not a whole number from 1 to {POSITION_MAX:,}")
        return None

    def _check_once(self, line: int, seat: NewSeat) -> None:
        first = self._numbers.setdefault((seat.section, seat.row, seat.number), line)
        if first != line:
            self.wrong(
                line,
                f"seat {seat.number!r} of row {seat.row!r} is also in line {first}; each seat of "
                "a row needs its own number",
            )
        first = self._places.setdefault((seat.section, seat.row, seat.position), line)
        if first != line:
            self.wrong(
                line, f"position {seat.position} of this row is also in line {first}; change one"
            )
        first = self._labels.setdefault(seat.label, line) if seat.label else line
        if first != line:
            self.wrong(line, f"label {seat.label!r} is also in line {first}; change one")


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, (*COLUMNS, *OPTIONAL), n=1)
    meant = f"; did you mean {near[0]}?" if near else f"; columns are {_listed(COLUMNS)}"
    optional = "" if near else f" and, optionally, {_listed(OPTIONAL)}"
    return f"unknown column {name[:40]!r}{meant}{optional}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
