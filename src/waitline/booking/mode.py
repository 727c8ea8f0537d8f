"""Mode of the box office's data and money: written at the first start, then fixed.

`waitline mode set` changes the mode. Play money and real money are exchanged only while no booking
was paid with the other.
"""

from typing import NamedTuple

from waitline.kernel.mode import DataMode, OtherMode, StoredMode
from waitline.kernel.plurals import counted, counted_unless_none
from waitline.postgres.pool import Database

STORE = "The database"
"""Name of the store, for display."""

SERVED_S = 5.0
"""A service without a heartbeat for this long, in s, has ended: it sends one every second."""

END_S = 60.0
"""Timeout of ending a trial, in s: load tests leave millions of rows."""


COUNT_S = 30.0
"""Timeout of counting the data, in s: rows are counted one by one."""


class OfficeContents(NamedTuple):
    """Counts of the box office's data.

    Attributes:
        concerts: Concerts that operators created.
        demos: Demo concerts: one, or none.
        rehearsals: Concerts of rehearsals.
        bookings: Visitors' reservations that are held or sold, without those of rehearsals.
        payments: Their payments that are in progress, made or being refunded.
        past: Their reservations that are over.
        given: Complimentary tickets that operators gave for their concerts.
        held: Seats of their concerts that operators hold back.
        stopped: Schedules of their concerts that are cancelled or postponed.
    """

    concerts: int
    demos: int
    rehearsals: int
    bookings: int
    payments: int
    past: int = 0
    given: int = 0
    held: int = 0
    stopped: int = 0


class Chosen(NamedTuple):
    """What was chosen for the data.

    Attributes:
        mode: Its mode; `None` if none was written.
        play_money: Whether buyers pay with play money; `None` if that is open.
    """

    mode: DataMode | None
    play_money: bool | None


class OfficeMode:
    """The mode of the data in PostgreSQL.

    Args:
        database: Holds it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Chosen:
        """Return the mode, and what buyers pay with."""
        row = await self._database.fetch_one("installation")
        return (
            Chosen(None, None) if row is None else Chosen(DataMode(row["mode"]), row["play_money"])
        )

    async def contents(self) -> OfficeContents:
        """Count the box office's data."""
        row = await self._database.fetch_one("installation_contents", within_s=COUNT_S)
        assert row is not None
        return OfficeContents(**dict(row))

    async def claim(self, mode: DataMode) -> None:
        """Check that a process of a mode may use the data; write the mode if there is none.

        Raises:
            OtherMode: It may not.
        """
        stored = (await self.load()).mode
        if stored is None:
            found = await self.contents()
            owned = counted_unless_none(found.concerts, "concert")
            # Without an operator's concert, all bookings are of the demo: test data.
            owned += counted_unless_none(found.bookings, "booking") if owned else []
            tried = ["the demo concert"] if found.demos else []
            StoredMode(STORE, None, owned, tried).require(mode)
            # Another process may have written it meanwhile.
            await self._database.fetch_one("claim_mode", mode=mode)
            stored = (await self.load()).mode
        StoredMode(STORE, stored).require(mode)

    async def claim_money(self, *, play: bool) -> None:
        """Check that buyers may pay with play money or real money, and record which.

        Args:
            play: Whether it is play money.

        Raises:
            OtherMode: Bookings were paid with the other.
        """
        before = (await self.load()).play_money
        if before is play:
            return
        bookings = 0 if before is None else (await self.contents()).bookings
        if bookings:
            held = counted(bookings, "booking")
            if before:
                raise OtherMode(
                    f"{STORE} holds {held} of play money, and this installation takes real money: "
                    "delete them with `waitline mode set production`, which first says what it "
                    "deletes, or set WAITLINE_PAYMENTS=play-money"
                )
            raise OtherMode(
                f"{STORE} holds {held} of real money, and this installation takes play money: "
                "unset WAITLINE_PAYMENTS, or rehearse on another database"
            )
        await self._database.fetch_one("choose_money", play_money=play)

    async def is_served(self) -> bool:
        """Return whether a booking service is running on the data, or ended just now."""
        row = await self._database.fetch_one("lately_served", served_s=SERVED_S)
        assert row is not None
        return bool(row["served"])

    async def change(self, mode: DataMode) -> None:
        """Set the mode; nothing else changes."""
        await self._database.fetch_one("change_mode", mode=mode)

    async def end_trial(self) -> None:
        """Set the mode to production; delete all bookings, the demo and rehearsals.

        Raises:
            Unavailable: No answer in time; it was done whole or not at all.
        """
        await self._database.fetch_one("end_trial", within_s=END_S)
