"""Handlers of the box office's calls: seats, reservations, payments.

Each checks body and headers first, then the token, then the owner and the state.
"""

import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter

from waitline.booking import best_available, demo
from waitline.booking.buyer import ANYBODY, Buyer
from waitline.booking.catalogue_cache import CatalogueCache
from waitline.booking.checkout import Checkout
from waitline.booking.cooldown import Cooldowns
from waitline.booking.door_list import DoorLists
from waitline.booking.evidence import EvidenceLog
from waitline.booking.idempotency_key import IdempotencyKey
from waitline.booking.model import (
    OwnHold,
    Reservation,
    ReservationForeign,
    ReservationState,
    ReservationUnknown,
    SeatsContested,
    SeatTaken,
)
from waitline.booking.own_reservations import OwnReservations
from waitline.booking.seat_documents import Document
from waitline.booking.seat_maps import SeatMaps
from waitline.booking.stopping import ScheduleStops
from waitline.booking.store import Reservations
from waitline.booking.sweeper import Sweeper
from waitline.http.dispatch import PathParameterRoute
from waitline.http.envelope import success
from waitline.http.framework import endpoint
from waitline.http.problems import InputInvalid, PathUnknown
from waitline.http.requests import (
    Handler,
    Request,
    checked_name,
)
from waitline.http.responses import JSON, Answer, Headers
from waitline.http.texts import Text
from waitline.payment_providers.port import WEBHOOK_PATH
from waitline.postgres.pool import Database
from waitline.services.booking import answers, texts
from waitline.services.booking.bodies import (
    UNKNOWN_ID,
    WORD_CHARS_MAX,
    FoundReservationView,
    LoadedView,
    OwnReservationsView,
    OwnReservationView,
    PaymentBody,
    PaymentView,
    ReservationBody,
    ReservationView,
    TicketsView,
    TicketView,
    number,
    unguessable,
    words,
)
from waitline.services.booking.catalogue_calls import document_answer
from waitline.services.booking.doorman import Doorman
from waitline.services.booking.idempotency import Idempotency, key_of
from waitline.services.booking.lookups import Lookups
from waitline.services.booking.ownership import Ownership, shown
from waitline.services.booking.tokens import header_token, require_token, room_token
from waitline.services.booking.users import is_int64, user_in_body, user_of
from waitline.services.same_origin import SameOrigin

SEATS_PATH = "/api/v1/schedules/{scheduleId}/seats"

NOT_A_STATUS = Text("all 또는 AVAILABLE이어야 합니다.", "must be all or AVAILABLE")
NOT_A_VIEW = Text("sections여야 합니다.", "must be sections")
NO_SECTION = Text("존재하지 않는 구역입니다.", "is not a section of this schedule")
ONLY_MINE = Text("값이 필요합니다: ?mine", "is required: ?mine lists your own reservations")
ONLY_FREE = Text(
    "section과 함께 사용할 때는 AVAILABLE이어야 합니다.", "must be AVAILABLE when section is given"
)

_SeatQuery = Callable[[int], Awaitable[Document]]

_wanted = msgspec.json.Decoder(ReservationBody)
_paying = msgspec.json.Decoder(PaymentBody)
_encode = msgspec.json.Encoder().encode

# The list is the same for every visitor, but only admitted visitors may see it, and caches must
# revalidate it.
_PRIVATE: Headers = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"Accept-Encoding"),
)


