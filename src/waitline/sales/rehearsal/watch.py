"""Sample the room during a rehearsal: length of the line, and what limits admission."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from waitline.kernel.errors import Unavailable
from waitline.kernel.ids import RoomId
from waitline.queue.decision import Reason
from waitline.queue.limits import Limits
from waitline.sales.rehearsal.stage import Stage
from waitline.sales.rehearsal.tally import VisitorTally

LOOK_S = 1.0
"""Time between two samples of the room, in s. Each is one call, which takes Valkey microseconds."""

FULL = 0.99
"""Share of the slots held at which slots count as the limit. Below 1, because a sample may fall
between a departure and the next admission."""

AT_PACE = 0.8
"""Share of the configured rate at which the rate counts as the limit. Below 1, because the rate of
a single second varies."""

LINE_S = 0.25
"""Visitors whom the rate admits within this time, in s, do not count as a line: they have arrived
since the last visit of the admitter."""


class RoomSample(NamedTuple):
    """The room at one moment.

    Attributes:
        at_s: Time since the start.
        waiting: Visitors waiting.
        inside: Slots held.
        admitted: Visitors admitted so far.
        done: Visitors who have left, by their own count.
        shop: Whether the shop's load reduces admission below the room's limits.
    """

    at_s: float
    waiting: int
    inside: int
    admitted: int
    done: int
    shop: bool


class Watch:
    """Samples a room once a second.

    Args:
        stage: Gives access to the room.
        room: Name of the room.
        tally: What the visitors have recorded.
        on_progress: Receives each sample.
    """

    def __init__(
        self,
        stage: Stage,
        room: RoomId,
        tally: VisitorTally,
        on_progress: Callable[[RoomSample], None],
    ) -> None:
        self._stage = stage
        self._room = room
        self._tally = tally
        self._on_progress = on_progress
        self.samples: list[RoomSample] = []
        self.silences = 0

    async def run(self) -> None:
        """Take samples until cancelled."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        while True:
            try:
                seen = await self._stage.survey(self._room)
            except Unavailable:
                self.silences += 1
            else:
                reason = Reason.FULL if seen.decision is None else seen.decision.reason
                self._tally.sold_out = reason is Reason.SOLD_OUT
                sample = RoomSample(
                    loop.time() - started_s,
                    seen.waiting,
                    seen.admitted,
                    seen.counters["admitted"],
                    self._tally.done,
                    reason is not Reason.FULL,
                )
                self.samples.append(sample)
                self._on_progress(sample)
            await asyncio.sleep(LOOK_S)


def drained_s(samples: Sequence[RoomSample], limits: Limits) -> float | None:
    """Return when the line cleared, in s; `None` if there was a line at the end."""
    if not samples or _line(samples[-1], limits):
        return None
    lines = [number for number, sample in enumerate(samples) if _line(sample, limits)]
    return samples[lines[-1] + 1].at_s if lines else 0.0


def limited(samples: Sequence[RoomSample], limits: Limits) -> dict[str, int]:
    """Count what limited admission, over the samples that have a line.

    Returns:
        Samples by limit: slots, rate, shop or other. Other should be 0: it means that the admitter
        or Valkey could not keep up.
    """
    found = {"slots": 0, "rate": 0, "shop": 0, "other": 0}
    for before, sample in pairwise(samples):
        if not (_line(before, limits) and _line(sample, limits)):
            continue
        pace = (sample.admitted - before.admitted) / (sample.at_s - before.at_s)
        if sample.inside >= FULL * limits.active_max:
            found["slots"] += 1
        elif pace >= AT_PACE * limits.admit_per_s:
            found["rate"] += 1
        elif sample.shop:
            found["shop"] += 1
        else:
            found["other"] += 1
    return found


def _line(sample: RoomSample, limits: Limits) -> bool:
    """Return whether more visitors wait than have arrived since the admitter's last visit."""
    return sample.waiting > LINE_S * limits.admit_per_s
