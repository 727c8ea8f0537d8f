"""State machine of one process's visitors: their requests and reactions to answers. Pure.

They do what the waiting page does: poll when it is due, and no sooner; leave at their turn. For
each that goes another enters. Nothing here opens a socket or looks at a clock.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from random import Random
from typing import Any, NamedTuple

from waitline.queue import hints
from waitline_bench.carry import answers

READ, ASK, TURN, ENTER = range(4)
"""What a visitor does next: read how far the line has come; ask for its own place; find out, by
asking, that its turn has come as it read; enter."""

FRESH_S = 1.0
"""How long a cache may keep how far the line has come. Source: its `Cache-Control`."""

RETRY_S = 1.0
RETRY_S_MAX = 30.0
"""When a visitor tries again who was refused or not answered: after twice as long each time, up to
this, and a quarter more or less. Source: waiting.js."""

_WAITS = b'"status":"WAITING"'
_READY = b'"status":"READY"'


class Way(StrEnum):
    """How visitors follow the line."""

    STATUS = "status"  # by their own exact place
    NOW_SERVING = "now-serving"  # by the document for everyone, from the service itself
    CACHED = "cached"  # the same, through a cache that keeps it for a second


class Share(NamedTuple):
    """The visitors of one process: `first`, `first + step`, … of the room's line.

    Attributes:
        room: Its name.
        way: How they poll.
        visitors: How many wait.
        first: Number, and place, of its first.
        step: From one to the next; there are as many processes.
    """

    room: str
    way: Way
    visitors: int
    first: int
    step: int


@dataclass(slots=True)
class VisitorCounts:
    """Counters of the visitors.

    Attributes:
        entered: Who came after the first.
        admitted: Who heard of being admitted.
        refused: Answers other than those expected, by status.
        lost: Visitors whose answer was neither waiting nor admitted.
        early: Visitors who read that it was their turn, and had to wait.
    """

    entered: int = 0
    admitted: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    early: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the counters in JSON's types."""
        return {name: getattr(self, name) for name in self.__slots__}


class Visitors:
    """Waiting visitors, each in a slot; a slot whose visitor has left is reused.

    Args:
        share: Who they are.
        host: For the requests.
        rng: For when they ask first.
    """

    def __init__(self, share: Share, host: str, rng: Random) -> None:
        self.seen = VisitorCounts()
        self._share = share
        self._rng = rng
        self._polls = ASK if share.way is Way.STATUS else READ
        first, step, count = share.first, share.step, share.visitors
        self._name = array("q", range(first, first + step * count, step))
        self._place = array("q", self._name)
        self._step = bytearray([self._polls]) * count
        self._failures = bytearray(count)
        self._next = first + step * count
        self._serving = 0
        self._after_s = hints.POLL_NEAR_MS / 1000
        self._fresh_until_s = 0.0
        tail = f" HTTP/1.1\r\nHost: {host}\r\nUser-Agent: waitline-bench\r\n"
        self._tail = f"{tail}\r\n".encode("ascii")
        room = share.room
        self._document = f"GET /api/v1/rooms/{room}/now-serving{tail}\r\n".encode("ascii")
        self._status = f"GET /api/v1/queue/status?concertId={room}&userId=v".encode("ascii")
        self._enter = (
            f"POST /api/v1/queue/enter{tail}Content-Type: application/json\r\nContent-Length: "
        ).encode("ascii")
        self._body = f'{{"concertId":"{room}","userId":"v'.encode("ascii")

    def first_s(self, slot: int) -> float:
        """Return the time of the next poll of a visitor who has waited for minutes."""
        if self._polls == READ:
            return self._rng.random() * self._after_s
        hint_ms = hints.poll_after_ms(self._place[slot], self._rng.random())
        return self._rng.random() * hint_ms / 1000

    def step(self, slot: int) -> int:
        """Return the next step of a slot's visitor."""
        return self._step[slot]

    def request(self, slot: int) -> bytes:
        """Return the next request of a slot's visitor."""
        step = self._step[slot]
        if step == READ:
            return self._document
        if step == ENTER:
            body = b'%b%d"}' % (self._body, self._name[slot])
            return b"%b%d\r\n\r\n%b" % (self._enter, len(body), body)
        return b"%b%d%b" % (self._status, self._name[slot], self._tail)

    def cached(self, slot: int, now_s: float) -> float | None:
        """Answer a poll from the cache while the document is fresh.

        Returns:
            As `heard`; `None` where the service must be asked. One asks for all: meanwhile the
            others get the document of before.
        """
        if self._share.way is not Way.CACHED or self._step[slot] != READ:
            return None
        if now_s >= self._fresh_until_s:
            self._fresh_until_s = now_s + FRESH_S
            return None
        return self._read(slot)

    def heard(self, slot: int, answer: bytes) -> float | None:
        """Process the answer to a slot's request.

        Returns:
            After how many seconds the visitor asks again; `None` if it has gone, and the slot is
            somebody else's, who is about to enter.
        """
        step = self._step[slot]
        expected = HTTPStatus.CREATED if step == ENTER else HTTPStatus.OK
        status = answers.code(answer)
        if status != expected:
            self.seen.refused[status] += 1
            return self.failed(slot)
        self._failures[slot] = 0
        if step == READ:
            self._serving = max(self._serving, answers.serving(answer))
            self._after_s = answers.after_ms(answer) / 1000
            return self._read(slot)
        if step == ENTER:
            return self._entered(slot, answer)
        return self._asked(slot, answer)

    def failing(self, slot: int) -> bool:
        """Return whether the last request of a slot's visitor has failed."""
        return self._failures[slot] > 0

    def failed(self, slot: int) -> float:
        """Return the retry delay of a visitor whose request has failed, in s."""
        self._fresh_until_s = 0.0
        doubled_s = min(RETRY_S_MAX, RETRY_S * (1 << self._failures[slot]))
        self._failures[slot] = min(self._failures[slot] + 1, 5)
        return doubled_s * (0.75 + self._rng.random() / 2)

    def _read(self, slot: int) -> float:
        if self._place[slot] > self._serving:
            return self._after_s
        self._step[slot] = TURN
        return 0.0

    def _entered(self, slot: int, answer: bytes) -> float:
        self.seen.entered += 1
        place = answers.ticket_place(answer)
        # No ticket for a visitor who was admitted meanwhile.
        self._place[slot] = place or 0
        self._step[slot] = self._polls
        return 0.0 if self._polls == READ or not place else float(answers.retry_after_s(answer))

    def _asked(self, slot: int, answer: bytes) -> float | None:
        if _WAITS in answer:
            if self._step[slot] == TURN:
                self.seen.early += 1
                self._step[slot] = READ
            return answers.hint_ms(answer) / 1000
        if _READY in answer:
            self.seen.admitted += 1
        else:
            self.seen.lost += 1
        self._name[slot] = self._next
        self._next += self._share.step
        self._step[slot] = ENTER
        return None
