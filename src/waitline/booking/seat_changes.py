"""Diff of two seat plans: what an import adds, changes and removes. Pure.

A seat is identified by section, row and number: another number means another seat.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from waitline.booking import currency as money
from waitline.booking.catalogue_model import NewSeat, PlannedSeat, SeatPlanInvalid

LISTED_MAX = 20
"""Most seats named in a description or an error."""

_COMPARED = ("section", "row", "number", "grade", "price", "position", "label")


_LABELS = (
    ("number",),
    ("row", "number"),
    ("section", "number"),
    ("section", "row", "number"),
)
"""What the labels of new seats are made of: the first choice that makes them unique."""


class SeatEdit(NamedTuple):
    """A seat that an import changes.

    Attributes:
        before: The seat as it is.
        after: As it will be.
    """

    before: PlannedSeat
    after: PlannedSeat

    @property
    def fields(self) -> list[str]:
        """Names of the fields that differ."""
        return [
            name for name in _COMPARED if getattr(self.before, name) != getattr(self.after, name)
        ]


class SeatChanges(NamedTuple):
    """What an import does to the seats of a schedule.

    Attributes:
        added: New seats, in the order of the file, each with its row number.
        changed: Seats that are changed.
        removed: Seats that are removed.
        missing: Seats that are not in the plan.
        moved: Seats of which only the row number changes.
        unchanged: How many seats stay as they are.
    """

    added: list[PlannedSeat]
    changed: list[SeatEdit]
    removed: list[PlannedSeat]
    missing: list[PlannedSeat]
    moved: list[PlannedSeat]
    unchanged: int

    @property
    def nothing(self) -> bool:
        """Whether nothing changes."""
        return not (self.added or self.changed or self.removed)


def compare(
    current: Sequence[PlannedSeat], wanted: Sequence[NewSeat], *, remove_missing: bool = False
) -> SeatChanges:
    """Compare the seats of a schedule with a plan.

    Args:
        current: The seats, by id.
        wanted: The plan: each section, row and number once.
        remove_missing: Whether seats that are not in the plan are removed.

    Raises:
        SeatPlanInvalid: Two seats would have one label or one place.
    """
    known = {_key(seat): seat for seat in current}
    asked = {_key(seat) for seat in wanted}
    missing = [seat for key, seat in known.items() if key not in asked]
    stay = [] if remove_missing else missing
    # A partial plan says nothing about the order of the other rows.
    ordered = sorted(current, key=lambda seat: (seat.row_no, seat.seat_id)) if stay else []
    rows = _row_numbers([*ordered, *wanted])
    labels = _labels(wanted, known, stay)
    added: list[PlannedSeat] = []
    changed: list[SeatEdit] = []
    moved: list[PlannedSeat] = []
    for seat, label in zip(wanted, labels, strict=True):
        row_no = rows[seat.section, seat.row]
        before = known.get(_key(seat))
        after = PlannedSeat(
            seat.section, seat.row, seat.position, seat.number, seat.grade, seat.price, label,
            before.seat_id if before else 0, row_no, before.state if before else "",
        )  # fmt: skip
        if before is None:
            added.append(after)
        elif SeatEdit(before, after).fields:
            changed.append(SeatEdit(before, after))
        elif before.row_no != row_no:
            moved.append(after)
    moved += [
        replace(seat, row_no=rows[seat.section, seat.row])
        for seat in stay
        if seat.row_no != rows[seat.section, seat.row]
    ]
    _check_places([*wanted, *stay])
    unchanged = len(wanted) - len(added) - len(changed)
    removed = missing if remove_missing else []
    return SeatChanges(_ranked(added), changed, removed, missing, moved, unchanged)


def edited(
    current: Sequence[PlannedSeat], meant: Sequence[PlannedSeat], values: Mapping[str, Any] | None
) -> SeatChanges:
    """Return the changes that give some seats new values, or remove them.

    Args:
        current: All seats.
        meant: Seats to change.
        values: New values by name of the field; `None` to remove the seats.

    Raises:
        SeatPlanInvalid: Two seats would have one number, label or place.
    """
    if values is None:
        return SeatChanges([], [], list(meant), list(meant), [], len(current) - len(meant))
    edits = [SeatEdit(seat, replace(seat, **values)) for seat in meant]
    edits = [edit for edit in edits if edit.fields]
    after = {edit.before.seat_id: edit.after for edit in edits}
    seats = [after.get(seat.seat_id, seat) for seat in current]
    numbers = Counter(map(_key, seats))
    labels = Counter(seat.label for seat in seats)
    errors = [
        f"{_place(seat)}: another seat has this number or label already"
        for seat in after.values()
        if numbers[_key(seat)] > 1 or labels[seat.label] > 1
    ]
    if errors:
        raise SeatPlanInvalid(errors[:LISTED_MAX])
    _check_places(seats)
    return SeatChanges([], edits, [], [], [], len(current) - len(edits))


def booked(changes: SeatChanges) -> list[PlannedSeat]:
    """Return the seats for which the changes are refused: those that are reserved or sold."""
    touched = [*(edit.before for edit in changes.changed), *changes.removed]
    return [seat for seat in touched if seat.state in {"RESERVED", "OCCUPIED"}]


def describe(changes: SeatChanges, currency: str) -> list[str]:
    """Describe changes, one line each, at most `LISTED_MAX` of a kind."""

    def value_of(seat: PlannedSeat, name: str) -> str:
        if name == "price":
            return money.shown(seat.price, currency)
        return str(getattr(seat, name))

    def offer(seat: PlannedSeat) -> str:
        return f"{seat.grade}, {money.shown(seat.price, currency)}"

    lines = [f"+ {_place(seat)}: {offer(seat)}" for seat in changes.added[:LISTED_MAX]]
    lines += _more(len(changes.added))
    for edit in changes.changed[:LISTED_MAX]:
        parts = (
            f"{name} {value_of(edit.before, name)} -> {value_of(edit.after, name)}"
            for name in edit.fields
        )
        lines.append(f"~ {_place(edit.before)}: {', '.join(parts)}")
    lines += _more(len(changes.changed))
    lines += [f"- {_place(seat)}: {offer(seat)}" for seat in changes.removed[:LISTED_MAX]]
    return lines + _more(len(changes.removed))


def _more(count: int) -> list[str]:
    return [f"  and {count - LISTED_MAX:,} more"] if count > LISTED_MAX else []


def _place(seat: PlannedSeat) -> str:
    return f"{seat.section}, row {seat.row}, seat {seat.number}"


def _key(seat: NewSeat) -> tuple[str, str, str]:
    return seat.section, seat.row, seat.number


def _row_numbers(seats: Iterable[NewSeat]) -> dict[tuple[str, str], int]:
    """Count the rows of each section in the order of their first seats."""
    found: dict[tuple[str, str], int] = {}
    counted: Counter[str] = Counter()
    for seat in seats:
        row = (seat.section, seat.row)
        if row not in found:
            counted[seat.section] += 1
            found[row] = counted[seat.section]
    return found


def _joined(seat: NewSeat, parts: Iterable[str]) -> str:
    return "-".join(getattr(seat, part) for part in parts)


def _labels(
    wanted: Sequence[NewSeat],
    known: dict[tuple[str, str, str], PlannedSeat],
    stay: Sequence[PlannedSeat],
) -> list[str]:
    """Return the label of each seat of a plan, unique among all seats.

    A seat keeps the label it has, unless the file gives another. New seats are labelled by their
    numbers if those are unique, else with their rows, their sections, or both.

    Raises:
        SeatPlanInvalid: No choice makes them unique.
    """
    fixed = [
        seat.label or (known[_key(seat)].label if _key(seat) in known else "") for seat in wanted
    ]
    taken = {label for label in fixed if label} | {seat.label for seat in stay}
    labels: list[str] = []
    # Continue the existing labels, if they all follow one rule.
    followed = [
        parts
        for parts in _LABELS
        if all(seat.label == _joined(seat, parts) for seat in known.values())
    ]
    for parts in (*followed, *_LABELS):
        labels = [label or _joined(seat, parts) for label, seat in zip(fixed, wanted, strict=True)]
        made = [label for label, one in zip(labels, fixed, strict=True) if not one]
        if len(set(made)) == len(made) and taken.isdisjoint(made):
            break
    found: dict[str, NewSeat] = {seat.label: seat for seat in stay}
    errors = []
    for label, seat in zip(labels, wanted, strict=True):
        other = found.setdefault(label, seat)
        if other is not seat:
            errors.append(
                f"seat {seat.number!r} of row {seat.row!r} in {seat.section!r} would be shown as "
                f"{label!r}, as is another one already; add a column label"
            )
    if errors:
        raise SeatPlanInvalid(errors[:LISTED_MAX])
    return labels


def _check_places(seats: Sequence[NewSeat]) -> None:
    found: dict[tuple[str, str, int], NewSeat] = {}
    errors = []
    for seat in seats:
        other = found.setdefault((seat.section, seat.row, seat.position), seat)
        if other is not seat:
            errors.append(
                f"position {seat.position} of row {seat.row!r} in {seat.section!r} is taken "
                f"already, by seat {other.number!r}; give the column position"
            )
    if errors:
        raise SeatPlanInvalid(errors[:LISTED_MAX])


def _ranked(seats: list[PlannedSeat]) -> list[PlannedSeat]:
    """Sort new seats for their ids: rows by their first seat, then positions within a row."""
    rows: dict[tuple[str, str], list[PlannedSeat]] = defaultdict(list)
    for seat in seats:
        rows[seat.section, seat.row].append(seat)
    return [seat for row in rows.values() for seat in sorted(row, key=lambda seat: seat.position)]
