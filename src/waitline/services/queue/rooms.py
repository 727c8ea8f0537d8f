"""Operator API of rooms: create, change, list, show, reset, delete; the log of changes."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, status
from pydantic import BaseModel, ConfigDict, create_model

from waitline.http.operator_key import Operators
from waitline.http.requests import checked_name
from waitline.http.texts import Text, preferred_language
from waitline.kernel.ids import NAME_BYTES_MAX, RoomId
from waitline.queue import hints
from waitline.queue.addresses import Addresses, AddressTotals
from waitline.queue.decision import Decision
from waitline.queue.model import Survey
from waitline.queue.room_log import CHANGES_MAX, RoomChange
from waitline.queue.rooms import PAGE_MAX, Rooms
from waitline.queue.settings import ROOM_SETTINGS, Rules
from waitline.services import setting_bodies
from waitline.services.queue import texts
from waitline.services.queue.views import instant
from waitline.settings import Settings


class RoomChangeBody(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "RoomSettingsBody",
        __config__=ConfigDict(extra="forbid"),
        **setting_bodies.change_members(ROOM_SETTINGS),
    )
):
    """Body of a change to a room; omitted settings keep their values."""


class NewRoomBody(RoomChangeBody):
    """Body of a new room; omitted settings get the installation's defaults."""

    room: str


class RoomView(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "RoomSettingsView", **setting_bodies.view_members(ROOM_SETTINGS)
    )
):
    """A room's settings."""

    room: str


class RoomAnswer(BaseModel):
    """Answer of the calls on one room: for OpenAPI only, not for validation."""

    result: Literal["success"]
    message: str
    data: RoomView


def shown(room: RoomId, rules: Rules) -> dict[str, Any]:
    """Return a room's settings by wire name."""
    return {"room": room, **setting_bodies.shown(rules.values, ROOM_SETTINGS)}


def surveyed(room: RoomId, survey: Survey) -> dict[str, Any]:
    """Return a room's settings, numbers and admission decision by wire name."""
    pace = hints.rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
    return {
        **shown(room, survey.rules),
        "state": str(survey.state),
        "waiting": survey.waiting,
        "admitted": survey.admitted,
        "serving": survey.serving,
        "lastPlace": survey.last_place,
        "ratePerSecond": pace and {"low": round(pace.low, 2), "high": round(pace.high, 2)},
        "totals": dict(survey.counters),
        "now": survey.decision and _decided(survey, survey.decision),
    }


def _decided(survey: Survey, decision: Decision) -> dict[str, Any]:
    """Return a room's current admission decision by wire name."""
    so_far = survey.counters["admitted"]
    return {
        "mode": survey.mode_now,
        "reason": str(decision.reason),
        "admitPerSecond": round(decision.per_s, 3),
        "mayAdmit": None if decision.until is None else max(decision.until - so_far, 0),
        "noShowShare": round(decision.no_show_share, 3),
        "decidedSecondsAgo": round((survey.at_ms - decision.at_ms) / 1000, 1),
        "shop": {
            "freeSeats": decision.report.free,
            "liveReservations": decision.report.live,
            "load": round(decision.report.load, 3),
            "reportedSecondsAgo": round((survey.at_ms - decision.report.reported_ms) / 1000, 1),
        },
    }


NUMBER_MAX = 2**53
"""Highest number of a change: JSON holds no higher one exactly."""


