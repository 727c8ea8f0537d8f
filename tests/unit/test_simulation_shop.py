"""A simulated shop: the policy's reaction to stock, load and no-shows over a sale.

The gate is the simulation's, whose arithmetic is that of the scripts; the policy is the real one.
Visitors choose, find a seat or none, pay or let their reservation run out; some never come.
"""

from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

import pytest

from waitline.admission.policy import TICK_MS, decide
from waitline.queue.decision import Decision, Reason, ShopReport
from waitline.queue.limits import Limits
from waitline.queue.model import COUNTERS, Survey
from waitline.queue.settings import Rules
from waitline.sales.simulation.gate import Gate

HOLD_MS = 60_000
REPORT_MS = 1_000
START_MS = 1_000_000_000


@dataclass
class Play:
    """One sale.

    Attributes:
        seats: Free at first.
        takes: Visitors who may shop at once before the shop has more to do than it should.
        no_shows: Share of the admitted who never come.
        follows: Whether admission follows the shop; otherwise the room's own limits alone hold.
    """

    seats: int
    takes: int = 1_000_000
    no_shows: float = 0.0
    pays: float = 0.9
    visitors: int = 20_000
    follows: bool = True
    limits: Limits = field(
        default_factory=lambda: Limits(
            active_max=5_000, admit_per_s=200, admit_burst=50, ready_ttl_ms=30_000
        )
    )

    def __post_init__(self) -> None:
        self.dice = Random(7)  # noqa: S311 - dice, not secrets
        self.now_ms = START_MS
        self.gate = Gate(0.0, START_MS)
        self.waiting, self.free = self.visitors, self.seats
        self.live = self.shopping = self.sold = self.in_vain = 0
        self.counters: Counter[str] = Counter()
        self.agenda: list[tuple[int, int, str]] = []
        self.number = 0
        self.decision: Decision | None = None
        self.received: ShopReport | None = None
        self.loads: list[float] = []
        self.reasons: list[Reason] = []
        self.sold_out_ms: int | None = None

    def run(self, for_s: int) -> "Play":
        """Let time go by."""
        for tick in range(for_s * 1_000 // TICK_MS):
            while self.agenda and self.agenda[0][0] <= self.now_ms:
                getattr(self, heappop(self.agenda)[2])()
            if tick % (REPORT_MS // TICK_MS) == 0:
                # What is decided by was reported a moment before.
                self.decide()
                load = self.shopping / self.takes
                self.received = ShopReport(self.free, self.live, load, self.now_ms)
                self.loads.append(load)
            self.admit()
            self.now_ms += TICK_MS
        return self

    def decide(self) -> None:
        survey = Survey(
            self.now_ms, Rules(limits=self.limits), self.waiting, self.gate.admitted, 0, 0, 0, 0,
            0, 0, 0, {name: self.counters[name] for name in COUNTERS}, self.decision,
        )  # fmt: skip
        found = decide(survey, self.received) if self.follows else None
        if found is not None:
            self.decision = found._replace(at_ms=self.now_ms)
            self.reasons.append(found.reason)
            assert 0 <= found.per_s <= self.limits.admit_per_s

    def admit(self) -> None:
        limits, decision = self.limits, self.decision
        if decision is not None:
            if decision.holds:
                return
            more = self.limits.active_max
            if decision.until is not None:
                more = decision.until - self.counters["admitted"]
            if more <= 0:
                return
            share = decision.per_s / limits.admit_per_s
            limits = Limits(
                active_max=min(limits.active_max, self.gate.admitted + more),
                admit_per_s=max(decision.per_s, 0.01),
                admit_burst=max(1, int(limits.burst * share)),
            )
        moved = self.gate.admit(self.now_ms, self.waiting, limits).admitted
        self.waiting -= moved
        self.counters["admitted"] += moved
        for _ in range(moved):
            if self.dice.random() < self.no_shows:
                self.after(self.limits.ready_ttl_ms, "miss")
            else:
                self.shopping += 1
                self.after(self.dice.randint(1_000, 10_000), "choose")

    def after(self, ms: int, what: str) -> None:
        self.number += 1
        heappush(self.agenda, (self.now_ms + ms, self.number, what))

    def miss(self) -> None:
        self.counters["no_shows"] += 1
        self.end("lapsed")

    def choose(self) -> None:
        if self.free == 0:
            self.in_vain += 1
            self.shopping -= 1
            self.end("left")
            return
        self.free -= 1
        self.live += 1
        pays = self.dice.random() < self.pays
        self.after(self.dice.randint(1_000, 20_000), "pay" if pays else "give_up")

    def pay(self) -> None:
        self.live -= 1
        self.sold += 1
        self.shopping -= 1
        self.end("left")
        if self.sold == self.seats:
            self.sold_out_ms = self.now_ms - START_MS

    def give_up(self) -> None:
        """Shop no more; the seat comes back when the reservation's time is over."""
        self.shopping -= 1
        self.after(HOLD_MS, "expire")

    def expire(self) -> None:
        self.live -= 1
        self.free += 1
        # Its holder still has it.
        self.after(120_000, "lapse")

    def lapse(self) -> None:
        self.end("lapsed")

    def end(self, how: str) -> None:
        self.counters[how] += 1
        self.gate.leave(1)


@pytest.mark.parametrize("no_shows", [0.0, 0.3, 0.7])
def test_all_is_sold_and_hardly_anybody_comes_in_vain(no_shows: float) -> None:
    follows = Play(2_000, no_shows=no_shows).run(900)
    alone = Play(2_000, no_shows=no_shows, follows=False).run(900)
    assert follows.sold == 2_000
    # Alone, the line was sent in as long as it lasted, and nobody was left for what came back.
    assert alone.sold < 2_000
    assert alone.waiting == 0
    assert follows.in_vain < 0.1 * 2_000
    assert alone.in_vain > 4 * follows.in_vain + 500
    # Nobody else was drawn in: the rest waits, in the line where it was.
    assert follows.waiting == 20_000 - follows.counters["admitted"]
    assert follows.counters["admitted"] * (1 - no_shows) < 1.6 * 2_000
    assert follows.reasons[-1] is Reason.SOLD_OUT
    assert follows.sold_out_ms is not None


def test_seats_that_come_back_are_sold() -> None:
    play = Play(100, pays=0.5).run(1_200)
    assert play.sold == 100
    assert Reason.SOLD_OUT in play.reasons[: len(play.reasons) // 2]
    assert Reason.LAST_SEATS in play.reasons
    assert play.in_vain < 100


@pytest.mark.parametrize("takes", [100, 400, 1_500])
def test_the_shop_gets_what_it_can_take(takes: int) -> None:
    play = Play(1_000_000, takes, visitors=200_000).run(600)
    settled = play.loads[-300:]
    assert 0.75 < sum(settled) / len(settled) < 1.15
    assert max(settled) < 1.5
    assert min(settled) > 0.4
    alone = Play(1_000_000, takes, visitors=200_000, follows=False).run(600)
    assert min(alone.loads[-300:]) > 1.8 or takes == 1_500


def test_a_shop_that_recovers_gets_all_again() -> None:
    play = Play(1_000_000, 100, visitors=200_000).run(200)
    assert play.decision
    assert play.decision.per_s < 20
    play.takes = 1_000_000
    play.run(120)
    assert play.decision.per_s == 200
    assert play.reasons[-1] is Reason.FULL
