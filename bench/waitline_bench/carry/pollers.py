"""Open-loop generator process of polling visitors: `python -m waitline_bench.carry.pollers`.

Visitors poll when a poll is due, whether or not earlier answers have arrived, and latency counts
from the due time. So neither a slow service nor a slow generator can hide delays (coordinated
omission). One thread, one epoll, descriptors instead of objects: the generator shares the machine
with the service, so its own CPU time matters.
"""

import os
import select
from array import array
from collections import deque
from math import isinf
from random import Random
from time import monotonic
from typing import Any, NamedTuple

from typing_extensions import override

from waitline.sales.histogram import Histogram
from waitline_bench.carry.visitors import (
    ASK,
    ENTER,
    READ,
    TURN,
    Share,
    Visitors,
    Way,
)
from waitline_bench.carry.wheel import Wheel
from waitline_bench.generator import orders, sockets
from waitline_bench.generator.loop import GeneratorLoop

EVENTS_MAX = 256
FIRED_MAX = 256
"""Most events per epoll call, and most polls sent between two of them, which bounds the delay of
reads."""

LOOKS_PER_S = 2_000
"""Socket reads per second, of all processes together. Waking up for each answer would cost more CPU
time than the answer. The delay is included in the latencies."""

TOLD_S = 0.5
"""Interval of progress reports."""

GRACE_S = 10.0
"""Time for the last answers after the end; later ones count as missing."""

LATE_SAMPLE = 16
"""One poll in this many is sampled for how late this process sent it."""


class PollerPlan(NamedTuple):
    """Plan of one process.

    Attributes:
        process: Its index, which determines its source addresses.
        network: Second byte of its source addresses, so that concurrent commands do not share them.
        host: Host of the service.
        port: Port of the service.
        own: Number of visitors, the first ones, that keep a socket each.
        opening: Concurrent first polls while those are opened.
        shared: Connections for the others, who poll as if behind a load balancer.
    """

    process: int
    network: int
    host: str
    port: int
    own: int
    opening: int
    shared: int


