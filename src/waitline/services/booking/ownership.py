"""Ownership of reservations and payments (B8): who may read, pay and cancel them.

In trial mode, a user's name is enough. In production the token must prove the holder, during the
stay and after it. A reservation of somebody else and one that does not exist get the same refusal.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeVar

from waitline.booking.buyer import ANYBODY, Buyer
from waitline.booking.checkout import Checkout, OwnedPayment
from waitline.booking.evidence import visitor
from waitline.booking.model import (
    Payment,
    PaymentForeign,
    PaymentUnknown,
    Reservation,
    ReservationForeign,
    ReservationUnknown,
)
from waitline.booking.own_reservations import OwnReservation, OwnReservations
from waitline.booking.store import Reservations
from waitline.http.requests import Request
from waitline.kernel.errors import Refused
from waitline.kernel.ids import RoomId, VisitorId
from waitline.services.booking.doorman import Doorman
from waitline.services.booking.lookups import Lookups
from waitline.services.booking.tokens import header_token, require_token
from waitline.services.booking.users import user_of
from waitline.tokens.proof import Proof

NOWHERE = RoomId("")
"""Room of a reservation that does not exist: no token is for it. The token is verified all the
same, so that timing does not reveal whether it exists."""

T = TypeVar("T", Reservation, OwnedPayment)


class Caller(NamedTuple):
    """A caller with a proven identity.

    Attributes:
        buyer: Owner of the caller's reservations.
        shown: The token, for the evidence log.
    """

    buyer: Buyer
    shown: str


def shown(proof: Proof) -> str:
    """Return the visitor whom a token proves, as named in the evidence log."""
    return visitor("pass" if proof.expires_ms else "ticket", proof.stay)


class Ownership:
    """Finds reservations and payments for their owners.

    Args:
        reservations: The store of reservations.
        own: Lists of reservations.
        checkout: The store of payments.
        doorman: Verifies tokens.
        lookups: Runs look-ups, those of strangers apart.
        trusting: Whether a user may be named without proof (trial mode).
    """

    def __init__(
        self,
        reservations: Reservations,
        own: OwnReservations,
        checkout: Checkout,
        doorman: Doorman,
        lookups: Lookups,
        *,
        trusting: bool,
    ) -> None:
        self._reservations = reservations
        self._own = own
        self._checkout = checkout
        self._doorman = doorman
        self._lookups = lookups
        self._trusting = trusting

    async def reservation(self, request: Request, reservation: int, user: VisitorId) -> Reservation:
        """Return a reservation of the caller.

        Raises:
            TokenMissing: There is no token. Not in trial mode.
            TokenRejected: The token is not ours, or another user's. Not in trial mode.
            ReservationUnknown: There is none, or in production it is somebody else's.
            ReservationForeign: It is somebody else's. Only in trial mode.

        Invariant:
            B8.
        """
        return (await self._found(request, reservation, user))[0]

    async def _found(
        self, request: Request, reservation: int, user: VisitorId
    ) -> tuple[Reservation, Caller]:
        find = partial(self._reservations.find, reservation)
        if self._trusting:
            found = await self._lookups.run(header_token(request), find)
            if found.buyer.user_id != user:
                raise ReservationForeign
            return found, Caller(found.buyer, "visitor")
        return await self._proved(request, user, find, ReservationUnknown)

    async def caller(self, request: Request, reservation: int, user: VisitorId) -> Caller:
        """Return the required owner of a reservation that the caller writes to, and the proof.

        Raises:
            TokenMissing, TokenRejected, ReservationUnknown: As `reservation`. Not in trial mode,
                where the statement that writes compares the user.
        """
        if self._trusting:
            return Caller(Buyer(user, ANYBODY), "visitor")
        return (await self._found(request, reservation, user))[1]

    async def reservations(self, request: Request, user: VisitorId) -> list[OwnReservation]:
        """Return the caller's reservations, the newest first.

        In production these are the reservations of the holder that the token proves, in its room;
        with cookies instead of a header, in the room of each.

        Raises:
            TokenMissing: There is no token. Not in trial mode.
            TokenRejected: The token is not ours, or another user's. Not in trial mode.

        Invariant:
            B8.
        """
        if self._trusting:
            token = header_token(request)
        else:
            token = require_token(request)
            self._caller(request, NOWHERE, user)
        rooms = await self._lookups.run_list(token, partial(self._own.rooms, user))
        if self._trusting:
            holders = dict.fromkeys(rooms, ANYBODY)
        else:
            callers = {room: self._caller(request, room, user) for room in rooms}
            holders = {room: caller.buyer.holder for room, caller in callers.items() if caller}
        if not holders:
            return []
        return await self._lookups.run_list(token, partial(self._own.listed, user, holders))

    async def payment(self, request: Request, payment: int) -> Payment:
        """Return a payment of the caller. In trial mode the request need not name the user.

        Raises:
            UserMissing: The request does not name its user. Not in trial mode.
            TokenMissing: There is no token. Not in trial mode.
            TokenRejected: The token is not ours, or another user's. Not in trial mode.
            PaymentUnknown: There is none, or in production it is somebody else's.
            PaymentForeign: It is somebody else's. Only in trial mode.

        Invariant:
            B8.
        """
        fetch = partial(self._checkout.fetch_payment, payment)
        if self._trusting:
            user = user_of(request) if b"x-user-id" in request.headers else None
            found = await self._lookups.run(header_token(request), fetch)
            if user is not None and found.buyer.user_id != user:
                raise PaymentForeign
            return found.payment
        found, _ = await self._proved(request, user_of(request), fetch, PaymentUnknown)
        return found.payment

    async def _proved(
        self,
        request: Request,
        user: VisitorId,
        fetch: Callable[[], Awaitable[T]],
        unknown: type[Refused],
    ) -> tuple[T, Caller]:
        """Return what is the caller's; what is somebody else's is refused as unknown."""
        token = require_token(request)
        try:
            found = await self._lookups.run(token, fetch)
        except unknown:
            self._caller(request, NOWHERE, user)
            raise
        caller = self._caller(request, found.room, user)
        if caller is None or found.buyer != caller.buyer:
            raise unknown
        return found, caller

    def _caller(self, request: Request, room: RoomId, user: VisitorId) -> Caller | None:
        """Return the caller, or `None` if the token proves nothing about the room.

        Raises:
            TokenRejected: The token in the header is not ours, or another user's. This must not
                depend on the room, which strangers do not know.
        """
        token = header_token(request)
        if token is None:
            proof = self._doorman.cookie_proof(request, room, user)
        else:
            proof = self._doorman.proof(room, user, token)
        if proof is None:
            return None
        self._lookups.remember(require_token(request))
        return Caller(Buyer(user, proof.holder), shown(proof))
