"""Operators' calls: concerts, schedules, the import of seats, the installation."""

import asyncio
import io
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Response, status
from fastapi import Request as FrameworkRequest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from waitline.booking import seat_plan
from waitline.booking.attention import Attention, FlaggedPayment
from waitline.booking.catalogue import Catalogue
from waitline.booking.catalogue_model import (
    CONCERT_SETTINGS,
    SCHEDULE_SETTINGS,
    QueueDown,
    ScheduleSettings,
)
from waitline.booking.model import ReservationState
from waitline.booking.store import Reservations
from waitline.http.envelope import success
from waitline.http.framework import to_response
from waitline.http.operator_key import Operators
from waitline.http.problems import InputInvalid
from waitline.http.requests import Request
from waitline.http.texts import Text
from waitline.kernel.instants import Instant
from waitline.services import setting_bodies
from waitline.services.booking import answers, texts
from waitline.services.booking.bodies import (
    OperatorConcertsView,
    OperatorConcertView,
    SchedulesView,
    ScheduleView,
    instant,
    number,
    unguessable,
)
from waitline.services.booking.users import INT64_MAX, INT64_MIN
from waitline.settings import Settings

PREFIX = "/api/v1/operator"

SEAT_MAP_BYTES_MAX = 16 * 1024**2
"""Largest seat plan: three times that of a stadium."""

FIRST_YEAR, LAST_YEAR = 2000, 2999
"""Range of a schedule's start: near the ends of the calendar, converting time zones fails."""

CSV = Text("text/csv 여야 합니다.", "must be text/csv")

_DESCRIBED = [setting for setting in CONCERT_SETTINGS if setting.name != "queue_down"]
_QUEUE_DOWN = next(setting for setting in CONCERT_SETTINGS if setting.name == "queue_down")


def _in_our_time(at: datetime) -> datetime:
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise PydanticCustomError("year", f"must be from {FIRST_YEAR} to {LAST_YEAR}")
    return Instant.of(at).time


class NewConcertBody(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "ConcertSettingsBody",
        __config__=ConfigDict(extra="forbid"),
        **setting_bodies.creation_members(_DESCRIBED),
    )
):
    """Body of a new concert."""


class ConcertChangeBody(BaseModel):
    """Body of a change to a concert on sale."""

    model_config = ConfigDict(extra="forbid")

    queueDown: Literal["refuse", "admit", "default"] = Field(  # noqa: N815 - wire names
        description=_QUEUE_DOWN.help
    )


class NewScheduleBody(
    create_model(  # type: ignore[misc]  # a base made of the settings
        "ScheduleSettingsBody",
        __config__=ConfigDict(extra="forbid"),
        **setting_bodies.creation_members(SCHEDULE_SETTINGS),
    )
):
    """Body of a new schedule."""

    startsAt: Annotated[AwareDatetime, AfterValidator(_in_our_time)]  # noqa: N815 - wire names


class InstallationView(msgspec.Struct, frozen=True):
    """The installation, for operators who want to know whether a load test charges real money.

    Attributes:
        mode: trial or production.
        payments: The payment provider.
        playMoney: Whether the provider charges play money only.
    """

    mode: str
    payments: str
    playMoney: bool  # noqa: N815

    @classmethod
    def of(cls, settings: Settings) -> "InstallationView":
        """Return the view of the settings."""
        return cls(settings.mode, settings.payment_provider, settings.play_money)


class FlaggedPaymentView(msgspec.Struct, frozen=True):
    """A payment that needs attention; `flag` says why."""

    paymentId: int  # noqa: N815
    reservationId: int  # noqa: N815
    userId: str  # noqa: N815
    amount: int
    charged: int | None
    refunded: int
    status: str
    flag: str
    since: str
    providerRef: str | None  # noqa: N815
    reason: str | None

    @classmethod
    def of(cls, payment: FlaggedPayment) -> "FlaggedPaymentView":
        """Return the view of a payment."""
        return cls(*payment._replace(since=instant(payment.since)))  # type: ignore[arg-type]


class FlaggedPaymentsView(msgspec.Struct, frozen=True):
    """Payments that need attention, and how many there are in all."""

    count: int
    payments: list[FlaggedPaymentView]


class AcknowledgedView(msgspec.Struct, frozen=True):
    """A payment whose flag an operator has seen."""

    paymentId: int  # noqa: N815
    flag: str


class ImportView(msgspec.Struct, frozen=True):
    """How many seats were put on sale."""

    scheduleId: int  # noqa: N815
    seats: int