class RoomCalls:
    """The operators' calls.

    Args:
        rooms: The store of rooms.
        addresses: Counts of client addresses.
        settings: Have the defaults of a new room.
        operators: Authenticates operators.
    """

    def __init__(
        self, rooms: Rooms, addresses: Addresses, settings: Settings, operators: Operators
    ) -> None:
        self._rooms = rooms.changed_by(operators.who)
        self._addresses = addresses
        self._settings = settings
        self._operators = operators

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            prefix="/api/v1/rooms", tags=["rooms"], dependencies=[Depends(self._operators.require)]
        )
        described: Any = {"model": RoomAnswer}
        router.post("", status_code=status.HTTP_201_CREATED, responses={201: described})(
            self.create
        )
        router.get("")(self.list)
        # A room's name may hold a slash, so these take the whole rest of the path.
        router.post("/{room:path}/reset")(self.reset)
        router.get("/{room:path}/addresses")(self.addresses)
        router.get("/{room:path}/changes")(self.changes)
        router.get("/{room:path}", responses={200: described})(self.show)
        router.patch("/{room:path}", responses={200: described})(self.change)
        router.delete("/{room:path}")(self.delete)
        return router

    async def create(self, asked: NewRoomBody, request: Request) -> dict[str, Any]:
        """Create a room."""
        room = RoomId(checked_name("room", asked.room))
        with setting_bodies.refused_by_wire_name():
            rules = self._settings.new_room().changed(setting_bodies.chosen(asked, ROOM_SETTINGS))
        await self._rooms.create(room, rules)
        return _success(request, texts.ROOM_CREATED, shown(room, rules))

    async def list(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
        after: Annotated[str, Query(max_length=NAME_BYTES_MAX)] = "",
    ) -> dict[str, Any]:
        """List the names of rooms in their order; `next` is the `after` of the next page."""
        names, more = await self._rooms.page(limit, after)
        return _success(request, texts.ROOMS, {"rooms": names, "next": more})

    async def show(self, room: str, request: Request) -> dict[str, Any]:
        """Get a room's settings, counts and current admission decision."""
        name = RoomId(checked_name("room", room))
        return _success(request, texts.ROOM, surveyed(name, await self._rooms.survey(name)))

    async def addresses(self, room: str, request: Request) -> dict[str, Any]:
        """List the client addresses and networks with the most places and refused calls."""
        name = RoomId(checked_name("room", room))
        await self._rooms.survey(name)
        top = await self._addresses.top(name)
        data = {"room": name, "addresses": [addresses_view(one) for one in top]}
        return _success(request, texts.ADDRESSES, data)

    async def changes(
        self,
        room: str,
        request: Request,
        before: Annotated[
            int | None, Query(ge=1, le=NUMBER_MAX, description="Only changes before this number")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=CHANGES_MAX)] = CHANGES_MAX,
    ) -> dict[str, Any]:
        """List operators' changes of a room, the latest first: who, when, what, before, after.

        The log of a deleted room is kept for 90 days.
        """
        name = RoomId(checked_name("room", room))
        found = await self._rooms.changes(name, before_no=before, changes_max=limit)
        data = {"room": name, "changes": [change_view(one) for one in found]}
        return _success(request, texts.ROOM_CHANGES, data)

    async def change(self, room: str, asked: RoomChangeBody, request: Request) -> dict[str, Any]:
        """Change a room; the change takes effect with the next call."""
        name = RoomId(checked_name("room", room))
        with setting_bodies.refused_by_wire_name():
            rules = await self._rooms.change(name, setting_bodies.chosen(asked, ROOM_SETTINGS))
        return _success(request, texts.ROOM_CHANGED, shown(name, rules))

    async def reset(self, room: str, request: Request) -> dict[str, Any]:
        """Remove all visitors from a room; its settings and totals stay."""
        name = RoomId(checked_name("room", room))
        removed = await self._rooms.reset(name)
        return _success(request, texts.ROOM_RESET, {"room": name, "removed": removed})

    async def delete(
        self,
        room: str,
        request: Request,
        *,
        force: Annotated[
            bool, Query(description="Also remove waiting and admitted visitors")
        ] = False,
    ) -> dict[str, Any]:
        """Delete a room; refused while visitors are waiting or admitted, unless forced."""
        name = RoomId(checked_name("room", room))
        removed = await self._rooms.delete(name, force=force)
        return _success(request, texts.ROOM_DELETED, {"room": name, "removed": removed})


def change_view(change: RoomChange) -> dict[str, Any]:
    """Return an entry of a room's log, as operators see it."""
    return {
        "changeNo": change.change_no,
        "at": instant(change.at.at_ms),
        "who": change.who,
        "what": change.what,
        "before": change.before,
        "after": change.after,
    }


def addresses_view(totals: AddressTotals) -> dict[str, Any]:
    """Return the counts of one address, as operators see them."""
    return {
        "address": totals.address,
        "placesTaken": totals.taken,
        "placesTakenInMinute": totals.taken_in_minute,
        "placesHeld": totals.held,
        "callsRefused": totals.refused,
    }


def _success(request: Request, message: Text, data: dict[str, Any]) -> dict[str, Any]:
    accept = request.headers.get("accept-language", "").encode("latin-1")
    return {"result": "success", "message": message.to(preferred_language(accept)), "data": data}
