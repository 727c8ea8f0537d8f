"""Load generator process of visits: `python -m waitline_bench.scale_out.clients`.

Spreads requests over the instances in turn (round robin), as a load balancer does. Either closed
loop, in which a number of visits is in progress at any time and the next one begins when one is
over: it measures throughput. Or open loop, in which visits begin at a rate, whatever the latency,
and latency counts from when a visit was due: it measures latency without coordinated omission.

One thread, one epoll, descriptors instead of objects: the generator shares the machine with the
service, so its own CPU time matters.
"""

import select
import socket
from collections import Counter, defaultdict, deque
from itertools import cycle
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from typing_extensions import override

from waitline.sales.histogram import Histogram
from waitline_bench.generator import orders, sockets
from waitline_bench.generator.loop import GeneratorLoop
from waitline_bench.scale_out.visits import POLL_S, Crowd, Visits, Work

EVENTS_MAX = 512
"""Most events per epoll call."""

BEGUN_MAX = 256
"""Most visits that begin between two epoll calls, which bounds the delay of reads."""

LOOK_S = 0.001
"""Interval of socket reads. Waking up for each answer would cost more CPU time than the answer. The
delay is included in the latencies."""

REPORT_S = 0.5
"""Interval of progress reports."""

GRACE_S = 10.0
"""Time for the last answers after the end; visits that are not answered by then are dropped."""


class ClientPlan(NamedTuple):
    """Plan of a process.

    Attributes:
        ports: Ports of the instances on 127.0.0.1.
        connections: Connections to each of them.
        visits: Closed loop: number of visits in progress; 0 for open loop.
        per_s: Open loop: visits that begin per second.
    """

    ports: tuple[int, ...]
    connections: int
    visits: int
    per_s: float


