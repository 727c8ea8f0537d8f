"""View of a booking's evidence log, of the operators' call and of `waitline reservations show`."""

import msgspec

from waitline.booking.evidence import Booking, Place
from waitline.services.booking.bodies import instant


class PlaceView(msgspec.Struct, frozen=True):
    """A place in line, as a token proved it; `proof` is ticket or pass."""

    place: int
    joinedAt: str  # noqa: N815 - wire names
    proof: str

    @classmethod
    def of(cls, place: Place) -> "PlaceView":
        """Return the view of a place."""
        return cls(place.place, instant(place.joined_at), place.proof)


class AttemptView(msgspec.Struct, frozen=True):
    """An attempt to pay."""

    paymentId: int  # noqa: N815
    chargeKey: str  # noqa: N815
    providerRef: str | None  # noqa: N815
    method: str
    amount: int
    currency: str
    charged: int | None
    chargedCurrency: str | None  # noqa: N815
    refunded: int
    status: str
    flag: str | None
    reason: str | None


class EvidenceEntryView(msgspec.Struct, frozen=True):
    """Something that happened to a booking: when, what, by whom."""

    at: str
    what: str
    who: str
    paymentId: int | None  # noqa: N815
    detail: str | None


class EvidenceView(msgspec.Struct, frozen=True):
    """A booking with all that is recorded of it.

    `place` is the place in line whose token made it; null where nobody came through the line, and
    once it is forgotten.
    """

    reservationId: int  # noqa: N815
    status: str
    amount: int
    currency: str
    concertId: int  # noqa: N815
    title: str
    scheduleId: int  # noqa: N815
    startsAt: str  # noqa: N815
    seats: list[str]
    userId: str  # noqa: N815
    ticketName: str | None  # noqa: N815
    queue: str
    holder: str
    place: PlaceView | None
    payments: list[AttemptView]
    entries: list[EvidenceEntryView]

    @classmethod
    def of(cls, booking: Booking) -> "EvidenceView":
        """Return the view of a booking."""
        return cls(
            booking.reservation_id,
            booking.state,
            booking.amount,
            booking.currency,
            booking.concert_id,
            booking.title,
            booking.schedule_id,
            booking.starts.iso,
            list(booking.seats),
            booking.user_id,
            booking.ticket_name,
            booking.room,
            booking.holder,
            None if booking.place is None else PlaceView.of(booking.place),
            [
                AttemptView(*one._replace(charge_key=str(one.charge_key)))  # type: ignore[arg-type]
                for one in booking.payments
            ],
            [
                EvidenceEntryView(*one._replace(at=instant(one.at)))  # type: ignore[arg-type]
                for one in booking.entries
            ],
        )
