"""Simulated visitors of a rehearsal, one task each: enter, wait, reserve, pay, leave.

Latency is measured from when a call was due, which avoids coordinated omission. A visitor without
an answer retries with exponential backoff and jitter, as the waiting page does.
"""

import asyncio
import gzip
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from waitline.kernel.errors import Unavailable
from waitline.payment_providers.registry import Registration
from waitline.sales.http_client import HttpAnswer, HttpClient
from waitline.sales.rehearsal.plan import (
    THINK_S,
    Conduct,
    RehearsalPlan,
    conduct,
)
from waitline.sales.rehearsal.tally import LOST, VisitorTally

RETRY_S = 1.0
"""First pause of the exponential backoff, in s. Source: waiting.js."""

FIRST_USER = 9_000_000_000_000_000_000
"""User number of the first visitor, above those of any shop's users."""

TRIES = 5
"""Attempts at a call before the visitor gives up."""

SEATS_TRIED = 6
"""Seats that a visitor tries to reserve before it gives up; others may be faster."""

MAP_KEPT_S = 1.0
"""How long a decoded seat map is shared by all visitors, in s. Each visitor requests it, but
decoding every answer would cost this process more than everything else."""

PAID_BEFORE = "C005"
"""Code of a payment for a reservation that is already paid."""

