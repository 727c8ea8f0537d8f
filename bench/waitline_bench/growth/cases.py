"""Sizes of the benchmark, and the number of requests per figure."""

from collections.abc import Sequence
from typing import NamedTuple

from waitline.kernel.ids import RoomId
from waitline.queue.limits import DAY_MS, Limits

WAITING = (1_000, 10_000, 100_000, 1_000_000)
ROOMS = (1, 10, 100, 1_000)

PER_ROOM = 1_000
"""Waiting visitors per room, where there are many rooms."""

REQUESTS = 3_000
"""Status requests per measurement, about half a second. Many short rounds spread the machine's
noise evenly over all sizes."""

CONNECTIONS = 64

GROWN_MAX = 2
"""A burst of joins lengthens the lines by at most 1 / this."""

TICKS = 10
DUE = 200
"""Visitors admitted per tick, with one room: 2 000 a second."""

DUE_EACH = 10
"""Visitors admitted per tick and room, with many rooms."""

IDLE_S = 2.0
"""Length of the measurement of an idle admitter."""

LIMITS = Limits(
    active_max=1_000_000,
    admit_per_s=0.01,
    admit_burst=1_000,
    waiting_max=10_000_000,
    ready_ttl_ms=DAY_MS,
    idle_ms=DAY_MS,
)
"""Admission happens only when the bucket is filled by hand, and contact marks are not renewed: the
first polls would pay for that, and in a short line those are all polls."""


FULL_EFFORT_SCALE = 0.1
"""Least scale at which each figure is measured in full: a tenth of the largest size needs no less
effort than all of it."""


class Effort(NamedTuple):
    """Number of requests per figure.

    Attributes:
        requests: Requests to the worker.
        ticks: Ticks of the admitter.
        idle_s: Length of the measurement of an idle admitter.
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
        size: Length of the line, or number of rooms.
        rooms: Rooms to call, in turn.
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
