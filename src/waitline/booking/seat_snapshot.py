"""Versioned snapshot of a schedule's seats, with the deltas between versions. Pure.

A version means the same on every instance: it is made of the transaction numbers of the database.
All that was changed by a transaction below a version's number is in it.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import msgspec

from waitline.booking.model import SeatState, Section
from waitline.booking.seat_documents import SeatListing

CHANGES_MAX = 2_000
"""Changes that are remembered, one per seat. A client that has missed more gets all seats, which is
hardly longer than so many changes."""

STATES = {ord(state.value[0]): state for state in SeatState}
"""The states by the byte that stands for each."""

_NUMBER_DIGITS_MAX = 20
"""Of a transaction's number: 64 bits."""

_FREE = ord(SeatState.AVAILABLE.value[0])


class Layout(NamedTuple):
    """The seats of a schedule, column by column, in the order of their numbers.

    Attributes:
        schedule_id: Of which schedule.
        laid_out: The transaction that put them there.
        watermark: The oldest transaction that was not over when they were read.
        newest: The newest transaction that had changed one of them.
        seat_ids: Their numbers.
        numbers: What visitors know them by.
        sections: Their parts of the house.
        grades: Their grades.
        prices: In minor units.
        states: A byte each, as in `STATES`.
    """

    schedule_id: int
    laid_out: int
    watermark: int
    newest: int
    seat_ids: Sequence[int]
    numbers: Sequence[str]
    sections: Sequence[str]
    grades: Sequence[str]
    prices: Sequence[int]
    states: bytes


class SeatChange(NamedTuple):
    """A seat that was changed.

    Attributes:
        seat_id: Which.
        changed: The transaction that changed it last.
        state: As in `STATES`.
    """

    seat_id: int
    changed: int
    state: int


class _Seat(msgspec.Struct, frozen=True):
    """A seat as it is sent. Source: the wire contract."""

    seatId: int  # noqa: N815
    scheduleId: int  # noqa: N815
    seatNumber: str  # noqa: N815
    grade: str
    price: int
    status: str


class _SeatStatus(msgspec.Struct, frozen=True):
    seatId: int  # noqa: N815
    status: str


class _Delta(msgspec.Struct, frozen=True):
    version: str
    full: bool
    seats: list[_SeatStatus]


class _Sections(msgspec.Struct, frozen=True):
    version: str
    sections: list[Section]


