"""Seats of a schedule: imported, compared, edited and removed, also while buyers reserve them."""

import asyncio
import re
from importlib.resources import files

import pytest

from tests.booking.halls import STARTS_AT
from tests.booking.sale import person
from tests.databases import TestDatabase
from waitline.booking import audit, seat_plan
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_edits import CatalogueEdits
from waitline.booking.catalogue_model import (
    SeatPlanDiffers,
    SeatPlanInvalid,
    SeatPlanStale,
    SeatsBooked,
)
from waitline.booking.model import SeatUnknown
from waitline.booking.seat_imports import CHANGE_REFUSED, ImportChoice, SeatChoice, SeatImports
from waitline.booking.store import Reservations
from waitline.kernel.errors import Refused, Unavailable

HEADER = "section,row,seat,grade,price\n"
TWO = HEADER + "F,A,1,VIP,100\nF,B,1,R,50\n"
WHO = "operator 1a2b3c4d"


class Desk:
    """Schedule 1 with the seats of `TWO`."""

    def __init__(self, postgres: TestDatabase) -> None:
        self.sql = postgres.sql
        self.database = postgres.database
        self.seats = SeatImports(postgres.database)
        self.edits = CatalogueEdits(postgres.database, WHO)
        self.reservations = Reservations(postgres.database, 300.0)

    async def open(self, currency: str = "KRW") -> None:
        catalogue = Catalogue(self.database)
        await catalogue.create_concert("Gala", "", "room", currency)
        await catalogue.create_schedule(1, STARTS_AT)

    async def imported(self, text: str, **choice: bool) -> tuple[int, int, int]:
        changes, _ = await self.seats.import_file(1, text.encode(), ImportChoice(**choice), who=WHO)
        return len(changes.added), len(changes.changed), len(changes.removed)

    async def plan(self) -> list[tuple[str, str, str, str, int]]:
        found = (await self.seats.fetch_plan(1)).seats
        return [(one.section, one.row, one.number, one.label, one.price) for one in found]

    async def sound(self) -> None:
        assert await audit.examine(self.database, at_price=True) == []


@pytest.fixture
def desk(postgres: TestDatabase) -> Desk:
    opened = Desk(postgres)
    postgres.wait(opened.open())
    return opened


def test_what_is_refused_is_what_the_statement_says() -> None:
    text = (files("waitline.booking") / "sql" / "seat_imports.sql").read_text("utf-8")
    header = text[text.index("-- name: change_seats") :].partition("\nWITH ")[0]
    declared = set(re.findall(r"'(\w+)'", header[header.index("returns:") :]))
    assert declared == {"changed", *CHANGE_REFUSED}


def test_seats_are_numbered_within_their_row(postgres: TestDatabase, desk: Desk) -> None:
    async def play() -> None:
        assert await desk.imported(TWO) == (2, 0, 0)
        assert await desk.plan() == [("F", "A", "1", "A-1", 100), ("F", "B", "1", "B-1", 50)]
        (row,) = await desk.sql("SELECT who, what, after FROM catalogue_change")
        assert (row["who"], row["what"]) == (WHO, "seats imported")

    postgres.wait(play())


def test_a_second_import_never_changes_silently(postgres: TestDatabase, desk: Desk) -> None:
    other = HEADER + "F,A,1,VIP,200\nF,C,1,R,50\n"

    async def play() -> None:
        await desk.imported(TWO)
        before = await desk.plan()
        with pytest.raises(SeatPlanDiffers) as refused:
            await desk.imported(other)
        assert (refused.value.added, refused.value.changed, refused.value.missing) == (1, 1, 1)
        assert await desk.imported(other, dry_run=True, remove_missing=True) == (1, 1, 1)
        assert await desk.plan() == before
        assert await desk.imported(TWO) == (0, 0, 0)

        assert await desk.imported(other, update=True) == (1, 1, 0)
        assert len(await desk.plan()) == 3
        assert await desk.imported(other, remove_missing=True) == (0, 0, 1)
        assert await desk.plan() == [("F", "A", "1", "A-1", 200), ("F", "C", "1", "C-1", 50)]
        await desk.sound()

    postgres.wait(play())


def test_what_is_exported_is_imported(postgres: TestDatabase) -> None:
    async def play() -> None:
        desk = Desk(postgres)
        await desk.open("USD")
        await desk.imported(HEADER + "F,A,1,VIP,120.50\n=F,-1,@x,R,0.05\n")
        plan = await desk.seats.fetch_plan(1)
        content = seat_plan.render(plan.seats, plan.currency)
        assert b"120.50" in content
        choice = ImportChoice(remove_missing=True)
        changes, currency = await desk.seats.import_file(1, content, choice, who=WHO)
        assert (changes.nothing, currency) == (True, "USD")
        await Catalogue(postgres.database).create_schedule(1, STARTS_AT)
        await desk.seats.import_file(2, content, ImportChoice(), who=WHO)
        copied = (await desk.seats.fetch_plan(2)).seats
        assert [one.label for one in copied] == [one.label for one in plan.seats]

    postgres.wait(play())


