"""One room on a real server, its verbs called one after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.servers import Server
from tests.until import until_async
from waitline.kernel.errors import Refused, Unavailable
from waitline.kernel.findings import Finding
from waitline.kernel.ids import RoomId, VisitorId
from waitline.queue import audit, keys
from waitline.queue.model import (
    Again,
    Held,
    Joined,
    Leased,
    Left,
    Moved,
    Passed,
    Slot,
    Standing,
    Survey,
    Swept,
    Unknown,
    Unsure,
    Waiting,
)
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.queue.slides import Slides
from waitline.queue.store import ADMIT, SWEEP, Line
from waitline.valkey.client import ValkeyClient

# A busy machine is no failure here.
TIMEOUT_S = 20.0

# Sets times of a hash to so many ms before the server's own.
AGO = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], string.format('%d', now_ms - ARGV[at + 1]))
end
"""


class Taken(NamedTuple):
    """What an admission call found and did, with the server's time around it."""

    outcome: Moved
    from_ms: int
    to_ms: int


class Room:
    """Verbs of visitors, operators and admitter; visitors are named by plain text."""

    def __init__(self, server: Server, name: str = "r") -> None:
        self.server = server
        self.id = RoomId(name)
        self.keys = keys.of(self.id)
        self.store = ValkeyClient(server.url, timeout_s=TIMEOUT_S)
        self.line = Line(self.store)
        self.rooms = Rooms(self.store)

    def open(self, **changes: object) -> None:
        if "admit_per_s" in changes:
            # As much as tests put into the bucket, which a slow room's would not hold.
            changes.setdefault("admit_burst", 500)
        self.server.wait(self.rooms.add(self.id, Rules().changed(changes)))

    def change(self, **changes: object) -> Rules:
        return self.server.wait(self.rooms.change(self.id, changes))

    def reset(self) -> int:
        return self.server.wait(self.rooms.reset(self.id))

    def delete(self, *, force: bool = False) -> int:
        return self.server.wait(self.rooms.delete(self.id, force=force))

    def survey(self) -> Survey:
        return self.server.wait(self.rooms.survey(self.id))

    def join(self, *names: str) -> list[Joined | Again | Slot | Passed | Refused | Unavailable]:
        return self.server.wait(self.line.join(self.id, _ids(names)))

    def status(self, *names: str, claim: str | int = 0) -> list[Standing]:
        return self.server.wait(self.line.status(self.id, [(name, claim) for name in _ids(names)]))

    def rejoin(self, *names: str, claim: str | int = 0) -> list[Waiting | Refused]:
        return self.server.wait(self.line.rejoin(self.id, [(name, claim) for name in _ids(names)]))

    def validate(self, *names: str) -> list[Slot | Refused]:
        return self.server.wait(self.line.validate(self.id, _ids(names)))

    def activate(self, *names: str, claim: str | int = 0) -> list[Slot | Refused]:
        claims = [(name, claim) for name in _ids(names)]
        return self.server.wait(self.line.activate(self.id, claims))

    def extend(self, *names: str, claim: str | int = 0) -> list[Slot | Refused]:
        return self.server.wait(self.line.extend(self.id, [(name, claim) for name in _ids(names)]))

    def slide(self, *names: str, claim: str | int = 0) -> list[Slot | Refused]:
        claims = [(name, claim) for name in _ids(names)]
        return self.server.wait(Slides(self.store).slide(self.id, claims))

    def leave(self, *names: str, claim: str | int = 0) -> list[Left | Unknown | Refused]:
        return self.server.wait(self.line.leave(self.id, [(name, claim) for name in _ids(names)]))

    def admit(
        self,
        chunk_max: int = 250,
        *,
        holder: str = "",
        lease_ms: int = 60_000,
        heard_ms: int = 0,
        mono_ms: int = 0,
    ) -> Moved | Leased | Held:
        outcome = self.server.wait(
            self.line.admit(
                self.id,
                holder=holder,
                lease_ms=lease_ms,
                chunk_max=chunk_max,
                heard_ms=heard_ms,
                mono_ms=mono_ms,
            )
        )
        assert not isinstance(outcome, Unsure)
        return outcome

    def sweep(self, chunk_max: int = 250, *, heard_ms: int = 0) -> Swept:
        swept = self.server.wait(self.line.sweep(self.id, chunk_max=chunk_max, heard_ms=heard_ms))
        assert not isinstance(swept, Unsure)
        return swept

    def beat(self) -> Swept:
        """Sweep, while a worker listens."""
        return self.sweep(heard_ms=self.now_ms())

    def step(self, forward_ms: int) -> None:
        """Put the server's clock forward, or back, as the room sees it.

        Its last beat moves the other way. Put forward, the clock looks as after an outage of that
        length.
        """
        for field in ("beat_ms", "lost_ms"):
            assert self.raw("HEXISTS", self.keys.room, field), "no beat yet"
            self.raw("HINCRBY", self.keys.room, field, -forward_ms)

    @property
    def lost_ms(self) -> int:
        return int(self.raw("HGET", self.keys.room, "lost_ms"))

    def forget(self, *, chunk_max: int = 250, kept_ms: int, lapsed_max: int) -> list[Any]:
        """Sweep with a shorter memory than rooms have."""
        k = self.keys
        where, args = (k.room, k.admitted, k.lapsed, k.slots), (chunk_max, kept_ms, lapsed_max, 0)
        return list(self.server.wait(self.store.run(SWEEP, where, args))[0])

    def take(self, chunk_max: int = 250, **ago_ms: int) -> Taken:
        """Admit without a lease, and return when.

        Args:
            chunk_max: How many at most.
            ago_ms: Fields of the rate that are set to so long before, whatever the machine does.
        """
        k = self.keys
        where = (k.room, k.waiting, k.heard, k.admitted, k.lapsed, k.slots, k.rate, k.record)
        ago = [word for field in ago_ms.items() for word in field]
        _, before, rows, after = self.server.wait(
            self.store.transaction(
                [
                    ("EVAL", AGO, 1, k.rate, *ago),
                    ("TIME",),
                    ("EVAL", ADMIT.source, len(where), *where, "", 1, chunk_max, 0, 0),
                    ("TIME",),
                ],
                TIMEOUT_S,
            )
        )
        return Taken(Moved(*rows[0][1:]), _ms(before), _ms(after))

    def let_in(self, *names: str) -> list[Slot]:
        """Join visitors, alone in their line, and admit them now, whatever the rate."""
        self.join(*names)
        return self.call(*names)

    def call(self, *names: str) -> list[Slot]:
        """Admit visitors, who are the first of the line, now, whatever the rate."""
        self.give_tokens(len(names))
        outcome = self.admit(len(names))
        assert isinstance(outcome, Moved)
        assert outcome.admitted == len(names)
        slots = self.validate(*names)
        assert all(isinstance(slot, Slot) for slot in slots)
        return [slot for slot in slots if isinstance(slot, Slot)]

    def give_tokens(self, count: float) -> None:
        """Fill the admission bucket as time would."""
        self.raw("HSET", self.keys.rate, "tokens", str(count), "tokens_at", self.now_ms())

    def silence(self, name: str, for_ms: int) -> None:
        """Let a visitor have been heard of that long ago."""
        times, semicolon, mark = str(self.raw("HGET", self.keys.heard, name)).partition(";")
        joined_ms, *others = times.split(":")
        times = ":".join((joined_ms, str(self.now_ms() - for_ms), *others[1:]))
        self.raw("HSET", self.keys.heard, name, times + semicolon + mark)

    def heard(self, name: str) -> tuple[int, int]:
        """When a waiting visitor joined and was last heard of, in ms."""
        times, _, _ = str(self.raw("HGET", self.keys.heard, name)).partition(";")
        joined_ms, *others = times.split(":")
        return int(joined_ms), int(others[0] if others else joined_ms)

    def pass_over(self, name: str) -> None:
        """Give the first of the line its turn while it is silent."""
        self.silence(name, self.survey().rules.limits.idle_ms * 2)
        self.give_tokens(1)
        outcome = self.admit(1)
        assert isinstance(outcome, Moved)
        assert (outcome.admitted, outcome.passed) == (0, 1)

    def reach(self, at_ms: int) -> None:
        """Return once the server's clock shows a time."""

        async def reached() -> bool:
            return await self.server.now_ms() >= at_ms

        self.server.wait(until_async(reached, TIMEOUT_S))

    def raw(self, *words: str | int) -> Any:  # noqa: ANN401 - whatever the server says
        return self.server.wait(self.server.command(*words))

    def now_ms(self) -> int:
        return self.server.wait(self.server.now_ms())

    def stored(self) -> dict[str, object]:
        """All that the room holds, but the server's own mark, which any call may set."""
        found: dict[str, object] = {}
        for key in self.keys:
            kind = self.raw("TYPE", key)
            if kind == "hash":
                found[key] = {
                    field: value
                    for field, value in self.raw("HGETALL", key).items()
                    if field != "history"
                }
            elif kind == "zset":
                found[key] = self.raw("ZRANGE", key, 0, -1, "WITHSCORES")
            elif kind == "stream":
                found[key] = self.raw("XRANGE", key, "-", "+")
        return found

    def findings(self) -> list[Finding]:
        return audit.examine(self.server.wait(audit.take_snapshot(self.store, self.id)))

    def close(self) -> None:
        self.server.wait(self.store.close())


@contextmanager
def no_memory(server: Server) -> Iterator[None]:
    """Let the server have no memory left for anything new."""
    found = server.wait(server.command("CONFIG", "GET", "maxmemory"))
    server.wait(server.command("CONFIG", "SET", "maxmemory", 1))
    try:
        yield
    finally:
        server.wait(server.command("CONFIG", "SET", "maxmemory", found["maxmemory"]))


def _ids(names: tuple[str, ...]) -> list[VisitorId]:
    return [VisitorId(name) for name in names]


def _ms(time: tuple[str, str]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000
