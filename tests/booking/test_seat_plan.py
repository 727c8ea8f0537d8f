"""Parsing a seat plan: accepted files, and error messages with line numbers."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waitline.booking import seat_plan
from waitline.booking.catalogue_model import (
    NewSeat,
    PlannedSeat,
    SeatPlanInvalid,
)
from waitline.booking.seat_changes import compare
from waitline.kernel.ids import is_blank, normal_text

# A busy machine is no failure here.
patient = settings(deadline=None)

HEADER = "section,row,seat,grade,price\n"


def read(text: str) -> list[NewSeat]:
    return seat_plan.parse(text.encode("utf-8", "surrogatepass"))


def new(seat: PlannedSeat) -> NewSeat:
    """The seat as it is imported."""
    return NewSeat(
        seat.section, seat.row, seat.position, seat.number, seat.grade, seat.price, seat.label
    )


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


def test_columns_come_in_any_order() -> None:
    text = "\ufeffPrice, Position ,label,seat,row,section,grade\r\n5,7,x,1,A,F,R\r\n\r\n"
    assert read(text) == [NewSeat("F", "A", 7, "1", "R", 5, "x")]
    korean = "구역,열,좌석,등급,가격,위치,표시\nF,A,1,R,5,7,x\n"
    assert read(korean) == read(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("note", "unknown column 'note'; columns are section, row", id="other"),
        pytest.param("prize", "unknown column 'prize'; did you mean price?", id="typing error"),
        pytest.param("currency", "unknown column 'currency'", id="currency"),
        pytest.param("", "unknown column ''", id="nameless"),
    ],
)
def test_unknown_columns_are_refused_by_name(name: str, expected: str) -> None:
    (error,) = errors(f"section,{name},row,seat,grade,price\nF,x,A,1,R,5\n")
    assert error.startswith(f"line 1: {expected}")


def test_empty_columns_to_the_right_are_nothing() -> None:
    assert read("section,row,seat,grade,price,,\nF,A,1,R,5,,\n,,,,,,\n") == [
        NewSeat("F", "A", 1, "1", "R", 5)
    ]
    (error,) = errors(HEADER + "F,A,1,R,120,000\n")
    assert error.startswith("line 2: 6 cells, but the header has 5")


def test_seats_of_two_rows_and_rows_of_two_sections_have_the_same_names() -> None:
    text = HEADER + "F,A,1,R,5\nF,B,1,R,5\nG,A,1,R,5\n"
    assert [seat.number for seat in read(text)] == ["1", "1", "1"]


@pytest.mark.parametrize(
    ("currency", "written", "price"),
    [
        ("KRW", '"120,000"', 120_000),
        ("KRW", "120000", 120_000),
        ("JPY", "0", 0),
        ("USD", "120.50", 12_050),
        ("USD", '"1,120.5"', 112_050),
        ("KWD", "1.005", 1_005),
    ],
)
def test_prices_are_in_major_units(currency: str, written: str, price: int) -> None:
    (seat,) = seat_plan.parse((HEADER + f"F,A,1,R,{written}\n").encode(), currency)
    assert seat.price == price


@pytest.mark.parametrize(
    ("currency", "written", "expected"),
    [
        ("KRW", "abc", "line 2: price 'abc' is not a number; write it as 120000"),
        ("USD", "abc", "line 2: price 'abc' is not a number; write it as 1200.00"),
        ("KRW", "5.00", "line 2: price '5.00' has 2 decimals; KRW has no decimals"),
        ("USD", "5.005", "line 2: price '5.005' has 3 decimals; USD has at most 2 decimals"),
        ("EUR", '"120,50"', "line 2: price '120,50' is not a number"),
        ("KRW", "9000000000000", "line 2: price '9000000000000' is above"),
    ],
)
def test_prices_that_cannot_be(currency: str, written: str, expected: str) -> None:
    with pytest.raises(SeatPlanInvalid) as refused:
        seat_plan.parse((HEADER + f"F,A,1,R,{written}\n").encode(), currency)
    assert refused.value.errors[0].startswith(expected)


def test_the_example_of_the_docs_is_a_plan() -> None:
    content = (Path(__file__).parents[2] / "docs" / "examples" / "seats.csv").read_bytes()
    seats = seat_plan.parse(content)
    assert len(seats) == 8
    assert [one.label for one in compare([], seats).added][:2] == ["Floor-A-1", "Floor-A-2"]


def test_lines_are_those_of_the_file() -> None:
    text = HEADER + '"F\nfront",A,1,R,5\n\nF,A,2,R,x\n'
    assert errors(text) == ("line 5: price 'x' is not a number; write it as 120000",)


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
        pytest.param(HEADER + "F\x07,A,1,R,1\n", "line 2: section has control", id="bell"),
        pytest.param(HEADER + "F,A,1,R,\n", "line 2: price '' is not a number", id="no price"),
        pytest.param(HEADER + "F,A,1,R,-1\n", "line 2: price '-1' is not a number", id="negative"),
        pytest.param(HEADER + "F,A,1,R,1.5\n", "line 2: price ", id="fraction"),
        pytest.param(HEADER + "F,A,1,R,\u0661\n", "line 2: price ", id="other digits"),
        pytest.param(HEADER + f"F,A,1,R,{'9' * 30}\n", "line 2: price ", id="too dear"),
        pytest.param(
            HEADER + "F,A,1,R,1\nF,A,1,R,1\n",
            "line 3: seat '1' of row 'A' is also in line 2",
            id="twice",
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


def test_errors_of_several_lines_are_reported_together_up_to_a_limit() -> None:
    text = HEADER + "F,A,,R,x\n" * 50
    found = errors(text)
    assert len(found) == seat_plan.ERRORS_MAX
    assert found[:2] == (errors(HEADER + "F,A,,R,x\n"))


def test_a_map_has_no_more_seats_than_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_plan, "SCHEDULE_SEATS_MAX", 100)
    lines = [f"F,A,{number},R,1\n" for number in range(100)]
    assert len(read(HEADER + "".join(lines))) == 100
    found = errors(HEADER + "".join(lines) + "F,A,x,R,1\n")
    assert found[0].startswith("line 102: too many seats")


def test_other_encodings_are_refused() -> None:
    with pytest.raises(SeatPlanInvalid, match=r"line 2: neither UTF-8 nor UTF-16 nor CP949"):
        seat_plan.parse(HEADER.encode() + b"F,A,\xe9,R,1\n")


KOREAN = "구역,열,좌석,등급,가격\n1층 무대 앞,가,1,전석,120000\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(KOREAN.encode(), id="utf-8"),
        pytest.param(KOREAN.encode("utf-8-sig"), id="utf-8 with a mark"),
        pytest.param(KOREAN.encode("utf-16"), id="utf-16"),
        pytest.param(b"\xfe\xff" + KOREAN.encode("utf-16-be"), id="utf-16 big-endian"),
        pytest.param(KOREAN.encode("cp949"), id="cp949"),
        pytest.param(KOREAN.replace(",", ";").encode("cp949"), id="cp949, semicolons"),
        pytest.param(KOREAN.replace(",", "\t").encode("utf-16"), id="unicode text of excel"),
        pytest.param(KOREAN.replace(",", ";").encode("utf-8-sig"), id="semicolons"),
        pytest.param(("sep=;\r\n" + KOREAN.replace(",", ";")).encode(), id="sep"),
        pytest.param(KOREAN.replace("\n", "\r\n").encode(), id="crlf"),
        pytest.param(KOREAN.replace("\n", "\r").encode(), id="cr"),
        pytest.param(KOREAN.replace("1층 무대 앞", '"1층\n무대 앞"').encode(), id="line break"),
        pytest.param(KOREAN.replace("1층 무대 앞", '"1층 무대 앞"').encode(), id="quoted"),
    ],
)
def test_files_of_spreadsheets_are_read(content: bytes) -> None:
    assert seat_plan.parse(content) == [NewSeat("1층 무대 앞", "가", 1, "1", "전석", 120_000)]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read(encoding: str) -> None:
    assert len(seat_plan.parse((HEADER + "F,A,가,R,5\n").encode(encoding))) == 1


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_exported_cell_is_a_formula(start: str) -> None:
    seat = PlannedSeat(f"{start}1+1", f"'{start}", 1, f"{start}A", start, 5, f"'{start}x")
    content = seat_plan.render([seat], "KRW")
    cells = next(iter(list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))[1:]))
    assert not any(cell.startswith(start) for cell in cells)
    assert seat_plan.parse(content) == [new(seat)]


WORD = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=1, max_size=20)
    .map(normal_text)
    .filter(lambda text: len(text) <= 20 and not text.startswith("'") and not is_blank(text))
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
    unique_by=(
        lambda seat: (seat.section, seat.row, seat.number),
        lambda seat: (seat.section, seat.row, seat.position),
    ),
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
@given(SEATS, st.sampled_from(["KRW", "USD", "KWD"]))
def test_what_is_exported_is_imported(seats: list[NewSeat], currency: str) -> None:
    changes = compare([], seats)
    planned = [replace(seat, seat_id=at) for at, seat in enumerate(changes.added, start=1)]
    again = seat_plan.parse(seat_plan.render(planned, currency), currency)
    assert compare(planned, again, remove_missing=True).nothing
    assert again == [new(seat) for seat in planned]


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
        numbers = {(seat.section, seat.row, seat.number) for seat in seats}
        assert len(numbers) == len(seats) > 0
        return
    assert 1 <= len(found) <= seat_plan.ERRORS_MAX
    assert all(line.startswith("line ") for line in found)
