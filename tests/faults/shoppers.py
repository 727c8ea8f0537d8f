"""Visitors who enter, reserve a seat, pay, and now and then give it back; a log of the answers.

Each write has an idempotency key and is repeated until it has an answer, as a shop's page does. The
log holds what was acknowledged, to be compared with database, room, and the provider's books.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from tests.faults.crowd import (
    AGAIN_S,
    Caller,
    CutOffError,
    assert_unavailable,
    enter,
    named,
    paused,
)
from tests.faults.site import BOOKING_PORT, PRICE, QUEUE_PORT, Show, Site
from tests.until import until, until_async
from waitline.queue.audit import RoomSnapshot

SHOPPERS = 5

# Seconds between two polls of a visitor who waits.
POLL_S = 0.1

# Every fifth gives the seat back.
GIVEN_BACK = 5

SETTLED_S = 60.0

# Refusals of the wire contract, and the status of each.
CONTRACT = {
    "C001": 400, "C002": 401, "C003": 403, "C004": 404, "C005": 409,
    "B001": 404, "B003": 409, "B004": 404, "B005": 400, "B006": 409, "B007": 404, "B008": 404,
    "P001": 400, "P003": 404, "P004": 409, "Q001": 404, "Q002": 401, "Q003": 401, "Q004": 429,
    "Q005": 400,
}  # fmt: skip

# Nothing is decided yet: the same request is still being carried out.
AGAIN = frozenset(("C005", "B006", "P004"))

_OPEN = (
    "SELECT FROM payment WHERE state IN ('PENDING', 'REFUNDING') "
    "UNION ALL SELECT FROM outbox WHERE sent_at IS NULL"
)
_DUE = (
    "UPDATE payment SET look_at = listening_now() WHERE state IN ('PENDING', 'REFUNDING')",
    "UPDATE outbox SET send_at = listening_now() WHERE sent_at IS NULL",
)


@dataclass(slots=True)
class Booking:
    """What one visitor was answered."""

    user: str
    seat: int
    reservation: int = 0
    paid_s: float = 0.0
    given_back: bool = False


@dataclass(slots=True)
class Log:
    """What all were answered.

    Attributes:
        bookings: Each visitor whose reservation was acknowledged.
        line: How often the queue service did not answer, or with 503.
        sale: The same for the booking service.
        refused: Other refusals, by code.
        answered: Other answers, by service: `line`, `sale`.
        late: Visitors whose request to enter was cut off. The network may still deliver it, after
            they have paid and left.
    """

    bookings: list[Booking] = field(default_factory=list)
    line: Counter[int | str] = field(default_factory=Counter)
    sale: Counter[int | str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    late: set[str] = field(default_factory=set)

    @property
    def paid(self) -> list[Booking]:
        return [one for one in self.bookings if one.paid_s]


class Shoppers:
    """Shoppers of one show.

    Attributes:
        log: What they were answered.
        queue: Where the queue service is: host and port.
        office: Where the booking service is.
    """

    def __init__(self, site: Site, show: Show) -> None:
        self.log = Log()
        self.queue = (site.hosts["queue"].address, QUEUE_PORT)
        self.office = (site.hosts["booking"].address, BOOKING_PORT)
        self._show = show
        self._seats = iter(show.seats)
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator["Shoppers"]:
        """Let them shop until the block ends; requests in progress are still answered."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SHOPPERS):
                group.create_task(self._shop())
            try:
                yield self
            finally:
                self._stop.set()

    async def pay(self, count: int, deadline_s: float) -> None:
        """Wait until so many more have paid."""
        wanted = len(self.log.paid) + count
        await until_async(lambda: len(self.log.paid) >= wanted, deadline_s, f"{count} pay")

    async def _shop(self) -> None:
        queue, office = Caller(self.queue[1], self.queue[0]), Caller(self.office[1], self.office[0])
        try:
            for seat in self._seats:
                if self._stop.is_set():
                    break
                await self._visit(queue, office, seat)
        finally:
            await queue.close()
            await office.close()

    async def _visit(self, queue: Caller, office: Caller, seat: int) -> None:
        user = f"s{seat}"
        cut_off = self.log.line["cut off"]
        if await self._insist(queue, *enter(self._show.room, user)) is None:
            return
        if self.log.line["cut off"] > cut_off:
            self.log.late.add(user)
        token = await self._turn(queue, user)
        if token is None:
            return
        who = {"X-User-Id": quote(user), "X-Queue-Token": token}
        wanted = {"seatId": seat, "scheduleId": self._show.schedule}
        key = {"Idempotency-Key": f"reserve-{user}"}
        held = await self._insist(office, "POST", "/api/v1/reservations", wanted, who | key)
        if held is None:
            return
        booking = Booking(user, seat, held["reservationId"])
        self.log.bookings.append(booking)
        money = {
            "reservationId": booking.reservation, "userId": user, "amount": PRICE,
            "paymentMethod": "CARD", "concertId": str(self._show.concert),
        }  # fmt: skip
        key = {"Idempotency-Key": f"pay-{user}"}
        if await self._insist(office, "POST", "/api/v1/payments", money, who | key) is None:
            return
        booking.paid_s = monotonic()
        if seat % GIVEN_BACK == 0:
            path = f"/api/v1/reservations/{booking.reservation}"
            key = {"Idempotency-Key": f"give-back-{user}"}
            returned = await self._insist(office, "DELETE", path, None, who | key)
            booking.given_back = returned is not None

    async def _turn(self, queue: Caller, user: str) -> str | None:
        """Poll until it is the visitor's turn; return the token."""
        while not self._stop.is_set():
            data = await self._insist(queue, *named("GET", "status", self._show.room, user))
            if data is None:
                return None
            if data["status"] == "READY":
                return str(data["token"])
            await paused(POLL_S, self._stop)
        return None

    async def _insist(
        self,
        caller: Caller,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Any] | None:
        """Ask until there is an answer; return its data, or `None` if it is a refusal."""
        while not self._stop.is_set():
            at_queue = path.startswith("/api/v1/queue")
            turned_away = self.log.line if at_queue else self.log.sale
            await caller.goes_to(*(self.queue if at_queue else self.office))
            try:
                reply = await caller.ask(method, path, body, headers)
            except CutOffError:
                turned_away["cut off"] += 1
            else:
                if reply.status < 500:
                    self.log.answered["line" if at_queue else "sale"] += 1
                if reply.status < 300:
                    data: dict[str, Any] = reply.json["data"] or {}
                    return data
                if reply.status >= 500:
                    turned_away[reply.status] += 1
                    assert_unavailable(reply)
                else:
                    code = reply.json["code"]
                    assert CONTRACT.get(code) == reply.status, reply
                    if code not in AGAIN:
                        self.log.refused[f"{method} {path.partition('?')[0]} {code}"] += 1
                        return None
            await paused(AGAIN_S, self._stop)
        return None


