"""A room on several shards, simulated: who is overtaken, and which limits hold."""

import numpy as np
import pytest

from waitline.queue.limits import Limits
from waitline.sales.simulation.model import Arrivals, Sale, Spread, Use
from waitline.sales.simulation.sale import joining
from waitline.sales.simulation.shards import DOWN_MS, LINK_MS, simulate_shards

RATE, BURST, SLOTS = 200.0, 50, 600
SHARDS = 4
# Of a shard that is down, those of the grant under way are admitted late together with the next.
LATE = BURST


def designs(seed: int, shards: int = SHARDS) -> dict[str, Spread]:
    sale = Sale(
        (Arrivals(6_000, 10_000),),
        Limits(active_max=SLOTS, admit_per_s=RATE, admit_burst=BURST, ready_ttl_ms=4_000),
        Use(1_000, 5_000),
        no_shows=0.1,
    )
    found = simulate_shards(sale, joining(sale.arrivals), shards, np.random.default_rng(seed))
    return {row.design: row for row in found}


@pytest.mark.parametrize("seed", range(3))
def test_one_counter_keeps_the_order_and_both_limits(seed: int) -> None:
    one, spread, down, clocks, divided = designs(seed).values()
    assert (one.overtaken, one.overtaken_most_ms) == (0, 0)
    # Within a grant, shards are reached one a little later than another.
    assert spread.overtaken == 0
    assert spread.overtaken_most_ms < LINK_MS[1]
    for row in (one, spread, down):
        assert row.most_admitted <= SLOTS, row
        assert row.most_per_s <= RATE + BURST + (LATE if row is down else 0), row
    # Nobody but those of the grant under way is overtaken when a shard is down.
    assert 0 < down.overtaken_most_ms <= DOWN_MS + LINK_MS[1]
    assert down.overtaken <= BURST
    # The controls: without the counter, many are.
    assert clocks.overtaken > 10 * max(down.overtaken, 1)
    assert divided.overtaken > 10 * max(down.overtaken, 1)


def test_the_price_is_a_tick_at_the_end_of_each_stay() -> None:
    one, spread, *_ = designs(1).values()
    assert one.drained_ms <= spread.drained_ms <= one.drained_ms * 1.1


def test_the_same_seed_gives_the_same_sale() -> None:
    assert designs(3) == designs(3)
    assert designs(3) != designs(4)