class SeatSnapshot:
    """The seats of a schedule.

    Its listings are made apart from it, of its `states`, since that takes long.

    Args:
        layout: The seats as they were read.
    """

    def __init__(self, layout: Layout) -> None:
        self.laid_out = layout.laid_out
        self.watermark = layout.watermark
        self.states = layout.states
        self._newest = layout.newest
        # Of changes from this transaction on, all that are in the states are remembered.
        self._known_from = self._number
        self._changes: dict[int, SeatChange] = {}
        self._index = {seat_id: at for at, seat_id in enumerate(layout.seat_ids)}
        self._count_sections(layout)
        heads = _heads(layout)
        digest = blake2b(b"".join(heads)).digest()
        self.available = SeatListing(heads, {_FREE: _tail(SeatState.AVAILABLE)}, digest)
        self.all = SeatListing(
            heads, {byte: _tail(state) for byte, state in STATES.items()}, digest
        )
        self.available_in = {
            name: _listing_of([heads[at] for at in seats], seats)
            for name, seats in _by_section(layout).items()
        }

    @property
    def version(self) -> str:
        """What these states are known by."""
        return f"{self.laid_out}.{self._number}"

    @property
    def _number(self) -> int:
        # Once all is over, every instance says one more than the newest change; before, what it has
        # missed may still be below that.
        return min(self.watermark, self._newest + 1)

    def __len__(self) -> int:
        return len(self.states)

    def apply(self, watermark: int, changes: Sequence[SeatChange]) -> bool:
        """Note what has changed, whether it was noted before or not.

        Args:
            watermark: The oldest transaction that was not over then.
            changes: All by transactions from the last watermark on.

        Returns:
            Whether all of them could be; if not, seats have been added, and nothing is noted.
        """
        if any(change.seat_id not in self._index for change in changes):
            return False
        news = [change for change in changes if self._changes.get(change.seat_id) != change]
        if news:
            states = bytearray(self.states)
            for change in news:
                self._note(states, change)
            self.states = bytes(states)
        self.watermark = watermark
        for seat_id in list(islice(self._changes, max(0, len(self._changes) - CHANGES_MAX))):
            forgotten = self._changes.pop(seat_id)
            self._known_from = max(self._known_from, forgotten.changed + 1)
        return True

    def _note(self, states: bytearray, change: SeatChange) -> None:
        at = self._index[change.seat_id]
        section = self._section_of[at]
        self._free_in[section] += (change.state == _FREE) - (states[at] == _FREE)
        states[at] = change.state
        # The latest goes to the end: the first are forgotten first.
        self._changes.pop(change.seat_id, None)
        self._changes[change.seat_id] = change
        self._newest = max(self._newest, change.changed)

    def behind(self, version: str) -> bool:
        """Whether a version of this layout is newer than what is known here."""
        number = self._number_of(version)
        return number is not None and number > self._number

    def delta(self, version: str) -> bytes | None:
        """Return the JSON of what has changed since a version; `None` if that is not known."""
        number = self._number_of(version)
        if number is None or not self._known_from <= number <= self._number:
            return None
        seats = [
            _SeatStatus(change.seat_id, STATES[change.state])
            for change in self._changes.values()
            if change.changed >= number
        ]
        seats.sort(key=lambda seat: seat.seatId)
        return msgspec.json.encode(_Delta(self.version, full=False, seats=seats))

    def sections(self) -> bytes:
        """Return the JSON of version and sections: the seats of each grade and price, counted."""
        counted = zip(self._section_names, self._total_in, self._free_in, strict=True)
        sections = [Section(*names, total=total, available=free) for names, total, free in counted]
        return msgspec.json.encode(_Sections(self.version, sections))

    def _number_of(self, version: str) -> int | None:
        layout, _, number = version.partition(".")
        digits = number.isascii() and number.isdigit() and len(number) <= _NUMBER_DIGITS_MAX
        return int(number) if digits and layout == str(self.laid_out) else None

    def _count_sections(self, layout: Layout) -> None:
        found: dict[tuple[str, str, int], int] = {}
        names = zip(layout.sections, layout.grades, layout.prices, strict=True)
        self._section_of = [found.setdefault(name, len(found)) for name in names]
        self._section_names = list(found)
        self._total_in = [0] * len(found)
        self._free_in = [0] * len(found)
        for section, state in zip(self._section_of, layout.states, strict=True):
            self._total_in[section] += 1
            self._free_in[section] += state == _FREE


def full(version: str, seats: bytes) -> bytes:
    """Return the JSON of all seats as what has changed since nothing was known."""
    return b'{"version":' + msgspec.json.encode(version) + b',"full":true,"seats":' + seats + b"}"


def _by_section(layout: Layout) -> dict[str, list[int]]:
    """Return which seats are in each part of the house, by their numbers in the layout."""
    found: dict[str, list[int]] = {}
    for at, section in enumerate(layout.sections):
        found.setdefault(section, []).append(at)
    return found


def _listing_of(heads: Sequence[bytes], seats: Sequence[int]) -> SeatListing:
    digest = blake2b(b"".join(heads)).digest()
    return SeatListing(heads, {_FREE: _tail(SeatState.AVAILABLE)}, digest, seats)


def _heads(layout: Layout) -> list[bytes]:
    encode = msgspec.json.Encoder().encode
    cut = len(b'"}')
    columns = zip(layout.seat_ids, layout.numbers, layout.grades, layout.prices, strict=True)
    return [
        encode(_Seat(seat_id, layout.schedule_id, number, grade, price, ""))[:-cut]
        for seat_id, number, grade, price in columns
    ]


def _tail(state: SeatState) -> bytes:
    return state.value.encode("ascii") + b'"}'
