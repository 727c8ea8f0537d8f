"""Operators' calls on a sale: stopped schedules and refunds, house seats, the door list."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response, status
from fastapi import Request as FrameworkRequest

from waitline.booking.door_list import DoorLists
from waitline.booking.house import REASON_CHARS_MAX as HOLD_REASON_CHARS_MAX
from waitline.booking.house import TICKET_NAME_CHARS_MAX, HouseSeats
from waitline.booking.stopping import REASON_CHARS_MAX, ScheduleStops
from waitline.http.envelope import success
from waitline.http.framework import to_file, to_response
from waitline.http.operator_key import Operators
from waitline.http.page_language import page_language
from waitline.http.requests import Request
from waitline.http.texts import Text
from waitline.postgres.pool import Database
from waitline.services.booking import texts
from waitline.services.booking.bodies import number, words
from waitline.services.booking.door_files import Format, signed_list
from waitline.services.booking.operator_catalogue import PREFIX
from waitline.services.booking.operator_sale_bodies import (
    SEAT_NAME_CHARS_MAX,
    CancelBody,
    GiveBody,
    GivenView,
    HeldBody,
    HoldBody,
    HouseSeatsView,
    HouseSeatView,
    PostponeBody,
    StopView,
)
from waitline.services.booking.users import INT64_MAX, INT64_MIN

# A text for the framework, so that our own check refuses what is not a number.
_Name = Annotated[
    str, Path(json_schema_extra={"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX})
]

_FILES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}, "text/html": {}}}}


class SaleOperatorCalls:
    """The calls.

    Args:
        database: Holds the schedules and their seats.
        door: Tickets with their codes.
        operators: Authenticates operators.
        on_change: Called after each change of a schedule.
    """

    def __init__(
        self,
        database: Database,
        door: DoorLists,
        operators: Operators,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._door = door
        self._stops = ScheduleStops(database)
        self._house = HouseSeats(database)
        self._operators = operators
        self._on_change = on_change

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            prefix=f"{PREFIX}/schedules/{{scheduleId}}",
            tags=["operator"],
            dependencies=[Depends(self._operators.require)],
            default_response_class=Response,
        )
        router.post("/cancel")(self.cancel)
        router.post("/postpone")(self.postpone)
        router.post("/resume")(self.resume)
        router.get("/progress")(self.progress)
        router.get("/door-list", responses=_FILES)(self.door_list)
        router.get("/house-seats")(self.house_seats)
        router.post("/house-seats/hold")(self.hold)
        router.post("/house-seats/release")(self.release)
        router.post("/house-seats/give", status_code=status.HTTP_201_CREATED)(self.give)
        return router

    async def cancel(
        self,
        scheduleId: _Name,  # noqa: N803
        asked: CancelBody,
        request: FrameworkRequest,
    ) -> Response:
        """Cancel a schedule: its sale stops at once, and everything that was paid is refunded.

        It cannot be undone, and may be repeated. The refunds follow; progress shows them.
        """
        schedule, reason = number("scheduleId", scheduleId), _reason(asked.reason)
        await self._stops.cancel(schedule, reason, who=self._operators.who)
        return await self._stopped(schedule, request, texts.SCHEDULE_CANCELLED)

    async def postpone(
        self,
        scheduleId: _Name,  # noqa: N803
        asked: PostponeBody,
        request: FrameworkRequest,
    ) -> Response:
        """Postpone a schedule: its sale stops at once, and tickets stay valid."""
        schedule, reason = number("scheduleId", scheduleId), _reason(asked.reason)
        await self._stops.postpone(schedule, reason, asked.refundUntil, who=self._operators.who)
        return await self._stopped(schedule, request, texts.SCHEDULE_POSTPONED)

    async def resume(self, scheduleId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Put a postponed schedule on sale again."""
        schedule = number("scheduleId", scheduleId)
        await self._stops.resume(schedule, who=self._operators.who)
        return await self._stopped(schedule, request, texts.SCHEDULE_RESUMED)

    async def progress(self, scheduleId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Show how far the refunds of a schedule are, and those that need attention."""
        return await self._shown(number("scheduleId", scheduleId), request, texts.PROGRESS)

    async def _stopped(self, schedule: int, request: FrameworkRequest, message: Text) -> Response:
        self._on_change()
        return await self._shown(schedule, request, message)

    async def _shown(self, schedule: int, request: FrameworkRequest, message: Text) -> Response:
        found = await self._stops.progress(schedule)
        failed = await self._stops.failed(schedule) if found.failed else []
        return to_response(success(_ours(request), message, StopView.of(found, failed)))

    async def door_list(
        self,
        scheduleId: _Name,  # noqa: N803
        request: FrameworkRequest,
        form: Annotated[
            Format, Query(alias="format", description="A page that is printed on A4, or CSV")
        ] = "csv",
    ) -> Response:
        """Export the door list: each ticket with its code, signed, for use without a network."""
        schedule = number("scheduleId", scheduleId)
        listed = await self._door.fetch(schedule)
        # In a thread: a stadium's list takes some seconds.
        content = await asyncio.to_thread(
            signed_list, self._door.ring(), listed, form, page_language(request, "en")
        )
        return to_file(content, f"door-{schedule}.{form}")

    async def house_seats(self, scheduleId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """List seats that are held back, and complimentary tickets."""
        return await self._listed(number("scheduleId", scheduleId), request, texts.HOUSE_SEATS)

    async def hold(
        self,
        scheduleId: _Name,  # noqa: N803
        asked: HoldBody,
        request: FrameworkRequest,
    ) -> Response:
        """Hold free seats back from sale: all of them, or none. Visitors see them as sold."""
        schedule = number("scheduleId", scheduleId)
        reason = words("reason", asked.reason, HOLD_REASON_CHARS_MAX)
        seats = await self._named(schedule, asked.seats)
        await self._house.hold(schedule, seats, reason, who=self._operators.who)
        return await self._listed(schedule, request, texts.SEATS_HELD)

    async def release(
        self,
        scheduleId: _Name,  # noqa: N803
        asked: HeldBody,
        request: FrameworkRequest,
    ) -> Response:
        """Put seats that are held back on sale: all of them, or none."""
        schedule = number("scheduleId", scheduleId)
        seats = await self._named(schedule, asked.seats)
        await self._house.release(schedule, seats, who=self._operators.who)
        return await self._listed(schedule, request, texts.SEATS_RELEASED)

    async def give(
        self,
        scheduleId: _Name,  # noqa: N803
        asked: GiveBody,
        request: FrameworkRequest,
    ) -> Response:
        """Issue complimentary tickets, for free seats or seats that are held back: all or none."""
        schedule = number("scheduleId", scheduleId)
        name = words("name", asked.name, TICKET_NAME_CHARS_MAX)
        seats = await self._named(schedule, asked.seats)
        made = await self._house.give(schedule, seats, name, who=self._operators.who)
        shown = GivenView(made, len(seats), name)
        return to_response(success(_ours(request), texts.TICKETS_GIVEN, shown, 201))

    async def _named(self, schedule: int, names: Sequence[str]) -> list[int]:
        normal = [words("seats", name, SEAT_NAME_CHARS_MAX) for name in names]
        return await self._house.named(schedule, normal)

    async def _listed(self, schedule: int, request: FrameworkRequest, message: Text) -> Response:
        found = await self._house.listed(schedule)
        shown = HouseSeatsView([HouseSeatView.of(one) for one in found])
        return to_response(success(_ours(request), message, shown))


def _reason(text: str | None) -> str | None:
    return None if text is None else words("reason", text, REASON_CHARS_MAX)


def _ours(request: FrameworkRequest) -> Request:
    return Request.of(request.scope)
