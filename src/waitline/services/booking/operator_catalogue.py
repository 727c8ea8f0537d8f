"""Operators' calls on the catalogue: concerts, schedules, seats, and the log of their changes."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Response, status
from fastapi import Request as FrameworkRequest

from waitline.booking import seat_plan
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_edits import CHANGES_MAX, CatalogueEdits
from waitline.booking.catalogue_model import (
    SCHEDULE_SETTINGS,
    Concert,
    QueueDown,
    Schedule,
    ScheduleSettings,
)
from waitline.booking.charging import Charging
from waitline.booking.seat_imports import ImportChoice, SeatChoice, SeatImports
from waitline.http.envelope import success
from waitline.http.framework import to_file, to_response
from waitline.http.operator_key import Operators
from waitline.http.problems import InputInvalid
from waitline.http.requests import Request
from waitline.http.texts import Text
from waitline.postgres.pool import Database
from waitline.services import setting_bodies
from waitline.services.booking import texts
from waitline.services.booking.bodies import number
from waitline.services.booking.operator_bodies import (
    DESCRIBED,
    ChangesView,
    ChangeView,
    ConcertChangeBody,
    ImportView,
    NewConcertBody,
    NewScheduleBody,
    OperatorConcertsView,
    OperatorConcertView,
    OperatorSchedulesView,
    OperatorScheduleView,
    ScheduleChangeBody,
    SeatChangeBody,
)
from waitline.services.booking.users import INT64_MAX, INT64_MIN

PREFIX = "/api/v1/operator"

ETAG_CHARS_MAX = 100
"""Longest `If-Match`; ours has at most 12."""

_DIGITS_MAX = 9
"""Most digits of a version that the column holds."""

CSV = Text("text/csv 여야 합니다.", "must be text/csv")
NOTHING = Text("변경할 값이 없습니다.", "contains no new value")
WHICH = Text(
    "section, row, seat, grade 중 하나 또는 all=true가 필요합니다.",
    "one of section, row, seat, grade or all=true is required",
)

# A text for the framework, so that our own check refuses what is not a number.
_Name = Annotated[
    str, Path(json_schema_extra={"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX})
]
_IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="Entity tag of the version to change; omitted: any version",
        max_length=ETAG_CHARS_MAX,
    ),
]
_Part = Annotated[str | None, Query(max_length=200)]
_Id = Annotated[int | None, Query(ge=1, le=INT64_MAX)]


def chosen_seats(
    *,
    section: _Part = None,
    row: _Part = None,
    seat: _Part = None,
    grade: _Part = None,
    every: Annotated[bool, Query(alias="all", description="All seats of the schedule")] = False,
) -> SeatChoice:
    """Return the choice of seats that a query makes; that of all of them has to be on purpose.

    Raises:
        InputInvalid: Nothing is chosen.
    """
    choice = SeatChoice(section, row, seat, grade)
    if choice == SeatChoice() and not every:
        raise InputInvalid("section", WHICH)
    return choice


_Which = Annotated[SeatChoice, Depends(chosen_seats)]


class CatalogueOperatorCalls:
    """The calls.

    Args:
        database: Holds the catalogue.
        operators: Authenticates operators.
        charging: What the payment provider charges.
        on_change: Called after each change of the catalogue.
        now_ms: The present time.
    """

    def __init__(
        self,
        database: Database,
        operators: Operators,
        *,
        charging: Charging,
        on_change: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._catalogue = Catalogue(database, charging)
        self._edits = CatalogueEdits(database, operators.who, charging)
        self._imports = SeatImports(database, charging)
        self._operators = operators
        self._on_change = on_change
        self._now_ms = now_ms

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            prefix=PREFIX,
            tags=["operator"],
            dependencies=[Depends(self._operators.require)],
            default_response_class=Response,
        )
        router.post("/concerts", status_code=status.HTTP_201_CREATED)(self.create_concert)
        router.get("/concerts")(self.concerts)
        router.get("/concerts/{concertId}")(self.concert)
        router.patch("/concerts/{concertId}")(self.change_concert)
        router.delete("/concerts/{concertId}")(self.delete_concert)
        schedules = "/concerts/{concertId}/schedules"
        router.post(schedules, status_code=status.HTTP_201_CREATED)(self.create_schedule)
        router.get(schedules)(self.schedules)
        router.get("/schedules/{scheduleId}")(self.schedule)
        router.patch("/schedules/{scheduleId}")(self.change_schedule)
        router.delete("/schedules/{scheduleId}")(self.delete_schedule)
        seats = "/schedules/{scheduleId}/seats"
        router.post(
            seats,
            status_code=status.HTTP_201_CREATED,
            openapi_extra=_SEAT_MAP,
            responses={200: {"description": "With dryRun: what would change"}},
        )(self.import_seats)
        router.get(seats, responses={200: {"content": {"text/csv": {}}}})(self.export_seats)
        router.patch(seats)(self.change_seats)
        router.delete(seats)(self.remove_seats)
        router.get("/changes")(self.changes)
        return router

    async def create_concert(self, asked: NewConcertBody, request: FrameworkRequest) -> Response:
        """Create a concert."""
        with setting_bodies.refused_by_wire_name():
            made = await self._catalogue.create_concert(**setting_bodies.chosen(asked, DESCRIBED))
        await self._edits.created_concert(made)
        self._on_change()
        return _tagged(made, OperatorConcertView.of(made), request, texts.CONCERT_CREATED, 201)

    async def concerts(self, request: FrameworkRequest) -> Response:
        """List the concerts, the newest first."""
        shown = OperatorConcertsView(
            [OperatorConcertView.of(one) for one in await self._catalogue.concerts()]
        )
        return to_response(success(_ours(request), texts.CONCERTS, shown))

    async def concert(self, concertId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Show a concert; its entity tag names its version."""
        found = await self._catalogue.concert(number("concertId", concertId))
        return _tagged(found, OperatorConcertView.of(found), request, texts.CONCERT)

    async def change_concert(
        self,
        concertId: _Name,  # noqa: N803
        asked: ConcertChangeBody,
        request: FrameworkRequest,
        if_match: _IfMatch = None,
    ) -> Response:
        """Change a concert. Booked seats keep its room, and seats keep its currency."""
        with setting_bodies.refused_by_wire_name():
            values = setting_bodies.chosen(asked, DESCRIBED)
            if asked.queueDown is not None:
                choice = asked.queueDown
                values["queue_down"] = None if choice == "default" else QueueDown(choice)
            changed = await self._edits.change_concert(
                number("concertId", concertId), _some(values), _version(if_match)
            )
        self._on_change()
        return _tagged(changed, OperatorConcertView.of(changed), request, texts.CONCERT_CHANGED)

    async def delete_concert(
        self,
        concertId: _Name,  # noqa: N803
        request: FrameworkRequest,
        if_match: _IfMatch = None,
    ) -> Response:
        """Delete a concert that has no schedules."""
        await self._edits.delete_concert(number("concertId", concertId), _version(if_match))
        self._on_change()
        return to_response(success(_ours(request), texts.CONCERT_DELETED, None))

    async def create_schedule(
        self,
        concertId: _Name,  # noqa: N803
        asked: NewScheduleBody,
        request: FrameworkRequest,
    ) -> Response:
        """Create a schedule of a concert, without seats."""
        with setting_bodies.refused_by_wire_name():
            settings = ScheduleSettings(**setting_bodies.chosen(asked, SCHEDULE_SETTINGS))
            made = await self._catalogue.create_schedule(
                number("concertId", concertId), asked.startsAt, settings
            )
        await self._edits.created_schedule(made)
        self._on_change()
        return _tagged(made, self._shown(made), request, texts.SCHEDULE_CREATED, 201)

    async def schedules(self, concertId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """List the schedules of a concert."""
        found = await self._catalogue.schedules(number("concertId", concertId))
        now_ms = self._now_ms()
        shown = OperatorSchedulesView([OperatorScheduleView.of(one, now_ms) for one in found])
        return to_response(success(_ours(request), texts.SCHEDULES, shown))

    async def schedule(self, scheduleId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Show a schedule; its entity tag names its version."""
        found = await self._catalogue.schedule(number("scheduleId", scheduleId))
        return _tagged(found, self._shown(found), request, texts.SCHEDULE)

    async def change_schedule(
        self,
        scheduleId: _Name,  # noqa: N803
        asked: ScheduleChangeBody,
        request: FrameworkRequest,
        if_match: _IfMatch = None,
    ) -> Response:
        """Change a schedule. Its start stays while seats are booked."""
        with setting_bodies.refused_by_wire_name():
            changed = await self._edits.change_schedule(
                number("scheduleId", scheduleId), _some(asked.values()), _version(if_match)
            )
        self._on_change()
        return _tagged(changed, self._shown(changed), request, texts.SCHEDULE_CHANGED)

    async def delete_schedule(
        self,
        scheduleId: _Name,  # noqa: N803
        request: FrameworkRequest,
        if_match: _IfMatch = None,
    ) -> Response:
        """Delete a schedule with its seats, if none is booked and nothing was paid."""
        await self._edits.delete_schedule(number("scheduleId", scheduleId), _version(if_match))
        self._on_change()
        return to_response(success(_ours(request), texts.SCHEDULE_DELETED, None))

    async def import_seats(
        self,
        scheduleId: _Name,  # noqa: N803
        request: FrameworkRequest,
        *,
        update: Annotated[bool, Query(description="Add and change seats")] = False,
        removeMissing: Annotated[  # noqa: N803
            bool, Query(description="Remove seats that are not in the plan")
        ] = False,
        dryRun: Annotated[bool, Query(description="Only show what would change")] = False,  # noqa: N803
    ) -> Response:
        """Import a seat plan in CSV: all of its seats are put on sale, or none."""
        schedule = number("scheduleId", scheduleId)
        declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared != "text/csv":
            raise InputInvalid("Content-Type", CSV)
        choice = ImportChoice(update=update, remove_missing=removeMissing, dry_run=dryRun)
        imported = await self._imports.import_file(
            schedule, await request.body(), choice, who=self._operators.who
        )
        self._on_change()
        shown = ImportView.of(schedule, *imported, dry_run=dryRun)
        message = texts.SEATS_COMPARED if dryRun else texts.SEATS_IMPORTED
        return to_response(success(_ours(request), message, shown, 200 if dryRun else 201))

    async def export_seats(self, scheduleId: _Name) -> Response:  # noqa: N803
        """Export the seats of a schedule as CSV, as the import takes them."""
        schedule = number("scheduleId", scheduleId)
        plan = await self._imports.fetch_plan(schedule)
        return to_file(seat_plan.render(plan.seats, plan.currency), f"seats-{schedule}.csv")

    async def change_seats(
        self,
        scheduleId: _Name,  # noqa: N803
        asked: SeatChangeBody,
        request: FrameworkRequest,
        which: _Which,
    ) -> Response:
        """Change the seats that the query names: all of them, or none."""
        schedule = number("scheduleId", scheduleId)
        values = _some(asked.values())
        return await self._edited(schedule, which, values, request, texts.SEATS_CHANGED)

    async def remove_seats(
        self,
        scheduleId: _Name,  # noqa: N803
        request: FrameworkRequest,
        which: _Which,
    ) -> Response:
        """Remove the seats that the query names: all of them, or none."""
        schedule = number("scheduleId", scheduleId)
        return await self._edited(schedule, which, None, request, texts.SEATS_REMOVED)

    async def _edited(
        self,
        schedule: int,
        which: SeatChoice,
        values: dict[str, Any] | None,
        request: FrameworkRequest,
        message: Text,
    ) -> Response:
        changes = await self._imports.edit(schedule, which, values, who=self._operators.who)
        self._on_change()
        shown = ImportView.of(schedule, *changes)
        return to_response(success(_ours(request), message, shown))

    def _shown(self, schedule: Schedule) -> OperatorScheduleView:
        return OperatorScheduleView.of(schedule, self._now_ms())

    async def changes(
        self,
        request: FrameworkRequest,
        *,
        concertId: _Id = None,  # noqa: N803
        scheduleId: _Id = None,  # noqa: N803
        before: Annotated[_Id, Query(description="Only changes before this number")] = None,
        limit: Annotated[int, Query(ge=1, le=CHANGES_MAX)] = CHANGES_MAX,
    ) -> Response:
        """List changes of the catalogue, the latest first: who, when, what, before, after."""
        found = await self._edits.changes(
            concert=concertId, schedule=scheduleId, before_no=before, changes_max=limit
        )
        shown = ChangesView([ChangeView.of(one) for one in found])
        return to_response(success(_ours(request), texts.CHANGES, shown))


_SEAT_MAP = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "section,row,seat,grade,price\nFloor,A,1,VIP,150000\n",
            }
        },
    }
}


def _some(values: dict[str, Any]) -> dict[str, Any]:
    """Return the new values of a change.

    Raises:
        InputInvalid: There are none.
    """
    if not values:
        raise InputInvalid("body", NOTHING)
    return values


def _version(if_match: str | None) -> int | None:
    """Return the version that a client names; `None` for any, 0 for one that cannot be."""
    if if_match is None or if_match.strip() == "*":
        return None
    digits = if_match.strip().removeprefix("W/").strip('"')
    return (
        int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX else 0
    )


def _tagged(
    subject: Concert | Schedule,
    shown: msgspec.Struct,
    request: FrameworkRequest,
    message: Text,
    code: int = 200,
) -> Response:
    """Answer with a subject and the entity tag of its version."""
    response = to_response(success(_ours(request), message, shown, code))
    response.headers["etag"] = f'"{subject.version}"'
    return response


def _ours(request: FrameworkRequest) -> Request:
    return Request.of(request.scope)
