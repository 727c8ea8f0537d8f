"""Parsing a seat plan: accepted files, and error messages with line numbers."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waitline.booking import seat_plan
from waitline.booking.catalogue_model import SCHEDULE_SEATS_MAX, NewSeat, SeatPlanInvalid
from waitline.kernel.ids import normal_text

# A busy machine is no failure here.
patient = settings(deadline=None)

HEADER = "section,row,seat,grade,price\n"


def read(text: str) -> list[NewSeat]:
    return seat_plan.parse(io.StringIO(text, newline=""))


def errors(text: str) -> tuple[str, ...]:
    with pytest.raises(SeatPlanInvalid) as refused:
        read(text)
    return refused.value.errors


def test_a_map_is_read_in_its_order() -> None:
    text = HEADER + "Floor,B,B-1,VIP,150000\nFloor,A,A-1,R,0\nFloor,B,B-2,VIP,150000\n"
    assert read(text) == [
        NewSeat("Floor", "B", 1, "B-1", "VIP", 150_000),
        NewSeat("Floor", "A", 1, "A-1", "R", 0),
        NewSeat("Floor", "B", 2, "B-2", "VIP", 150_000),
    ]


def test_columns_come_in_any_order_and_others_are_left_aside() -> None:
    text = "\ufeffPrice, Position ,note,seat,row,section,grade\r\n5,7,x,1,A,F,R\r\n\r\n"
    assert read(text) == [NewSeat("F", "A", 7, "1", "R", 5)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", "line 1: missing columns: section, row, seat, grade, price", id="empty"),
        pytest.param("section,row,seat,grade\n", "line 1: missing columns: price", id="no column"),
        pytest.param("seat," + HEADER, "line 1: column seat appears twice", id="column twice"),
        pytest.param(HEADER, "line 2: no seats; add a line for each seat", id="no seats"),
        pytest.param(HEADER + "F,A,,R,1\n", "line 2: seat is empty; fill it in", id="blank"),
        pytest.param(HEADER + "F,A,1\n", "line 2: grade is empty; fill it in", id="short line"),
        pytest.param(HEADER + f"F,{'A' * 21},1,R,1\n", "line 2: row is longer than", id="long"),
        pytest.param(HEADER + "F,A,1\0,R,1\n", "line 2:", id="null"),
        pytest.param(HEADER + '"F\nG",A,1,R,1\n', "line 3: section has control", id="line break"),
        pytest.param(
            HEADER + "F,A,1,R,\n", "line 2: price '' is not a whole number", id="no price"
        ),
        pytest.param(
            HEADER + "F,A,1,R,-1\n", "line 2: price '-1' is not a whole number", id="negative"
        ),
        pytest.param(HEADER + "F,A,1,R,1.5\n", "line 2: price ", id="fraction"),
        pytest.param(HEADER + "F,A,1,R,\u0661\n", "line 2: price ", id="other digits"),
        pytest.param(HEADER + f"F,A,1,R,{'9' * 30}\n", "line 2: price ", id="too dear"),
        pytest.param(
            HEADER + "F,A,1,R,1\nF,B,1,R,1\n", "line 3: seat '1' is also in line 2", id="twice"
        ),
        pytest.param(HEADER + '"F,A,1,R,1\n', "line 2: not CSV", id="quotation mark"),
        pytest.param(HEADER + "F" * 2_000, "line 2: more than 1000 characters", id="long line"),
    ],
)
def test_errors_name_their_line_and_what_to_do(text: str, found: str) -> None:
    assert errors(text)[0].startswith(found)
    assert ": " in errors(text)[0]


def test_two_seats_in_one_place() -> None:
    text = "section,row,seat,grade,price,position\nF,A,1,R,1,4\nF,B,2,R,1,4\nF,A,3,R,1,4\n"
    assert errors(text) == ("line 4: position 4 of this row is also in line 2; change one",)


def test_errors_of_several_lines_are_told_at_once_but_not_all() -> None:
    text = HEADER + "F,A,,R,x\n" * 50
    found = errors(text)
    assert len(found) == seat_plan.ERRORS_MAX
    assert found[:2] == (errors(HEADER + "F,A,,R,x\n"))


def test_a_map_has_no_more_seats_than_a_schedule() -> None:
    lines = [f"F,A,{number},R,1\n" for number in range(SCHEDULE_SEATS_MAX)]
    assert len(read(HEADER + "".join(lines))) == SCHEDULE_SEATS_MAX
    found = errors(HEADER + "".join(lines) + "F,A,x,R,1\n")
    assert found[0].startswith(f"line {SCHEDULE_SEATS_MAX + 2}: too many seats")


def test_other_encodings_are_told() -> None:
    stream = io.TextIOWrapper(io.BytesIO(HEADER.encode() + b"F,A,\xe9,R,1\n"), "utf-8")
    with pytest.raises(SeatPlanInvalid, match="UTF-8"):
        seat_plan.parse(stream)


WORD = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=1, max_size=20)
    .map(normal_text)
    .filter(lambda text: len(text) <= 20)
)
SEATS = st.lists(
    st.builds(
        NewSeat,
        WORD,
        WORD,
        st.integers(1, seat_plan.POSITION_MAX),
        WORD,
        WORD,
        st.integers(0, seat_plan.PRICE_MAX),
    ),
    min_size=1,
    max_size=30,
    unique_by=(lambda seat: seat.number, lambda seat: (seat.section, seat.row, seat.position)),
)


def written(seats: list[NewSeat]) -> str:
    text = io.StringIO(newline="")
    to = csv.writer(text)
    to.writerow(["section", "row", "position", "seat", "grade", "price"])
    to.writerows(
        [seat.section, seat.row, seat.position, seat.number, seat.grade, seat.price]
        for seat in seats
    )
    return text.getvalue()


@patient
@given(SEATS)
def test_what_is_written_is_read(seats: list[NewSeat]) -> None:
    assert read(written(seats)) == seats


@patient
@given(SEATS, st.data())
def test_one_seat_twice_is_refused_wherever_it_is(
    seats: list[NewSeat], data: st.DataObject
) -> None:
    again = data.draw(st.sampled_from(seats))
    where = data.draw(st.integers(0, len(seats)))
    found = errors(written([*seats[:where], again, *seats[where:]]))
    assert len(found) == 2
    first, second = sorted((seats.index(again) + (seats.index(again) >= where), where))
    assert all(error.startswith(f"line {second + 2}: ") for error in found)
    assert all(f"line {first + 2};" in error for error in found)


@patient
@given(
    st.text(max_size=300)
    | st.text("fF,\"'\n\r0123456789 section", max_size=300).map(HEADER.__add__)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        seats = read(text)
    except SeatPlanInvalid as error:
        found = error.errors
    else:
        assert len({seat.number for seat in seats}) == len(seats) > 0
        return
    assert 1 <= len(found) <= seat_plan.ERRORS_MAX
    assert all(line.startswith("line ") for line in found)