@pytest.mark.parametrize("paid", [False, True], ids=["reserved", "sold"])
def test_booked_seats_stay_as_they_are(postgres: TestDatabase, desk: Desk, *, paid: bool) -> None:
    async def play() -> None:
        await desk.imported(TWO)
        made = await desk.reservations.reserve(1, [1], person(7))
        if paid:
            await desk.sql("UPDATE reservation SET state = 'CONFIRMED'")
            await desk.sql("UPDATE seat SET state = 'OCCUPIED' WHERE seat_id = 1")
        before = await desk.plan()
        for text in (HEADER + "F,A,1,VIP,200\n", HEADER + "F,B,1,R,70\n"):
            with pytest.raises(SeatsBooked) as refused:
                await desk.imported(text, remove_missing=True)
            assert refused.value.labels == ("A-1",)
        for values in (None, {"price": 7}, {"label": "x"}):
            with pytest.raises(SeatsBooked):
                await desk.seats.edit(1, SeatChoice(row="A"), values, who=WHO)
        assert await desk.plan() == before
        # Others can be changed, and rows added in front of it.
        more = HEADER + "F,0,1,R,70\nF,A,1,VIP,100\nF,B,1,R,70\n"
        assert await desk.imported(more, update=True) == (1, 1, 0)
        assert (await desk.reservations.find(made.reservation_id)).amount == 100

    postgres.wait(play())


def test_a_removed_seat_stays_known_to_what_is_over(postgres: TestDatabase, desk: Desk) -> None:
    async def play() -> None:
        await desk.imported(TWO)
        made = await desk.reservations.reserve(1, [1], person(7))
        await desk.reservations.cancel(made.reservation_id, person(7))
        await desk.seats.edit(1, SeatChoice(row="A"), None, who=WHO)
        (row,) = await desk.sql("SELECT seat_number, price FROM removed_seat")
        assert tuple(row) == ("A-1", 100)
        assert (await desk.reservations.find(made.reservation_id)).seat_ids == (1,)
        with pytest.raises(SeatUnknown):
            await desk.reservations.reserve(1, [1], person(7))
        # The same place is another seat when it comes back.
        assert await desk.imported(TWO, update=True) == (1, 0, 0)
        await desk.sound()

    postgres.wait(play())


def test_labels_and_places_may_be_swapped(postgres: TestDatabase, desk: Desk) -> None:
    first = "section,row,seat,grade,price,position,label\nF,A,1,R,5,1,x\nF,A,2,R,5,2,y\n"
    second = "section,row,seat,grade,price,position,label\nF,A,1,R,5,2,y\nF,A,2,R,5,1,x\n"

    async def play() -> None:
        await desk.imported(first)
        assert await desk.imported(second, update=True) == (0, 2, 0)
        assert [one[3] for one in await desk.plan()] == ["y", "x"]

    postgres.wait(play())


def test_seats_of_raw_rows_keep_their_names(postgres: TestDatabase, desk: Desk) -> None:
    async def play() -> None:
        await desk.sql(
            "INSERT INTO seat (schedule_id, section, row_name, row_position, seat_number, grade, "
            "price) VALUES (1, 'F', 'A', 1, 'A-1', 'R', 5)"
        )
        await desk.seats.edit(1, SeatChoice(number="A-1"), {"label": "new"}, who=WHO)
        assert await desk.plan() == [("F", "A", "A-1", "new", 5)]

    postgres.wait(play())


def test_errors_of_an_import(postgres: TestDatabase, desk: Desk) -> None:
    async def play() -> None:
        await desk.imported(TWO)
        with pytest.raises(SeatUnknown):
            await desk.seats.edit(1, SeatChoice(row="Z"), None, who=WHO)
        with pytest.raises(SeatPlanInvalid, match="already"):
            await desk.seats.edit(1, SeatChoice(row="A"), {"label": "B-1"}, who=WHO)
        plan = await desk.seats.fetch_plan(1)
        await desk.imported(HEADER + "F,C,1,R,5\n", update=True)
        changes = (
            await desk.seats.import_file(1, TWO.encode(), ImportChoice(dry_run=True), who=WHO)
        ).changes
        with pytest.raises(SeatPlanStale):
            await desk.seats.apply(1, plan, changes, who=WHO, what="late")

    postgres.wait(play())


@pytest.mark.parametrize("values", [None, {"price": 777}], ids=["removed", "dearer"])
def test_nobody_buys_a_removed_seat_or_pays_another_price(
    postgres: TestDatabase, desk: Desk, values: dict[str, int] | None
) -> None:
    """Many reserve while an operator removes or reprices, row by row; each sees before or after."""
    rows = [f"R{row}" for row in range(20)]

    async def play() -> None:
        lines = "".join(f"F,{row},{number},R,100\n" for row in rows for number in range(5))
        await desk.imported(HEADER + lines)
        made: list[int] = []
        refused: list[Exception] = []

        async def buy(seats: range) -> None:
            for seat in seats:
                try:
                    one = await desk.reservations.reserve(1, [seat], person(seat))
                    made.append(one.reservation_id)
                except (Refused, Unavailable) as error:
                    refused.append(error)

        async def edit() -> int:
            done = 0
            for row in reversed(rows):
                try:
                    await desk.seats.edit(1, SeatChoice(row=row), values, who=WHO)
                    done += 1
                except (SeatsBooked, SeatPlanStale, Unavailable):
                    continue
            return done

        edited, *_ = await asyncio.gather(
            edit(), *(buy(range(first, 101, 4)) for first in range(1, 5))
        )
        assert made
        assert edited
        held = await desk.sql(
            "SELECT r.amount, h.price, s.price AS shown FROM reservation AS r "
            "JOIN reserved_seat AS h USING (reservation_id) LEFT JOIN seat AS s USING (seat_id)"
        )
        assert len(held) == len(made)
        assert all(row["amount"] == row["price"] == row["shown"] for row in held)
        await desk.sound()

    postgres.wait(play())
