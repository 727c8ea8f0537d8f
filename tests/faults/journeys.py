"""Visitors who go the whole way through a proxy: enter, wait, buy or give up; all is logged.

They have keep-alive connections and never repeat a request: an answer that is not what it should be
is a failure, and so is one that does not come.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any
from urllib.parse import urlencode

from tests.faults.crowd import Caller, CutOffError, packed, paused, place_of
from tests.until import until_async

# Seconds between two polls.
POLL_S = 0.15

# Seconds that a stream may last: as long as all restarts together.
STREAM_S = 300.0

# Most seconds that a visitor thinks before a request: the load is to be real, and no overload.
THINK_S = 0.2

# Visitors at once; and of those, in a room that admits nobody.
SHOPPERS = 6
PATIENT = 6

ROOM, PAUSED = "rolling", "paused"
AMOUNT = 50_000


class WrongAnswerError(Exception):
    """A request failed."""


class Shoppers:
    """Visitors of one room, and their log.

    Attributes:
        entered: Place by visitor.
        paid: Seat by reservation, of those that were paid for.
        cancelled: Reservations that their visitors have cancelled.
        failures: What was not answered as it should be.
        requests: Answers, by call.
        streams: Event streams that ended as they should: at the turn, or with a retry hint.
    """

    def __init__(self, port: int, schedule: int, sections: Sequence[str]) -> None:
        self.port = port
        self.schedule = schedule
        self.sections = sections
        self.entered: dict[str, int] = {}
        self.paid: dict[int, int] = {}
        self.cancelled: set[int] = set()
        self.failures: list[str] = []
        self.requests: Counter[str] = Counter()
        self.streams: Counter[str] = Counter()
        self._numbers = count(1)
        self._stop = asyncio.Event()
        self._rng = random.Random(1)  # noqa: S311 - which seat, and whether to buy it

    @asynccontextmanager
    async def shopping(self) -> AsyncIterator["Shoppers"]:
        """Let them come until the block ends; those who are on their way go on to the end."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SHOPPERS):
                group.create_task(self._come())
            patient = [group.create_task(self._stay()) for _ in range(PATIENT)]
            try:
                yield self
            finally:
                self._stop.set()
                for task in patient:
                    task.cancel()

    async def more(self, journeys: int, deadline_s: float) -> None:
        """Wait until so many more have paid."""
        wanted = len(self.paid) + journeys
        await until_async(
            lambda: bool(self.failures) or len(self.paid) >= wanted,
            deadline_s,
            f"{journeys} more have paid",
        )
        assert not self.failures, self.failures[:5]

    async def _come(self) -> None:
        while not self._stop.is_set():
            shopper = _Shopper(self, f"v{next(self._numbers)}", self._rng)
            try:
                await shopper.go()
            except WrongAnswerError as failure:
                self.failures.append(f"{shopper.visitor}: {failure}")
                await paused(POLL_S)
            finally:
                await shopper.close()

    async def _stay(self) -> None:
        """Follow the own place by streams; whenever one ends, open the next."""
        shopper = _Shopper(self, f"v{next(self._numbers)}", self._rng, PAUSED)
        try:
            await shopper.stay()
        except WrongAnswerError as failure:
            self.failures.append(f"{shopper.visitor}: {failure}")
        finally:
            await shopper.close()


