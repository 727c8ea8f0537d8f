"""Sends requests at a fixed pace, whatever the answers take: what a real day looks like.

Runs as a process of its own (`python -m waitline_bench.paced`), so that its processor time is not
that of what it measures. Each request has a time at which it is due; latency counts from there, so
a server that stalls is charged for everybody who came meanwhile.
"""

import asyncio
import json
import re
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import NamedTuple, cast

import uvloop
from typing_extensions import override

CONNECTIONS = 64
TICK_S = 0.001
"""Between two looks at what is due: as fine as the loop's timers are."""

DRAIN_S = 5.0
"""How long the last answers are waited for."""


_LENGTH = re.compile(rb"content-length: (\d+)")


class Plan(NamedTuple):
    """What to send.

    Attributes:
        port: Of the server, on 127.0.0.1.
        per_s: Requests per second.
        seconds: For how long.
        call: enter, status, validate, or a path to GET.
        room: Where.
        names: First part of the visitors' names; for validate, the file of tokens.
        visitors: Those who are asked about, in turn; 0 for new ones.
    """

    port: int
    per_s: float
    seconds: float
    call: str
    room: str
    names: str
    visitors: int


def requests(plan: Plan) -> Iterator[bytes]:
    """Return the requests to send, one after the other, without an end."""
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


class _Line(asyncio.Protocol):
    """One connection, with one request under way at most."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._due_s = 0.0
        self._text = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are what asyncio's are, and do not inherit from them.
        self._transport = cast("asyncio.Transport", transport)
        self._load.free.append(self)

    def send(self, due_s: float, request: bytes) -> None:
        assert self._transport is not None
        self._due_s = due_s
        self._transport.write(request)

    @override
    def data_received(self, data: bytes) -> None:
        self._text += data
        head, end, body = self._text.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if end and length is not None and len(body) >= int(length[1]):
            self._load.answered(self, self._due_s, good=self._text.startswith(b"HTTP/1.1 2"))
            self._text = b""


class _Load:
    """Sends what is due, and notes what came of it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._requests = requests(plan)
        self.free: deque[_Line] = deque()
        self._late: deque[float] = deque()
        self._under_way = 0
        self._took_ms: list[float] = []
        self._bad = 0

    async def run(self) -> dict[str, float]:
        for _ in range(CONNECTIONS):
            await self._loop.create_connection(lambda: _Line(self), "127.0.0.1", self._plan.port)
        began_s = perf_counter()
        sent, wanted = 0, int(self._plan.per_s * self._plan.seconds)
        while sent < wanted or ((self._late or self._under_way) and not self._over(began_s)):
            passed_s = perf_counter() - began_s
            while sent < wanted and sent / self._plan.per_s <= passed_s:
                self._late.append(began_s + sent / self._plan.per_s)
                sent += 1
            while self._late and self.free:
                self._under_way += 1
                self.free.popleft().send(self._late.popleft(), next(self._requests))
            await asyncio.sleep(TICK_S)
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

    def answered(self, line: _Line, due_s: float, *, good: bool) -> None:
        self._took_ms.append((perf_counter() - due_s) * 1000)
        self._bad += not good
        self._under_way -= 1
        self.free.append(line)


def main(words: list[str]) -> None:
    """Send what the plan says (its fields as JSON), and print what came of it."""
    plan = Plan(**json.loads(words[0]))

    async def run() -> dict[str, float]:
        return await _Load(plan).run()

    sys.stdout.write(json.dumps(uvloop.run(run())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