FREED_EVERY, FREED_S, FREED_LOOK_S = 10, 20.0, 0.2
"""One buyer in `FREED_EVERY` measures how long its slot takes to be freed after the payment: for at
most `FREED_S`, polling every `FREED_LOOK_S`, both in s."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class _GaveUp(Exception):  # noqa: N818 - reads as the outcome it is
    """A visitor gave up after too many refusals or timeouts."""


class _SoldOut(Exception):  # noqa: N818 - reads as the outcome it is
    """The room is sold out."""


class _Reply(NamedTuple):
    """A decoded answer: its data, and the code if it is a refusal."""

    data: Any
    code: str
    answer: HttpAnswer


@dataclass(slots=True)
class _SharedSeats:
    """The available seats, as last decoded by any visitor."""

    read_s: float = float("-inf")
    seats: Sequence[Any] = ()


@dataclass(slots=True)
class _Visitor:
    name: str
    conduct: Conduct
    # Gets the token again after a lost answer.
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    token: str = ""
    due_s: float = 0.0
    # Whether an earlier attempt at the current call has an unknown outcome.
    unclear: bool = False

    def headers(self, call: str) -> dict[str, str]:
        """Return the headers of a call."""
        headers = {"X-User-Id": self.name}
        if call == "seats":
            headers["Accept-Encoding"] = "gzip"
        if call == "enter":
            headers["X-Visitor-Key"] = self.key
        if self.token:
            headers["X-Queue-Token"] = self.token
        return headers


class RehearsalCrowd:
    """All visitors of one rehearsal.

    Args:
        plan: The parameters of the rehearsal.
        room: Room that they enter.
        schedule: Schedule whose seats they reserve.
        queue: Client of the queue service.
        office: Client of the booking service.
        provider: Payment provider, which names the test payment methods.
        tally: Records latencies and outcomes.
        rng: Random generator for arrivals and behaviour.
    """

    def __init__(
        self,
        plan: RehearsalPlan,
        *,
        room: str,
        schedule: int,
        queue: HttpClient,
        office: HttpClient,
        provider: Registration,
        tally: VisitorTally,
        rng: Random,
    ) -> None:
        self._plan = plan
        self._room = room
        self._schedule = schedule
        self._queue = queue
        self._office = office
        self._provider = provider
        self._tally = tally
        self._rng = rng
        self._map = _SharedSeats()
        self._loop = asyncio.get_running_loop()

    async def come(self) -> None:
        """Start each visitor at its arrival time; return when the last one has left."""
        started_s = self._loop.time()
        async with asyncio.TaskGroup() as group:
            for number, due_s in enumerate(self._plan.due_s(self._rng)):
                await self._until(started_s + due_s)
                visitor = _Visitor(str(FIRST_USER + number), conduct(self._rng))
                visitor.due_s = started_s + due_s
                self._tally.came += 1
                group.create_task(self._visit(visitor))

    async def _visit(self, visitor: _Visitor) -> None:
        came_s = visitor.due_s
        try:
            after_s = await self._enter(visitor)
            await self._wait(visitor, after_s)
            self._tally.waits.record(int((self._loop.time() - came_s) * 1e6))
            how = await self._shop(visitor)
        except _SoldOut:
            how = "left_sold_out"
        except _GaveUp as gave_up:
            how = f"gave_up {gave_up}"
        else:
            self._tally.journeys.record(int((self._loop.time() - came_s) * 1e6))
        self._tally.ended(how)

    async def _enter(self, visitor: _Visitor) -> int:
        """Enter the line, and return the time until the first poll, in s."""
        body = _encode({"concertId": self._room, "userId": visitor.name})
        reply = await self._call(visitor, "enter", self._queue, "POST", "/api/v1/queue/enter", body)
        visitor.token = reply.data["token"]
        return reply.answer.retry_after_s

    async def _wait(self, visitor: _Visitor, after_s: float) -> None:
        """Poll at the intervals that the service recommends, until admitted."""
        while True:
            await self._pause(visitor, after_s)
            reply = await self._query(visitor, "status", "GET", "status")
            if reply.data["status"] == "READY":
                visitor.token = reply.data["token"]
                return
            if reply.data["status"] != "WAITING":
                raise _GaveUp(f"status {reply.data['status']}")
            if self._tally.sold_out:
                # The page shows "sold out". Some visitors stay for returned seats; here all leave.
                await self._query(visitor, "remove", "DELETE", "remove")
                raise _SoldOut
            after_s = reply.data["recommendedPollIntervalMs"] / 1000

    async def _shop(self, visitor: _Visitor) -> str:
        if visitor.conduct is Conduct.NO_SHOW:
            return "no_show"
        visitor.token = (await self._query(visitor, "activate", "POST", "activate")).data["token"]
        reservation = await self._reserve(visitor)
        if reservation is None:
            await self._query(visitor, "remove", "DELETE", "remove")
            return "no_seat"
        if visitor.conduct is Conduct.ABANDONS:
            return "abandoned"
        await self._think(visitor)
        if visitor.conduct is Conduct.DECLINED:
            await self._pay(visitor, reservation, self._provider.declined_method)
            await self._think(visitor)
        if not await self._pay(visitor, reservation, self._provider.test_method):
            return "not_charged"
        await self._gone(visitor)
        return "bought"

    async def _reserve(self, visitor: _Visitor) -> Any:  # noqa: ANN401 - JSON, or None
        """Reserve an available seat; return `None` if there is none."""
        for _ in range(SEATS_TRIED):
            seats = await self._seats(visitor)
            if not seats:
                return None
            await self._think(visitor)
            seat = self._rng.choice(seats)
            body = _encode({"seatId": seat["seatId"], "scheduleId": self._schedule})
            path = "/api/v1/reservations"
            reply = await self._call(
                visitor, "reserve", self._office, "POST", path, body, accepted=("B003",)
            )
            if not reply.code:
                return {**reply.data, "amount": seat["price"], "seatId": seat["seatId"]}
        return None

    async def _seats(self, visitor: _Visitor) -> Sequence[Any]:
        path = f"/api/v1/schedules/{self._schedule}/seats"
        reply = await self._call(visitor, "seats", self._office, "GET", path)
        now_s = self._loop.time()
        if now_s >= self._map.read_s + MAP_KEPT_S:
            answer = reply.answer
            body = gzip.decompress(answer.body) if answer.gzipped else answer.body
            self._map.read_s, self._map.seats = now_s, _decode(body)
        return self._map.seats

    async def _pay(self, visitor: _Visitor, reservation: Any, method: str) -> bool:  # noqa: ANN401
        body = _encode(
            {
                "reservationId": reservation["reservationId"],
                "userId": int(visitor.name),
                "amount": reservation["amount"],
                "paymentMethod": method,
                "concertId": self._room,
            }
        )
        declined = method == self._provider.declined_method
        # A retry after a lost answer is refused as paid already if the first attempt succeeded.
        accepted = ("P001",) if declined else (PAID_BEFORE,)
        path = "/api/v1/payments"
        reply = await self._call(
            visitor, "pay", self._office, "POST", path, body, accepted=accepted
        )
        if reply.code and not (reply.code == PAID_BEFORE and visitor.unclear):
            return False
        self._tally.sold[reservation["seatId"]] += 1
        return True

    async def _gone(self, visitor: _Visitor) -> None:
        """Poll until the payment has freed the slot, for one buyer in `FREED_EVERY`."""
        paid_s = self._loop.time()
        if self._rng.randrange(FREED_EVERY):
            return
        while self._loop.time() < paid_s + FREED_S:
            reply = await self._query(visitor, "gone", "GET", "status", accepted=("Q001",))
            if reply.code:
                self._tally.freed.record(int((self._loop.time() - paid_s) * 1e6))
                return
            await self._pause(visitor, FREED_LOOK_S)
        raise _GaveUp("the payment did not free the slot")

    async def _query(
        self, visitor: _Visitor, call: str, method: str, name: str, accepted: Sequence[str] = ()
    ) -> _Reply:
        who = urlencode({"concertId": self._room, "userId": visitor.name})
        path = f"/api/v1/queue/{name}?{who}"
        return await self._call(visitor, call, self._queue, method, path, accepted=accepted)

    async def _call(  # noqa: PLR0917 - one request
        self,
        visitor: _Visitor,
        call: str,
        service: HttpClient,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        accepted: Sequence[str] = (),
    ) -> _Reply:
        """Make a call until it succeeds or is refused with an accepted code.

        Raises:
            _GaveUp: It was refused with another code, or not answered in `TRIES` attempts.
        """
        headers = visitor.headers(call)
        code, visitor.unclear = LOST, False
        for tried in range(TRIES):
            if tried:
                await self._pause(visitor, RETRY_S * 2**tried * (0.75 + self._rng.random() / 2))
            due_s = visitor.due_s
            late_s = max(0.0, self._loop.time() - due_s)
            try:
                answer = await service.request(method, path, headers, body)
            except Unavailable:
                now_s = self._loop.time()
                self._tally.called(call, now_s - due_s, late_s, LOST)
                visitor.due_s, visitor.unclear = now_s, True
                continue
            now_s = visitor.due_s = self._loop.time()
            reply = _decoded(answer)
            self._tally.called(call, now_s - due_s, late_s, reply.code)
            if not reply.code or reply.code in accepted:
                return reply
            code, visitor.unclear = reply.code, True
            # A retry would be refused again.
            if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                break
        raise _GaveUp(f"{call} {code}")

    async def _think(self, visitor: _Visitor) -> None:
        await self._pause(visitor, self._rng.uniform(*THINK_S))

    async def _pause(self, visitor: _Visitor, for_s: float) -> None:
        """Sleep; the next call is due at the end."""
        visitor.due_s = max(visitor.due_s, self._loop.time()) + for_s
        await self._until(visitor.due_s)

    async def _until(self, due_s: float) -> None:
        rest_s = due_s - self._loop.time()
        if rest_s > 0:
            await asyncio.sleep(rest_s)


def _decoded(answer: HttpAnswer) -> _Reply:
    """Decode an answer: its data, or the code of its refusal."""
    if answer.gzipped:
        # Only the seat map is compressed; `_seats` decodes it.
        good = answer.status == HTTPStatus.OK
        return _Reply(None, "" if good else f"HTTP {answer.status}", answer)
    try:
        body = _decode(answer.body)
    except msgspec.DecodeError:
        return _Reply(None, f"HTTP {answer.status}", answer)
    if answer.status < HTTPStatus.BAD_REQUEST:
        return _Reply(body.get("data") if isinstance(body, dict) else body, "", answer)
    code = body.get("code") if isinstance(body, dict) else None
    return _Reply(None, str(code or f"HTTP {answer.status}"), answer)
