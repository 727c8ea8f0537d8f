"""Store of seat plans: reads a schedule's seats, and adds, changes and removes them."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import msgspec

from waitline.booking import currency as money
from waitline.booking import seat_plan
from waitline.booking.batches import until_unlocked
from waitline.booking.catalogue_model import (
    SCHEDULE_SEATS_MAX,
    NewSeat,
    PlannedSeat,
    ScheduleUnknown,
    SeatPlanDiffers,
    SeatPlanInvalid,
    SeatPlanStale,
    SeatsBooked,
    SeatsHeldBack,
)
from waitline.booking.charging import ANYTHING, Charging
from waitline.booking.model import SeatUnknown
from waitline.booking.seat_changes import SeatChanges, compare, edited
from waitline.kernel.errors import Contended, Refused
from waitline.postgres.driver_errors import Duplicate
from waitline.postgres.pool import Database, Row

IMPORT_S = 60.0
"""Timeout of an import: 60 000 seats take three seconds."""

LOGGED_MAX = 200
"""Most seats of one kind in an entry of the log; the entry says how many there were."""

TRIES = 3
"""Attempts of a change, under concurrent changes to the schedule's seats."""

T = TypeVar("T")


class ImportChoice(NamedTuple):
    """How a plan is applied to the seats of a schedule.

    Attributes:
        update: Whether it may change a schedule that has seats.
        remove_missing: Whether seats that are not in it are removed.
        dry_run: Whether nothing is changed.
    """

    update: bool = False
    remove_missing: bool = False
    dry_run: bool = False


class SeatChoice(NamedTuple):
    """Filter on the seats of a schedule: every given field must match."""

    section: str | None = None
    row: str | None = None
    number: str | None = None
    grade: str | None = None

    def has(self, seat: NewSeat) -> bool:
        """Return whether a seat matches."""
        return all(
            wanted is None or wanted == getattr(seat, name)
            for name, wanted in self._asdict().items()
        )


class SeatPlan(NamedTuple):
    """The seats of a schedule as operators see them.

    Attributes:
        concert_id: Its concert.
        currency: Currency of the prices.
        laid_out: Identifies this layout; another one after each change.
        seats: The seats by id: the best first.
    """

    concert_id: int
    currency: str
    laid_out: int
    seats: list[PlannedSeat]


class SeatReport(NamedTuple):
    """What was changed, or would be.

    Attributes:
        changes: The changes.
        currency: Currency of the prices.
    """

    changes: SeatChanges
    currency: str


# Refusal for each outcome of `change_seats`. A test compares them with the statement's header.
CHANGE_REFUSED: dict[str, Callable[[Row], Refused | Contended]] = {
    "no_schedule": lambda _row: ScheduleUnknown(),
    "stale": lambda _row: SeatPlanStale(),
    "locked": lambda _row: Contended("seats are being reserved"),
    "booked": lambda row: SeatsBooked(row["booked"]),
    "held_back": lambda row: SeatsHeldBack(row["held_back"]),
}


