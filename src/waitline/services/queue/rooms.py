"""The operators' calls: create rooms, change them live, list, show and empty them."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from waitline.http import texts
from waitline.http.operator_key import Operators
from waitline.http.problems import InputInvalid
from waitline.http.requests import checked_name
from waitline.http.texts import Text
from waitline.kernel.ids import RoomId
from waitline.queue import hints
from waitline.queue.decision import Decision, WhenSilent
from waitline.queue.model import (
    DAY_MS,
    RANGES,
    LimitError,
    Mode,
    Rules,
    Survey,
)
from waitline.queue.rooms import Rooms
from waitline.settings import Settings


def _is_text(value: str) -> str:
    """Refuse half a character, which no store takes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("text", "must be text in UTF-8") from None
    return value


# Strict: `true` is no number of slots, and neither is a text.
_Whole = Annotated[int, Field(strict=True)]
_Number = Annotated[float, Field(strict=True)]
_Seconds = Annotated[float, Field(strict=True, ge=0, le=DAY_MS / 1000)]
_Words = Annotated[str, AfterValidator(_is_text)]


class RoomChange(BaseModel):
    """What an operator may decide about a room; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode | None = None
    message: _Words | None = Field(None, description="Shown to those who wait")
    shopUrl: _Words | None = Field(  # noqa: N815 - wire names
        None, description="Where admitted visitors go on to"
    )
    activeMax: _Whole | None = Field(None, description="Slots")  # noqa: N815
    admitPerSecond: _Number | None = Field(None, description="Admissions per second")  # noqa: N815
    admitBurst: _Whole | None = Field(None, description="Admissions at one instant")  # noqa: N815
    waitingMax: _Whole | None = Field(None, description="Visitors that may wait")  # noqa: N815
    readySeconds: _Seconds | None = Field(None, description="Time to activate")  # noqa: N815
    activeSeconds: _Seconds | None = Field(None, description="Time to shop")  # noqa: N815
    idleSeconds: _Seconds | None = Field(  # noqa: N815
        None, description="Silence after which a turn is passed over; 0: never"
    )
    extensionsMax: _Whole | None = Field(  # noqa: N815
        None, description="Extensions of one visitor"
    )
    whenShopSilent: WhenSilent | None = Field(  # noqa: N815
        None,
        description="While the shop's reports have stopped: keep to the room's own limits, slow "
        "down to a tenth of the rate, or hold everybody",
    )


class NewRoom(RoomChange):
    """A room to be created; what is left out is as the installation's settings say."""

    room: str


_PLAIN = {
    "mode": "mode",
    "message": "message",
    "shopUrl": "shop_url",
    "whenShopSilent": "when_shop_silent",
    "activeMax": "active_max",
    "admitPerSecond": "admit_per_s",
    "admitBurst": "admit_burst",
    "waitingMax": "waiting_max",
    "extensionsMax": "extensions_max",
}
_TIMES = {
    "readySeconds": "ready_ttl_ms",
    "activeSeconds": "active_ttl_ms",
    "idleSeconds": "idle_ms",
}
_WIRE_NAMES = {ours: wire for wire, ours in (_PLAIN | _TIMES).items()}


def changes(asked: RoomChange) -> dict[str, object]:
    """Return the fields of `Rules` and `Limits` that were asked for, by our names."""
    given = asked.model_dump(exclude_none=True)
    plain = {ours: given[wire] for wire, ours in _PLAIN.items() if wire in given}
    times = {ours: round(given[wire] * 1000) for wire, ours in _TIMES.items() if wire in given}
    return plain | times


def shown(room: RoomId, rules: Rules) -> dict[str, Any]:
    """Return a room's rules as they are sent."""
    limits = rules.limits
    plain = {
        wire: getattr(limits, ours) if hasattr(limits, ours) else str(getattr(rules, ours))
        for wire, ours in _PLAIN.items()
    }
    times = {wire: getattr(limits, ours) / 1000 for wire, ours in _TIMES.items()}
    return {"room": room, **plain, **times}