class BookingCalls:
    """The handlers.

    Args:
        database: For the best free seats, and the test data.
        catalogue: Concerts and schedules, cached.
        door: Tickets with their codes.
        seats: Seat maps.
        reservations: The store of reservations.
        checkout: Payments.
        doorman: Checks admission.
        idempotency: Idempotency keys.
        lookups: Bulkhead for look-ups that anybody can cause.
        same_origin: Refuses writes from pages of other origins.
        trusting: Whether a visitor may be named without proof (trial mode).
    """

    def __init__(
        self,
        *,
        database: Database,
        catalogue: CatalogueCache,
        door: DoorLists,
        seats: SeatMaps,
        reservations: Reservations,
        checkout: Checkout,
        doorman: Doorman,
        idempotency: Idempotency,
        lookups: Lookups,
        same_origin: SameOrigin,
        trusting: bool,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._door = door
        self._seats = seats
        self._reservations = reservations
        self._checkout = checkout
        self._doorman = doorman
        self._idempotency = idempotency
        self._lookups = lookups
        self._same_origin = same_origin
        self._trusting = trusting
        self._ownership = Ownership(
            reservations, OwnReservations(database), checkout, doorman, lookups, trusting=trusting
        )
        self._rng = random.Random()  # noqa: S311 - spreads concurrent requests
        self.seats_of = PathParameterRoute(SEATS_PATH, self.seats, exclusive=True, in_task=True)

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """Return the background jobs, to run while calls are answered."""
        return [
            self._doorman.run(),
            self._seats.run(),
            Sweeper(self._reservations).run(),
            Cooldowns(self._database, self._reservations.cooldown).run(),
            EvidenceLog(self._database).run(),
            ScheduleStops(self._database).run(),
            self._checkout.run(),
        ]

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Return the handlers of the dispatcher's calls, by path and method."""
        return {
            "/api/v1/reservations": {"POST": self.reserve, "GET": self.own_reservations},
            "/api/v1/payments": {"POST": self.pay},
            WEBHOOK_PATH: {"POST": self.webhook},
        }

    def router(self) -> APIRouter:
        """Return the routes of all other calls. `openapi.py` describes them."""
        router = APIRouter(include_in_schema=False)
        add = router.add_api_route
        reservation = "/api/v1/reservations/{reservationId}"
        add(reservation, endpoint(self.reservation), methods=["GET"])
        add(reservation, endpoint(self.cancel), methods=["DELETE"])
        add(f"{reservation}/tickets", endpoint(self.tickets), methods=["GET"])
        add("/api/v1/payments/{paymentId}", endpoint(self.payment), methods=["GET"])
        if self._trusting:
            add("/api/admin/test-data/init", endpoint(self.init), methods=["POST"])
        return router

    async def seats(self, request: Request) -> Answer:
        """List the seats of a schedule, for admitted visitors."""
        name = self.seats_of.parameter_in(request.path)
        if "/" in name:
            raise PathUnknown
        schedule = number("scheduleId", name)
        wanted = self._view(request)
        user = user_of(request)
        require_token(request)
        found = await self._catalogue.schedule(schedule)
        token = room_token(request, found.room, trusting=self._trusting)
        await self._doorman.admit(found.room, user, token, found.queue_down)
        self._lookups.remember(token)
        return await document_answer(request, await wanted(schedule), _PRIVATE)

    def _view(self, request: Request) -> _SeatQuery:
        version, view = request.optional_parameter("since"), request.optional_parameter("view")
        status, section = (
            request.optional_parameter("status"),
            request.optional_parameter("section"),
        )
        if status not in (None, "all", "AVAILABLE"):
            raise InputInvalid("status", NOT_A_STATUS)
        if view not in (None, "sections"):
            raise InputInvalid("view", NOT_A_VIEW)
        if section is not None and status == "all":
            raise InputInvalid("status", ONLY_FREE)
        if version is not None:
            return partial(self._since, version)
        if view is not None:
            return self._seats.sections
        if section is not None:
            return partial(self._section, section)
        return self._seats.all_seats if status == "all" else self._seats.available

    async def _since(self, version: str, schedule: int) -> Document:
        return await self._seats.since(schedule, version)

    async def _section(self, name: str, schedule: int) -> Document:
        found = await self._seats.section(schedule, name)
        if found is None:
            raise InputInvalid("section", NO_SECTION)
        return found

    async def reserve(self, request: Request) -> Answer:
        """Reserve seats for a visitor."""
        wanted = request.json(_wanted)
        seats = wanted.seats()
        user, key = user_of(request), key_of(request)
        self._same_origin.check(request)
        require_token(request)
        found = await self._catalogue.schedule(wanted.scheduleId)
        token = room_token(request, found.room, trusting=self._trusting)
        proof = self._doorman.prove(found.room, user, token)
        buyer = Buyer(user, ANYBODY if self._trusting else proof.holder)
        made_by = shown(proof)

        async def admit() -> None:
            await self._doorman.admit(found.room, user, token, found.queue_down)
            self._lookups.remember(token)

        async def write(key: IdempotencyKey | None) -> Answer:
            if seats is None:
                held = await self._reserve_best(wanted, buyer, key, made_by)
            else:
                held = await self._reservations.reserve(
                    wanted.scheduleId, seats, buyer, key, made_by
                )
            return answers.reserved(request.language, held)

        return await self._idempotency.once(key, buyer, request, write, admit)

    async def _reserve_best(
        self, wanted: ReservationBody, buyer: Buyer, key: IdempotencyKey | None, made_by: str
    ) -> Reservation:
        assert wanted.grade is not None
        assert wanted.count is not None
        try:
            return await best_available.reserve_best(
                self._database,
                self._reservations,
                wanted.scheduleId,
                grade=wanted.grade,
                count=wanted.count,
                buyer=buyer,
                rng=self._rng,
                key=key,
                made_by=made_by,
            )
        except (SeatTaken, OwnHold):
            raise SeatsContested from None

    async def own_reservations(self, request: Request) -> Answer:
        """List what a visitor holds and has bought."""
        if not request.has_parameter("mine"):
            raise InputInvalid("mine", ONLY_MINE)
        user = user_of(request)
        header_token(request)
        found = await self._ownership.reservations(request, user)
        shown = OwnReservationsView([OwnReservationView.listed(one) for one in found])
        return success(request, texts.RESERVATIONS, shown)

    async def reservation(self, request: Request, reservation: str) -> Answer:
        """Show a visitor's own reservation, in the envelope and beside it."""
        asked, user = unguessable("reservationId", reservation), user_of(request)
        header_token(request)
        shown = ReservationView.of(await self._ownership.reservation(request, asked, user))
        message = texts.RESERVATION.to(request.language)
        fields = msgspec.structs.asdict(shown)
        body = _encode(
            FoundReservationView(**fields, result="success", message=message, data=shown)
        )
        return Answer(HTTPStatus.OK, JSON, body)

    async def tickets(self, request: Request, reservation: str) -> Answer:
        """Show the tickets of a visitor's own reservation, with their codes for the door."""
        asked, user = unguessable("reservationId", reservation), user_of(request)
        header_token(request)
        found = await self._ownership.reservation(request, asked, user)
        tickets = await self._door.tickets(found.reservation_id)
        shown = TicketsView(asked, found.schedule_id, [TicketView.of(one) for one in tickets])
        return success(request, texts.TICKETS, shown)

    async def cancel(self, request: Request, reservation: str) -> Answer:
        """Cancel a visitor's own reservation; a payment is refunded."""
        asked, user = unguessable("reservationId", reservation), user_of(request)
        header_token(request)
        self._same_origin.check(request)
        key = key_of(request)
        caller = await self._ownership.caller(request, asked, user)

        async def write(key: IdempotencyKey | None) -> Answer:
            before = await self._reservations.cancel(asked, caller.buyer, key, who=caller.shown)
            refund = before is ReservationState.CONFIRMED
            return answers.cancelled(request.language, asked, user, refund=refund)

        return await self._idempotency.once(key, caller.buyer, request, write)

    async def pay(self, request: Request) -> Answer:
        """Charge a visitor for a reservation."""
        asked = request.json(_paying)
        user = user_in_body(asked.userId)
        method = words("paymentMethod", asked.paymentMethod, WORD_CHARS_MAX)
        checked_name("concertId", str(asked.concertId))
        header_token(request)
        self._same_origin.check(request)
        key = key_of(request)
        if b"x-user-id" in request.headers and user_of(request) != user:
            raise ReservationForeign if self._trusting else ReservationUnknown
        reservation = asked.reservationId if is_int64(asked.reservationId) else UNKNOWN_ID
        buyer = (await self._ownership.caller(request, reservation, user)).buyer

        async def write(key: IdempotencyKey | None) -> Answer:
            payment = await self._checkout.pay(reservation, buyer, asked.amount, method, key)
            return answers.paid(request.language, payment)

        return await self._idempotency.once(key, buyer, request, write)

    async def payment(self, request: Request, payment: str) -> Answer:
        """Show a visitor's own payment. In trial mode the request need not name the user."""
        asked = unguessable("paymentId", payment)
        header_token(request)
        found = await self._ownership.payment(request, asked)
        return success(request, texts.PAYMENT, PaymentView.of(found))

    async def webhook(self, request: Request) -> Answer:
        """Handle a signed webhook of the payment provider."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in request.headers.items()
        }
        await self._checkout.webhook(headers, request.body)
        return success(request, texts.NOTED, None)

    async def init(self, request: Request) -> Answer:
        """Reset the demo concert. Trial mode only."""
        started = time.perf_counter()
        loaded = await demo.load(self._database)
        self._catalogue.expire()
        done = LoadedView(
            success=True,
            message=texts.LOADED.to(request.language),
            duration_ms=round((time.perf_counter() - started) * 1000),
            data=loaded._asdict(),
        )
        return Answer(HTTPStatus.OK, JSON, _encode(done))
