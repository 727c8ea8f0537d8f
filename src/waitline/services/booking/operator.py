"""Operators' calls on the installation, payments and reservations."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Response
from fastapi import Request as FrameworkRequest

from waitline.booking.attention import Attention, FlaggedPayment
from waitline.booking.evidence import EvidenceLog
from waitline.booking.model import ReservationState
from waitline.booking.store import Reservations
from waitline.http.envelope import success
from waitline.http.framework import to_response
from waitline.http.operator_key import Operators
from waitline.http.requests import Request
from waitline.services.booking import answers, texts
from waitline.services.booking.bodies import instant, number, unguessable
from waitline.services.booking.evidence_bodies import EvidenceView
from waitline.services.booking.operator_catalogue import PREFIX
from waitline.services.booking.users import INT64_MAX, INT64_MIN
from waitline.settings import Settings


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
    currency: str
    charged: int | None
    chargedCurrency: str | None  # noqa: N815
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


# A text for the framework, so that our own check refuses what is not a number.
_Name = Annotated[
    str, Path(json_schema_extra={"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX})
]


class OperatorCalls:
    """The operators' calls.

    Args:
        operators: Authenticates operators.
        installed: The installation.
        attention: Payments that need attention.
        reservations: The store of reservations.
        evidence: The evidence log.
    """

    def __init__(
        self,
        operators: Operators,
        installed: InstallationView,
        attention: Attention,
        reservations: Reservations,
        evidence: EvidenceLog,
    ) -> None:
        self._operators = operators
        self._installed = installed
        self._attention = attention
        self._reservations = reservations
        self._evidence = evidence

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(
            prefix=PREFIX,
            tags=["operator"],
            dependencies=[Depends(self._operators.require)],
            default_response_class=Response,
        )
        router.get("/installation")(self.installation)
        router.get("/payments")(self.payments)
        router.post("/payments/{paymentId}/acknowledge")(self.acknowledge)
        router.get("/reservations/{reservationId}")(self.reservation)
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

    async def reservation(self, reservationId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Show the evidence log of a booking: whose it is, and what became of it, by whom."""
        number_ = unguessable("reservationId", reservationId)
        shown = EvidenceView.of(await self._evidence.booking(number_))
        return to_response(success(_ours(request), texts.EVIDENCE, shown))

    async def cancel_reservation(self, reservationId: _Name, request: FrameworkRequest) -> Response:  # noqa: N803
        """Cancel anybody's reservation; a payment is refunded. For buyers who lost their ticket."""
        number_ = unguessable("reservationId", reservationId)
        buyer = (await self._reservations.find(number_)).buyer
        before = await self._reservations.cancel(
            number_, buyer, who=self._operators.who, by_operator=True
        )
        refund = before is ReservationState.CONFIRMED
        language = _ours(request).language
        return to_response(answers.cancelled(language, number_, buyer.user_id, refund=refund))


def _ours(request: FrameworkRequest) -> Request:
    return Request.of(request.scope)