class SeatImports:
    """The store of seat plans.

    Args:
        database: Holds the seats.
        charging: What the payment provider charges.
    """

    def __init__(self, database: Database, charging: Charging = ANYTHING) -> None:
        self._database = database
        self._charging = charging

    async def fetch_plan(self, schedule: int) -> SeatPlan:
        """Return the seats of a schedule.

        Raises:
            ScheduleUnknown: There is no such schedule.
        """
        row = await self._database.fetch_one("read_plan", within_s=IMPORT_S, schedule_id=schedule)
        if row is None:
            raise ScheduleUnknown
        columns = (
            _column(row, "sections", str),
            _column(row, "row_names", str),
            _column(row, "positions", int),
            _column(row, "numbers", str),
            _column(row, "grades", str),
            _column(row, "prices", int),
            _column(row, "labels", str),
            _column(row, "seat_ids", int),
            _column(row, "row_nos", int),
            _column(row, "states", str),
        )
        seats = [PlannedSeat(*values) for values in zip(*columns, strict=True)]
        return SeatPlan(row["concert_id"], row["currency"], row["laid_out"], seats)

    async def import_file(
        self, schedule: int, content: bytes, choice: ImportChoice, *, who: str
    ) -> SeatReport:
        """Put the seats of a file on sale; a schedule that has seats is changed to the plan.

        Args:
            schedule: The schedule.
            content: The file, as `waitline.booking.seat_plan` parses it.
            choice: How the plan is applied to existing seats.
            who: Who imports it, for the log.

        Returns:
            What was changed, or would be, and the currency of the prices.

        Raises:
            SeatPlanInvalid: The file has errors.
            CurrencyNotCharged: The payment provider does not charge the prices' currency.
            SeatPlanDiffers: The schedule has other seats, and `choice` allows no update.
            ScheduleUnknown, SeatPlanStale, SeatsBooked, SeatsHeldBack: Nothing is changed.
        """

        def changes_to(plan: SeatPlan) -> SeatChanges:
            step = self._charging.step(plan.currency)
            wanted = seat_plan.parse(content, plan.currency, step)
            return compare(plan.seats, wanted, remove_missing=choice.remove_missing)

        # Removing is a kind of update.
        update = choice.update or choice.remove_missing
        for _ in range(TRIES):
            plan = await self.fetch_plan(schedule)
            # In a thread: a stadium's plan takes a second.
            changes = await asyncio.to_thread(changes_to, plan)
            report = SeatReport(changes, plan.currency)
            if choice.dry_run or changes.nothing:
                return report
            if plan.seats and not update:
                raise SeatPlanDiffers(
                    len(changes.added), len(changes.changed), len(changes.missing)
                )
            with suppress(SeatPlanStale):
                await self.apply(schedule, plan, changes, who=who, what="seats imported")
                return report
        raise SeatPlanStale

    async def add(self, schedule: int, seats: Sequence[NewSeat], *, who: str | None = None) -> int:
        """Put more seats on sale, all or none; return how many.

        Raises:
            SeatPlanInvalid: The schedule has one of the seats already.
            ScheduleUnknown, SeatPlanStale: Nothing is changed.
        """
        for _ in range(TRIES):
            plan = await self.fetch_plan(schedule)
            changes = await asyncio.to_thread(compare, plan.seats, seats)
            there = len(seats) - len(changes.added)
            if there:
                raise SeatPlanInvalid([f"the schedule has {there:,} of these seats already"])
            with suppress(SeatPlanStale):
                await self.apply(schedule, plan, changes, who=who, what="seats added")
                return len(changes.added)
        raise SeatPlanStale

    async def edit(
        self,
        schedule: int,
        choice: SeatChoice,
        values: Mapping[str, Any] | None,
        *,
        who: str,
    ) -> SeatReport:
        """Change or remove seats of a schedule, all or none.

        Args:
            schedule: The schedule.
            choice: Which seats.
            values: New values by name of the field; `None` to remove the seats.
            who: Who changes them, for the log.

        Raises:
            SeatUnknown: No seat matches.
            SeatPlanInvalid: Two seats would have the same number or label, or the price is not one
                that the payment provider charges.
            CurrencyNotCharged: The payment provider does not charge the prices' currency.
            ScheduleUnknown, SeatPlanStale, SeatsBooked, SeatsHeldBack: Nothing is changed.
        """
        for _ in range(TRIES):
            plan = await self.fetch_plan(schedule)
            meant = [seat for seat in plan.seats if choice.has(seat)]
            if not meant:
                raise SeatUnknown
            if values is not None and "price" in values:
                step = self._charging.step(plan.currency)
                fault = seat_plan.step_fault(values["price"], plan.currency, step)
                if fault:
                    raise SeatPlanInvalid([f"the price {fault}"])
            changes = edited(plan.seats, meant, values)
            report = SeatReport(changes, plan.currency)
            if changes.nothing:
                return report
            what = "seats removed" if values is None else "seats changed"
            with suppress(SeatPlanStale):
                await self.apply(schedule, plan, changes, who=who, what=what)
                return report
        raise SeatPlanStale

    async def apply(
        self, schedule: int, plan: SeatPlan, changes: SeatChanges, *, who: str | None, what: str
    ) -> None:
        """Change the seats of a schedule, all or none, and log it.

        Args:
            schedule: The schedule.
            plan: Its seats as the changes were made from them.
            changes: The changes.
            who: Who changes them, for the log; `None` to leave it out of the log.
            what: What they do, for the log.

        Raises:
            ScheduleUnknown: There is no such schedule.
            SeatPlanStale: The seats have changed since.
            SeatPlanInvalid: The schedule would have too many seats, or one twice.
            SeatsBooked, SeatsHeldBack: Nothing is changed.
            Unavailable: No answer in time; either all or none were changed.
        """
        if len(plan.seats) + len(changes.added) - len(changes.removed) > SCHEDULE_SEATS_MAX:
            raise SeatPlanInvalid(
                [f"a schedule has at most {SCHEDULE_SEATS_MAX:,} seats, those it has included"]
            )
        values = {
            "schedule_id": schedule,
            "laid_out": plan.laid_out,
            "currency": plan.currency,
            "who": who,
            "what": what,
            **_seat_columns(changes),
            **_logged(changes, plan.currency),
        }

        async def attempt() -> None:
            row = await self._database.fetch_one("change_seats", within_s=IMPORT_S, **values)
            assert row is not None
            if row["outcome"] != "changed":
                raise CHANGE_REFUSED[row["outcome"]](row)

        try:
            await until_unlocked(attempt)
        except Duplicate as error:
            raise SeatPlanInvalid([f"the schedule has this seat already: {error}"]) from None


