"""Load generator of the box office, in its own process: open loop, or closed loop at full load.

`python -m waitline_bench.booking.buyers` takes a plan as JSON in its first argument and prints its
measurements. In the open loop, latency counts from when an arrival was due. At full load, the next
buyer begins when one is done.
"""

import asyncio
import json
import re
import sys
from collections import Counter, deque
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Literal, NamedTuple

import uvloop

from waitline.sales.http_client import HttpConnection

TICK_S = 0.001
"""Interval at which due arrivals are sent, in s: the resolution of the loop's timers."""

DRAIN_S = 15.0
"""Time for the last buyers to finish, in s: longer than a payment may take."""

_RESERVATION = re.compile(rb'"reservationId":(\d+)')
_ETAG = re.compile(rb"\r\netag: ([^\r]+)")

Errand = Literal["seats", "seats again", "sections", "reserve", "buy"]
"""Tasks of a buyer: fetch the seat map; fetch it with the last ETag; fetch the counts per section;
reserve a seat; reserve and pay."""

BUYING = frozenset(("reserve", "buy"))
"""Tasks for which each buyer needs its own seat."""


class BuyerPlan(NamedTuple):
    """The plan of a load generator.

    Attributes:
        port: Port of the booking service on 127.0.0.1.
        errand: What each buyer does.
        buyers: File of buyers, a line each: user, token, schedule, seat, price. Each buys once;
            errands that only read reuse them.
        per_s: Arrivals per second; 0: at full load.
        seconds: Arrival period.
        connections: Most concurrent buyers.
    """

    port: int
    errand: Errand
    buyers: str
    per_s: float
    seconds: float
    connections: int


class _Buyer(NamedTuple):
    user: str
    token: str
    schedule: str
    seat: str
    price: str


class _BuyerConnection(HttpConnection):
    """A connection and its current buyer."""

    def __init__(self, office: "_BuyerLoad") -> None:
        super().__init__(office)
        self.buyer: _Buyer | None = None
        self.due_s = 0.0
        self.sent_s = 0.0
        self.step = ""

    def send(self, step: str, request: bytes) -> None:
        self.step, self.sent_s = step, perf_counter()
        self.write(request)


