"""Open-loop load generator at a fixed request rate, whatever the latency.

Runs in its own process (`python -m waitline_bench.paced`), which keeps its CPU time apart. Latency
counts from the time at which a request is due, so a stall counts for every request that arrives
during it (no coordinated omission).
"""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from selectors import SelectSelector
from statistics import quantiles
from time import perf_counter
from typing import NamedTuple

from waitline.sales.http_client import HttpConnection

CONNECTIONS = 64
SPARE_S = 0.01
"""Interval of checks for the last answers, once everything is sent."""

DRAIN_S = 5.0
"""Timeout of the last answers."""


class PacedPlan(NamedTuple):
    """Plan of one measurement.

    Attributes:
        port: Port of the server on 127.0.0.1.
        per_s: Requests per second.
        seconds: Length of the measurement.
        call: enter, status, validate, or a path to GET.
        room: Room of the calls.
        names: Prefix of the visitors' names; for validate, the file of tokens.
        visitors: Number of visitors to cycle through; 0 for new ones.
    """

    port: int
    per_s: float
    seconds: float
    call: str
    room: str
    names: str
    visitors: int


def requests(plan: PacedPlan) -> Iterator[bytes]:
    """Yield the requests to send, endlessly."""
    host = b"Host: 127.0.0.1\r\n"
    if plan.call == "validate":
        bodies = [
            _body(plan.room, *line.split()) for line in Path(plan.names).read_text().splitlines()
        ]
        while True:
            yield from (_post("validate", body) for body in bodies)
    number = 0
    while True:
        # A stride that shares no factor with the number visits all of them, far apart.
        number = (number + 7_919) % plan.visitors + 1 if plan.visitors else number + 1
        if plan.call == "enter":
            yield _post("enter", _body(plan.room, f"{plan.names}{number}"))
        elif plan.call == "status":
            path = f"/api/v1/queue/status?concertId={plan.room}&userId={plan.names}{number}"
            yield f"GET {path} HTTP/1.1\r\n".encode() + host + b"\r\n"
        else:
            yield f"GET {plan.call} HTTP/1.1\r\n".encode() + host + b"\r\n"


def _body(room: str, visitor: str, token: str | None = None) -> bytes:
    shown = {"concertId": room, "userId": visitor, **({"token": token} if token else {})}
    return json.dumps(shown).encode()


def _post(call: str, body: bytes) -> bytes:
    head = f"POST /api/v1/queue/{call} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head + body


class _PacedConnection(HttpConnection):
    """A connection, and the due time of its request."""

    due_s = 0.0


class _PacedLoad:
    """Sends each request at its due time, and records the latency of its answer."""

    def __init__(self, plan: PacedPlan) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._requests = requests(plan)
        self.free: deque[_PacedConnection] = deque()
        self._late: deque[float] = deque()
        self._under_way = 0
        self._took_ms: list[float] = []
        self._bad = 0

    async def run(self) -> dict[str, float]:
        for _ in range(CONNECTIONS):
            await self._loop.create_connection(
                lambda: _PacedConnection(self), "127.0.0.1", self._plan.port
            )
        began_s = perf_counter()
        sent, wanted = 0, int(self._plan.per_s * self._plan.seconds)
        while sent < wanted or ((self._late or self._under_way) and not self._over(began_s)):
            passed_s = perf_counter() - began_s
            while sent < wanted and sent / self._plan.per_s <= passed_s:
                self._late.append(began_s + sent / self._plan.per_s)
                sent += 1
            while self._late and self.free:
                self._under_way += 1
                connection = self.free.popleft()
                connection.due_s = self._late.popleft()
                connection.write(next(self._requests))
            due_s = began_s + sent / self._plan.per_s if sent < wanted else perf_counter() + SPARE_S
            await asyncio.sleep(max(0.0, due_s - perf_counter()))
        hundredths = quantiles(self._took_ms, n=100)
        return {
            "offered": wanted,
            "answered": len(self._took_ms),
            "bad": self._bad,
            "p50_ms": hundredths[49],
            "p99_ms": hundredths[98],
        }

    def _over(self, began_s: float) -> bool:
        return perf_counter() - began_s > self._plan.seconds + DRAIN_S

    def connection_opened(self, connection: HttpConnection) -> None:
        assert isinstance(connection, _PacedConnection)
        self.free.append(connection)

    def answer_received(self, connection: HttpConnection, answer: bytes) -> None:
        assert isinstance(connection, _PacedConnection)
        self._took_ms.append((perf_counter() - connection.due_s) * 1000)
        self._bad += not answer.startswith(b"HTTP/1.1 2")
        self._under_way -= 1
        self.free.append(connection)

    def connection_closed(self, connection: HttpConnection) -> None:
        """Do nothing: a lost request counts as not answered."""


def main(words: list[str]) -> None:
    """Run the plan (its fields as JSON), and print the measurements."""
    plan = PacedPlan(**json.loads(words[0]))

    async def run() -> dict[str, float]:
        return await _PacedLoad(plan).run()

    # uvloop and epoll have timers of 1 ms, as long as most latencies here; select has microseconds.
    loop = asyncio.SelectorEventLoop(SelectSelector())
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        sys.stdout.write(json.dumps(runner.run(run())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
