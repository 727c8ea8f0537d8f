"""Versioned snapshot of a schedule's seats, with the deltas between versions. Pure.

Versions are built from the database's transaction numbers, so they mean the same on every instance.
A version contains every change by a transaction below its number.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import msgspec

from waitline.booking.catalogue_model import Section
from waitline.booking.model import SeatState
from waitline.booking.seat_documents import SeatListing

CHANGES_MAX = 2_000
"""Changes kept for deltas, one per seat. A client that has missed more gets all seats, which is
hardly longer than so many changes."""

STATES = {ord(state.value[0]): state for state in SeatState}
"""The states by their byte: the first letter."""

_NUMBER_DIGITS_MAX = 20
"""Most digits of a transaction number: 64 bits."""

_FREE = ord(SeatState.AVAILABLE.value[0])


class Layout(NamedTuple):
    """The seats of a schedule, column by column, by seat id.

    Attributes:
        schedule_id: The schedule.
        laid_out: Transaction of the last import.
        watermark: Oldest transaction that was running when the seats were read.
        newest: Newest transaction that had changed one of them.
        seat_ids: Ids.
        numbers: Names that visitors see.
        sections: Parts of the hall.
        grades: Grades.
        prices: In minor units.
        states: One byte each, as in `STATES`.
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
    """A change of a seat.

    Attributes:
        seat_id: The seat.
        changed: Transaction that changed it last.
        state: Its byte in `STATES`.
    """

    seat_id: int
    changed: int
    state: int


class _Seat(msgspec.Struct, frozen=True):
    """A seat in an answer. Source: the wire contract."""

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
    """The seats of a schedule at one version.

    Listings are encoded from `states` outside of the event loop, since that takes long.

    Args:
        layout: The seats as they were read.
    """

    def __init__(self, layout: Layout) -> None:
        self.laid_out = layout.laid_out
        self.watermark = layout.watermark
        self.states = layout.states
        self._newest = layout.newest
        # All changes in the states from this transaction on are also in `_changes`.
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
        """Version of the states: layout and transaction number."""
        return f"{self.laid_out}.{self._number}"

    @property
    def _number(self) -> int:
        # With no transaction running, every instance has the newest change plus one. A running one
        # may still commit changes below that, so its number caps the version.
        return min(self.watermark, self._newest + 1)

    def __len__(self) -> int:
        return len(self.states)

    def apply(self, watermark: int, changes: Sequence[SeatChange]) -> bool:
        """Apply changes. Idempotent.

        Args:
            watermark: Oldest transaction that was running when they were read.
            changes: All changes by transactions from the last watermark on.

        Returns:
            `False` if a seat is unknown: seats were added, and nothing is applied.
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
        # The latest change goes to the end; the first are dropped first.
        self._changes.pop(change.seat_id, None)
        self._changes[change.seat_id] = change
        self._newest = max(self._newest, change.changed)

    def behind(self, version: str) -> bool:
        """Return whether a version of this layout is newer than this snapshot."""
        number = self._number_of(version)
        return number is not None and number > self._number

    def delta(self, version: str) -> bytes | None:
        """Return the JSON of the changes since a version; `None` if they are not known."""
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
        """Return the JSON of version and sections: the number of seats by grade and price."""
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
    """Return the JSON of all seats, as a delta for clients without a known version."""
    return b'{"version":' + msgspec.json.encode(version) + b',"full":true,"seats":' + seats + b"}"


def _by_section(layout: Layout) -> dict[str, list[int]]:
    """Return the indices of the seats of each section."""
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
