"""Q5 whatever happens to the clock: no step of the server's, and no outage, admits anybody sooner.

Hypothesis sets the clock between admission calls. However often, no more are admitted than the
burst and what the rate gives in the time that has passed by the test's own monotonic clock.
"""

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import Server
from tests.store.room import Room
from waitline.queue.model import Moved

PER_S = 100
BURST = 4

# In the control, so that a slow machine may take its time: an hour fills the bucket all the same.
SELDOM_PER_S = 1

STEP_MS = st.sampled_from([0, 0, 0, 700, 1_900, 2_100, 60_000, 3_600_000, -50, -3_600_000])
WAIT_MS = st.integers(0, 15)
CALLS = st.lists(st.tuples(STEP_MS, WAIT_MS), min_size=3, max_size=12)


@pytest.fixture
def room(valkey: Server) -> Iterator[Room]:
    room = Room(valkey, "rate")
    yield room
    room.close()


def mono_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def admitted(
    room: Room, calls: list[tuple[int, int]], per_s: int, *, measured: bool
) -> tuple[int, float]:
    """Admit after each step and wait; return how many, and how many at most the rate allows."""
    room.server.wait(room.server.clear())
    room.open(admit_per_s=per_s, admit_burst=BURST)
    room.join(*(f"v{number}" for number in range(200)))
    room.beat()
    count, started_ms = 0, mono_ms()
    for step_ms, wait_ms in calls:
        room.step(step_ms)
        room.reach(room.now_ms() + wait_ms)
        outcome = room.admit(
            holder="h",
            heard_ms=room.now_ms(),
            mono_ms=mono_ms() if measured else 0,
        )
        assert isinstance(outcome, Moved)
        count += outcome.admitted
    # A new room's bucket is empty; the joins before took time, too.
    return count, BURST + per_s * (mono_ms() + 1 - started_ms) / 1000


@given(calls=CALLS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_step_admits_more_than_rate_and_burst(room: Room, calls: list[tuple[int, int]]) -> None:
    count, most = admitted(room, calls, PER_S, measured=True)
    assert count <= most


def test_without_a_monotonic_clock_steps_do(room: Room) -> None:
    """The control: the same calls of an admitter that passes none."""
    count, most = admitted(room, [(3_600_000, 0)] * 12, SELDOM_PER_S, measured=False)
    assert count > most
