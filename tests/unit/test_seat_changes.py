"""What an import adds, changes and removes, and how visitors see the seats."""

from dataclasses import replace

import pytest

from waitline.booking.catalogue_model import NewSeat, PlannedSeat, SeatPlanInvalid
from waitline.booking.seat_changes import SeatChanges, booked, compare, describe, edited


def plan(*seats: NewSeat) -> list[PlannedSeat]:
    """The seats of a schedule after a first import."""
    added = compare([], seats).added
    return [replace(seat, seat_id=at, state="AVAILABLE") for at, seat in enumerate(added, start=1)]


def seat(section: str, row: str, number: int, price: int = 5, label: str = "") -> NewSeat:
    return NewSeat(section, row, number, str(number), "R", price, label)


@pytest.mark.parametrize(
    ("seats", "labels"),
    [
        pytest.param([seat("F", "A", 1), seat("F", "A", 2)], ["1", "2"], id="one row"),
        pytest.param([seat("F", "A", 1), seat("F", "B", 1)], ["A-1", "B-1"], id="rows"),
        pytest.param([seat("F", "A", 1), seat("G", "A", 1)], ["F-1", "G-1"], id="sections"),
        pytest.param(
            [seat("F", "A", 1), seat("F", "B", 1), seat("G", "A", 1)],
            ["F-A-1", "F-B-1", "G-A-1"],
            id="both",
        ),
        pytest.param(
            [seat("F", "A", 1, label="x"), seat("F", "B", 1)], ["x", "1"], id="some are given"
        ),
    ],
)
def test_labels_are_unique_and_no_longer_than_needed(
    seats: list[NewSeat], labels: list[str]
) -> None:
    assert [one.label for one in compare([], seats).added] == labels


def test_labels_that_cannot_be_unique() -> None:
    with pytest.raises(SeatPlanInvalid, match="add a column label"):
        compare(
            [], [seat("A-B", "C", 1), seat("A", "B-C", 1), seat("A", "C", 1), seat("D", "C", 1)]
        )


def test_a_seat_keeps_its_label() -> None:
    current = plan(seat("F", "A", 1))
    changes = compare(current, [seat("F", "A", 1), seat("F", "B", 1)])
    assert [one.label for one in changes.added] == ["B-1"]
    assert (changes.changed, changes.unchanged) == ([], 1)


def test_what_differs() -> None:
    current = plan(seat("F", "A", 1), seat("F", "A", 2), seat("F", "B", 3))
    changes = compare(current, [seat("F", "A", 1), seat("F", "A", 2, 7), seat("F", "C", 4)])
    assert [one.number for one in changes.added] == ["4"]
    assert [edit.fields for edit in changes.changed] == [["price"]]
    assert [one.number for one in changes.missing] == ["3"]
    assert (changes.removed, changes.unchanged) == ([], 1)
    assert describe(changes, "KRW") == [
        "+ F, row C, seat 4: R, 5 KRW",
        "~ F, row A, seat 2: price 5 KRW -> 7 KRW",
    ]
    assert compare(current, current).nothing


def test_only_what_is_asked_for_is_removed() -> None:
    current = plan(seat("F", "A", 1), seat("F", "B", 2))
    assert compare(current, [seat("F", "A", 1)]).nothing
    changes = compare(current, [seat("F", "A", 1)], remove_missing=True)
    assert [one.number for one in changes.removed] == ["2"]


def test_rows_are_counted_anew() -> None:
    current = plan(seat("F", "A", 1), seat("F", "C", 2))
    whole = [seat("F", "A", 1), seat("F", "B", 3), seat("F", "C", 2)]
    changes = compare(current, whole)
    assert [(one.row, one.row_no) for one in changes.added] == [("B", 2)]
    assert [(one.row, one.row_no) for one in changes.moved] == [("C", 3)]
    # A partial plan goes behind the rows there are.
    changes = compare(current, [seat("F", "B", 3)])
    assert [(one.row, one.row_no) for one in changes.added] == [("B", 3)]
    assert changes.moved == []


def test_booked_seats_are_named() -> None:
    current = [replace(one, state="OCCUPIED") for one in plan(seat("F", "A", 1))]
    changes = compare(current, [seat("F", "A", 1, 7)])
    assert booked(changes) == current


def renamed(**values: object) -> SeatChanges:
    current = plan(seat("F", "A", 1), seat("F", "A", 2))
    return edited(current, current[:1], values)


def test_seats_are_edited() -> None:
    (edit,) = renamed(price=9, section="Floor").changed
    assert (edit.fields, edit.after.price, edit.after.section) == (["section", "price"], 9, "Floor")
    assert renamed(price=5).nothing


@pytest.mark.parametrize("values", [{"number": "2"}, {"label": "2"}, {"position": 2}], ids=repr)
def test_no_two_seats_become_one(values: dict[str, object]) -> None:
    with pytest.raises(SeatPlanInvalid, match="already"):
        renamed(**values)
