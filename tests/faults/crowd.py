"""A closed-loop load generator that records every acknowledged answer, to compare with the store.

Each caller has a connection of its own and sends the next request after the last answer, so the
load is as high as the service bears and never higher. A visitor whose request fails retries, as a
browser would.
"""

import asyncio
import json
import random
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count, pairwise
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests import refusals
from tests.until import until_async
from waitline.kernel.ids import RoomId
from waitline.queue.audit import RoomSnapshot, examine

# Seconds after which a caller no longer waits for an answer.
PATIENCE_S = 10.0

# Seconds between two tries of a visitor who was turned away.
AGAIN_S = 0.05

CALLERS = 6


class CutOffError(Exception):
    """The connection ended before the answer was whole; `part` had come of it."""

    def __init__(self, part: bytes) -> None:
        super().__init__(part)
        self.part = part


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


class Caller:
    """One connection, opened when it is needed.

    Attributes:
        host: Where the next connection goes.
        port: Its port.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def goes_to(self, host: str, port: int) -> None:
        """Send what follows to another address, over a connection of its own."""
        if (host, port) != (self.host, self.port):
            await self.close()
            self.host, self.port = host, port

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Reply:
        """Send a request and return its answer.

        Raises:
            CutOffError: There was none.
        """
        started = monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, _ = await self.send(packed(method, path, body, headers))
                reply = await received(reader, started)
        except (OSError, EOFError, TimeoutError) as error:
            await self.close()
            raise CutOffError(getattr(error, "partial", b"")) from None
        except CutOffError:
            await self.close()
            raise
        if reply.headers.get("connection") == "close":
            await self.close()
        return reply

    async def send(self, packet: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._streams
        writer.write(packet)
        await writer.drain()
        return reader, writer

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            # Broken before it was closed: gone either way.
            with suppress(OSError):
                await writer.wait_closed()


def packed(
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return a request as it is sent."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if content:
        head += "Content-Type: application/json\r\n"
    return head.encode() + b"\r\n" + content


async def received(reader: asyncio.StreamReader, started: float) -> Reply:
    """Read one answer.

    Raises:
        CutOffError: It is not whole.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise CutOffError(error.partial) from None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    try:
        body = await reader.readexactly(int(headers["content-length"]))
    except asyncio.IncompleteReadError as error:
        raise CutOffError(head + error.partial) from None
    return Reply(int(first.split()[1]), headers, body, monotonic() - started)


Request = tuple[str, str, object]
"""Method, path, body."""


def enter(room: RoomId, visitor: str) -> Request:
    return "POST", "/api/v1/queue/enter", {"concertId": room, "userId": visitor}


def named(method: str, verb: str, room: RoomId, visitor: str) -> Request:
    """Return a request that names room and visitor in its path."""
    names = urlencode({"concertId": room, "userId": visitor})
    return method, f"/api/v1/queue/{verb}?{names}", None


async def at_once(port: int, asked: list[Request]) -> list[Reply]:
    """Send requests at the same time, over connections that are open already."""
    callers = [Caller(port) for _ in asked]
    await asyncio.gather(*(caller.ask("GET", "/actuator/health/liveness") for caller in callers))
    replies = await asyncio.gather(
        *(caller.ask(*request) for caller, request in zip(callers, asked, strict=True))
    )
    await asyncio.gather(*(caller.close() for caller in callers))
    return list(replies)


def one(port: int, request: Request) -> Reply:
    """Send a single request."""
    return asyncio.run(at_once(port, [request]))[0]


def place_of(token: str) -> int:
    """Return the place that a ticket or a pass carries."""
    parts = token.split(".")
    if parts[0] in {"t1", "a1"}:
        return int(parts[2])
    claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    place: int = claims["place"]
    return place


@dataclass(slots=True)
class Entry:
    """An acknowledged entry, and when it was requested and answered by this process's clock."""

    place: int
    asked_s: float
    answered_s: float