class Clients(GeneratorLoop):
    """The loop of the process.

    Args:
        plan: The plan.
        crowd: The visitors.
    """

    def __init__(self, plan: ClientPlan, crowd: Crowd) -> None:
        super().__init__()
        self._plan = plan
        self._visits = Visits(crowd)
        self._epoll = select.epoll()
        self._ports = cycle(plan.ports)
        # By port: connections without a request, and slots that wait for one.
        self._idle: dict[int, deque[int]] = {port: deque() for port in plan.ports}
        self._backlog: dict[int, deque[int]] = {port: deque() for port in plan.ports}
        # By descriptor: its port.
        self._port: dict[int, int] = {}
        # By slot: when its request was due. Slots are reused.
        self._since: list[float] = []
        self._free: list[int] = []
        # Slots whose next request is due later, in order: all wait for the same time.
        self._later: deque[tuple[float, int]] = deque()
        self._begun = self._broken = self._answers = 0
        self._times: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._by_port: Counter[int] = Counter()
        self._done = 0
        self._report_s = 0.0
        self._behind = self._over = False

    def run(self) -> None:
        """Visit until stdin ends."""
        self._open()
        while not self._ended:
            now_s = monotonic()
            self._begin_due(now_s)
            self._continue_due(now_s)
            for descriptor, _ in self._epoll.poll(LOOK_S, EVENTS_MAX):
                if descriptor == 0:
                    self._obey()
                else:
                    self._receive(descriptor)
            if not self._over and now_s - self._report_s >= REPORT_S:
                self._report(now_s)
            rest_s = now_s + LOOK_S - monotonic()
            if rest_s > 0:
                select.select([0], [], [], rest_s)

    def _open(self) -> None:
        """Connect, and schedule the first visits of the closed loop."""
        self._epoll.register(0, select.EPOLLIN)
        for port in self._plan.ports:
            for _ in range(self._plan.connections):
                self._connect(port)
        for number in range(self._plan.visits):
            # Spread over the pause of a journey, so that visitors do not poll all at once.
            slot = self._begin_at(monotonic() + POLL_S * number / self._plan.visits)
            self._later.append((self._since[slot], slot))

    def _connect(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as made:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.settimeout(0)
            descriptor = made.detach()
        self._port[descriptor] = port
        self._idle[port].append(descriptor)
        self._epoll.register(descriptor, select.EPOLLIN)

    def _begin_due(self, now_s: float) -> None:
        """Begin the visits of the open loop that are due."""
        per_s = self._plan.per_s
        for _ in range(BEGUN_MAX):
            due_s = self._from_s + self._begun / per_s if per_s else inf
            self._behind = due_s <= now_s and due_s < self._until_s
            if not self._behind:
                return
            self._begun += 1
            self._begin(due_s)

    def _begin(self, due_s: float) -> None:
        self._ask(self._begin_at(due_s))

    def _begin_at(self, due_s: float) -> int:
        slot = self._free.pop() if self._free else len(self._since)
        if slot == len(self._since):
            self._since.append(due_s)
        self._visits.begin(slot)
        self._since[slot] = due_s
        return slot

    def _continue_due(self, now_s: float) -> None:
        while self._later and self._later[0][0] <= now_s:
            due_s, slot = self._later.popleft()
            self._since[slot] = due_s
            self._ask(slot)

    def _ask(self, slot: int) -> None:
        """Send a slot's request to the next instance, as soon as a connection is free."""
        port = next(self._ports)
        if self._idle[port]:
            self._send(self._idle[port].popleft(), slot)
        else:
            self._backlog[port].append(slot)

    def _send(self, descriptor: int, slot: int) -> None:
        self._asking[descriptor] = slot
        # If the connection is broken, the next read shows it.
        sockets.send(descriptor, self._visits.request(slot))

    @override
    def _answer(self, descriptor: int, slot: int, data: bytes) -> None:
        now_s = monotonic()
        port = self._port[descriptor]
        since_s = self._since[slot]
        if self._from_s <= since_s < self._until_s:
            self._times[self._visits.step(slot)].record(int((now_s - since_s) * 1e6))
        if self._from_s <= now_s < self._until_s:
            self._answers += 1
            self._by_port[port] += 1
        if self._backlog[port]:
            self._send(descriptor, self._backlog[port].popleft())
        else:
            self._idle[port].append(descriptor)
        done = self._visits.done
        after_s = self._visits.heard(slot, data)
        if self._from_s <= now_s < self._until_s:
            self._done += self._visits.done - done
        self._proceed(slot, after_s, now_s)

    def _proceed(self, slot: int, after_s: float | None, now_s: float) -> None:
        if after_s is None:
            self._free.append(slot)
            if self._plan.visits and now_s < self._until_s:
                self._begin(now_s)
        elif after_s:
            self._later.append((now_s + after_s, slot))
        else:
            self._since[slot] = now_s
            self._ask(slot)

    @override
    def _lose(self, descriptor: int) -> None:
        """Replace a connection that the service has closed; a request without answer is lost."""
        port = self._port.pop(descriptor)
        self._part.pop(descriptor, None)
        slot = self._asking.pop(descriptor, None)
        self._epoll.unregister(descriptor)
        sockets.reset(descriptor)
        if slot is None:
            self._idle[port].remove(descriptor)
        self._connect(port)
        if slot is not None:
            self._broken += 1
            self._proceed(slot, None, monotonic())

    def _report(self, now_s: float) -> None:
        self._report_s = now_s
        waiting = len(self._asking) + sum(map(len, self._backlog.values()))
        unfinished = waiting + len(self._later)
        self._over = now_s > self._until_s + (GRACE_S if unfinished or self._behind else 0.0)
        report: dict[str, Any] = {"answers": self._answers, "over": self._over}
        if self._over:
            report |= self._found(unfinished)
        orders.send(report)

    def _found(self, unfinished: int) -> dict[str, Any]:
        return {
            "begun": self._begun,
            "unfinished": unfinished,
            "broken": self._broken,
            "answers": self._answers,
            "done": self._done,
            "by_port": {str(port): count for port, count in self._by_port.items()},
            "times": {step: times.counts for step, times in self._times.items()},
            "refused": self._visits.refused,
            "entered": self._visits.entered,
        }


def main() -> None:
    """Read a plan and a crowd from stdin and run them."""
    sockets.raise_file_limit()
    order = orders.receive()
    assert order is not None
    crowd = Crowd(**{**order["crowd"], "work": Work(order["crowd"]["work"])})
    clients = Clients(ClientPlan(**order["plan"]), crowd)
    orders.stop_collecting()
    clients.run()


if __name__ == "__main__":
    main()
