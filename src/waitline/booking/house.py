"""House seats: seats held back from sale, and complimentary tickets.

A seat that is held back is HELD: it cannot be reserved, and visitors see it as sold. A
complimentary ticket is a confirmed reservation at price 0 with a name. No token proves its holder,
so only operators cancel it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from waitline.booking.batches import until_unlocked
from waitline.booking.catalogue_edits import forget_changes
from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.model import (
    ScheduleStopped,
    SeatsContested,
    SeatUnknown,
)
from waitline.booking.sale_state import ScheduleState
from waitline.kernel.errors import Contended, Refused
from waitline.postgres.pool import Database, Row

SEATS_MAX = 1_000
"""Most seats of one call: a block for the press. Larger blocks take several calls."""

REASON_CHARS_MAX = 100
"""Longest reason. Source: migrations/0010_rules_of_sale.sql."""

TICKET_NAME_CHARS_MAX = 200
"""Longest name on a complimentary ticket. Source: migrations/0010_rules_of_sale.sql."""

COMPLIMENTARY = "complimentary"
"""Payment method of complimentary tickets: nobody was charged."""

WITHIN_S = 10.0
"""Timeout of these statements, which are not on a buyer's path."""


class SeatNamesUnknown(Refused):
    """The schedule has no seats with these names.

    Attributes:
        names: The names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(*names)
        self.names = tuple(names)


class SeatNamesAmbiguous(Refused):
    """Several seats have these names; with section and row, each has its own.

    Attributes:
        names: The names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(*names)
        self.names = tuple(names)


class SeatsNotFree(Refused):
    """Some of the seats are reserved or sold; nothing was changed.

    Attributes:
        names: Their names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(*names)
        self.names = tuple(names)


class SeatsNotHeld(Refused):
    """Some of the seats are not held back; nothing was changed.

    Attributes:
        names: Their names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(*names)
        self.names = tuple(names)


class HouseSeat(NamedTuple):
    """A seat that is held back, or was given away.

    Attributes:
        seat_id: Its number.
        section: Part of the hall.
        row_name: Its row.
        seat_number: Name that visitors see.
        state: HELD, or OCCUPIED by a complimentary ticket.
        reason: Why it is held back; `None` if it was free when it was given away.
        held_at: Since when.
        ticket_name: Name on the complimentary ticket, if there is one.
        reservation_id: Its reservation.
    """

    seat_id: int
    section: str
    row_name: str
    seat_number: str
    state: str
    reason: str | None
    held_at: datetime | None
    ticket_name: str | None
    reservation_id: int | None

    @property
    def name(self) -> str:
        """Its name with section and row, as `HouseSeats.named` takes it."""
        return f"{self.section}/{self.row_name}/{self.seat_number}"


# Refusal for each outcome of a statement. A test compares them with the statements' headers.
HOUSE_REFUSED: dict[str, Callable[[Row], Refused | Contended]] = {
    "no_schedule": lambda _row: ScheduleUnknown(),
    "cancelled": lambda _row: ScheduleStopped(ScheduleState.CANCELLED),
    "no_seat": lambda _row: SeatUnknown(),
    "taken": lambda row: SeatsNotFree(row["seat_numbers"]),
    "not_held": lambda row: SeatsNotHeld(row["seat_numbers"]),
    "locked": lambda _row: Contended("the seats are locked"),
}


class HouseSeats:
    """Holds seats back and gives them away.

    Args:
        database: Holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def named(self, schedule: int, names: Sequence[str]) -> list[int]:
        """Return the seats of a schedule by name.

        Args:
            schedule: The schedule.
            names: 1 to `SEATS_MAX` names: as visitors see them, or SECTION/ROW/NAME. A repeated
                name counts once.

        Raises:
            ScheduleUnknown: There is no such schedule.
            SeatNamesUnknown, SeatNamesAmbiguous: Not every name is that of one seat.
        """
        rows = await self._database.fetch_all(
            "seats_named", within_s=WITHIN_S, schedule_id=schedule, numbers=list(set(names))
        )
        found: dict[str, list[int]] = {}
        for row in rows:
            found.setdefault(row["number"], []).append(row["seat_id"])
        unknown = [name for name in names if name not in found]
        if unknown:
            await self._check_schedule(schedule)
            raise SeatNamesUnknown(unknown)
        ambiguous = [name for name, seats in found.items() if len(seats) > 1]
        if ambiguous:
            raise SeatNamesAmbiguous(ambiguous)
        return sorted({seats[0] for seats in found.values()})

    async def hold(self, schedule: int, seats: Sequence[int], reason: str, *, who: str) -> None:
        """Hold free seats back from sale, all or none.

        Args:
            schedule: The schedule.
            seats: Different seats of it.
            reason: For whom or why, 1 to `REASON_CHARS_MAX` characters.
            who: Who holds them back, for the log.

        Raises:
            SeatUnknown, SeatsNotFree, SeatsContested: Nothing was changed.

        Invariant:
            B9.
        """
        await self._do(
            "hold_seats", schedule_id=schedule, seat_ids=list(seats), reason=reason, who=who
        )

    async def release(self, schedule: int, seats: Sequence[int], *, who: str) -> None:
        """Put seats that are held back on sale, all or none.

        Args:
            schedule: The schedule.
            seats: Different seats of it.
            who: Who releases them, for the log.

        Raises:
            SeatUnknown, SeatsNotHeld, SeatsContested: Nothing was changed.
        """
        await self._do("release_seats", schedule_id=schedule, seat_ids=list(seats), who=who)

    async def give(self, schedule: int, seats: Sequence[int], ticket_name: str, *, who: str) -> int:
        """Issue complimentary tickets; return their reservation.

        Args:
            schedule: The schedule.
            seats: Different seats of it: free, or held back.
            ticket_name: Name on the tickets, 1 to `TICKET_NAME_CHARS_MAX` characters.
            who: Who gives them away, for the log.

        Raises:
            ScheduleUnknown, ScheduleStopped, SeatUnknown, SeatsNotFree, SeatsContested: Nothing was
                changed.
        """
        row = await self._do(
            "give_seats",
            schedule_id=schedule,
            seat_ids=list(seats),
            ticket_name=ticket_name,
            who=who,
        )
        reservation: int = row["reservation_id"]
        return reservation

    async def listed(self, schedule: int) -> list[HouseSeat]:
        """Return the seats of a schedule that are held back or were given away.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        rows = await self._database.fetch_all("held_seats", within_s=WITHIN_S, schedule_id=schedule)
        if not rows:
            await self._check_schedule(schedule)
        return [HouseSeat(**{name: row[name] for name in HouseSeat._fields}) for row in rows]

    async def _check_schedule(self, schedule: int) -> None:
        if await self._database.fetch_one("schedule", schedule_id=schedule) is None:
            raise ScheduleUnknown

    async def _do(self, statement: str, **values: Any) -> Mapping[str, Any]:  # noqa: ANN401
        async def attempt() -> Row:
            row = await self._database.fetch_one(statement, within_s=WITHIN_S, **values)
            assert row is not None
            if row["outcome"] in HOUSE_REFUSED:
                raise HOUSE_REFUSED[row["outcome"]](row)
            return row

        try:
            row = await until_unlocked(attempt)
        except Contended:
            raise SeatsContested from None
        await forget_changes(self._database)
        return row
