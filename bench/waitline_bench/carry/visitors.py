"""State machine of one process's visitors: their requests and reactions to answers. Pure.

They behave like the waiting page: poll when due, and leave at their turn. For each that leaves,
another enters. No sockets, no clock.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from random import Random
from typing import Any, NamedTuple

from waitline.queue import hints
from waitline_bench.generator import answers

READ, ASK, TURN, ENTER = range(4)
"""Next step of a visitor: poll now-serving; poll its own status; confirm by its status the turn
that now-serving shows; enter."""

FRESH_S = 1.0
"""TTL of now-serving in a cache. Source: its `Cache-Control`."""

RETRY_S = 1.0
RETRY_S_MAX = 30.0
"""Exponential backoff after a refusal or a timeout: first and longest pause, with 25 % jitter.
Source: waiting.js."""

_WAITS = b'"status":"WAITING"'
_READY = b'"status":"READY"'


class Way(StrEnum):
    """Polling method."""

    STATUS = "status"  # the visitor's own status
    NOW_SERVING = "now-serving"  # now-serving, from the service itself
    CACHED = "cached"  # now-serving, through a cache with a TTL of a second


class Share(NamedTuple):
    """The visitors of one process: `first`, `first + step`, … of the room's line.

    Attributes:
        room: Its name.
        way: Polling method.
        visitors: Number of waiting visitors.
        first: Number and place of the first.
        step: Increment from one to the next: the number of processes.
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
        entered: Visitors who entered during the measurement.
        admitted: Visitors who learned of their admission.
        refused: Answers other than those expected, by status.
        lost: Visitors whose answer was neither waiting nor admitted.
        early: Visitors whom now-serving showed as due before their turn.
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
        share: The visitors.
        host: For the requests.
        rng: Draws the times of their first polls.
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
            As `heard`; `None` if the service must be called. One request refreshes the cache;
            meanwhile the others get the stale document.
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
            Seconds until the visitor's next poll; `None` if it has left and its slot now belongs to
            a visitor about to enter.
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
