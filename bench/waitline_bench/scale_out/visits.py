"""State machine of the visits that a generator process makes: requests and answers. Pure.

Every answer is checked: its status, and the fields that the next request needs. No sockets, no
clock.
"""

from collections import Counter
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

from waitline_bench.generator import answers

ENTER, POLL, ACTIVATE, VALIDATE, LEAVE = STEPS = ("enter", "poll", "activate", "validate", "leave")

POLL_S = 1.0
"""Interval at which a visitor of a journey polls. Source: the scenario `circulation`."""

STRIDE = 7_919
"""Distance between the visitors of two consecutive polls: polls come from the whole line."""

_TOKEN = b'"token":"'
_NEW = b'"isNewEntry":true'
_POSITION = b'"position":'
_WAITS = b'"status":"WAITING"'
_READY = b'"status":"READY"'
_RETRY_AFTER = b"\r\nretry-after: "


class Work(StrEnum):
    """What the visits consist of."""

    ENTER = "enter"  # a new visitor enters
    POLL = "poll"  # one of the waiting visitors polls its status
    JOURNEY = "journey"  # a new visitor enters, polls until admitted, activates, validates, leaves


class Crowd(NamedTuple):
    """The visitors of a generator process.

    Attributes:
        work: What a visit consists of.
        rooms: Rooms, visited in turn.
        waiting: Visitors `v1`, `v2`, … that wait in each room.
        names: Prefix of new visitors' names.
    """

    work: Work
    rooms: tuple[str, ...]
    waiting: int
    names: str


class Visits:
    """Visits in progress, each in a slot.

    Args:
        crowd: The visitors.

    Attributes:
        refused: Answers other than those expected, by step and status.
        entered: Visitors whose entry was acknowledged.
        done: Visits that are over, without a refused answer.
    """

    def __init__(self, crowd: Crowd) -> None:
        self.refused: Counter[str] = Counter()
        self.entered = self.done = 0
        self._crowd = crowd
        self._number = 0
        # By slot: the next step, the visitor's name, its room, and the token it received.
        self._step: list[str] = []
        self._name: list[bytes] = []
        self._room: list[bytes] = []
        self._token: list[bytes] = []
        self._rooms = [room.encode("ascii") for room in crowd.rooms]
        self._tail = b" HTTP/1.1\r\nHost: waitline\r\nUser-Agent: waitline-bench\r\n"

    def begin(self, slot: int) -> None:
        """Begin a visit in a slot: a free one, or the next that was never used."""
        if slot == len(self._step):
            self._step.append("")
            self._name.append(b"")
            self._room.append(b"")
            self._token.append(b"")
        number = self._number
        self._number += 1
        self._room[slot] = self._rooms[number % len(self._rooms)]
        if self._crowd.work is Work.POLL:
            # The first tenth may be admitted meanwhile.
            first = self._crowd.waiting // 10
            who = self._crowd.waiting - number * STRIDE % (self._crowd.waiting - first)
            self._step[slot], self._name[slot] = POLL, b"v%d" % who
        else:
            self._step[slot] = ENTER
            self._name[slot] = b"%b%d" % (self._crowd.names.encode("ascii"), number)

    def step(self, slot: int) -> str:
        """Return the next step of a slot's visit."""
        return self._step[slot]

    def request(self, slot: int) -> bytes:
        """Return the next request of a slot's visit."""
        step, room, name = self._step[slot], self._room[slot], self._name[slot]
        if step == ENTER:
            return self._post(b"enter", b'{"concertId":"%b","userId":"%b"}' % (room, name))
        if step == VALIDATE:
            token = self._token[slot]
            body = b'{"concertId":"%b","userId":"%b","token":"%b"}' % (room, name, token)
            return self._post(b"validate", body)
        query = b"concertId=%b&userId=%b" % (room, name)
        if step == POLL:
            return b"GET /api/v1/queue/status?%b%b\r\n" % (query, self._tail)
        if step == ACTIVATE:
            tail = self._tail + b"Content-Length: 0\r\n"
            return b"POST /api/v1/queue/activate?%b%b\r\n" % (query, tail)
        return b"DELETE /api/v1/queue/remove?%b%b\r\n" % (query, self._tail)

    def heard(self, slot: int, answer: bytes) -> float | None:
        """Process the answer to a slot's request.

        Returns:
            Seconds until the next request of the visit; `None` if it is over.
        """
        step = self._step[slot]
        expected = HTTPStatus.CREATED if step == ENTER else HTTPStatus.OK
        status = answers.code(answer)
        if status != expected:
            waits = _RETRY_AFTER in answer or status != HTTPStatus.SERVICE_UNAVAILABLE
            self.refused[f"{step} {status}{'' if waits else ' without Retry-After'}"] += 1
            return None
        if step == ENTER:
            return self._entered(slot, answer)
        if step == POLL:
            return self._polled(slot, answer)
        if step == LEAVE:
            self.done += 1
            return None
        self._step[slot] = VALIDATE if step == ACTIVATE else LEAVE
        return 0.0

    def _entered(self, slot: int, answer: bytes) -> float | None:
        at = answer.find(_TOKEN)
        if at < 0 or _NEW not in answer or _POSITION not in answer:
            self._refuse(slot)
            return None
        self.entered += 1
        if self._crowd.work is Work.ENTER:
            self.done += 1
            return None
        at += len(_TOKEN)
        self._token[slot] = answer[at : answer.find(b'"', at)]
        self._step[slot] = POLL
        return POLL_S

    def _polled(self, slot: int, answer: bytes) -> float | None:
        if _WAITS in answer:
            if self._crowd.work is Work.POLL:
                self.done += 1
                return None
            return POLL_S
        if _READY not in answer or self._crowd.work is Work.POLL:
            self._refuse(slot)
            return None
        self._step[slot] = ACTIVATE
        return 0.0

    def _refuse(self, slot: int) -> None:
        self.refused[f"{self._step[slot]} with another content"] += 1

    def _post(self, call: bytes, body: bytes) -> bytes:
        head = b"POST /api/v1/queue/%b%b" % (call, self._tail)
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head + body