# A text for the framework, so that our own check refuses what is not a number.
_Name = Annotated[
    str, Path(json_schema_extra={"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX})
]


class OperatorCalls:
    """The operators' calls.

    Args:
        catalogue: The store of concerts and schedules.
        operators: Authenticates operators.
        installed: The installation.
        attention: Payments that need attention.
        reservations: The store of reservations.
        on_change: Called after each change of the catalogue.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        operators: Operators,
        installed: InstallationView,
        attention: Attention,
        reservations: Reservations,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._catalogue = catalogue
        self._operators = operators
        self._installed = installed
        self._attention = attention
        self._reservations = reservations
        self._on_change = on_change

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            prefix=PREFIX,
            tags=["operator"],
            dependencies=[Depends(self._operators.require)],
            default_response_class=Response,
        )
        router.get("/installation")(self.installation)
        router.post("/concerts", status_code=status.HTTP_201_CREATED)(self.create_concert)
        router.get("/concerts")(self.concerts)
        router.patch("/concerts/{concertId}")(self.change_concert)
        schedules = "/concerts/{concertId}/schedules"
        router.post(schedules, status_code=status.HTTP_201_CREATED)(self.create_schedule)
        router.get(schedules)(self.schedules)
        router.post(
            "/schedules/{scheduleId}/seats",
            status_code=status.HTTP_201_CREATED,
            openapi_extra=_SEAT_MAP,
        )(self.import_seats)
        router.get("/payments")(self.payments)
        router.post("/payments/{paymentId}/acknowledge")(self.acknowledge)
        router.delete("/reservations/{reservationId}")(self.cancel_reservation)
        return router

    async def installation(self, request: FrameworkRequest) -> Response:
        """Show the installation, and whether it charges real money."""
        return to_response(success(_ours(request), texts.INSTALLATION, self._installed))

    async def payments(self, request: FrameworkRequest) -> Response:
        """List payments that need attention, the longest flagged first."""
        count, found = await self._attention.flagged()
        shown = FlaggedPaymentsView(count, [FlaggedPaymentView.of(one) for one in found])
        return to_response(success(_ours(request), texts.FLAGGED, shown))

    async def acknowledge(self, paymentId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Take a payment off the list of those that need attention."""
        number_ = number("paymentId", paymentId)
        shown = AcknowledgedView(number_, await self._attention.acknowledge(number_))
        return to_response(success(_ours(request), texts.NOTED, shown))

    async def create_concert(self, asked: NewConcertBody, request: FrameworkRequest) -> Response:
        """Create a concert."""
        with setting_bodies.refused_by_wire_name():
            made = await self._catalogue.create_concert(**setting_bodies.chosen(asked, _DESCRIBED))
        self._on_change()
        shown = OperatorConcertView.of(made)
        return to_response(success(_ours(request), texts.CONCERT_CREATED, shown, 201))

    async def change_concert(
        self,
        concertId: _Name,  # noqa: N803
        asked: ConcertChangeBody,
        request: FrameworkRequest,
    ) -> Response:
        """Set what happens to a concert's visitors while the queue is down."""
        choice = None if asked.queueDown == "default" else QueueDown(asked.queueDown)
        number_ = number("concertId", concertId)
        changed = await self._catalogue.set_queue_down(number_, choice)
        self._on_change()
        shown = OperatorConcertView.of(changed)
        return to_response(success(_ours(request), texts.CONCERT_CHANGED, shown))

    async def concerts(self, request: FrameworkRequest) -> Response:
        """List the concerts, the newest first."""
        shown = OperatorConcertsView(
            [OperatorConcertView.of(one) for one in await self._catalogue.concerts()]
        )
        return to_response(success(_ours(request), texts.CONCERTS, shown))

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
        self._on_change()
        shown = ScheduleView.of(made)
        return to_response(success(_ours(request), texts.SCHEDULE_CREATED, shown, 201))

    async def schedules(self, concertId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """List the schedules of a concert."""
        found = await self._catalogue.schedules(number("concertId", concertId))
        shown = SchedulesView([ScheduleView.of(one) for one in found])
        return to_response(success(_ours(request), texts.SCHEDULES, shown))

    async def import_seats(self, scheduleId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Import a seat plan in CSV: all of its seats are put on sale, or none."""
        schedule = number("scheduleId", scheduleId)
        declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared != "text/csv":
            raise InputInvalid("Content-Type", CSV)
        body = await request.body()
        stream = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline="")
        # In a thread: parsing a stadium's plan takes a second.
        seats = await asyncio.to_thread(seat_plan.parse, stream)
        imported = ImportView(schedule, await self._catalogue.import_seats(schedule, seats))
        return to_response(success(_ours(request), texts.SEATS_IMPORTED, imported, 201))

    async def cancel_reservation(self, reservationId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Cancel anybody's reservation; a payment is refunded. For buyers who lost their ticket."""
        number_ = unguessable("reservationId", reservationId)
        buyer = (await self._reservations.find(number_)).buyer
        before = await self._reservations.cancel(
            number_, buyer, ended_by="operator", by_operator=True
        )
        refund = before is ReservationState.CONFIRMED
        language = _ours(request).language
        return to_response(answers.cancelled(language, number_, buyer.user_id, refund=refund))


_SEAT_MAP = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "section,row,seat,grade,price\nFloor,A,A-1,VIP,150000\n",
            }
        },
    }
}


def _ours(request: FrameworkRequest) -> Request:
    return Request.of(request.scope)