class _Shopper:
    """One visitor, with a connection to the waiting room and one to the shop."""

    def __init__(self, log: Shoppers, visitor: str, rng: random.Random, room: str = ROOM) -> None:
        self.visitor = visitor
        self._room = room
        self._log = log
        self._rng = rng
        self._line, self._shop = Caller(log.port), Caller(log.port)
        self._token = ""

    async def close(self) -> None:
        await self._line.close()
        await self._shop.close()

    async def _enter(self) -> str:
        """Take a place; return room and visitor as the parameters of further calls."""
        who = {"concertId": self._room, "userId": self.visitor}
        entry = await self._ask(self._line, "POST", "/api/v1/queue/enter", who, wanted=(201,))
        self._token = entry["token"]
        if self._room == ROOM:
            self._log.entered[self.visitor] = place_of(self._token)
        return urlencode(who)

    async def stay(self) -> None:
        names = await self._enter()
        while True:
            await self._stream(names)

    async def go(self) -> None:
        names = await self._enter()
        await self._wait(names, streams=self._rng.random() < 0.4)
        turn = await self._ask(self._line, "POST", f"/api/v1/queue/activate?{names}")
        self._token = turn["token"]
        reservation, seat = await self._reserve()
        if self._rng.random() < 0.75:
            await self._pay(reservation, seat)
            return
        await self._ask(self._shop, "DELETE", f"/api/v1/reservations/{reservation}")
        self._log.cancelled.add(reservation)
        await self._ask(self._line, "DELETE", f"/api/v1/queue/remove?{names}")

    async def _wait(self, names: str, *, streams: bool) -> None:
        """Wait for the turn, by polling or by event streams."""
        while True:
            if streams:
                await self._stream(names)
            standing = await self._ask(self._line, "GET", f"/api/v1/queue/status?{names}")
            self._token = standing["token"]
            if standing["status"] == "READY":
                return
            await paused(POLL_S)

    async def _stream(self, names: str) -> None:
        """Read a stream to its end, which must be regular."""
        headers = {"X-Queue-Token": self._token}
        reader, writer = await asyncio.open_connection("127.0.0.1", self._log.port)
        text = b""
        try:
            writer.write(packed("GET", f"/api/v1/queue/subscribe?{names}", None, headers))
            async with asyncio.timeout(STREAM_S):
                while part := await reader.read(65_536):
                    text += part
                    if text.endswith(b"0\r\n\r\n"):
                        break
        except (OSError, TimeoutError) as error:
            raise WrongAnswerError(f"stream: {error!r} after {text[-300:]!r}") from None
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        ended = text.endswith(b"0\r\n\r\n") and text.startswith(b"HTTP/1.1 200 ")
        if ended and b"event: ready" in text:
            self._log.streams["turn"] += 1
        elif ended and text.count(b"retry: ") > 1:
            self._log.streams["come again"] += 1
        else:
            raise WrongAnswerError(f"stream: ended with {text[-300:]!r}")

    async def _reserve(self) -> tuple[int, int]:
        """Reserve a free seat; one that somebody else was faster to take is another try."""
        while True:
            section = self._rng.choice(self._log.sections)
            path = f"/api/v1/schedules/{self._log.schedule}/seats?section={section}"
            listed = await self._ask(self._shop, "GET", path)
            free = [each["seatId"] for each in listed if each["status"] == "AVAILABLE"]
            if not free:
                continue
            body = {"scheduleId": self._log.schedule, "seatId": self._rng.choice(free)}
            made = await self._ask(
                self._shop, "POST", "/api/v1/reservations", body, wanted=(201, 409)
            )
            if made is not None:
                return made["reservationId"], body["seatId"]

    async def _pay(self, reservation: int, seat: int) -> None:
        body = {
            "reservationId": reservation,
            "userId": self.visitor,
            "amount": AMOUNT,
            "paymentMethod": "CARD",
            "concertId": self._room,
        }
        payment = await self._ask(self._shop, "POST", "/api/v1/payments", body, wanted=(201,))
        if payment["status"] != "COMPLETED":
            raise WrongAnswerError(f"payment: {payment}")
        self._log.paid[reservation] = seat

    async def _ask(
        self,
        caller: Caller,
        method: str,
        path: str,
        body: object = None,
        wanted: Sequence[int] = (200,),
    ) -> Any:  # noqa: ANN401 - JSON
        headers = {"X-User-Id": self.visitor}
        if self._token:
            headers["X-Queue-Token"] = self._token
        call = f"{method} {path.partition('?')[0]}"
        await paused(self._rng.uniform(0, THINK_S))
        try:
            reply = await caller.ask(method, path, body, headers)
        except CutOffError as cut:
            raise WrongAnswerError(f"{call}: no answer, {cut.part[:200]!r}") from None
        self._log.requests[f"{call} {reply.status}"] += 1
        if reply.status not in wanted:
            raise WrongAnswerError(f"{call}: {reply.status} {reply.body[:300]!r}")
        document = json.loads(reply.body)
        return document.get("data", document) if isinstance(document, dict) else document
