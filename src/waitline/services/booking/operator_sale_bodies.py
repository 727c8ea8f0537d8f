"""Bodies and views of operators' calls on a sale: stopped schedules, house seats."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from waitline.booking.house import REASON_CHARS_MAX as HOLD_REASON_CHARS_MAX
from waitline.booking.house import SEATS_MAX, TICKET_NAME_CHARS_MAX, HouseSeat
from waitline.booking.seat_plan import TEXT_CHARS_MAX
from waitline.booking.stopping import REASON_CHARS_MAX, FailedRefund, StopProgress
from waitline.services.booking.bodies import instant
from waitline.services.booking.operator_bodies import Start

SEAT_NAME_CHARS_MAX = sum(TEXT_CHARS_MAX[name] for name in ("section", "row", "label")) + 2
"""Longest name of a seat: SECTION/ROW/SEAT."""

_STRICT = ConfigDict(extra="forbid")

_Seats = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=SEATS_MAX,
        description="Seats by name: A-1, or SECTION/ROW/SEAT where names repeat",
    ),
]
_Reason = Annotated[
    str | None,
    Field(
        description="Reason that buyers see",
        json_schema_extra={"minLength": 1, "maxLength": REASON_CHARS_MAX},
    ),
]


def _text(help_: str, chars_max: int) -> str:
    shown: str = Field(
        description=help_, json_schema_extra={"minLength": 1, "maxLength": chars_max}
    )
    return shown


class CancelBody(BaseModel):
    """Body of a cancellation."""

    model_config = _STRICT

    reason: _Reason = None


class PostponeBody(CancelBody):
    """Body of a postponement."""

    refundUntil: Start = Field(  # noqa: N815 - wire names
        description="Until when buyers may give tickets back, also after the usual deadline"
    )


class HeldBody(BaseModel):
    """Body that names seats which are held back."""

    model_config = _STRICT

    seats: _Seats


class HoldBody(HeldBody):
    """Body that holds seats back."""

    reason: str = _text("For whom or why: press, house, wheelchair", HOLD_REASON_CHARS_MAX)


class GiveBody(HeldBody):
    """Body that gives complimentary tickets."""

    name: str = _text("Name on the tickets", TICKET_NAME_CHARS_MAX)


class FailedRefundView(msgspec.Struct, frozen=True):
    """A refund that the provider has not made after several attempts; `flag` is its reason."""

    paymentId: int  # noqa: N815
    reservationId: int  # noqa: N815
    userId: str  # noqa: N815
    amount: int
    flag: str | None
    attempts: int
    providerRef: str | None  # noqa: N815
    since: str | None


class StopView(msgspec.Struct, frozen=True):
    """What became of a schedule's reservations and refunds.

    Attributes:
        scheduleId: The schedule.
        status: ON_SALE, POSTPONED or CANCELLED.
        reason: The operator's reason.
        since: Since when.
        refundUntil: Until when buyers of a postponed one may give tickets back.
        settledAt: When the last reservation was dealt with; null if some are left.
        pending: Reservations that are not paid for.
        sold: Reservations that are paid for, complimentary ones among them.
        paying: Payments in progress.
        refunds: Refunds due because of the stop.
        refunded: How many of them the provider has made.
        failed: How many need attention.
        amount: Sum of the refunds, in minor units.
        amountRefunded: Sum of those that were made.
        done: Whether nothing is left to do.
        failedRefunds: Those that need attention, the oldest first, at most 200.
    """

    scheduleId: int  # noqa: N815
    status: str
    reason: str | None
    since: str | None
    refundUntil: str | None  # noqa: N815
    settledAt: str | None  # noqa: N815
    pending: int
    sold: int
    paying: int
    refunds: int
    refunded: int
    failed: int
    amount: int
    amountRefunded: int  # noqa: N815
    done: bool
    failedRefunds: list[FailedRefundView]  # noqa: N815

    @classmethod
    def of(cls, found: StopProgress, failed: Sequence[FailedRefund]) -> "StopView":
        """Return the view of a stopped schedule."""
        return cls(
            found.schedule_id,
            found.state,
            found.state_reason,
            _instant(found.state_at),
            _instant(found.refund_until),
            _instant(found.settled_at),
            found.pending,
            found.sold,
            found.paying,
            found.refunds,
            found.refunded,
            found.failed,
            found.amount,
            found.amount_refunded,
            found.done,
            [FailedRefundView(*one[:-1], _instant(one.refund_due_at)) for one in failed],
        )


class HouseSeatView(msgspec.Struct, frozen=True):
    """A seat that is held back, or was given away.

    Attributes:
        seatId: Its number.
        name: Its name with section and row.
        status: HELD, or OCCUPIED by a complimentary ticket.
        reason: Why it is held back; null if it was free when it was given away.
        heldAt: Since when.
        ticketName: Name on the complimentary ticket, if there is one.
        reservationId: Its reservation.
    """

    seatId: int  # noqa: N815
    name: str
    status: str
    reason: str | None
    heldAt: str | None  # noqa: N815
    ticketName: str | None  # noqa: N815
    reservationId: int | None  # noqa: N815

    @classmethod
    def of(cls, seat: HouseSeat) -> "HouseSeatView":
        """Return the view of a seat."""
        return cls(
            seat.seat_id,
            seat.name,
            seat.state,
            seat.reason,
            _instant(seat.held_at),
            seat.ticket_name,
            seat.reservation_id,
        )


class HouseSeatsView(msgspec.Struct, frozen=True):
    """Seats that are held back, and complimentary tickets."""

    seats: list[HouseSeatView]


class GivenView(msgspec.Struct, frozen=True):
    """Complimentary tickets: their reservation, how many seats, and the name on them."""

    reservationId: int  # noqa: N815
    seats: int
    name: str


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant(at)
