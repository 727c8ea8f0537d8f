"""Payments: charge, confirm, reconcile and refund, safe against any crash or timeout (B2, B4).

    begin_payment ──> the provider ──> confirm_payment ──> COMPLETED ──cancel──> REFUNDING
          │          (no transaction)        └─ the reservation was lost ───────────^  │
          └── fail_payment ──> FAILED ─ a charge that is discovered later ──────────┘  └> REFUNDED

An attempt is stored before the charge, and stays PENDING until its outcome is known. That comes
from the call that began it, from the provider's webhook, or from the reconciler, which queries the
provider about open attempts. All use the same idempotent statements, in any order and repeatedly.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Never
from uuid import UUID

import structlog

from waitline.booking.batches import statement_batcher, until_unlocked
from waitline.booking.buyer import Buyer
from waitline.booking.collisions import retried
from waitline.booking.evidence import Settler
from waitline.booking.idempotency import PaymentWaiting
from waitline.booking.idempotency_key import KEY_REFUSED, IdempotencyKey, key_columns
from waitline.booking.model import (
    NOT_SENT,
    AlreadyPaid,
    AmountWrong,
    AuthenticationNeeded,
    Declined,
    Payment,
    PaymentRunning,
    PaymentState,
    PaymentUnknown,
    ReservationForeign,
    ReservationLapsed,
    ReservationOver,
    ReservationState,
    ReservationUnknown,
)
from waitline.booking.provider_calls import OnProviderCall, TimedProvider, ignore
from waitline.booking.settlement import CHUNK_MAX, Settlement
from waitline.kernel import telemetry
from waitline.kernel.errors import Contended, Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.kernel.request_context import current_id
from waitline.payment_providers.model import (
    REASON_CHARS_MAX,
    ActionNeeded,
    Charged,
    Money,
    NotCharged,
    NotSent,
)
from waitline.payment_providers.port import CALL_TIMEOUT_S, CONNECTIONS_MAX, Provider
from waitline.postgres.pool import Database, Row

UNDER_WAY_MAX = CONNECTIONS_MAX - CHUNK_MAX
"""Most concurrent payments of visitors per process. Each has a connection to the provider; the
reconciler has the rest of the pool. Further payments are refused before they are stored."""

PATIENCE_S = CALL_TIMEOUT_S + 5.0
"""Lease of an attempt for the call that began it: the timeouts of the provider and of the
statements. With less, the reconciler would query charges that are still being made."""

GRACE_S = 60.0
"""How long an attempt keeps the seats beyond the reservation's expiry: four checks of the
reconciler. Without an outcome by then, the seats go back on sale and a charge is refunded."""

_Outcome = Charged | NotCharged | ActionNeeded

log = structlog.get_logger()

# Refusal for each outcome of `begin_payment`. A test compares them with the statement's header.
BEGIN_REFUSED: dict[str, Callable[[Row], Refused | Unavailable]] = {
    "unknown": lambda _row: ReservationUnknown(),
    "foreign": lambda _row: ReservationForeign(),
    "confirmed": lambda _row: AlreadyPaid(),
    "cancelled": lambda _row: ReservationOver(ReservationState.CANCELLED),
    "expired": lambda _row: ReservationOver(ReservationState.EXPIRED),
    "lapsed": lambda _row: ReservationLapsed(),
    "running": lambda _row: PaymentRunning(),
    "authenticating": lambda row: _Authenticating(
        row["charge_key"], Money(row["amount"], row["currency"])
    ),
    "amount": lambda row: AmountWrong(row["price"]),
    "locked": lambda _row: Contended("the reservation is locked"),
    **{outcome: lambda row: KEY_REFUSED[row["outcome"]]() for outcome in KEY_REFUSED},
}


class _Attempt(NamedTuple):
    reservation_id: int
    buyer: Buyer
    amount: int
    method: str
    key: IdempotencyKey | None


class _Begun(NamedTuple):
    charge_key: UUID
    payment_id: int
    price: Money


class _Authenticating(Unavailable):
    """Another attempt waits for the visitor's bank; it has to be closed first."""

    def __init__(self, charge_key: UUID, price: Money) -> None:
        super().__init__("another payment waits for the visitor's bank")
        self.charge_key = charge_key
        self.price = price

    def __copy__(self) -> "_Authenticating":
        return _Authenticating(self.charge_key, self.price)


class OwnedPayment(NamedTuple):
    """A payment, and the owner of its reservation.

    Attributes:
        payment: The payment.
        buyer: The owner.
        room: Waiting room of the concert.
    """

    payment: Payment
    buyer: Buyer
    room: RoomId


class _ChargeNote(NamedTuple):
    key: UUID
    provider_ref: str | None
    money: Money | None
    by: Settler
    request_id: str | None


