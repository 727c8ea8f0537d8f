"""Load generator process of event streams: `python -m waitline_bench.carry.listeners`.

Each opens an event stream and keeps it open. A few are opened at a time: the next one when an
earlier one has received its first event. After that it only receives and counts.
"""

import os
import select
from collections import Counter
from time import monotonic
from typing import NamedTuple

from waitline_bench.generator import answers, orders, sockets

OPENING_MAX = 32
EVENTS_MAX = 256
TOLD_S = 0.5

_FIRST = b"event: status-update"
_ALIVE = b": still here"
_OK = 200


class ListenerPlan(NamedTuple):
    """Plan of one process.

    Attributes:
        process: Its index, which determines its source addresses.
        network: Second byte of its source addresses.
        host: Host of the service.
        port: Port of the service.
        room: Room of the visitors.
        streams: Number of streams that it opens.
        first: Number of the first visitor.
        step: Increment from one visitor to the next.
    """

    process: int
    network: int
    host: str
    port: int
    room: str
    streams: int
    first: int
    step: int


class Listeners:
    """The loop of one process.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: ListenerPlan) -> None:
        self._plan = plan
        self._epoll = select.epoll()
        self._begun = 0
        # By descriptor: the visitor whose stream has not begun, and the bytes received.
        self._opening: dict[int, int] = {}
        self._part: dict[int, bytes] = {}
        self._open: set[int] = set()
        self._refused: Counter[int] = Counter()
        self._ended = self._alive = self._events = 0

    def run(self) -> None:
        """Open the streams and receive until stdin ends."""
        self._epoll.register(0, select.EPOLLIN)
        told_s = 0.0
        while True:
            while self._begun < self._plan.streams and len(self._opening) < OPENING_MAX:
                self._connect()
            for descriptor, event in self._epoll.poll(TOLD_S, EVENTS_MAX):
                if descriptor == 0:
                    return
                self._take(descriptor, event)
            if monotonic() - told_s >= TOLD_S:
                told_s = monotonic()
                self._tell()

    def _connect(self) -> None:
        plan, number = self._plan, self._begun
        self._begun += 1
        made = sockets.connect(
            (plan.host, plan.port), sockets.source(plan.network, plan.process, number)
        )
        self._opening[made] = plan.first + plan.step * number
        self._epoll.register(made, select.EPOLLOUT)

    def _take(self, descriptor: int, event: int) -> None:
        if event == select.EPOLLOUT:
            self._epoll.modify(descriptor, select.EPOLLIN)
            plan, visitor = self._plan, self._opening[descriptor]
            asked = (
                f"GET /api/v1/queue/subscribe?concertId={plan.room}&userId=v{visitor} HTTP/1.1\r\n"
                f"Host: {plan.host}:{plan.port}\r\nAccept: text/event-stream\r\n\r\n"
            )
            if sockets.send(descriptor, asked.encode("ascii")):
                return
        data = sockets.receive(descriptor)
        if data:
            self._read(descriptor, data)
        elif data is not None:
            self._close(descriptor)

    def _read(self, descriptor: int, data: bytes) -> None:
        if descriptor in self._open:
            self._alive += data.count(_ALIVE)
            self._events += data.count(b"event: ")
            return
        data = self._part.pop(descriptor, b"") + data
        if data.startswith(b"HTTP/1.1 ") and b"\r\n\r\n" in data and answers.code(data) != _OK:
            self._refused[answers.code(data)] += 1
            self._close(descriptor)
        elif _FIRST in data:
            del self._opening[descriptor]
            self._open.add(descriptor)
        else:
            self._part[descriptor] = data

    def _close(self, descriptor: int) -> None:
        self._ended += 1
        self._open.discard(descriptor)
        self._opening.pop(descriptor, None)
        self._part.pop(descriptor, None)
        os.close(descriptor)

    def _tell(self) -> None:
        orders.send({
            "opened": len(self._open),
            "settled": len(self._open) + self._ended,
            "ended": self._ended,
            "refused": self._refused,
            "alive": self._alive,
            "events": self._events,
        })  # fmt: skip


def main() -> None:
    """Read a plan from stdin and run it."""
    sockets.raise_file_limit()
    plan = orders.receive()
    assert plan is not None
    orders.stop_collecting()
    Listeners(ListenerPlan(**plan)).run()


if __name__ == "__main__":
    main()
