"""Codes of tickets, and the signature of door lists: what is altered proves nothing."""

import pytest

from waitline.booking.door_list import DoorList, DoorTicket
from waitline.booking.sale_state import ScheduleState
from waitline.booking.seat_file import decode, records
from waitline.kernel.instants import Instant
from waitline.services.booking.door_files import COLUMNS, signed_list
from waitline.tokens.door import (
    LETTERS,
    ListFault,
    ListMark,
    public_keys,
    ticket_code,
    verify_file,
)
from waitline.tokens.keyring import Key, Keyring

OLD = Key("old", b"o" * 32, b"O" * 32, 0)
NEW = Key("new", b"n" * 32, b"N" * 32, 1_000_000)
RING = Keyring((OLD, NEW))
MADE = Instant(2_000_000_000_000, 540)


def ticket(seat: int, name: str = "7", **more: object) -> DoorTicket:
    named = ("Floor", "A", str(seat), f"A-{seat}", "VIP", "BCDF-GHJK", name)
    whole = DoorTicket(seat, *named, complimentary=False, reservation_id=2**53 - seat)
    return whole._replace(**more)  # type: ignore[arg-type]


def listed(*tickets: DoorTicket) -> DoorList:
    start = Instant(2_100_000_000_000, 540)
    return DoorList(5, "밤의 콘서트", "=Hall", start, ScheduleState.ON_SALE, MADE, tickets)


def test_a_code_is_that_of_one_seat_and_reservation() -> None:
    code = ticket_code(RING, 5, 1, 9, 2_000_000)
    assert code == ticket_code(RING, 5, 1, 9, 2_000_000)
    assert len(code) == 9
    assert code[4] == "-"
    assert set(code) <= {*LETTERS, "-"}
    others = [(6, 1, 9), (5, 2, 9), (5, 1, 8), (51, 1, 9), (5, 11, 9)]
    codes = {ticket_code(RING, *one, 2_000_000) for one in others}
    assert len(codes | {code}) == 1 + len(others)


def test_a_code_outlives_a_rotation() -> None:
    before = ticket_code(Keyring((OLD,)), 5, 1, 9, 999_999)
    assert ticket_code(RING, 5, 1, 9, 999_999) == before
    assert ticket_code(RING, 5, 1, 9, 1_000_000) != before


@pytest.mark.parametrize("form", ["csv", "html"])
def test_a_list_is_genuine_as_it_was_made(form: str) -> None:
    file = signed_list(RING, listed(ticket(1), ticket(2)), form, "ko")  # type: ignore[arg-type]
    assert verify_file(public_keys(RING), file) == ListMark("new", 5, MADE.at_ms, 2)
    assert verify_file(public_keys(Keyring((OLD,))), file) is ListFault.KEY_UNKNOWN


@pytest.mark.parametrize("form", ["csv", "html"])
def test_what_is_altered_is_not(form: str) -> None:
    file = signed_list(RING, listed(ticket(1), ticket(2)), form, "ko")  # type: ignore[arg-type]
    keys = public_keys(RING)
    # Each byte: of a name, a code, the head, and the last line.
    found = {
        verify_file(keys, file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :])
        for at in range(len(file))
    }
    assert found <= set(ListFault)
    line = b"BCDF-GHJK"
    rows = file.replace(line, b"BCDF-GHJL", 1)
    assert verify_file(keys, rows) is ListFault.ALTERED
    for other in (
        b"",
        b"x",
        file[:-1],
        file + b"\n",
        file + file,
        file[3:],
        file[: len(file) // 2],
    ):
        assert isinstance(verify_file(keys, other), ListFault)
    # A mark of another list, or another key's under this one's name.
    short = signed_list(RING, listed(ticket(1)), form, "ko")  # type: ignore[arg-type]
    assert verify_file(keys, _body(file, form) + short[len(_body(short, form)) :]) is (
        ListFault.ALTERED
    )
    forged = Keyring((OLD, Key("new", b"x" * 32, b"X" * 32, 1_000_000)))
    file = signed_list(forged, listed(), form, "ko")  # type: ignore[arg-type]
    assert verify_file(keys, file) is ListFault.ALTERED


def _body(file: bytes, form: str) -> bytes:
    return file[: file.rindex(b"signature," if form == "csv" else b"<!-- signature ")]


NAMES = [
    '=HYPERLINK("http://x")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\uff1d1",
    "김 민지 🎫",
    'A "quoted", name',
    "9007199254740993",
    "007",
    "1-2",
    "1E5",
    "<script>alert(1)</script>",
    "signature,d1.new.5.1.1.x",
]


def test_spreadsheets_read_names_as_text() -> None:
    tickets = [ticket(at, name) for at, name in enumerate(NAMES, start=1)]
    file = signed_list(RING, listed(*tickets), "csv", "ko")
    assert file.startswith(b"\xef\xbb\xbfsection,")
    rows = [one.cells for one in records(decode(file))]
    assert tuple(rows[0]) == COLUMNS
    # As a spreadsheet gets them: nothing begins like a formula, a date or a long number.
    text = file.decode("utf-8-sig")
    for name in ("'=HYPERLINK", "'+1", "'-1", "'@SUM", "'\uff1d1", "'007", "'1-2", "'1E5"):
        assert name in text
    assert "'9007199254740993" in text
    assert [row[6].removeprefix("'") for row in rows[1 : len(NAMES) + 1]] == NAMES
    assert rows[1][8] == f"#{2**53 - 1}"
    assert ["venue", "=Hall"] in rows
    assert verify_file(public_keys(RING), file) == ListMark("new", 5, MADE.at_ms, len(NAMES))


def test_the_page_escapes_names_and_needs_no_network() -> None:
    tickets = [ticket(at, name) for at, name in enumerate(NAMES, start=1)]
    invited = ticket(99, "Band", complimentary=True, section="floor")
    page = signed_list(RING, listed(*tickets, invited), "html", "en").decode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "김 민지 🎫" in page
    assert "src=" not in page
    assert "href=" not in page
    assert page.count("<tr><td") == len(NAMES) + 1
    # Sections that differ in case alone are two.
    assert page.count("<h2>") == 2
    assert "complimentary" in page
    assert "초대권" in signed_list(RING, listed(invited), "html", "ko").decode()
    assert "No ticket" in signed_list(RING, listed(), "html", "en").decode()
