"""Strangers who call the box office as fast as it answers."""

import asyncio
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

BATCH = 8
"""Requests that a connection sends before it waits for their answers."""

_TOKEN = "X-User-Id: 7\r\nX-Queue-Token: t1.k.1.1.AAAAAAAAAAAAAAAAAAAAAA\r\n"
_rng = random.Random(3)  # noqa: S311 - ids of strangers


def _id() -> int:
    return _rng.getrandbits(52)


def _get(path: str, headers: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"


def _post(path: str, body: str, headers: str = "") -> str:
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}"
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}"


CALLS: dict[str, Callable[[], str]] = {
    "concerts": lambda: _get("/api/v1/concerts", "Accept-Encoding: gzip\r\n"),
    "a concert": lambda: _get("/api/v1/concerts/1"),
    "unknown concerts": lambda: _get(f"/api/v1/concerts/{_id()}"),
    "schedules": lambda: _get("/api/v1/concerts/1/schedules"),
    "unknown schedules": lambda: _get(f"/api/v1/schedules/{_id()}/seats", _TOKEN),
    "seats with a bad token": lambda: _get("/api/v1/schedules/1/seats", _TOKEN),
    "seats without a token": lambda: _get("/api/v1/schedules/1/seats"),
    "reserving with a bad token": lambda: _post(
        "/api/v1/reservations", '{"seatId":1,"scheduleId":1}', _TOKEN
    ),
    "unknown reservations": lambda: _get(f"/api/v1/reservations/{_id()}", _TOKEN),
    "reservations of others": lambda: _get("/api/v1/reservations?mine", _TOKEN),
    "unknown payments": lambda: _get(f"/api/v1/payments/{_id()}", _TOKEN),
    "paying for others": lambda: _post(
        "/api/v1/payments",
        f'{{"reservationId":{_id()},"userId":7,"amount":1,"paymentMethod":"C","concertId":"1"}}',
        _TOKEN,
    ),
    "forged webhooks": lambda: _post("/api/v1/payments/webhook", "{}"),
    "malformed bodies": lambda: _post("/api/v1/reservations", "{"),
    "health": lambda: _get("/api/v1/health"),
    "readiness": lambda: _get("/actuator/health/readiness"),
    "unknown paths": lambda: _get(f"/nothing/{_id()}"),
    "preflights": lambda: (
        "OPTIONS /api/v1/reservations HTTP/1.1\r\nHost: x\r\nOrigin: https://x\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n"
    ),
    "operators' calls": lambda: _get("/api/v1/operator/concerts", "X-Operator-Key: wrong\r\n"),
    "bodies that are too long": lambda: _post("/api/v1/reservations", "x" * 9_000),
}
"""A request of each kind that needs no admission."""


class Flood:
    """What strangers sent and got.

    Attributes:
        answers: Answers by status.
    """

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()


@contextmanager
def flood(port: int, *kinds: str, connections: int = 1) -> Iterator[Flood]:
    """Send calls during the block, on some connections for each kind."""
    found = Flood()
    ended = threading.Event()

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for kind in itertools.chain.from_iterable(itertools.repeat(kinds, connections)):
                group.create_task(_flow(port, CALLS[kind], found, ended))

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


async def _flow(
    port: int, request: Callable[[], str], found: Flood, ended: threading.Event
) -> None:
    while not ended.is_set():
        # The service closes the connection after some refusals.
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await _converse(reader, writer, request, found, ended)
            finally:
                writer.close()


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: Callable[[], str],
    found: Flood,
    ended: threading.Event,
) -> None:
    while not ended.is_set():
        writer.write("".join(request() for _ in range(BATCH)).encode())
        for _ in range(BATCH):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head.split(b" ", 2)[1])
            _, _, rest = head.partition(b"content-length: ")
            if status != HTTPStatus.NOT_MODIFIED and rest:
                await reader.readexactly(int(rest.partition(b"\r\n")[0]))
            found.answers[status] += 1
