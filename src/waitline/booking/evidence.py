"""Evidence log: what became of a booking, when, and by whom, from what the statements recorded.

It lets an operator explain a cancellation. A reservation says by which token it was made, and a
payment who settled it; the statements that end, fail and refund write an entry each, with the
change that it explains.
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
"""How long entries are kept: as long as a token proves a reservation, 400 days. Until then a buyer
can ask, and banks open disputes for less than that."""

FORGET_EVERY_S = 60.0
"""Between two rounds of deleting what is older."""

CHUNK_MAX = 1_000
"""Entries deleted in one statement, which then takes a few milliseconds."""

ENTRIES_MAX = 200
"""Entries and payments shown of a booking, the oldest. Each attempt to pay has a few, and a card is
hardly tried more than ten times within the five minutes of a hold."""


class Settler(StrEnum):
    """Who found out what became of a payment."""

    CALL = "payment call"  # the provider's answer to the buyer's call
    WEBHOOK = "webhook"  # the provider's message
    RECONCILER = "reconciler"  # our question to the provider


def visitor(kind: str, stay: str) -> str:
    """Return a visitor as the log names one.

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
    """Something that happened to a booking.

    Attributes:
        at: When.
        what: What: `reserved`, `payment_begun`, `paid` and so on.
        who: By whom.
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
        amount: What was asked for, in minor units.
        currency: Its currency.
        charged: What was charged, if it is something else.
        charged_currency: In which currency, if it is another.
        refunded: What was refunded.
        state: Its state.
        flag: What is special about it, or `None`.
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
    """A booking with all that is recorded of it.

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
        holder: Whose it is, as `waitline.tokens.proof` has it; empty in trial mode.
        place: The place whose token made it; `None` if nobody came through the line for it, or that
            is forgotten.
        payments: Attempts to pay, the oldest first.
        entries: What happened, the oldest first.
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
        """Return a booking with all that is recorded of it.

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
        """Delete what is older than `KEPT_S` until cancelled, a chunk at a time."""
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
        # Only the buyer's call and the gift of an operator begin a payment.
        who = "operator" if made.who == "operator" else "visitor"
        number, asked = one["payment_id"], str(one["amount"])
        whole.append(EvidenceEntry(one["created_at"], "payment_begun", who, number, asked))
        if one["paid_at"] is not None and one["too_late"] is None:
            by = one["settled_by"] or ("operator" if made.who == "operator" else "unknown")
            whole.append(EvidenceEntry(one["paid_at"], "paid", by, number, asked))
    return sorted((*whole, *entries), key=lambda entry: entry.at)
