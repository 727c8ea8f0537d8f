"""Idempotency keys in the database: the effect of each write, and the answers of refusals.

A write records its key with its effect, and a repeat reads that back here. A refusal has no effect,
so its answer is stored afterwards. Keys are scoped by buyer.
"""

from typing import NamedTuple, Never
from uuid import UUID

from waitline.booking.buyer import Buyer
from waitline.booking.idempotency_key import (
    KEYS_MAX,
    IdempotencyKey,
    IdempotencyKeyReused,
    Language,
    TooManyKeys,
)
from waitline.booking.model import (
    NEVER_CHARGED,
    Declined,
    Payment,
    PaymentState,
    Reservation,
    ReservationOver,
    ReservationState,
)
from waitline.booking.payment_flags import PaymentFlag
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId
from waitline.kernel.periodic import periodic
from waitline.payment_providers.model import Money
from waitline.postgres.pool import Database, Row

KEPT_S = 86_400.0
"""How long an answer is kept. Source: the wire contract."""

FORGET_EVERY_S = 60.0
"""Interval between deletions of expired keys."""

CHUNK_MAX = 1_000
"""Keys deleted in one statement: it takes a few milliseconds, so that writes do not wait for it."""


class StoredAnswer(NamedTuple):
    """The answer to the first request with a key, which was refused.

    Attributes:
        status: Its HTTP status.
        body: Its body.
    """

    status: int
    body: bytes


class Reserved(NamedTuple):
    """The first request with a key made a reservation.

    Attributes:
        reservation: As it was then.
        language: Language of the request.
    """

    reservation: Reservation
    language: Language


class Cancelled(NamedTuple):
    """The first request with a key cancelled a reservation.

    Attributes:
        reservation_id: The reservation.
        refund: Whether a payment is refunded.
        language: Language of the request.
    """

    reservation_id: int
    refund: bool
    language: Language


class Paid(NamedTuple):
    """The first request with a key paid.

    Attributes:
        payment: As it was then.
        language: Language of the request.
    """

    payment: Payment
    language: Language


class PaymentBegun(NamedTuple):
    """The first request with a key began a payment, and did not confirm it.

    Attributes:
        refusal: Why not; `None` while the outcome is open.
    """

    refusal: Refused | None


class PaymentWaiting(NamedTuple):
    """The first request with a key began a payment that waits for the visitor's bank.

    Attributes:
        payment_id: The payment.
        charge_key: Key of its charge.
        price: What is charged.
        method: Payment method.
        language: Language of the request.
    """

    payment_id: int
    charge_key: UUID
    price: Money
    method: str
    language: Language


Earlier = StoredAnswer | Reserved | Cancelled | Paid | PaymentBegun | PaymentWaiting


class IdempotencyKeys:
    """The keys in the database.

    Args:
        database: Holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: IdempotencyKey, buyer: Buyer) -> Earlier | None:
        """Return what the first request with a key did, or `None` if this is the first.

        Args:
            key: The key of a request.
            buyer: Who chose it.

        Raises:
            IdempotencyKeyReused: The key was used for another request.
            TooManyKeys: It is the first, and the buyer has used as many keys as allowed.
        """
        row = await self._database.fetch_one(
            "find_key",
            user_id=buyer.user_id,
            holder=buyer.holder,
            key=key.text,
            request=key.request,
            kept_s=KEPT_S,
            keys_max=KEYS_MAX,
            never_charged=NEVER_CHARGED,
        )
        assert row is not None
        match row["outcome"]:
            case "free":
                return None
            case "limit":
                raise TooManyKeys
            case "other":
                raise IdempotencyKeyReused
            case "answered":
                return StoredAnswer(row["status"], row["answer"])
            case "reserved":
                return Reserved(_reserved(row, buyer), row["language"])
            case "begun":
                return _begun(row, buyer)
            case done:
                return Cancelled(row["reservation_id"], done == "refunding", row["language"])

    async def store_answer(self, key: IdempotencyKey, buyer: Buyer, answer: StoredAnswer) -> bool:
        """Store the answer of a refused request.

        Returns:
            Whether it was stored. Otherwise another request with the key was answered meanwhile.
        """
        row = await self._database.fetch_one(
            "keep_answer",
            user_id=buyer.user_id,
            holder=buyer.holder,
            key=key.text,
            request=key.request,
            language=key.language,
            status=answer.status,
            answer=answer.body,
        )
        return row is not None

    async def run(self) -> Never:
        """Delete expired keys until cancelled, a chunk at a time."""
        await periodic("idempotency_purge", self._purge, FORGET_EVERY_S)

    async def _purge(self) -> bool:
        row = await self._database.fetch_one("forget_keys", kept_s=KEPT_S, chunk_max=CHUNK_MAX)
        return row is not None and row["keys"] == CHUNK_MAX


def _reserved(row: Row, buyer: Buyer) -> Reservation:
    return Reservation(
        reservation_id=row["reservation_id"],
        schedule_id=row["schedule_id"],
        buyer=buyer,
        seat_ids=tuple(row["seat_ids"]),
        state=ReservationState.PENDING,
        amount=row["amount"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        room=RoomId(row["room"]),
    )


def _begun(row: Row, buyer: Buyer) -> Paid | PaymentBegun | PaymentWaiting:
    """Return how an attempt ended for the visitor, whatever became of the payment since."""
    state, too_late = PaymentState(row["state"]), row["too_late"]
    if state is PaymentState.PENDING and row["flag"] == PaymentFlag.AUTHENTICATION:
        price = Money(row["paid_amount"], row["currency"])
        return PaymentWaiting(
            row["payment_id"], row["charge_key"], price, row["method"], row["language"]
        )
    if state is PaymentState.PENDING:
        return PaymentBegun(None)
    if state is PaymentState.FAILED:
        return PaymentBegun(Declined(row["reason"]))
    if too_late in (ReservationState.CANCELLED, ReservationState.EXPIRED):
        return PaymentBegun(ReservationOver(ReservationState(too_late)))
    if too_late is not None:
        return PaymentBegun(Declined("too late"))
    payment = Payment(
        payment_id=row["payment_id"],
        reservation_id=row["reservation_id"],
        user_id=buyer.user_id,
        amount=row["paid_amount"],
        method=row["method"],
        state=PaymentState.COMPLETED,
        created_at=row["begun_at"],
        paid_at=row["paid_at"],
    )
    return Paid(payment, row["language"])