def surveyed(room: RoomId, survey: Survey) -> dict[str, Any]:
    """Return a room's rules and numbers as they are sent."""
    pace = hints.rate_range(survey.rate_mean, survey.rate_deviation, survey.rate_samples)
    return {
        **shown(room, survey.rules),
        "waiting": survey.waiting,
        "admitted": survey.admitted,
        "serving": survey.serving,
        "lastPlace": survey.last_place,
        "ratePerSecond": pace and {"low": round(pace.low, 2), "high": round(pace.high, 2)},
        "totals": dict(survey.counters),
        "now": survey.decision and _decided(survey, survey.decision),
    }


def _decided(survey: Survey, decision: Decision) -> dict[str, Any]:
    """Return how a room admits for now as it is sent."""
    so_far = survey.counters["admitted"]
    return {
        "mode": survey.mode_now,
        "reason": str(decision.reason),
        "admitPerSecond": round(decision.per_s, 3),
        "mayAdmit": None if decision.until is None else max(decision.until - so_far, 0),
        "noShowShare": round(decision.no_show_share, 3),
        "decidedSecondsAgo": round((survey.at_ms - decision.at_ms) / 1000, 1),
        "shop": {
            "freeSeats": decision.told.free,
            "liveReservations": decision.told.live,
            "load": round(decision.told.load, 3),
            "reportedSecondsAgo": round((survey.at_ms - decision.told.told_ms) / 1000, 1),
        },
    }


class RoomCalls:
    """The operators' calls.

    Args:
        rooms: Does what they ask.
        settings: Rules of a room that is created without any of its own.
        operators: Lets only operators pass.
    """

    def __init__(self, rooms: Rooms, settings: Settings, operators: Operators) -> None:
        self._rooms = rooms
        self._settings = settings
        self._operators = operators

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            prefix="/api/v1/rooms", tags=["rooms"], dependencies=[Depends(self._operators.require)]
        )
        router.post("", status_code=status.HTTP_201_CREATED)(self.create)
        router.get("")(self.list)
        # A room's name may hold a slash, so these take the whole rest of the path.
        router.post("/{room:path}/reset")(self.reset)
        router.get("/{room:path}")(self.show)
        router.patch("/{room:path}")(self.change)
        return router

    async def create(self, asked: NewRoom, request: Request) -> dict[str, Any]:
        """Create a room."""
        room = RoomId(checked_name("room", asked.room))
        rules = self._checked(self._settings.new_room(), changes(asked))
        await self._rooms.create(room, rules)
        return _success(request, texts.ROOM_CREATED, shown(room, rules))

    async def list(self, request: Request) -> dict[str, Any]:
        """List every room by name."""
        return _success(request, texts.ROOMS, {"rooms": await self._rooms.names()})

    async def show(self, room: str, request: Request) -> dict[str, Any]:
        """Show a room's rules and numbers."""
        name = RoomId(checked_name("room", room))
        return _success(request, texts.ROOM, surveyed(name, await self._rooms.survey(name)))

    async def change(self, room: str, asked: RoomChange, request: Request) -> dict[str, Any]:
        """Change a room while it runs; what is changed holds from the next call on."""
        name = RoomId(checked_name("room", room))
        try:
            rules = await self._rooms.change(name, changes(asked))
        except LimitError as error:
            raise _invalid(error) from None
        return _success(request, texts.ROOM_CHANGED, shown(name, rules))

    async def reset(self, room: str, request: Request) -> dict[str, Any]:
        """Send everybody out of a room; its rules and totals stay."""
        name = RoomId(checked_name("room", room))
        removed = await self._rooms.reset(name)
        return _success(request, texts.ROOM_RESET, {"room": name, "removed": removed})

    def _checked(self, rules: Rules, asked: Mapping[str, object]) -> Rules:
        try:
            return rules.changed(asked)
        except LimitError as error:
            raise _invalid(error) from None


def _invalid(error: LimitError) -> InputInvalid:
    reason = error.reason
    if error.name in _TIMES.values():
        # The rule is in ms, and the wire in seconds.
        least, most = (limit / 1000 for limit in RANGES[error.name])
        reason = f"must be from {least:g} to {most:g}"
    return InputInvalid(_WIRE_NAMES[error.name], Text(reason, reason))


def _success(request: Request, message: Text, data: dict[str, Any]) -> dict[str, Any]:
    accept = request.headers.get("accept-language", "").encode("latin-1")
    return {"result": "success", "message": message.to(texts.language(accept)), "data": data}