class Crowd:
    """Visitors of one room, arriving until stopped."""

    def __init__(
        self,
        port: int,
        room: RoomId,
        *,
        callers: int = CALLERS,
        host: str = "127.0.0.1",
        rest_s: float = 0.0,
    ) -> None:
        self.port = port
        self.host = host
        self.room = room
        self.entries: dict[str, Entry] = {}
        self.activated: set[str] = set()
        # Those who had a place and are not known any more.
        self.unknown: set[str] = set()
        # Refusals by status, and connections that ended without an answer.
        self.turned_away: Counter[int | str] = Counter()
        self.halves: list[bytes] = []
        self.slowest_s = 0.0
        self._callers = callers
        # Seconds between two visitors of a caller, where others need the processors too.
        self._rest_s = rest_s
        self._numbers = count(1)
        self._stop = asyncio.Event()
        self._rng = random.Random(1)  # noqa: S311 - which visitors to ask

    @asynccontextmanager
    async def arriving(self) -> AsyncIterator["Crowd"]:
        """Let visitors arrive, and the first of them activate, until the block ends.

        Requests in progress at the end are still answered.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(self._callers):
                group.create_task(self._arrive())
            group.create_task(self._activate())
            try:
                yield self
            finally:
                self._stop.set()

    async def _arrive(self) -> None:
        caller = Caller(self.port, self.host)
        while not self._stop.is_set():
            visitor = f"v{next(self._numbers)}"
            asked_s = monotonic()
            while not self._stop.is_set():
                reply = await self._try(caller, *enter(self.room, visitor))
                if reply is not None and reply.status == 201:
                    place = place_of(reply.json["data"]["token"])
                    self.entries[visitor] = Entry(place, asked_s, monotonic())
                    break
                await paused(AGAIN_S, self._stop)
            if self._rest_s:
                await paused(self._rest_s, self._stop)
        await caller.close()

    async def _activate(self) -> None:
        caller = Caller(self.port, self.host)
        while not self._stop.is_set():
            done = self.activated | self.unknown
            waiting = [name for name in self.entries if name not in done]
            # The first, whose turn comes first; and some of the others, if a store has forgotten
            # the first by the thousand.
            others = self._rng.sample(waiting, min(len(waiting), 10))
            for visitor in dict.fromkeys([*waiting[:20], *others]):
                reply = await self._try(caller, *named("POST", "activate", self.room, visitor))
                if reply is not None and reply.status == 200:
                    self.activated.add(visitor)
                elif reply is not None and reply.status == 404:
                    self.unknown.add(visitor)
            await paused(AGAIN_S, self._stop)
        await caller.close()

    async def _try(
        self, caller: Caller, method: str, path: str, body: object = None
    ) -> Reply | None:
        await caller.goes_to(self.host, self.port)
        try:
            reply = await caller.ask(method, path, body)
        except CutOffError as cut:
            self.turned_away["cut off"] += 1
            if cut.part:
                self.halves.append(cut.part)
            return None
        self.slowest_s = max(self.slowest_s, reply.seconds)
        if reply.status >= 500:
            self.turned_away[reply.status] += 1
            assert_unavailable(reply)
        return reply

    async def grows(self, by: int, deadline_s: float) -> None:
        """Wait until so many more have a place."""
        before = len(self.entries)
        await until_async(lambda: len(self.entries) >= before + by, deadline_s, f"{by} get a place")

    @property
    def silence_s(self) -> float:
        """The longest time in which nobody was given a place."""
        times = sorted(entry.answered_s for entry in self.entries.values())
        return max(later - earlier for earlier, later in pairwise(times))


def assert_unavailable(reply: Reply) -> None:
    assert reply.status == 503, reply
    assert reply.json["code"] == "E003", reply
    assert int(reply.headers["retry-after"]) >= 1, reply


def assert_kept(crowd: Crowd, seen: RoomSnapshot) -> None:
    """Compare a room with the answers that its visitors got.

    The order that counts is the one a visitor can see: who had an answer before another began to
    ask has the lower place.
    """
    places = dict(seen.waiting) | {visitor: slot.place for visitor, slot in seen.slots.items()}
    here = {str(visitor): place for visitor, place in places.items()}
    lost = sorted(crowd.entries.keys() - here.keys())
    assert not lost, f"{len(lost)} acknowledged visitors are lost, {lost[:3]} among them"
    moved = [visitor for visitor, entry in crowd.entries.items() if here[visitor] != entry.place]
    assert not moved, f"{len(moved)} have another place than acknowledged: {moved[:3]}"

    in_line = sorted(crowd.entries.values(), key=lambda entry: -entry.place)
    earliest_s = float("inf")
    for later, entry in pairwise(in_line):
        earliest_s = min(earliest_s, later.answered_s)
        assert entry.asked_s < earliest_s, f"place {entry.place} was given after a higher one"

    active = {str(visitor) for visitor, slot in seen.slots.items() if slot.state == "ACTIVE"}
    assert crowd.activated <= active, "an acknowledged activation is lost"
    assert not seen.passed, "nobody was silent long enough to be passed over"
    # Nobody has left, so a second admission of anybody would make these differ.
    assert seen.number("admitted") == len(seen.slots), "somebody was admitted twice"
    findings = examine(seen)
    assert not findings, findings


async def assert_answers(crowd: Crowd, seen: RoomSnapshot) -> None:
    """Ask for every visitor's status, and hold it against the room, which must be paused."""
    in_line = sorted(seen.waiting, key=lambda visitor: seen.waiting[visitor])
    positions = {str(visitor): index for index, visitor in enumerate(in_line, 1)}
    states = {str(visitor): str(slot.state) for visitor, slot in seen.slots.items()}
    rest = iter(list(crowd.entries))

    async def ask() -> None:
        caller = Caller(crowd.port, crowd.host)
        try:
            for visitor in rest:
                data = await answer(caller, *named("GET", "status", crowd.room, visitor))
                assert data["status"] == states.get(visitor, "WAITING"), visitor
                assert data["position"] == positions.get(visitor, 0), visitor
                assert place_of(data["token"]) == crowd.entries[visitor].place, visitor
        finally:
            await caller.close()

    await asyncio.gather(*(ask() for _ in range(CALLERS)))


async def answer(caller: Caller, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask until there is an answer, and return what it says."""
    deadline = monotonic() + PATIENCE_S
    while (reply := await caller.ask(method, path, body)).status == 503:
        assert_unavailable(reply)
        refusals.count()
        assert monotonic() < deadline, f"{path}: refused for {PATIENCE_S:g} s"
        await paused(AGAIN_S)
    assert reply.status == 200, reply
    data: dict[str, Any] = reply.json["data"]
    return data


async def paused(seconds: float, unless: asyncio.Event | None = None) -> None:
    """Give others their turn, for a moment or until the event."""
    with suppress(TimeoutError):
        await asyncio.wait_for((unless or asyncio.Event()).wait(), seconds)