class _BuyerLoad:
    """Runs the buyers and records their latencies."""

    def __init__(self, plan: BuyerPlan) -> None:
        self._plan = plan
        lines = Path(plan.buyers).read_text("utf-8").splitlines()
        self._buyers = cycle(lines)
        self._most = len(lines)
        self.free: deque[_BuyerConnection] = deque()
        self._began_s = 0.0
        self._came = 0
        self._under_way = 0
        self._etag = b""
        self._took_ms: dict[str, list[float]] = {}
        self._statuses: Counter[str] = Counter()
        self._done = 0
        self._bytes = 0

    async def run(self) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        plan = self._plan
        for _ in range(plan.connections):
            await loop.create_connection(lambda: _BuyerConnection(self), "127.0.0.1", plan.port)
        self._began_s = perf_counter()
        while self._comes() or (self._under_way and not self._over()):
            self._serve()
            await asyncio.sleep(TICK_S)
        return {
            "took_s": perf_counter() - self._began_s,
            "done": self._done,
            "left": self._under_way,
            "bytes": self._bytes,
            "statuses": dict(self._statuses),
            "ms": {step: _hundredths(took) for step, took in self._took_ms.items()},
        }

    def _comes(self) -> bool:
        """Whether buyers still arrive, or wait to be served."""
        plan = self._plan
        if self._over() or (plan.errand in BUYING and self._came >= self._most):
            return False
        if plan.per_s:
            return self._came < int(plan.per_s * plan.seconds)
        return perf_counter() < self._began_s + plan.seconds

    def _over(self) -> bool:
        return perf_counter() > self._began_s + self._plan.seconds + DRAIN_S

    def _serve(self) -> None:
        """Send the requests that are due, while connections are free."""
        plan = self._plan
        while self.free and self._comes():
            now_s = perf_counter()
            due_s = self._began_s + self._came / plan.per_s if plan.per_s else now_s
            if due_s > now_s:
                return
            self._came += 1
            self._under_way += 1
            line = self.free.popleft()
            line.buyer, line.due_s = _Buyer(*next(self._buyers).split()), due_s
            if plan.errand in BUYING:
                line.send("reserve", _reserve(line.buyer))
            else:
                line.send(plan.errand, _seats(line.buyer, plan.errand, self._etag))

    def connection_opened(self, connection: HttpConnection) -> None:
        assert isinstance(connection, _BuyerConnection)
        self.free.append(connection)

    def answer_received(self, connection: HttpConnection, answer: bytes) -> None:
        assert isinstance(connection, _BuyerConnection)
        line, now_s = connection, perf_counter()
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head[9:12].decode()
        self._statuses[f"{line.step} {status}"] += 1
        self._bytes += len(answer)
        # The first step counts from when it was due; the second follows at once.
        since_s = line.sent_s if line.step == "pay" else line.due_s
        self._took_ms.setdefault(line.step, []).append((now_s - since_s) * 1000)
        if line.step == "seats again" and (found := _ETAG.search(head)):
            self._etag = found[1]
        if line.step == "reserve" and status == "201" and self._plan.errand == "buy":
            assert line.buyer is not None
            reserved = _RESERVATION.search(body)
            assert reserved is not None, body
            line.send("pay", _pay(line.buyer, reserved[1].decode()))
            return
        self._done += status[0] == "2" or status == "304"
        if line.step == "pay":
            took = self._took_ms.setdefault("booking", [])
            took.append((now_s - line.due_s) * 1000)
        self._under_way -= 1
        self.free.append(line)
        if not self._plan.per_s:
            self._serve()

    def connection_closed(self, connection: HttpConnection) -> None:
        assert isinstance(connection, _BuyerConnection)
        if connection in self.free:
            self.free.remove(connection)
        else:
            self._under_way -= 1
            self._statuses[f"{connection.step} lost"] += 1


def _hundredths(took_ms: list[float]) -> dict[str, float]:
    if len(took_ms) < 2:  # noqa: PLR2004 - no percentiles of one
        return {}
    found = quantiles(took_ms, n=100)
    return {"p50": found[49], "p95": found[94], "p99": found[98], "most": max(took_ms)}


def _head(method: str, path: str, buyer: _Buyer, more: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User-Id: {buyer.user}\r\n"
        f"X-Queue-Token: {buyer.token}\r\n{more}\r\n"
    ).encode("ascii")


def _seats(buyer: _Buyer, errand: Errand, etag: bytes) -> bytes:
    view = "?view=sections" if errand == "sections" else ""
    more = "Accept-Encoding: gzip\r\n"
    if etag:
        more += f"If-None-Match: {etag.decode('ascii')}\r\n"
    return _head("GET", f"/api/v1/schedules/{buyer.schedule}/seats{view}", buyer, more)


def _post(path: str, buyer: _Buyer, body: str) -> bytes:
    more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return _head("POST", path, buyer, more) + body.encode("ascii")


def _reserve(buyer: _Buyer) -> bytes:
    body = f'{{"seatId":{buyer.seat},"scheduleId":{buyer.schedule}}}'
    return _post("/api/v1/reservations", buyer, body)


def _pay(buyer: _Buyer, reservation: str) -> bytes:
    body = (
        f'{{"reservationId":{reservation},"userId":{buyer.user},"amount":{buyer.price},'
        '"paymentMethod":"CARD","concertId":1}'
    )
    return _post("/api/v1/payments", buyer, body)


def main(words: list[str]) -> None:
    """Run the plan (its fields as JSON), and print the measurements."""
    plan = BuyerPlan(**json.loads(words[0]))

    async def run() -> dict[str, object]:
        return await _BuyerLoad(plan).run()

    sys.stdout.write(json.dumps(uvloop.run(run())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
