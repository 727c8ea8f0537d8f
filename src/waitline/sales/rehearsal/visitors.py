"""What visitors do, from entering to being gone, each on its own and all at once.

Each call is counted from when it was due, so a service, or this process, that falls behind cannot
hide it. A visitor without an answer retries a few times with backoff, as the waiting page does.
"""

import asyncio
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
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
"""First pause of a visitor who was refused or not answered; doubled each time.

Source: waiting.js.
"""

FIRST_USER = 9_000_000_000_000_000_000
"""Number of the first visitor: where no shop has its own users."""

TRIES = 5
"""Times that a call is made before the visitor gives up."""

SEATS_TRIED = 6
"""Seats that a visitor tries to hold before it gives up, where others are faster."""

MAP_KEPT_S = 1.0
"""How long one reading of the seat map serves all visitors here. Each of them asks for it, as it
must; to decode it for each would cost this process more than all the rest."""

PAID_BEFORE = "C005"
"""Code of a payment for what is paid for already."""

FREED_EVERY, FREED_S, FREED_LOOK_S = 10, 20.0, 0.2
"""One buyer in so many measures how long its slot takes to be freed after the payment: for how long
at most, and how often it polls, both in s."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class _GaveUp(Exception):  # noqa: N818 - reads as the outcome it is
    """A visitor was refused, or not answered, once too often."""


class _SoldOut(Exception):  # noqa: N818 - reads as the outcome it is
    """The room is sold out."""


class _Told(NamedTuple):
    """An answer that was understood: what it says, and the code if it is a refusal."""

    data: Any
    code: str
    answer: HttpAnswer


@dataclass(slots=True)
class _Map:
    """The seats that were free when one of the visitors looked last."""

    read_s: float = float("-inf")
    seats: Sequence[Any] = ()


@dataclass(slots=True)
class _Visitor:
    name: str
    conduct: Conduct
    token: str = ""
    due_s: float = 0.0
    # Whether the call under way was tried before, and what became of that is not known.
    unclear: bool = False


class RehearsalCrowd:
    """All visitors of one rehearsal.

    Args:
        plan: Who comes.
        room: Where.
        schedule: Whose seats they want.
        queue: The queue service.
        office: The booking service.
        provider: Names the payment methods.
        tally: Counts what comes of it.
        rng: What they do, and when.
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
        self._dice = rng
        self._map = _Map()
        self._loop = asyncio.get_running_loop()

    async def come(self) -> None:
        """Let everybody come, and return when the last has gone."""
        started_s = self._loop.time()
        async with asyncio.TaskGroup() as group:
            for number, due_s in enumerate(self._plan.due_s(self._dice)):
                await self._until(started_s + due_s)
                visitor = _Visitor(str(FIRST_USER + number), conduct(self._dice))
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
            how = "left: sold out"
        except _GaveUp as gave_up:
            how = f"gave up: {gave_up}"
        else:
            self._tally.journeys.record(int((self._loop.time() - came_s) * 1e6))
        self._tally.ended(how)

    async def _enter(self, visitor: _Visitor) -> int:
        """Take a place, and return when to ask how it stands, in s."""
        body = _encode({"concertId": self._room, "userId": visitor.name})
        reply = await self._ask(visitor, "enter", self._queue, "POST", "/api/v1/queue/enter", body)
        visitor.token = reply.data["token"]
        return reply.answer.retry_after_s

    async def _wait(self, visitor: _Visitor, after_s: float) -> None:
        """Poll at the served hints until admitted."""
        while True:
            await self._pause(visitor, after_s)
            reply = await self._query(visitor, "status", "GET", "status")
            if reply.data["status"] == "READY":
                visitor.token = reply.data["token"]
                return
            if reply.data["status"] != "WAITING":
                raise _GaveUp(f"status {reply.data['status']}")
            if self._tally.sold_out:
                # The page says so to those who wait. Some stay for what comes back; here, all go.
                await self._query(visitor, "remove", "DELETE", "remove")
                raise _SoldOut
            after_s = reply.data["recommendedPollIntervalMs"] / 1000

    async def _shop(self, visitor: _Visitor) -> str:
        if visitor.conduct is Conduct.NO_SHOW:
            return "no-show"
        visitor.token = (await self._query(visitor, "activate", "POST", "activate")).data["token"]
        reservation = await self._reserve(visitor)
        if reservation is None:
            await self._query(visitor, "remove", "DELETE", "remove")
            return "found nothing"
        if visitor.conduct is Conduct.ABANDONS:
            return "abandoned"
        await self._think(visitor)
        if visitor.conduct is Conduct.DECLINED:
            await self._pay(visitor, reservation, self._provider.declined_method)
            await self._think(visitor)
        if not await self._pay(visitor, reservation, self._provider.test_method):
            return "not charged"
        await self._gone(visitor)
        return "bought"

    async def _reserve(self, visitor: _Visitor) -> Any:  # noqa: ANN401 - JSON, or None
        """RoomSample for a seat that is free and hold it; `None` if there is none to be had."""
        for _ in range(SEATS_TRIED):
            seats = await self._look(visitor)
            if not seats:
                return None
            await self._think(visitor)
            seat = self._dice.choice(seats)
            body = _encode({"seatId": seat["seatId"], "scheduleId": self._schedule})
            path = "/api/v1/reservations"
            reply = await self._ask(
                visitor, "reserve", self._office, "POST", path, body, borne=("B003",)
            )
            if not reply.code:
                return {**reply.data, "amount": seat["price"], "seatId": seat["seatId"]}
        return None

    async def _look(self, visitor: _Visitor) -> Sequence[Any]:
        path = f"/api/v1/schedules/{self._schedule}/seats"
        reply = await self._ask(visitor, "seats", self._office, "GET", path)
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
        # Paid for by an attempt whose answer did not come: the second one hears so.
        borne = ("P001",) if declined else (PAID_BEFORE,)
        path = "/api/v1/payments"
        reply = await self._ask(visitor, "pay", self._office, "POST", path, body, borne=borne)
        if reply.code and not (reply.code == PAID_BEFORE and visitor.unclear):
            return False
        self._tally.sold[reservation["seatId"]] += 1
        return True

    async def _gone(self, visitor: _Visitor) -> None:
        """Poll until the payment has freed the slot; only one buyer in `FREED_EVERY` does."""
        paid_s = self._loop.time()
        if self._dice.randrange(FREED_EVERY):
            return
        while self._loop.time() < paid_s + FREED_S:
            reply = await self._query(visitor, "gone", "GET", "status", borne=("Q001",))
            if reply.code:
                self._tally.freed.record(int((self._loop.time() - paid_s) * 1e6))
                return
            await self._pause(visitor, FREED_LOOK_S)
        raise _GaveUp("the payment did not free the slot")

    async def _query(
        self, visitor: _Visitor, call: str, method: str, name: str, borne: Sequence[str] = ()
    ) -> _Told:
        who = urlencode({"concertId": self._room, "userId": visitor.name})
        path = f"/api/v1/queue/{name}?{who}"
        return await self._ask(visitor, call, self._queue, method, path, borne=borne)

    async def _ask(  # noqa: PLR0917 - one request
        self,
        visitor: _Visitor,
        call: str,
        service: HttpClient,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        borne: Sequence[str] = (),
    ) -> _Told:
        """Make a call until it is answered well, or with a code that is to be borne.

        Raises:
            _GaveUp: It was refused, or not answered, as often as a visitor bears.
        """
        headers = {"X-User-Id": visitor.name}
        if call == "seats":
            headers["Accept-Encoding"] = "gzip"
        if visitor.token:
            headers["X-Queue-Token"] = visitor.token
        code, visitor.unclear = LOST, False
        for tried in range(TRIES):
            if tried:
                await self._pause(visitor, RETRY_S * 2**tried * (0.75 + self._dice.random() / 2))
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
            reply = _told(answer)
            self._tally.called(call, now_s - due_s, late_s, reply.code)
            if not reply.code or reply.code in borne:
                return reply
            code, visitor.unclear = reply.code, True
            # The same again would be refused again.
            if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                break
        raise _GaveUp(f"{call} {code}")

    async def _think(self, visitor: _Visitor) -> None:
        await self._pause(visitor, self._dice.uniform(*THINK_S))

    async def _pause(self, visitor: _Visitor, for_s: float) -> None:
        """Wait; the next call is due at the end of it."""
        visitor.due_s = max(visitor.due_s, self._loop.time()) + for_s
        await self._until(visitor.due_s)

    async def _until(self, due_s: float) -> None:
        rest_s = due_s - self._loop.time()
        if rest_s > 0:
            await asyncio.sleep(rest_s)


def _told(answer: HttpAnswer) -> _Told:
    """Read an answer: what it says, or the code of its refusal."""
    if answer.gzipped:
        # Only the seat map comes compressed; `_look` decodes it when it is due.
        good = answer.status == HTTPStatus.OK
        return _Told(None, "" if good else f"HTTP {answer.status}", answer)
    try:
        body = _decode(answer.body)
    except msgspec.DecodeError:
        return _Told(None, f"HTTP {answer.status}", answer)
    if answer.status < HTTPStatus.BAD_REQUEST:
        return _Told(body.get("data") if isinstance(body, dict) else body, "", answer)
    code = body.get("code") if isinstance(body, dict) else None
    return _Told(None, str(code or f"HTTP {answer.status}"), answer)