def settle(site: Site) -> None:
    """Wait until no payment and no event is open."""

    def nothing_is_open() -> bool:
        # Jobs run at once instead of at their intervals.
        for statement in _DUE:
            site.sql(statement)
        return not site.sql(_OPEN)

    until(nothing_is_open, SETTLED_S, "everything is settled")


def assert_sold(site: Site, log: Log) -> None:
    """Compare the log with the database, and the database with the provider's books."""
    rows = site.sql(
        "SELECT r.reservation_id AS number, r.user_id AS visitor, r.state, "
        "array_agg(s.seat_id) AS seats, array_agg(s.state) AS seat_states, "
        "array(SELECT p.state FROM payment AS p WHERE p.reservation_id = r.reservation_id "
        "ORDER BY p.created_at) AS payments "
        "FROM reservation AS r JOIN reserved_seat USING (reservation_id) "
        "JOIN seat AS s USING (seat_id) GROUP BY r.reservation_id"
    )
    here = {row["number"]: row for row in rows}
    for one in log.bookings:
        assert one.reservation in here, f"an acknowledged reservation is lost: {one}"
        row = here[one.reservation]
        assert (row["visitor"], row["seats"]) == (one.user, [one.seat]), (one, row)
        # Attempts before the last may have failed, without a charge.
        last = row["payments"][-1:]
        if one.given_back:
            assert (row["state"], last) == ("CANCELLED", ["REFUNDED"]), (one, row)
        elif one.paid_s and one.seat % GIVEN_BACK:
            stand = (row["state"], row["seat_states"], last)
            assert stand == ("CONFIRMED", ["OCCUPIED"], ["COMPLETED"]), (one, row)
    sold = [seat for row in rows if row["state"] == "CONFIRMED" for seat in row["seats"]]
    assert len(sold) == len(set(sold)), "a seat is sold twice"
    mine = [one.reservation for one in log.bookings]
    assert len(mine) == len(set(mine)), "two visitors were answered the same reservation"

    books = site.charges()
    payments = site.sql("SELECT charge_key::text AS key, state FROM payment")
    for payment in payments:
        charged, refunded = books.pop(payment["key"], (0, 0))
        assert 0 <= refunded <= charged <= 1, payment
        assert (charged - refunded == 1) is (payment["state"] == "COMPLETED"), payment
    kept = [key for key, (charged, refunded) in books.items() if charged > refunded]
    assert not kept, f"{len(kept)} charges belong to no payment"


def assert_left(log: Log, seen: RoomSnapshot) -> None:
    """Check that who has paid has left the room and freed the slot (B5)."""
    inside = {str(visitor) for visitor in (*seen.waiting, *seen.slots)}
    stayed = [one.user for one in log.paid if one.user in inside - log.late]
    assert not stayed, f"{len(stayed)} who have paid hold a slot: {stayed[:3]}"