class Pollers(GeneratorLoop):
    """The loop of one process.

    Args:
        plan: The plan.
        share: The visitors of this process.
    """

    def __init__(self, plan: PollerPlan, share: Share) -> None:
        super().__init__()
        rng = Random(plan.process)  # noqa: S311 - jitter
        self._plan = plan
        self._share = share
        self._caches = share.way is Way.CACHED
        self._visitors = Visitors(share, f"{plan.host}:{plan.port}", rng)
        self._rng = rng
        self._wheel = Wheel(share.visitors, monotonic())
        self._epoll = select.epoll()
        # By slot: its own socket, and since when it waits for an answer or for a free socket.
        self._socket = array("i", [-1]) * plan.own
        self._since = array("d", bytes(8 * share.visitors))
        # By descriptor: its owner.
        self._owner: dict[int, int] = {}
        self._idle: list[int] = []
        self._shared_open = 0
        self._backlog: deque[int] = deque()
        self._opening: set[int] = set()
        self._unopened = 0
        self._times = {"polls": Histogram(), "turns": Histogram(), "enters": Histogram()}
        polls, turns, enters = self._times.values()
        self._times_by_step = {READ: polls, ASK: polls, TURN: turns, ENTER: enters}
        self._late = Histogram()
        self._broken = self._closed = self._cached = self._answers = 0
        self._told_s = 0.0
        self._behind = self._over = False

    def run(self) -> None:
        """Poll until stdin ends."""
        self._epoll.register(0, select.EPOLLIN)
        now_s = monotonic()
        for slot in range(self._plan.own, self._share.visitors):
            self._book(slot, now_s + self._visitors.first_s(slot))
        while not self._ended:
            now_s = monotonic()
            self._fire_due(now_s)
            while self._opens():
                self._open_next(now_s)
            for descriptor, event in self._epoll.poll(self._wheel.wait_s(now_s), EVENTS_MAX):
                if event == select.EPOLLIN and descriptor > 0:
                    self._receive(descriptor)
                else:
                    self._take(descriptor, event)
            if not self._over and now_s - self._told_s >= TOLD_S:
                self._tell(now_s)
            self._rest(now_s)

    def _rest(self, since_s: float) -> None:
        """Pause: receive orders only."""
        rest_s = since_s + self._share.step / LOOKS_PER_S - monotonic()
        if rest_s > 0:
            select.select([0], [], [], rest_s)

    def _fire_due(self, now_s: float) -> None:
        due = self._wheel.take(now_s, FIRED_MAX)
        self._behind = len(due) == FIRED_MAX
        for slot in due:
            self._fire(slot, now_s)

    def _opens(self) -> bool:
        # A visitor without a socket at the start of admissions gets none.
        return (
            self._unopened < self._plan.own
            and len(self._opening) < self._plan.opening
            and isinf(self._from_s)
        )

    def _open_next(self, now_s: float) -> None:
        slot = self._unopened
        self._unopened += 1
        self._opening.add(slot)
        self._since[slot] = now_s
        self._fire(slot, now_s)

    def _book(self, slot: int, due_s: float) -> None:
        self._since[slot] = due_s
        self._wheel.put(slot, due_s)

    def _fire(self, slot: int, now_s: float) -> None:
        since_s = self._since[slot]
        if since_s >= self._until_s:
            # The measurement is over, and visitors not due before its end send nothing more.
            return
        if self._caches:
            after_s = self._visitors.cached(slot, now_s)
            if after_s is not None:
                self._cached += since_s >= self._from_s
                self._book(slot, since_s + after_s)
                return
        if slot % LATE_SAMPLE == 0 and since_s >= self._from_s:
            self._note_late(slot, now_s - since_s)
        self._ask(slot)

    def _note_late(self, slot: int, late_s: float) -> None:
        # The first attempt of a retry was sent in time.
        if not self._visitors.failing(slot):
            self._late.record(int(late_s * 1e6))

    def _ask(self, slot: int) -> None:
        """Send a slot's request on its socket, or as soon as a socket is free."""
        if slot < self._plan.own:
            own = self._socket[slot]
            if own < 0:
                self._connect(slot, slot)
            else:
                self._send(own, slot)
        elif self._idle:
            self._send(self._idle.pop(), slot)
        elif self._shared_open < self._plan.shared:
            self._shared_open += 1
            self._connect(slot, -1)
        else:
            self._backlog.append(slot)

    def _connect(self, slot: int, owner: int) -> None:
        plan = self._plan
        number = slot if owner >= 0 else plan.own + self._shared_open
        made = sockets.connect(
            (plan.host, plan.port), sockets.source(plan.network, plan.process, number)
        )
        self._owner[made] = owner
        self._asking[made] = slot
        if owner >= 0:
            self._socket[owner] = made
        self._epoll.register(made, select.EPOLLOUT)

    def _send(self, descriptor: int, slot: int) -> None:
        self._asking[descriptor] = slot
        if not sockets.send(descriptor, self._visitors.request(slot)):
            self._lose(descriptor)

    def _take(self, descriptor: int, event: int) -> None:
        if descriptor == 0:
            self._obey()
        elif event & select.EPOLLOUT and not event & (select.EPOLLERR | select.EPOLLHUP):
            self._epoll.modify(descriptor, select.EPOLLIN)
            self._send(descriptor, self._asking[descriptor])
        else:
            self._receive(descriptor)

    @override
    def _answer(self, descriptor: int, slot: int, data: bytes) -> None:
        now_s = monotonic()
        since_s = self._since[slot]
        self._answers += 1
        if self._from_s <= since_s < self._until_s:
            times = self._times_by_step[self._visitors.step(slot)]
            times.record(int((now_s - since_s) * 1e6))
        after_s = self._visitors.heard(slot, data)
        if self._owner[descriptor] < 0:
            self._release(descriptor)
        elif after_s is None:
            # The visitor closes the page; the newcomer has another address.
            self._forget(descriptor)
        if self._opening and slot in self._opening:
            self._opening.discard(slot)
            # It starts as a visitor who has been waiting, with its last poll some time ago.
            after_s = after_s and after_s * self._rng.random()
        self._book(slot, now_s + (after_s or 0.0))

    def _release(self, descriptor: int) -> None:
        if self._backlog:
            self._send(descriptor, self._backlog.popleft())
        else:
            self._idle.append(descriptor)

    def _forget(self, descriptor: int) -> None:
        owner = self._owner.pop(descriptor)
        self._part.pop(descriptor, None)
        if owner >= 0:
            self._socket[owner] = -1
        os.close(descriptor)

    @override
    def _lose(self, descriptor: int) -> None:
        """Close a connection that the service has closed or reset, and repeat its request."""
        slot = self._asking.pop(descriptor, None)
        if self._owner[descriptor] < 0:
            self._shared_open -= 1
            if slot is None:
                self._idle.remove(descriptor)
        self._forget(descriptor)
        if slot is None:
            self._closed += 1
        else:
            self._broken += 1
            # Latency still counts from the due time.
            self._wheel.put(slot, monotonic() + self._visitors.failed(slot))

    def _tell(self, now_s: float) -> None:
        self._told_s = now_s
        waiting = len(self._asking) + len(self._backlog)
        answered = waiting == 0 and not self._behind
        self._over = now_s > self._until_s + (0.0 if answered else GRACE_S)
        report: dict[str, Any] = {
            "opened": self._unopened - len(self._opening),
            "answers": self._answers,
            "over": self._over,
        }
        if self._over:
            report |= self._found(waiting)
        orders.send(report)

    def _found(self, waiting: int) -> dict[str, Any]:
        unasked = self._wheel.take(self._until_s, self._share.visitors)
        waiting += sum(self._since[slot] < self._until_s for slot in unasked)
        return {
            "sockets": len(self._owner),
            "missing": waiting,
            "broken": self._broken,
            "closed": self._closed,
            "cached": self._cached,
            "late": self._late.counts,
            "times": {name: times.counts for name, times in self._times.items()},
            "seen": self._visitors.seen.as_json(),
        }


def main() -> None:
    """Read a plan and a share from stdin and run them."""
    sockets.raise_file_limit()
    order = orders.receive()
    assert order is not None
    share = Share(**{**order["share"], "way": Way(order["share"]["way"])})
    pollers = Pollers(PollerPlan(**order["plan"]), share)
    orders.stop_collecting()
    pollers.run()


if __name__ == "__main__":
    main()