def _seat_columns(changes: SeatChanges) -> dict[str, list[Any]]:
    """Return the changes column by column, as the statement takes them."""
    edits = [edit.after for edit in changes.changed]
    recounted = [*changes.moved, *edits]
    added = changes.added
    return {
        "touched_ids": _ids([*recounted, *changes.removed]),
        "removed_ids": _ids(changes.removed),
        "changed_ids": _ids(edits),
        "changed_sections": [seat.section for seat in edits],
        "changed_rows": [seat.row for seat in edits],
        "changed_numbers": [seat.number for seat in edits],
        "changed_positions": [seat.position for seat in edits],
        "changed_labels": [seat.label for seat in edits],
        "changed_grades": [seat.grade for seat in edits],
        "changed_prices": [seat.price for seat in edits],
        "row_ids": _ids(recounted),
        "row_nos": [seat.row_no for seat in recounted],
        "sections": [seat.section for seat in added],
        "row_names": [seat.row for seat in added],
        "new_row_nos": [seat.row_no for seat in added],
        "positions": [seat.position for seat in added],
        "numbers": [seat.number for seat in added],
        "labels": [seat.label for seat in added],
        "grades": [seat.grade for seat in added],
        "prices": [seat.price for seat in added],
    }


def _ids(seats: Iterable[PlannedSeat]) -> list[int]:
    return [seat.seat_id for seat in seats]


def _column(row: Row, name: str, kind: type[T]) -> list[T]:
    return msgspec.json.decode(row[name], type=list[kind])  # type: ignore[valid-type]


def _logged(changes: SeatChanges, currency: str) -> dict[str, str | None]:
    """Return the entry of the log, before and after, as JSON."""
    before = {
        "changed": [_shown(edit.before, edit.fields, currency) for edit in changes.changed],
        "removed": [_shown(seat, ("grade", "price"), currency) for seat in changes.removed],
    }
    after = {
        "changed": [_shown(edit.after, edit.fields, currency) for edit in changes.changed],
        "added": [_shown(seat, ("grade", "price"), currency) for seat in changes.added],
    }
    counts = {
        "seatsAdded": len(changes.added),
        "seatsChanged": len(changes.changed),
        "seatsRemoved": len(changes.removed),
    }
    shortened = [
        {name: seats[:LOGGED_MAX] for name, seats in side.items() if seats}
        for side in (before, after)
    ]
    return {
        "before": json.dumps(shortened[0]) if shortened[0] else None,
        "after": json.dumps(counts | shortened[1]),
    }


def _shown(seat: NewSeat, fields: Sequence[str], currency: str) -> dict[str, Any]:
    values = {name: getattr(seat, name) for name in fields}
    if "price" in values:
        values["price"] = money.major(seat.price, currency)
    return {"section": seat.section, "row": seat.row, "seat": seat.number, **values}
