"""Sizes of the benchmark, and the number of requests per figure."""

from collections.abc import Sequence
from typing import NamedTuple

from waitline.kernel.ids import RoomId
from waitline.queue.settings import DAY_MS, Limits

WAITING = (1_000, 10_000, 100_000, 1_000_000)
ROOMS = (1, 10, 100, 1_000)

PER_ROOM = 1_000
"""Visitors that wait in each of many rooms."""

REQUESTS = 3_000
"""Asked in one measurement, about half a second. Short ones and many rounds: what the machine does
besides then meets all sizes alike."""

CONNECTIONS = 64

GROWN_MAX = 2
"""A burst of joins adds at most one part in so many to the lines."""

TICKS = 10
DUE = 200
"""Visitors admitted in a tick where one room is measured: 2 000 a second."""

DUE_EACH = 10
"""Visitors admitted in a tick in each of many rooms."""

IDLE_S = 2.0
"""How long an admitter with nothing to do is watched."""

LIMITS = Limits(
    active_max=1_000_000,
    admit_per_s=0.01,
    admit_burst=1_000,
    waiting_max=10_000_000,
    ready_ttl_ms=DAY_MS,
    idle_ms=DAY_MS,
)
"""Nobody is admitted but when the bucket is filled by hand, and nobody's mark is renewed: the
first who ask would pay for it, and in a short line they are all there are."""


class Effort(NamedTuple):
    """Number of requests per figure.

    Attributes:
        requests: Asked of the worker.
        ticks: Of the admitter.
        idle_s: How long an idle admitter is watched.
    """

    requests: int = REQUESTS
    ticks: int = TICKS
    idle_s: float = IDLE_S

    def scaled(self, share: float) -> "Effort":
        """Return a share of the effort, with a minimum that still shows a difference."""
        return Effort(
            max(500, round(self.requests * share)),
            max(3, round(self.ticks * share)),
            max(0.5, self.idle_s * share),
        )


class Case(NamedTuple):
    """One size of the line or of the number of rooms.

    Attributes:
        size: How many wait in the room, or how many rooms there are.
        rooms: Which are asked, in turn.
        waiting: Visitors in each, `w1`, `w2`, ….
        due: Visitors that a tick admits in each.
    """

    size: int
    rooms: list[RoomId]
    waiting: int
    due: int


def chosen(scale: float) -> tuple[list[Case], list[Case]]:
    """Return the line lengths and numbers of rooms at a scale."""
    lines = [Case(size, [RoomId(f"line of {size}")], size, DUE) for size in _some(WAITING, scale)]
    most = _some(ROOMS, scale)
    names = [RoomId(f"room {number}") for number in range(most[-1])]
    return lines, [Case(size, names[:size], PER_ROOM, DUE_EACH) for size in most]


def _some(sizes: Sequence[int], scale: float) -> list[int]:
    return [size for size in sizes if size <= max(sizes[1], sizes[-1] * scale)]