class Checkout:
    """Charges visitors, and settles open payments.

    Args:
        database: Holds reservations and payments.
        provider: The payment provider.
        at_price: Whether the amount must be the price (B6).
        on_provider_call: Called after each call to the provider with its name, its outcome (ok,
            declined, silent) and its duration in seconds.
    """

    def __init__(
        self,
        database: Database,
        provider: Provider,
        *,
        at_price: bool,
        on_provider_call: OnProviderCall = ignore,
    ) -> None:
        self._database = database
        self._provider = TimedProvider(provider, on_provider_call)
        self._at_price = at_price
        self._under_way = 0
        self._beginning = statement_batcher("begin_payment", self._begin, _touched)
        self._confirming = statement_batcher(
            "confirm_payment", self._note_charges, lambda charge: (charge.key,)
        )
        self._settlement = Settlement(
            database, self._provider, confirm=self._confirm, fail=self._fail
        )

    async def pay(
        self,
        reservation_id: int,
        buyer: Buyer,
        amount: int,
        method: str,
        key: IdempotencyKey | None = None,
    ) -> Payment:
        """Charge a visitor and confirm the reservation.

        If the call is cancelled or times out, the reconciler settles the attempt.

        Args:
            reservation_id: What is paid for.
            buyer: Who must own it.
            amount: In minor units.
            method: Payment method, as the provider names it, 1 to 200 characters.
            key: The request's idempotency key, which is recorded with the attempt.

        Returns:
            The payment, COMPLETED.

        Raises:
            ReservationUnknown, ReservationForeign, ReservationOver, ReservationLapsed,
            AlreadyPaid, PaymentRunning, AmountWrong: Nothing is charged. If the reservation was
                lost during the charge, `ReservationOver` is raised and the charge is refunded.
            IdempotencyKeyRunning, TooManyKeys: The key is not free; nothing is charged.
            Declined: The provider has not charged.
            AuthenticationNeeded: The visitor's bank wants a confirmation first.

        Invariant:
            B4, B6, B8.
        """
        with self._counted():
            begun = await self._begun(_Attempt(reservation_id, buyer, amount, method, key))
            outcome = await self._charge(begun, method)
            if isinstance(outcome, ActionNeeded):
                await self._settlement.authenticate(begun.charge_key, outcome.provider_ref)
            return await self._answered(begun, outcome)

    async def pay_again(self, waiting: PaymentWaiting) -> Payment:
        """Repeat the answer of a payment that waits for the visitor's bank.

        The provider is asked again with the charge's key: no second charge, and no stored secret.

        Raises:
            AuthenticationNeeded: It still waits, no longer than before.
            Declined, ReservationOver: As in `pay`.
        """
        with self._counted():
            outcome = await self._provider.charge(waiting.charge_key, waiting.price, waiting.method)
            return await self._answered(waiting, outcome)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._under_way >= UNDER_WAY_MAX:
            raise Unavailable("too many payments are in progress")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _answered(self, begun: _Begun | PaymentWaiting, outcome: _Outcome) -> Payment:
        if isinstance(outcome, ActionNeeded):
            raise AuthenticationNeeded(begun.payment_id, outcome.client_secret, outcome.url)
        if isinstance(outcome, NotCharged):
            await self._fail(begun.charge_key, outcome.reason, Settler.CALL)
            raise Declined(outcome.reason)
        return await self._confirmed(begun.charge_key, outcome)

    async def _begun(self, attempt: _Attempt) -> _Begun:
        """Store an attempt, after closing one that waits for the visitor's bank.

        Raises:
            AlreadyPaid: That one was confirmed meanwhile.
            PaymentRunning: The outcome of that one is still open.
        """
        try:
            return await until_unlocked(lambda: self._beginning.enqueue(None, attempt))
        except _Authenticating as other:
            await self._settlement.close(other.charge_key, other.price, Settler.CALL)
        try:
            return await until_unlocked(lambda: self._beginning.enqueue(None, attempt))
        except _Authenticating:
            raise PaymentRunning from None

    async def _charge(self, begun: _Begun, method: str) -> _Outcome:
        if begun.price.amount == 0:
            # Only seats at price 0 can be paid with it: nobody is charged.
            return Charged(None)
        try:
            return await self._provider.charge(begun.charge_key, begun.price, method)
        except NotSent:
            await self._fail(begun.charge_key, NOT_SENT, Settler.CALL)
            raise

    async def fetch_payment(self, payment_id: int) -> OwnedPayment:
        """Return a payment and its owner.

        Raises:
            PaymentUnknown: There is none.
        """
        row = await self._database.fetch_one("find_payment", payment_id=payment_id)
        if row is None:
            raise PaymentUnknown
        payment = _payment(row)
        return OwnedPayment(payment, Buyer(payment.user_id, row["holder"]), RoomId(row["room"]))

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> None:
        """Handle a webhook of the provider; see `Settlement.webhook`."""
        await self._settlement.webhook(headers, body)

    async def run(self) -> Never:
        """Run the reconciler until cancelled."""
        await self._settlement.run()

    async def settle(self) -> int:
        """Settle open payments; see `Settlement.settle`."""
        return await self._settlement.settle()

    async def _begin(
        self, _: None, attempts: Sequence[_Attempt]
    ) -> list[_Begun | Refused | Unavailable]:
        """Store attempts; return the charge key of each, or its refusal."""
        rows = await retried(
            lambda: self._database.fetch_all(
                "begin_payment",
                reservation_ids=[one.reservation_id for one in attempts],
                user_ids=[one.buyer.user_id for one in attempts],
                holders=[one.buyer.holder for one in attempts],
                amounts=[one.amount for one in attempts],
                methods=[one.method for one in attempts],
                at_price=self._at_price,
                patience_s=PATIENCE_S,
                grace_s=GRACE_S,
                **key_columns(one.key for one in attempts),
            )
        )
        return [
            _Begun(row["charge_key"], row["payment_id"], Money(row["amount"], row["currency"]))
            if row["outcome"] == "begun"
            else BEGIN_REFUSED[row["outcome"]](row)
            for row in rows
        ]

    async def _confirm(self, key: UUID, charged: Charged, by: Settler) -> Row | None:
        """Record a charge; return its payment, or `None` if the charge is unknown."""
        note = _ChargeNote(key, charged.provider_ref, charged.money, by, current_id())
        row = await until_unlocked(lambda: self._confirming.enqueue(None, note))
        if row is None:
            log.warning("charge_unknown", charge=str(key))
        elif charged.refunded:
            await self._settlement.note_refund(key, None, charged.refunded, by)
        return row

    async def _note_charges(
        self, _: None, charges: Sequence[_ChargeNote]
    ) -> list[Row | Refused | Unavailable | None]:
        """Record charges; return their payments."""
        rows = await self._database.fetch_all(
            "confirm_payment",
            charge_keys=[charge.key for charge in charges],
            provider_refs=[charge.provider_ref for charge in charges],
            charged=[charge.money and charge.money.amount for charge in charges],
            currencies=[charge.money and charge.money.currency for charge in charges],
            whos=[charge.by for charge in charges],
            request_ids=[charge.request_id for charge in charges],
        )
        # The call, a webhook or the reconciler may be the first to record the charge.
        for row in rows:
            if row["confirmed"]:
                telemetry.AMOUNT_PAID.add(row["amount"], row["currency"])
        found: dict[UUID, Row | Contended] = {
            row["charge_key"]: Contended("the reservation, its seats or its payment are locked")
            if row["locked"]
            else row
            for row in rows
        }
        return [found.get(charge.key) for charge in charges]

    async def _confirmed(self, key: UUID, charged: Charged) -> Payment:
        row = await self._confirm(key, charged, Settler.CALL)
        if row is None:
            await self._give_back(key, charged)
            raise Unavailable("the payment was lost while it was made")
        payment = _payment(row)
        if payment.state is PaymentState.COMPLETED:
            return payment
        reservation = ReservationState(row["reservation_state"])
        if reservation in {ReservationState.CANCELLED, ReservationState.EXPIRED}:
            raise ReservationOver(reservation)
        # The attempt had failed before the provider answered; another may be in progress.
        raise Declined("too late")

    async def _give_back(self, key: UUID, charged: Charged) -> None:
        """Refund the charge of a payment that was lost in a failover.

        If the refund fails, `waitline audit --provider` reports the charge.
        """
        log.warning("payment_lost", charge=str(key))
        if charged.provider_ref is not None and charged.money is not None:
            await self._provider.refund(key, charged.provider_ref, charged.money)

    async def _fail(self, key: UUID, reason: str, by: Settler) -> None:
        await until_unlocked(lambda: self._try_fail(key, reason[:REASON_CHARS_MAX], by))

    async def _try_fail(self, key: UUID, reason: str, by: Settler) -> None:
        row = await self._database.fetch_one("fail_payment", charge_key=key, reason=reason, who=by)
        if row is not None and row["locked"]:
            raise Contended("the reservation or its payment is locked")


def _touched(attempt: _Attempt) -> list[Hashable]:
    """Return what an attempt changes: its reservation, and its key."""
    key = () if attempt.key is None else ((attempt.buyer, attempt.key.text),)
    return [attempt.reservation_id, *key]


def _payment(row: Row) -> Payment:
    return Payment(
        payment_id=row["payment_id"],
        reservation_id=row["reservation_id"],
        user_id=VisitorId(row["user_id"]),
        amount=row["amount"],
        method=row["method"],
        state=PaymentState(row["state"]),
        created_at=row["created_at"],
        paid_at=row["paid_at"],
    )
