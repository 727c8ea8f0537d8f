"""Evidence log: audit trail of each booking, written by the statements that change it.

It lets an operator explain a cancellation. A reservation records the token that made it, and a
payment the source of its outcome. Statements that end, fail or refund write an entry in the same
transaction as the change.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple, Never
from uuid import UUID

from waitline.booking.model import ReservationUnknown
from waitline.kernel.instants import Instant
from waitline.kernel.periodic import periodic
from waitline.postgres.pool import Database, Row

KEPT_S: Final = 400 * 86_400.0
"""How long entries are kept: as long as a token proves a reservation, 400 days. Buyers can ask
until then, and banks open disputes within less."""

FORGET_EVERY_S = 60.0
"""Interval between deletions of older entries."""

CHUNK_MAX = 1_000
"""Entries deleted in one statement, which then takes a few milliseconds."""

ENTRIES_MAX = 200
"""Entries and payments shown of a booking, the oldest. Each attempt to pay has a few, and a card is
hardly tried more than ten times within the five minutes of a hold."""


class Settler(StrEnum):
    """Source of a payment's outcome."""

    CALL = "payment call"  # the provider's answer to the buyer's call
    WEBHOOK = "webhook"  # the provider's webhook
    RECONCILER = "reconciler"  # our query to the provider


def visitor(kind: str, stay: str) -> str:
    """Return the name of a visitor in the log.

    Args:
        kind: What the visitor showed: a ticket or a pass.
        stay: Place and time of joining, as `waitline.tokens.proof` has them.
    """
    return f"visitor with {kind} {stay}"


_VISITOR = re.compile(r"visitor with (ticket|pass) (\d+)-(\d+)")


class Place(NamedTuple):
    """A place in line, as a token proved it.

    Attributes:
        place: The visitor's number in the line.
        joined_at: When it was taken.
        proof: What the visitor showed: ticket or pass.
    """

    place: int
    joined_at: datetime
    proof: str


class EvidenceEntry(NamedTuple):
    """An event of a booking.

    Attributes:
        at: When.
        what: Kind of event: `reserved`, `payment_begun`, `paid` and so on.
        who: Who caused it.
        payment_id: The payment that it is about, or `None`.
        detail: A reason or an amount, or `None`.
    """

    at: datetime
    what: str
    who: str
    payment_id: int | None
    detail: str | None


class Attempt(NamedTuple):
    """An attempt to pay.

    Attributes:
        payment_id: Its number.
        charge_key: Its key at the provider.
        provider_ref: The provider's id of the charge, or `None`.
        method: Payment method.
        amount: Requested amount, in minor units.
        currency: Its currency.
        charged: Amount charged, if different.
        charged_currency: Currency charged, if different.
        refunded: Amount refunded.
        state: Its state.
        flag: Its `PaymentFlag`, or `None`.
        reason: Why it failed, or `None`.
    """

    payment_id: int
    charge_key: UUID
    provider_ref: str | None
    method: str
    amount: int
    currency: str
    charged: int | None
    charged_currency: str | None
    refunded: int
    state: str
    flag: str | None
    reason: str | None


class Booking(NamedTuple):
    """A booking with its evidence.

    Attributes:
        reservation_id: Its number.
        state: State of the reservation.
        amount: In minor units of the currency.
        currency: Its currency.
        concert_id: The concert.
        title: Its title.
        schedule_id: The schedule.
        starts: When the performance begins.
        seats: Labels of the seats.
        user_id: The user.
        ticket_name: Name on a complimentary ticket, or `None`.
        room: The waiting room.
        holder: Its owner, as in `waitline.tokens.proof`; empty in trial mode.
        place: The place whose token made it; `None` without one, or once it is deleted.
        payments: Attempts to pay, the oldest first.
        entries: Its events, the oldest first.
    """

    reservation_id: int
    state: str
    amount: int
    currency: str
    concert_id: int
    title: str
    schedule_id: int
    starts: Instant
    seats: tuple[str, ...]
    user_id: str
    ticket_name: str | None
    room: str
    holder: str
    place: Place | None
    payments: tuple[Attempt, ...]
    entries: tuple[EvidenceEntry, ...]


class EvidenceLog:
    """The evidence log.

    Args:
        database: Holds it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def booking(self, reservation: int) -> Booking:
        """Return a booking with its evidence.

        Raises:
            ReservationUnknown: There is no such reservation.
        """
        row = await self._database.fetch_one("booking_evidence", reservation_id=reservation)
        if row is None:
            raise ReservationUnknown
        bounded = {"reservation_id": reservation, "rows_max": ENTRIES_MAX}
        payments = await self._database.fetch_all("payment_evidence", **bounded)
        entries = await self._database.fetch_all("evidence_entries", **bounded)
        made_by = row["made_by"] or "unknown"
        return Booking(
            reservation_id=reservation,
            state=row["state"],
            amount=row["amount"],
            currency=row["currency"],
            concert_id=row["concert_id"],
            title=row["title"],
            schedule_id=row["schedule_id"],
            starts=Instant.of(row["starts_at"])._replace(offset_min=row["starts_offset_min"]),
            seats=tuple(row["seat_numbers"]),
            user_id=row["user_id"],
            ticket_name=row["ticket_name"],
            room=row["room"],
            holder=row["holder"],
            place=_place(made_by),
            payments=tuple(Attempt(*(one[name] for name in Attempt._fields)) for one in payments),
            entries=tuple(
                _in_order(
                    EvidenceEntry(row["created_at"], "reserved", made_by, None, None),
                    payments,
                    [
                        EvidenceEntry(*(one[name] for name in EvidenceEntry._fields))
                        for one in entries
                    ],
                )
            ),
        )

    async def run(self) -> Never:
        """Delete entries older than `KEPT_S`, a chunk at a time, until cancelled."""
        await periodic("evidence_purge", self.purge, FORGET_EVERY_S)

    async def purge(self) -> bool:
        """Delete a chunk; return whether there may be more."""
        row = await self._database.fetch_one("forget_evidence", kept_s=KEPT_S, chunk_max=CHUNK_MAX)
        return row is not None and CHUNK_MAX in {row["entries"], row["reservations"]}


def _place(made_by: str) -> Place | None:
    found = _VISITOR.fullmatch(made_by)
    if found is None:
        return None
    proof, place, joined_ms = found.groups()
    return Place(int(place), datetime.fromtimestamp(int(joined_ms) / 1_000, UTC), proof)


def _in_order(
    made: EvidenceEntry, payments: Iterable[Row], entries: Iterable[EvidenceEntry]
) -> list[EvidenceEntry]:
    """Return all entries by time; those of one statement in the order in which it wrote them."""
    whole = [made]
    for one in payments:
        # Only a buyer's call or a complimentary ticket begins a payment.
        who = "operator" if made.who == "operator" else "visitor"
        number, asked = one["payment_id"], str(one["amount"])
        whole.append(EvidenceEntry(one["created_at"], "payment_begun", who, number, asked))
        if one["paid_at"] is not None and one["too_late"] is None:
            by = one["settled_by"] or ("operator" if made.who == "operator" else "unknown")
            whole.append(EvidenceEntry(one["paid_at"], "paid", by, number, asked))
    return sorted((*whole, *entries), key=lambda entry: entry.at)
