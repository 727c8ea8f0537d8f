"""Store of reservations: a typed method for each statement of sql/reservations.sql."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from waitline.booking.batches import statement_batcher, until_unlocked
from waitline.booking.buyer import Buyer
from waitline.booking.catalogue_model import ScheduleUnknown
from waitline.booking.collisions import retried
from waitline.booking.cooldown import NO_COOLDOWN, CooldownRule, CoolingDown
from waitline.booking.idempotency_key import (
    KEY_REFUSED,
    KEYS_MAX,
    IdempotencyKey,
    key_columns,
)
from waitline.booking.model import (
    SEATS_MAX,
    CancellationClosed,
    OwnHold,
    PaymentRunning,
    Reservation,
    ReservationForeign,
    ReservationOver,
    ReservationState,
    ReservationUnknown,
    SalesNotOpen,
    SalesOver,
    ScheduleStopped,
    SeatsContested,
    SeatTaken,
    SeatUnknown,
    TooManySeats,
)
from waitline.booking.sale_state import ScheduleState
from waitline.kernel.errors import Contended, Refused, Unavailable
from waitline.kernel.ids import RoomId, VisitorId
from waitline.postgres.pool import Database, Row

CANCEL_TRIES = 3
"""Attempts to cancel. The second one succeeds if a payment was confirmed during the first."""


class SeatRequest(NamedTuple):
    """Seats that a visitor requests.

    Attributes:
        schedule: The schedule.
        seats: 1 to `SEATS_MAX` different seats of it.
        buyer: Owner of the reservation.
        key: Its idempotency key, if it has one.
        made_by: Token that makes it, for the evidence log.
    """

    schedule: int
    seats: Sequence[int]
    buyer: Buyer
    key: IdempotencyKey | None
    made_by: str | None = None


class Expired(NamedTuple):
    """A reservation whose seats are back on sale."""

    reservation_id: int
    schedule_id: int
    user_id: VisitorId


class Due(NamedTuple):
    """Where a chunk of lapsed reservations ended: the next chunk begins after it."""

    expires_at: datetime
    reservation_id: int


class Chunk(NamedTuple):
    """Lapsed reservations that were looked at.

    Attributes:
        expired: Those whose seats are back on sale. Locked ones are left to a later sweep.
        last: The last one; `None` if there may be no more after it.
    """

    expired: list[Expired]
    last: Due | None


# Refusal for each outcome of a statement. A test compares them with the statements' headers.
RESERVE_REFUSED: dict[str, Callable[[Row], Refused | Contended]] = {
    "no_schedule": lambda _row: ScheduleUnknown(),
    "not_open": lambda row: SalesNotOpen(row["opens_at"]),
    "sales_over": lambda _row: SalesOver(),
    "no_seat": lambda _row: SeatUnknown(),
    "cooling": lambda row: CoolingDown(row["wait_s"]),
    "taken": lambda row: SeatTaken() if row["own_id"] is None else OwnHold(row["own_id"]),
    "limit": lambda row: TooManySeats(row["visitor_seats_max"]),
    "postponed": lambda _row: ScheduleStopped(ScheduleState.POSTPONED),
    "cancelled": lambda _row: ScheduleStopped(ScheduleState.CANCELLED),
    "concert_limit": lambda row: TooManySeats(row["concert_seats_max"], of_concert=True),
    "locked": lambda _row: Contended("the seats are locked"),
    **{outcome: lambda row: KEY_REFUSED[row["outcome"]]() for outcome in KEY_REFUSED},
}
CANCEL_REFUSED: dict[str, Callable[[Row], Refused | Contended]] = {
    "unknown": lambda _row: ReservationUnknown(),
    "foreign": lambda _row: ReservationForeign(),
    "paying": lambda _row: PaymentRunning(),
    "over": lambda row: ReservationOver(ReservationState(row["state"])),
    "final": lambda row: CancellationClosed(row["cancel_until"]),
    "locked": lambda _row: Contended("the reservation or its seats are locked"),
    **{outcome: lambda row: KEY_REFUSED[row["outcome"]]() for outcome in KEY_REFUSED},
}


class Reservations:
    """The store of reservations.

    Args:
        database: Holds them.
        hold_s: How long an unpaid reservation is held.
        cooldown: The rule for holders who repeatedly let seats go.

    Attributes:
        cooldown: As given.
    """

    def __init__(
        self, database: Database, hold_s: float, cooldown: CooldownRule = NO_COOLDOWN
    ) -> None:
        self._database = database
        self._hold_s = hold_s
        self.cooldown = cooldown
        self._cooldown = cooldown.columns()
        self._batcher = statement_batcher("reserve", self._reserve_all, _touched)

    async def reserve(
        self,
        schedule: int,
        seats: Sequence[int],
        buyer: Buyer,
        key: IdempotencyKey | None = None,
        made_by: str | None = None,
    ) -> Reservation:
        """Reserve seats for a visitor: all of them, or none.

        Args:
            schedule: The schedule.
            seats: 1 to `SEATS_MAX` different seats of it.
            buyer: Owner of the reservation.
            key: The request's idempotency key, which is recorded with the reservation.
            made_by: Token that makes it, for the evidence log.

        Raises:
            ScheduleUnknown, SalesNotOpen, SalesOver, ScheduleStopped, SeatUnknown, SeatTaken,
                OwnHold, TooManySeats, CoolingDown: Nothing more is held.
            SeatsContested: Another transaction has locked the seats; nothing is held.
            IdempotencyKeyRunning, TooManyKeys: The key is not free; nothing is held.

        Invariant:
            B1, B8.
        """
        try:
            return await until_unlocked(
                lambda: self.try_reserve(schedule, seats, buyer, key, made_by)
            )
        except Contended:
            raise SeatsContested from None

    async def try_reserve(
        self,
        schedule: int,
        seats: Sequence[int],
        buyer: Buyer,
        key: IdempotencyKey | None = None,
        made_by: str | None = None,
    ) -> Reservation:
        """Run `reserve` once, without retries.

        Raises:
            ScheduleUnknown, SalesNotOpen, SalesOver, SeatUnknown, SeatTaken, TooManySeats,
                Contended, IdempotencyKeyRunning, TooManyKeys: Nothing is held.
        """
        seat_ids = tuple(sorted(set(seats)))
        assert 0 < len(seat_ids) == len(seats) <= SEATS_MAX
        return await self._batcher.enqueue(
            None, SeatRequest(schedule, seat_ids, buyer, key, made_by)
        )

    async def _reserve_all(
        self, _: None, wanted: Sequence[SeatRequest]
    ) -> list[Reservation | Refused | Unavailable]:
        """Reserve seats for several requests without conflicts, each as `reserve` does."""
        rows = await retried(
            lambda: self._database.fetch_all(
                "reserve",
                schedule_ids=[one.schedule for one in wanted],
                user_ids=[one.buyer.user_id for one in wanted],
                holders=[one.buyer.holder for one in wanted],
                made_bys=[one.made_by for one in wanted],
                wanted_nos=[no for no, one in enumerate(wanted, 1) for _ in one.seats],
                wanted_seats=[seat for one in wanted for seat in one.seats],
                hold_s=self._hold_s,
                **key_columns(one.key for one in wanted),
            )
        )
        return [_reserved(one, row) for one, row in zip(wanted, rows, strict=True)]

    async def find(self, reservation: int) -> Reservation:
        """Return a reservation.

        A lapsed reservation is returned as expired, even before the sweeper puts its seats back on
        sale. While a payment is in progress, it has not lapsed.

        Raises:
            ReservationUnknown: There is no such reservation.
        """
        row = await self._database.fetch_one("find_reservation", reservation_id=reservation)
        if row is None:
            raise ReservationUnknown
        return Reservation(
            reservation_id=reservation,
            schedule_id=row["schedule_id"],
            buyer=Buyer(VisitorId(row["user_id"]), row["holder"]),
            seat_ids=tuple(row["seat_ids"]),
            state=ReservationState.EXPIRED if row["lapsed"] else ReservationState(row["state"]),
            amount=row["amount"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            room=RoomId(row["room"]),
        )

    async def cancel(
        self,
        reservation: int,
        buyer: Buyer,
        key: IdempotencyKey | None = None,
        *,
        who: str | None = None,
        by_operator: bool = False,
    ) -> ReservationState:
        """Cancel a reservation; its payment is refunded.

        Args:
            reservation: The reservation.
            buyer: Who must own it.
            key: The request's idempotency key, which is recorded with the cancellation.
            who: Who cancels, for the evidence log.
            by_operator: Whether an operator does, for whom there is no deadline.

        Returns:
            Its state before: PENDING, or CONFIRMED and to be refunded.

        Raises:
            ReservationUnknown, ReservationForeign, ReservationOver, PaymentRunning,
                CancellationClosed: Nothing is cancelled.
            IdempotencyKeyRunning, TooManyKeys: The key is not free; nothing is cancelled.

        Invariant:
            B8.
        """
        values: dict[str, Any] = {
            "reservation_id": reservation,
            "user_id": buyer.user_id,
            "holder": buyer.holder,
            "key": key.text if key else None,
            "request": key.request if key else None,
            "language": key.language if key else None,
            "keys_max": KEYS_MAX,
            "by_operator": by_operator,
            "who": who,
            **self._cooldown,
        }
        return await until_unlocked(lambda: self._try_cancel(values))

    async def _try_cancel(self, values: Mapping[str, Any]) -> ReservationState:
        for _ in range(CANCEL_TRIES):
            row = await retried(lambda: self._database.fetch_one("cancel", **values))
            assert row is not None
            if row["outcome"] in CANCEL_REFUSED:
                raise CANCEL_REFUSED[row["outcome"]](row)
            if row["outcome"] != "again":
                return ReservationState(row["state"])
        raise Unavailable("the reservation is confirmed, but its payment is not visible yet")

    async def beat(self) -> None:
        """Record that this worker listens: time without a beat counts against no reservation."""
        await self._database.fetch_all("beat")

    async def expire(self, chunk_max: int) -> list[Expired]:
        """Expire at most `chunk_max` lapsed reservations; their seats are back on sale.

        Invariant:
            B3.
        """
        return (await self.expire_after(None, chunk_max)).expired

    async def expire_after(
        self, after: Due | None, chunk_max: int, *, only_id: int | None = None
    ) -> Chunk:
        """Expire the lapsed reservations of one chunk, except those that are locked.

        Args:
            after: Where the chunk before ended; `None` for the first.
            chunk_max: Most reservations to look at.
            only_id: The only reservation to look at; `None` for all.
        """
        rows = await self._database.fetch_all(
            "expire",
            chunk_max=chunk_max,
            after_at=None if after is None else after.expires_at,
            after_id=None if after is None else after.reservation_id,
            only_id=only_id,
            **self._cooldown,
        )
        expired = [
            Expired(row["reservation_id"], row["schedule_id"], row["user_id"])
            for row in rows
            if row["expired"]
        ]
        return Chunk(expired, _last(rows, chunk_max))

    async def lapsed_after(self, after: Due | None, chunk_max: int) -> tuple[list[int], Due | None]:
        """Return the ids of the reservations that `expire_after` would look at, and the last."""
        rows = await self._database.fetch_all(
            "lapsed_reservations",
            chunk_max=chunk_max,
            after_at=None if after is None else after.expires_at,
            after_id=None if after is None else after.reservation_id,
        )
        return [row["reservation_id"] for row in rows], _last(rows, chunk_max)


def _touched(wanted: SeatRequest) -> list[Hashable]:
    """Return what a request changes: its seats, its buyer's seat counts, and its key."""
    key = () if wanted.key is None else ((wanted.buyer, wanted.key.text),)
    return [*wanted.seats, wanted.buyer, *key]


def _last(rows: Sequence[Row], chunk_max: int) -> Due | None:
    if len(rows) < chunk_max:
        return None
    return Due(rows[-1]["expires_at"], rows[-1]["reservation_id"])


def _reserved(wanted: SeatRequest, row: Row) -> Reservation | Refused | Unavailable:
    if row["outcome"] != "reserved":
        return RESERVE_REFUSED[row["outcome"]](row)
    return Reservation(
        reservation_id=row["reservation_id"],
        schedule_id=wanted.schedule,
        buyer=wanted.buyer,
        seat_ids=tuple(wanted.seats),
        state=ReservationState.PENDING,
        amount=row["amount"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        room=RoomId(row["room"]),
    )
